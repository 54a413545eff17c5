//! The access log: one record for each request, connection and session.
//!
//! A worker appends a record to a buffer of its own and goes on; a thread collects the buffers, formats and writes. Nothing
//! here ever waits for the disk: a full buffer drops what comes and counts it, and what cannot be written is counted, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use staniel_core::{CloseReason, ConnMeta, PerWorker};
use tokio::time::Instant;

use self::record::Buffer;
pub(crate) use self::record::{Facts, Kind, Text};
pub(crate) use self::writer::Writer;
use crate::cluster::Cluster;
use crate::handler::Shared;

mod format;
mod record;
mod writer;

/// How long records gather before they are written together.
const GATHER: Duration = Duration::from_millis(50);

/// Where records go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    on: AtomicBool,
    state: Arc<State>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// To wake it; set once it runs.
    waker: Mutex<Option<Thread>>,
}

/// What workers and the writing thread share.
#[derive(Debug)]
struct State {
    buffers: PerWorker<Buffer>,
    dropped: AtomicU64,
    /// Something waits in a buffer.
    filled: AtomicBool,
    stop: AtomicBool,
    writer: Mutex<Writer>,
}

// === impl AccessLog ===

impl AccessLog {
    pub(crate) fn new() -> Self {
        let state = State {
            buffers: PerWorker::default(),
            dropped: AtomicU64::new(0),
            filled: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            writer: Mutex::new(Writer::off()),
        };
        Self {
            on: AtomicBool::new(false),
            state: Arc::new(state),
            thread: Mutex::default(),
            waker: Mutex::default(),
        }
    }

    /// Writes to somewhere else from now on.
    ///
    /// # Errors
    ///
    /// The system's, if there is no thread to write with; then everything stays as it was.
    pub(crate) fn switch(&self, writer: Writer) -> std::io::Result<()> {
        let on = !writer.is_off();
        let mut thread = self.thread.lock();
        if on && thread.is_none() {
            let state = self.state.clone();
            let started =
                std::thread::Builder::new().name("access-log".into()).spawn(move || state.run())?;
            *self.waker.lock() = Some(started.thread().clone());
            *thread = Some(started);
        }
        *self.state.writer.lock() = writer;
        self.on.store(on, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, facts: &Facts, texts: &[(Text, &[u8])]) {
        let kept = self.state.buffers.here().push(facts, texts);
        if !kept {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if !self.state.filled.swap(true, Ordering::Relaxed)
            && let Some(thread) = &*self.waker.lock()
        {
            thread.unpark();
        }
    }

    /// Writes what is left and ends the thread. Blocks as long as that takes.
    pub(crate) fn close(&self) {
        self.on.store(false, Ordering::Relaxed);
        self.state.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.lock().take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that writes the access log panicked");
            }
        }
    }
}

// === impl State ===

impl State {
    fn run(&self) {
        loop {
            let stop = self.stop.load(Ordering::SeqCst);
            if self.filled.swap(false, Ordering::Relaxed) || stop {
                self.collect();
                if stop {
                    return;
                }
                std::thread::park_timeout(GATHER);
            } else {
                std::thread::park_timeout(Duration::from_secs(1));
            }
        }
    }

    fn collect(&self) {
        let mut writer = self.writer.lock();
        for mut buffer in self.buffers.each() {
            let full = buffer.take();
            drop(buffer);
            writer.write(&full);
        }
        writer.report(self.dropped.swap(0, Ordering::Relaxed));
    }
}

/// The record of one connection or session; it is written when this is dropped, however that comes about.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    shared: Arc<Shared>,
    kind: Kind,
    meta: ConnMeta,
    since: SystemTime,
    begin: Instant,
    connected: Option<Duration>,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) destination: Option<String>,
}

// === impl SessionRecord ===

impl SessionRecord {
    pub(crate) fn new(shared: &Arc<Shared>, kind: Kind, meta: ConnMeta) -> Self {
        Self {
            shared: shared.clone(),
            kind,
            since: meta.since(),
            begin: Instant::now(),
            connected: None,
            cluster: None,
            destination: None,
            meta,
        }
    }

    /// The destination accepted.
    pub(crate) fn connected(&mut self) {
        self.connected = Some(self.begin.elapsed());
    }
}

impl Drop for SessionRecord {
    fn drop(&mut self) {
        if !self.shared.log.is_on() {
            return;
        }
        let panicked = std::thread::panicking().then_some(CloseReason::HandlerPanic);
        let why = self.meta.ended().or(panicked).unwrap_or(CloseReason::Done);
        let stats = self.meta.stats();
        let facts = Facts {
            kind: self.kind,
            since: self.since,
            duration: self.begin.elapsed(),
            connect: self.connected,
            response: None,
            conn: self.meta.id(),
            client: self.meta.client().clone(),
            peer: self.meta.peer().clone(),
            status: 0,
            minor: 0,
            retries: 0,
            bytes_in: stats.read,
            bytes_out: stats.written,
            end: why.as_str(),
            end_by: why.by().as_str(),
        };
        let cluster = self.cluster.as_ref().map_or("", |cluster| cluster.config.name.as_str());
        self.shared.log.write(
            &facts,
            &[
                (Text::Listener, self.meta.endpoint().as_str().as_bytes()),
                (Text::Cluster, cluster.as_bytes()),
                (Text::Destination, self.destination.as_deref().unwrap_or_default().as_bytes()),
            ],
        );
    }
}
