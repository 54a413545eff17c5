//! The idle clients: each does one request and stays.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::Result;
use crate::machine;
use crate::wire::{announced, head_end, request};

/// The word that makes the bench's own program hold connections.
pub(crate) const CHILD: &str = "child-hold";

const BODY: usize = 128;

/// Runs with `ADDR CONNECTIONS`: prints `held` and keeps them until its standard input ends.
///
/// # Errors
///
/// If a connection cannot be opened or is not answered.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [addr, connections] = words else { return Err("hold wants ADDR CONNECTIONS".into()) };
    machine::raise_descriptors();
    let request = request(BODY);
    let mut held = Vec::new();
    for n in 0..connections.parse()? {
        held.push(one(addr, &request).map_err(|err| format!("connection {n}: {err}"))?);
    }
    println!("held");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}

fn one(addr: &str, request: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buf = [0; 4096];
    loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Err("closed before its answer".into());
        }
        answer.extend_from_slice(buf.get(..n).unwrap_or_default());
        let Some((head, body)) = head_end(&answer).and_then(|end| answer.split_at_checked(end))
        else {
            continue;
        };
        if announced(head) != Some(BODY) {
            return Err(format!("unexpected answer: {}", head.escape_ascii()).into());
        }
        if body.len() >= BODY {
            return Ok(stream);
        }
    }
}
