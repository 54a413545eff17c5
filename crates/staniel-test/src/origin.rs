//! An origin that behaves.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::raw::{Message, Reader};

/// An HTTP/1.1 origin on loopback that reads every request whole, answers 200 and counts.
///
/// The body of an answer is the value of `id` in the request's query, so that a client can tell whose answer it got; the
/// header `X-Origin` has the origin's name. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    counts: Arc<Counts>,
    _task: JoinSet<()>,
}

/// How an [`Origin`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OriginConfig {
    /// Where it listens; port 0 of 127.0.0.1 unless told.
    pub addr: SocketAddr,
    /// What `X-Origin` says; `origin` unless told.
    pub name: String,
    /// How long an answer is held back; not at all unless told.
    pub delay: Duration,
}

#[derive(Debug, Default)]
struct Counts {
    served: watch::Sender<u64>,
    connections: AtomicU64,
    in_flight: AtomicUsize,
}

// === impl OriginConfig ===

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            addr: (Ipv4Addr::LOCALHOST, 0).into(),
            name: "origin".to_owned(),
            delay: Duration::ZERO,
        }
    }
}

// === impl Origin ===

impl Origin {
    /// Starts one that answers at once.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(OriginConfig::default()).await
    }

    /// Starts one with this name.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn named(name: &str) -> io::Result<Self> {
        Self::start_with(OriginConfig { name: name.to_owned(), ..OriginConfig::default() }).await
    }

    /// Starts one that holds every answer back for `delay`.
    ///
    /// # Errors
    ///
    /// If no listener can be bound.
    pub async fn slow(delay: Duration) -> io::Result<Self> {
        Self::start_with(OriginConfig { delay, ..OriginConfig::default() }).await
    }

    /// Starts one as `config` says.
    ///
    /// # Errors
    ///
    /// If its address cannot be bound.
    pub async fn start_with(config: OriginConfig) -> io::Result<Self> {
        let listener = TcpListener::bind(config.addr).await?;
        let addr = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let (config, shared) = (Arc::new(config), Arc::clone(&counts));
        let mut task = JoinSet::new();
        task.spawn(crate::raw::accept(listener, move |_, stream| {
            let (config, counts) = (Arc::clone(&config), Arc::clone(&shared));
            async move {
                counts.connections.fetch_add(1, Ordering::Relaxed);
                // The peer went away; a request of which that was true is not counted as served.
                drop(serve(stream, &config, &counts).await);
            }
        }));
        Ok(Self { addr, counts, _task: task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many answers it has written.
    #[must_use]
    pub fn served(&self) -> u64 {
        *self.counts.served.borrow()
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// How many requests are read and not answered.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counts.in_flight.load(Ordering::Relaxed)
    }

    /// Waits until at least `n` answers are written.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for(&self, n: u64) {
        let mut served = self.counts.served.subscribe();
        // It only fails when the sender is gone, and `self` holds it.
        drop(served.wait_for(|served| *served >= n).await);
    }
}

async fn serve(stream: TcpStream, config: &OriginConfig, counts: &Counts) -> io::Result<()> {
    let mut reader = Reader::new(stream);
    while let Some(head) = reader.head().await? {
        let mut request = Message::new(head);
        if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
        {
            reader.io.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        reader.body(request.request_framing(), &mut request).await?;
        let _in_flight = InFlight::new(&counts.in_flight);
        if !config.delay.is_zero() {
            sleep(config.delay).await;
        }
        reader.io.write_all(&answer(&request, &config.name)).await?;
        counts.served.send_modify(|served| *served += 1);
        if request.says_close() {
            break;
        }
    }
    reader.io.shutdown().await
}

fn answer(request: &Message, name: &str) -> Vec<u8> {
    let target = request.target();
    let id = target
        .split(['?', '&'])
        .skip(1)
        .find_map(|pair| pair.strip_prefix("id="))
        .unwrap_or_default();
    let close = if request.says_close() { "Connection: close\r\n" } else { "" };
    let body = if request.method() == "HEAD" { "" } else { id };
    format!(
        "HTTP/1.1 200 OK\r\nX-Origin: {name}\r\nContent-Length: {}\r\n{close}\r\n{body}",
        id.len()
    )
    .into_bytes()
}

/// Counts a request until it is dropped, with its connection or without.
struct InFlight<'a>(&'a AtomicUsize);

// === impl InFlight ===

impl<'a> InFlight<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
