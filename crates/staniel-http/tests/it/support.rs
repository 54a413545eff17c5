//! What the tests of connections share: exchanges of every kind, and a client in memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use staniel_core::buffer::Lease;
use staniel_core::{CloseReason, ConnMeta, Connection, Handler, Host, Io, Running};
use staniel_http::h1::{Asked, BodyState, Framing, Limits, Parsed, Progress, WireHead};
use staniel_http::{BodyRules, HttpTimeouts, http};
use staniel_test::raw::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;

pub(crate) use self::answers::Answers;

mod answers;

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A GET of `target`.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A POST with these fields and this body.
pub(crate) fn post(target: &str, fields: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

/// The head of an answer.
pub(crate) fn response(text: &str) -> WireHead {
    let bytes = Lease::copy_of(text.as_bytes());
    match WireHead::parse_response(
        bytes,
        &mut Progress::default(),
        &Limits::default(),
        Asked::Other,
    ) {
        Ok(Parsed::Head(head, None)) => head,
        other => panic!("{text}: {other:?}"),
    }
}

/// Bytes that are not all alike.
pub(crate) fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// The client's end of a connection in memory.
#[derive(Debug)]
pub(crate) struct Client {
    io: DuplexStream,
    buf: Vec<u8>,
}

impl Client {
    pub(crate) fn new(io: DuplexStream) -> Self {
        Self { io, buf: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.io.write_all(bytes.as_ref()).await
    }

    /// Sends as many of these bytes as fit.
    pub(crate) async fn send_some(&mut self, bytes: &[u8]) -> usize {
        self.io.write(bytes).await.unwrap()
    }

    /// Sends as many of these bytes as fit, and reads what comes meanwhile.
    async fn send_or_read(&mut self, bytes: &[u8]) -> usize {
        let (mut r, mut w) = tokio::io::split(&mut self.io);
        tokio::select! {
            sent = w.write(bytes) => sent.unwrap(),
            read = r.read_buf(&mut self.buf) => {
                assert!(read.unwrap() > 0);
                0
            }
        }
    }

    /// Sends all of these bytes, and reads what comes meanwhile, as a small window needs.
    pub(crate) async fn pump(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let n = self.send_or_read(bytes).await;
            bytes = &bytes[n..];
        }
    }

    /// Reads at most `n` bytes.
    pub(crate) async fn read_some(&mut self, n: usize) -> usize {
        let mut bytes = vec![0; n];
        self.io.read(&mut bytes).await.unwrap()
    }

    pub(crate) async fn finish(&mut self) {
        self.io.shutdown().await.unwrap();
    }

    /// The next answer to a request that was no HEAD.
    pub(crate) async fn answer(&mut self) -> Message {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Message {
        let mut message = Message::default();
        while !self.buf.windows(4).any(|four| four == b"\r\n\r\n") {
            let sofar = String::from_utf8_lossy(&self.buf).into_owned();
            assert!(self.fill().await > 0, "closed in a head: {sofar:?}");
        }
        let end = self.buf.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        message.head = self.buf.drain(..end).collect();
        let bodiless = matches!(message.status(), 100..200 | 204 | 304) || method == "HEAD";
        let length = message.header("content-length").map(|n| n.parse::<usize>().unwrap());
        let framing = match (bodiless, length) {
            (true, _) => Framing::None,
            (_, Some(n)) => Framing::Length(n as u64),
            _ if message.header("transfer-encoding").is_some() => Framing::Chunked,
            _ => Framing::UntilClose,
        };
        let mut body = BodyState::new(framing, &Limits::default());
        while !body.is_done() {
            let taken = body.feed(&self.buf, |data| message.body.extend_from_slice(data)).unwrap();
            message.wire_body.extend(self.buf.drain(..taken));
            if !body.is_done() && self.fill().await == 0 {
                message.complete = body.finish_at_eof().is_ok();
                return message;
            }
        }
        message.complete = true;
        message
    }

    pub(crate) async fn exchange(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.send(&request).await;
        let head = request.as_ref().starts_with(b"HEAD");
        self.answer_to(if head { "HEAD" } else { "GET" }).await
    }

    /// Everything until the end.
    pub(crate) async fn until_close(&mut self) -> String {
        while self.fill().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buf)).into_owned()
    }

    async fn fill(&mut self) -> usize {
        self.io.read_buf(&mut self.buf).await.unwrap()
    }
}

/// What is set on a server under test.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) rules: BodyRules,
    pub(crate) limits: Limits,
    pub(crate) timeouts: HttpTimeouts,
    /// Bytes in flight each way.
    pub(crate) window: usize,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rules: BodyRules::default(),
            limits: Limits::default(),
            timeouts: HttpTimeouts::default(),
            window: 64 * 1024,
        }
    }
}

/// A connection in memory that is being served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) events: UnboundedReceiver<String>,
    pub(crate) meta: ConnMeta,
    polls: Arc<AtomicUsize>,
    task: JoinHandle<staniel_core::Result>,
}

impl Served {
    pub(crate) fn new() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        Self::around(setup, Io::from_stream)
    }

    /// Serves a connection whose bytes go through what `wrap` makes.
    pub(crate) fn around(setup: Setup, wrap: impl FnOnce(DuplexStream) -> Io) -> Self {
        let (exchanges, events) = Answers::new(setup.rules);
        let (ours, theirs) = tokio::io::duplex(setup.window);
        let (conn, _) = Connection::in_memory();
        let (_, meta, extensions) = conn.into_parts();
        let conn = Connection::from_parts(wrap(ours), meta.clone(), extensions);
        let http = http(exchanges).limits(setup.limits).timeouts(setup.timeouts);
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = polls.clone();
        let task = staniel_core::task::spawn(async move {
            let mut call = std::pin::pin!(http.call(conn));
            std::future::poll_fn(|cx| {
                counted.fetch_add(1, Ordering::Relaxed);
                call.as_mut().poll(cx)
            })
            .await
        });
        Self { client: Client::new(theirs), events, meta, polls, task }
    }

    /// The next thing that happened on the server's side.
    pub(crate) async fn event(&mut self) -> String {
        self.events.recv().await.unwrap_or_else(|| "over".to_owned())
    }

    /// What happened so far.
    pub(crate) fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// How often the connection's task was woken since the last look.
    pub(crate) fn polls(&self) -> usize {
        self.polls.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Waits until the connection is over, and says why it ended; with what the accept loop would say, if nobody did.
    pub(crate) async fn over(&mut self) -> CloseReason {
        let result = (&mut self.task).await;
        self.meta.ended().unwrap_or(match result {
            Ok(_) => CloseReason::Done,
            Err(_) => CloseReason::HandlerPanic,
        })
    }
}

/// A server on a real socket.
pub(crate) struct Bound {
    pub(crate) running: Running,
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) events: UnboundedReceiver<String>,
}

impl Bound {
    pub(crate) async fn new(setup: Setup) -> Self {
        let (exchanges, events) = Answers::new(setup.rules);
        let http = http(exchanges).limits(setup.limits).timeouts(setup.timeouts);
        let running = Host::new().bind("tcp://127.0.0.1:0", http).start().await.unwrap();
        let local = running.manager().list()[0].local()[0].to_string();
        let addr = local.trim_start_matches("tcp://").parse().unwrap();
        Self { running, addr, events }
    }

    pub(crate) async fn event(&mut self) -> String {
        self.events.recv().await.unwrap()
    }

    /// The only open connection.
    pub(crate) fn meta(&self) -> ConnMeta {
        self.running.manager().list()[0].connections()[0].clone()
    }

    /// Waits until nothing is open.
    pub(crate) async fn idle(&self) {
        while self.running.manager().list()[0].live() > 0 {
            tokio::task::yield_now().await;
        }
    }
}
