//! The origin: answers `GET /N` with `N` bytes, as cheaply as one thread with one epoll can.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustix::event::epoll::EventFlags;
use slab::Slab;

use crate::Result;
use crate::wire::{Moved, Poller, head_end, read, write};

/// The word that makes the bench's own program an origin.
pub(crate) const CHILD: &str = "child-origin";

const LISTENER: usize = usize::MAX;
const STDIN: usize = usize::MAX - 1;

/// A connection of the proxy.
struct Conn {
    stream: TcpStream,
    /// The beginning of a request whose end has not come.
    partial: Vec<u8>,
    /// What the socket would not take.
    unsent: Vec<u8>,
}

/// Prints its port, then serves until its standard input ends.
///
/// # Errors
///
/// If the kernel refuses a listener or an epoll.
pub(crate) fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?.port());
    io::stdout().flush()?;

    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER, EventFlags::IN)?;
    poller.add(io::stdin(), STDIN, EventFlags::IN)?;
    let mut conns: Slab<Conn> = Slab::new();
    let mut answers = Answers::default();
    let mut buf = vec![0; 64 * 1024];
    loop {
        for (key, flags) in poller.wait(None)? {
            match key {
                STDIN => return Ok(()),
                LISTENER => accept(&listener, &poller, &mut conns)?,
                key => {
                    let Some(conn) = conns.get_mut(key) else { continue };
                    if serve(conn, flags, &mut answers, &mut buf).is_err() {
                        conns.remove(key);
                        continue;
                    }
                    let wanted =
                        if conn.unsent.is_empty() { EventFlags::IN } else { EventFlags::OUT };
                    if wanted == EventFlags::OUT || flags.contains(EventFlags::OUT) {
                        poller.modify(&conn.stream, key, wanted)?;
                    }
                }
            }
        }
    }
}

fn accept(listener: &TcpListener, poller: &Poller, conns: &mut Slab<Conn>) -> Result<()> {
    while let Ok((stream, _)) = listener.accept() {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let entry = conns.vacant_entry();
        poller.add(&stream, entry.key(), EventFlags::IN)?;
        entry.insert(Conn { stream, partial: Vec::new(), unsent: Vec::new() });
    }
    Ok(())
}

/// Answers what came; an error means that the connection is over.
fn serve(
    conn: &mut Conn,
    flags: EventFlags,
    answers: &mut Answers,
    buf: &mut [u8],
) -> io::Result<()> {
    if flags.contains(EventFlags::OUT) && !conn.unsent.is_empty() {
        let unsent = std::mem::take(&mut conn.unsent);
        return send(conn, &unsent);
    }
    let n = match read(&conn.stream, buf)? {
        Moved::Bytes(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Moved::Bytes(n) => n,
        Moved::Later => return Ok(()),
    };
    let came = buf.get(..n).unwrap_or_default();
    let mut joined = Vec::new();
    let mut rest = if conn.partial.is_empty() {
        came
    } else {
        joined.append(&mut conn.partial);
        joined.extend_from_slice(came);
        &joined
    };
    while let Some((head, behind)) = head_end(rest).and_then(|end| rest.split_at_checked(end)) {
        let answer = answers.to(head).ok_or(io::ErrorKind::InvalidData)?;
        send(conn, &answer)?;
        rest = behind;
    }
    conn.partial.extend_from_slice(rest);
    Ok(())
}

fn send(conn: &mut Conn, bytes: &[u8]) -> io::Result<()> {
    let n = match write(&conn.stream, if conn.unsent.is_empty() { bytes } else { &[] }) {
        Ok(Moved::Bytes(n)) => n,
        Ok(Moved::Later) => 0,
        Err(err) => return Err(err),
    };
    conn.unsent.extend_from_slice(bytes.get(n..).unwrap_or_default());
    Ok(())
}

/// Whole answers by the size of their body.
#[derive(Default)]
struct Answers(HashMap<usize, Arc<[u8]>>);

// === impl Answers ===

impl Answers {
    /// The answer to a request; `None` if it is not `GET /N`.
    fn to(&mut self, head: &[u8]) -> Option<Arc<[u8]>> {
        let target = head.strip_prefix(b"GET /")?.split(|&b| b == b' ').next()?;
        let body: usize = std::str::from_utf8(target).ok()?.parse().ok()?;
        Some(Arc::clone(self.0.entry(body).or_insert_with(|| answer(body).into())))
    }
}

fn answer(body: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: {body}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + body, b'x');
    answer
}
