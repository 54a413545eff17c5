//! Clients that know of every request what became of it.
//!
//! What a proxy promises while it reloads, drains or hands over is that no accepted request stays without an answer. A
//! rate cannot show that; this load can. Every request carries a number, the origin answers with it (see
//! [`Origin`](crate::origin::Origin)), and at the end each one is in exactly one column of the [`Report`].
//!
//! ```no_run
//! # async fn doc(addr: std::net::SocketAddr) {
//! use staniel_test::load::Accounted;
//!
//! let load = Accounted::new(addr).connections(16).start();
//! load.wait_for(1_000).await;
//! // … reload the proxy here …
//! load.wait_for(2_000).await;
//! let report = load.stop().await;
//! assert!(report.all_ok(), "{report}");
//! # }
//! ```

mod report;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

pub use report::Report;

/// A load to start.
#[derive(Clone, Debug)]
#[must_use]
pub struct Accounted {
    pub(crate) addr: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) pause: Duration,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) body: usize,
    pub(crate) patience: Duration,
}

/// A load that runs; dropped without [`stop`](Self::stop) it ends at once and tells nothing.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<Report>,
}

/// What the workers of a load share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) load: Accounted,
    pub(crate) next: AtomicU64,
    pub(crate) answered: watch::Sender<u64>,
    pub(crate) stopping: watch::Sender<bool>,
}

// === impl Accounted ===

impl Accounted {
    /// Four connections to `addr`, each with one request after the other and no pause between.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            connections: 4,
            pause: Duration::ZERO,
            host: "load.example".to_owned(),
            path: "/".to_owned(),
            body: 0,
            patience: Duration::from_secs(10),
        }
    }

    /// How many connections are kept busy.
    pub const fn connections(mut self, n: usize) -> Self {
        self.connections = n;
        self
    }

    /// How long a connection is left idle between an answer and the next request.
    pub const fn pause(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }

    /// The `Host` of the requests; `load.example` unless told.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// The path of the requests; `/` unless told. The number is added as the query `id`.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Sends POST requests with bodies of `n` bytes instead of GET.
    pub const fn body(mut self, n: usize) -> Self {
        self.body = n;
        self
    }

    /// How long a request may stay without an answer before it counts as lost; ten seconds unless told.
    pub const fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Starts it on the current runtime.
    #[must_use]
    pub fn start(self) -> Load {
        let n_workers = self.connections;
        let shared = Arc::new(Shared {
            load: self,
            next: AtomicU64::new(0),
            answered: watch::Sender::default(),
            stopping: watch::Sender::default(),
        });
        let mut workers = JoinSet::new();
        for _ in 0..n_workers {
            workers.spawn(worker::run(Arc::clone(&shared)));
        }
        Load { shared, workers }
    }
}

// === impl Load ===

impl Load {
    /// How many requests are answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        *self.shared.answered.borrow()
    }

    /// Waits until at least `n` requests are answered.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for(&self, n: u64) {
        let mut answered = self.shared.answered.subscribe();
        // It only fails when the sender is gone, and `self` holds it.
        drop(answered.wait_for(|answered| *answered >= n).await);
    }

    /// Waits until `n` requests more than now are answered.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn wait_for_more(&self, n: u64) {
        self.wait_for(self.answered() + n).await;
    }

    /// Starts no more requests, waits for the answers under way, and tells what became of all of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the load where it stands.
    pub async fn stop(mut self) -> Report {
        self.shared.stopping.send_replace(true);
        let mut report = Report::default();
        while let Some(worker) = self.workers.join_next().await {
            match worker {
                Ok(part) => report.add(part),
                Err(err) => report.broken(err.to_string()),
            }
        }
        report
    }
}

// === impl Shared ===

impl Shared {
    pub(crate) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn request(&self, id: u64) -> Vec<u8> {
        let Accounted { host, path, body, .. } = &self.load;
        let mark = if path.contains('?') { '&' } else { '?' };
        if *body == 0 {
            return format!("GET {path}{mark}id={id} HTTP/1.1\r\nHost: {host}\r\n\r\n")
                .into_bytes();
        }
        let head = format!(
            "POST {path}{mark}id={id} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {body}\r\n\r\n"
        );
        let mut request = head.into_bytes();
        request.resize(request.len() + body, b'b');
        request
    }
}
