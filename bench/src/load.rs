//! The load: keep-alive connections that each have one request under way, always.
//!
//! It talks with the bench over its standard streams: `ready` when every connection has been served for a moment, then
//! it waits for a line, runs for its time, lets the last answers come, and prints one line of JSON.

use std::io::{self, BufRead, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use serde_json::json;

use crate::Result;
use crate::wire::{Moved, Poller, announced, head_end, read, request, write};

/// The word that makes the bench's own program a load.
pub(crate) const CHILD: &str = "child-load";

/// How long connections are served before the first sample, so that upstream connections and buffers exist.
const WARM_UP: Duration = Duration::from_millis(200);
/// How long an answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs with `ADDR CONNECTIONS BODY MILLISECONDS`.
///
/// # Errors
///
/// If the words are wrong, the proxy cannot be reached, or it stops answering.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [addr, connections, body, millis] = words else {
        return Err("load wants ADDR CONNECTIONS BODY MILLISECONDS".into());
    };
    let mut load = Load::open(addr.parse()?, connections.parse()?, body.parse()?)?;
    load.drive(WARM_UP)?;
    println!("ready");
    io::stdout().flush()?;
    io::stdin().lock().read_line(&mut String::new())?;

    load.forget();
    let began = Instant::now();
    load.drive(Duration::from_millis(millis.parse()?))?;
    let seconds = began.elapsed().as_secs_f64();
    load.latencies.sort_unstable();
    let at = |permille: usize| {
        load.latencies.get(load.latencies.len() * permille / 1000).copied().unwrap_or_default()
    };
    println!(
        "{}",
        json!({
            "completed": load.latencies.len(), "failed": load.failed, "seconds": seconds,
            "p50_us": at(500), "p99_us": at(990),
        })
    );
    Ok(())
}

/// One connection and the answer it waits for.
struct Conn {
    stream: TcpStream,
    sent: Instant,
    /// The beginning of a head whose end has not come.
    partial: Vec<u8>,
    /// Bytes of body still to come; 0 while the head is awaited.
    missing: usize,
    busy: bool,
}

struct Load {
    addr: SocketAddr,
    request: Vec<u8>,
    body: usize,
    poller: Poller,
    conns: Vec<Conn>,
    n_busy: usize,
    /// Microseconds, one per answer.
    latencies: Vec<u32>,
    /// Answers that were not the expected one, and connections that ended under way.
    failed: u64,
}

// === impl Load ===

impl Load {
    fn open(addr: SocketAddr, connections: usize, body: usize) -> Result<Self> {
        let poller = Poller::new()?;
        let mut conns = Vec::with_capacity(connections);
        for key in 0..connections {
            let conn = Conn::open(addr)?;
            poller.add(&conn.stream, key, EventFlags::IN)?;
            conns.push(conn);
        }
        let latencies = Vec::with_capacity(1 << 20);
        Ok(Self {
            addr,
            request: request(body),
            body,
            poller,
            conns,
            n_busy: 0,
            latencies,
            failed: 0,
        })
    }

    fn forget(&mut self) {
        self.latencies.clear();
        self.failed = 0;
    }

    /// Keeps every connection busy for `time`, then waits for what is under way.
    fn drive(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        let mut buf = vec![0; 64 * 1024];
        for key in 0..self.conns.len() {
            self.ask(key)?;
        }
        let mut heard = Instant::now();
        while self.n_busy > 0 {
            let ready = self.poller.wait(Some(Duration::from_millis(500)))?;
            if ready.is_empty() && heard.elapsed() > PATIENCE {
                return Err(format!("{} requests stay without an answer", self.n_busy).into());
            }
            for (key, _) in ready {
                heard = Instant::now();
                if self.hear(key, heard, &mut buf)? && heard < end {
                    self.ask(key)?;
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, key: usize) -> Result<()> {
        let Some(conn) = self.conns.get_mut(key) else { return Ok(()) };
        match write(&conn.stream, &self.request) {
            Ok(Moved::Bytes(n)) if n == self.request.len() => {}
            Ok(_) => return Err("the proxy does not take a whole small request at once".into()),
            Err(_) => {
                self.failed += 1;
                self.reopen(key)?;
                return self.ask(key);
            }
        }
        conn.sent = Instant::now();
        conn.busy = true;
        self.n_busy += 1;
        Ok(())
    }

    /// Reads what came; tells whether the connection is free for the next request.
    fn hear(&mut self, key: usize, now: Instant, buf: &mut [u8]) -> Result<bool> {
        let Some(conn) = self.conns.get_mut(key) else { return Ok(false) };
        let whole = match read(&conn.stream, buf) {
            Ok(Moved::Later) => return Ok(false),
            Ok(Moved::Bytes(n)) if n > 0 => conn.take(buf.get(..n).unwrap_or_default(), self.body),
            Ok(_) | Err(_) => None,
        };
        match whole {
            Some(false) => return Ok(false),
            Some(true) => {
                let micros = now.duration_since(conn.sent).as_micros();
                self.latencies.push(u32::try_from(micros).unwrap_or(u32::MAX));
                conn.busy = false;
                self.n_busy -= 1;
            }
            None => {
                if conn.busy {
                    self.failed += 1;
                    self.n_busy -= 1;
                }
                self.reopen(key)?;
            }
        }
        Ok(true)
    }

    fn reopen(&mut self, key: usize) -> Result<()> {
        if self.failed > 1000 {
            return Err("more than 1000 requests failed".into());
        }
        let Some(conn) = self.conns.get_mut(key) else { return Ok(()) };
        *conn = Conn::open(self.addr)?;
        Ok(self.poller.add(&conn.stream, key, EventFlags::IN)?)
    }
}

// === impl Conn ===

impl Conn {
    fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, sent: Instant::now(), partial: Vec::new(), missing: 0, busy: false })
    }

    /// Whether the answer is whole now; `None` if it is not the one that was asked for.
    fn take(&mut self, came: &[u8], body: usize) -> Option<bool> {
        if !self.busy {
            return None;
        }
        let mut n_body = came.len();
        if self.missing == 0 {
            self.partial.extend_from_slice(came);
            let Some(end) = head_end(&self.partial) else { return Some(false) };
            if announced(self.partial.get(..end)?)? != body {
                return None;
            }
            n_body = self.partial.len() - end;
            self.missing = body;
            self.partial.clear();
        }
        self.missing = self.missing.checked_sub(n_body)?;
        Some(self.missing == 0)
    }
}
