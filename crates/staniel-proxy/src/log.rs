//! The access log: one record for each request, each TCP connection and each UDP session.
//!
//! A worker appends a record to a buffer of its own and goes on; a thread collects the buffers, formats and writes. Nothing
//! here ever waits for the disk: a full buffer drops what comes and counts it, and what cannot be written is counted, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex};
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

/// How long the end of the process waits for the last records to be written.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where records go.
#[derive(Debug)]
pub(crate) struct AccessLog {
    on: AtomicBool,
    state: Arc<State>,
    task: Mutex<Option<Arc<Task>>>,
}

/// What workers and the writing thread share.
#[derive(Debug)]
struct State {
    buffers: PerWorker<Buffer>,
    /// Records that found no room, and were not reported yet.
    dropped: AtomicU64,
    /// All that were lost, for whatever reason.
    lost: Arc<AtomicU64>,
    /// Something waits in a buffer.
    filled: AtomicBool,
}

/// A writing thread. Each place to write to has its own, so that one that is stuck (a pipe that nobody reads) holds up
/// nothing but itself.
#[derive(Debug)]
struct Task {
    thread: Mutex<Option<Thread>>,
    orders: Mutex<Orders>,
    /// Told when the thread has ended.
    over: Condvar,
    /// Records that were taken from the buffers and are not written yet.
    in_hand: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orders {
    Write,
    /// Another thread goes on with what is in the buffers.
    Leave,
    /// Write what is left, and end.
    Finish,
    /// It has ended.
    Over,
}

// === impl AccessLog ===

impl AccessLog {
    /// A log that is off. Records that are lost are counted in `lost`.
    pub(crate) fn new(lost: Arc<AtomicU64>) -> Self {
        let state = State {
            buffers: PerWorker::default(),
            dropped: AtomicU64::new(0),
            lost,
            filled: AtomicBool::new(false),
        };
        Self { on: AtomicBool::new(false), state: Arc::new(state), task: Mutex::default() }
    }

    /// Writes to somewhere else from now on.
    ///
    /// # Errors
    ///
    /// The system's, if there is no thread to write with; then everything stays as it was.
    pub(crate) fn switch(&self, writer: Writer) -> std::io::Result<()> {
        let on = !writer.is_off();
        let new = on.then(|| Task::start(self.state.clone(), writer)).transpose()?;
        self.on.store(on, Ordering::Relaxed);
        let old = std::mem::replace(&mut *self.task.lock(), new);
        if let Some(old) = old {
            old.tell(if on { Orders::Leave } else { Orders::Finish });
        }
        Ok(())
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, facts: &Facts, texts: &[(Text, &[u8])]) {
        let kept = self.state.buffers.here().push(facts, texts);
        if !kept {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
        if !self.state.filled.swap(true, Ordering::Relaxed)
            && let Some(task) = &*self.task.lock()
        {
            task.wake();
        }
    }

    /// Tells of records that found no room since this was last called. It is not for the writing thread to say: that may be
    /// stuck, and then it is the reason.
    pub(crate) fn report(&self) {
        let dropped = self.state.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::error!(dropped, "the access log does not keep up; records were dropped");
        }
    }

    /// Writes what is left and ends the thread. Blocks for as long as that takes, within reason.
    pub(crate) fn close(&self) {
        self.on.store(false, Ordering::Relaxed);
        self.report();
        let Some(task) = self.task.lock().take() else { return };
        if !task.finish(LAST_WORDS) {
            let left: usize = self.state.buffers.each().map(|mut buffer| buffer.take().len()).sum();
            let lost = task.in_hand.load(Ordering::Relaxed) + left as u64;
            self.state.lost.fetch_add(lost, Ordering::Relaxed);
            tracing::error!(lost, "the access log cannot be written to its end");
        }
    }
}

// === impl Task ===

impl Task {
    fn start(state: Arc<State>, writer: Writer) -> std::io::Result<Arc<Self>> {
        let task = Arc::new(Self {
            thread: Mutex::default(),
            orders: Mutex::new(Orders::Write),
            over: Condvar::new(),
            in_hand: AtomicU64::new(0),
        });
        let run = {
            let task = task.clone();
            move || {
                let over = Over(&task);
                task.run(&state, writer);
                drop(over);
            }
        };
        let started = std::thread::Builder::new().name("access-log".into()).spawn(run)?;
        *task.thread.lock() = Some(started.thread().clone());
        Ok(task)
    }

    fn wake(&self) {
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    fn tell(&self, orders: Orders) {
        let mut now = self.orders.lock();
        if *now != Orders::Over {
            *now = orders;
        }
        drop(now);
        self.wake();
    }

    /// Tells it to finish, and waits; says whether it has.
    fn finish(&self, patience: Duration) -> bool {
        self.tell(Orders::Finish);
        let end = Instant::now() + patience;
        let mut orders = self.orders.lock();
        while *orders != Orders::Over {
            let left = end.saturating_duration_since(Instant::now());
            if self.over.wait_for(&mut orders, left).timed_out() {
                break;
            }
        }
        *orders == Orders::Over
    }

    fn run(&self, state: &State, mut writer: Writer) {
        loop {
            let orders = *self.orders.lock();
            match orders {
                Orders::Leave | Orders::Over => return,
                Orders::Finish => return self.collect(state, &mut writer),
                Orders::Write => {}
            }
            if state.filled.swap(false, Ordering::Relaxed) {
                self.collect(state, &mut writer);
                self.gather();
            } else {
                std::thread::park_timeout(Duration::from_secs(1));
            }
        }
    }

    /// Lets records come together; the first of them wakes us too early.
    fn gather(&self) {
        let end = Instant::now() + GATHER;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || *self.orders.lock() != Orders::Write {
                return;
            }
            std::thread::park_timeout(left);
        }
    }

    fn collect(&self, state: &State, writer: &mut Writer) {
        for mut buffer in state.buffers.each() {
            let full = buffer.take();
            drop(buffer);
            self.in_hand.store(full.len() as u64, Ordering::Relaxed);
            if !writer.write(&full) {
                state.lost.fetch_add(full.len() as u64, Ordering::Relaxed);
            }
            self.in_hand.store(0, Ordering::Relaxed);
        }
    }
}

/// Says that the thread has ended, also if it panicked.
struct Over<'a>(&'a Task);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        *self.0.orders.lock() = Orders::Over;
        self.0.over.notify_all();
        if std::thread::panicking() {
            tracing::error!("the thread that writes the access log panicked");
        }
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
