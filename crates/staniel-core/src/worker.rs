//! The threads that serve connections.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::num::NonZero;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::{clock, task};

/// On which threads a host serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Workers {
    /// The runtime that [`crate::Host::start`] is called on. It forgives slow handlers, and lets any tokio code run.
    #[default]
    Ambient,
    /// One thread with a runtime of its own for each core; a connection stays on its thread, no work moves.
    PerCore,
    /// As `PerCore`, with this many threads; 0 counts as 1.
    N(usize),
}

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// How many cores this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// One `T` for each worker, chosen by the thread that asks.
///
/// A slot sits behind a lock that its own thread finds free, so values may also be reached from elsewhere (a sweep, a
/// scrape). Threads that are no workers share the first slot.
pub struct PerWorker<T> {
    slots: Box<[Slot<T>]>,
}

/// Two cache lines: neighbours are prefetched in pairs.
#[repr(align(128))]
struct Slot<T>(Mutex<T>);

// === impl PerWorker ===

impl<T> PerWorker<T> {
    /// A value for each core, made by `make`.
    pub fn new(make: impl FnMut() -> T) -> Self {
        let mut make = make;
        Self { slots: (0..cores()).map(|_| Slot(Mutex::new(make()))).collect() }
    }

    /// The slot of the calling thread.
    pub fn here(&self) -> MutexGuard<'_, T> {
        let index = INDEX.try_with(Cell::get).unwrap_or_default();
        self.at(index)
    }

    fn at(&self, index: usize) -> MutexGuard<'_, T> {
        // `cores()` is at least 1, so the remainder is an index.
        #[expect(clippy::indexing_slicing, reason = "the remainder by the length is an index")]
        self.slots[index % self.slots.len()].0.lock()
    }

    /// Every slot, one after another.
    pub fn each(&self) -> impl Iterator<Item = MutexGuard<'_, T>> {
        self.slots.iter().map(|slot| slot.0.lock())
    }
}

impl<T: Default> Default for PerWorker<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T> fmt::Debug for PerWorker<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerWorker").field("slots", &self.slots.len()).finish()
    }
}

/// The runtimes of one host.
#[derive(Debug)]
pub(crate) struct Crew {
    handles: Vec<Handle>,
    threads: Mutex<Vec<Worker>>,
}

/// A thread of a crew. It ends when `stop` is dropped, and `over` closes as the last thing it does.
#[derive(Debug)]
struct Worker {
    stop: oneshot::Sender<()>,
    over: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

// === impl Crew ===

impl Crew {
    /// Starts the threads; must be called inside a runtime, which `Ambient` then uses.
    pub(crate) fn start(workers: Workers) -> io::Result<Self> {
        let n = match workers {
            Workers::Ambient => {
                return Ok(Self { handles: vec![Handle::current()], threads: Mutex::default() });
            }
            Workers::PerCore => cores(),
            Workers::N(n) => n.max(1),
        };
        let (mut handles, mut threads) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for index in 0..n {
            let (handle, worker) = start_worker(index)?;
            handles.push(handle);
            threads.push(worker);
        }
        Ok(Self { handles, threads: Mutex::new(threads) })
    }

    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }

    /// Ends the threads and everything that still runs on them. A thread that something blocks is left alone after
    /// `patience`: it ends when it can.
    pub(crate) async fn stop(&self, patience: Duration) {
        let threads = std::mem::take(&mut *self.threads.lock());
        let told = threads.into_iter().map(|Worker { stop, over, thread }| {
            drop(stop);
            (over, thread)
        });
        // All are told before the first is waited for.
        let threads: Vec<_> = told.collect();
        let end = Instant::now() + patience;
        for (over, thread) in threads {
            if tokio::time::timeout_at(end, over).await.is_err() {
                tracing::error!("a worker thread is blocked and does not end");
            } else if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }

    /// Lets the threads end as soon as they can, and does not wait for it.
    pub(crate) fn leave(&self) {
        self.threads.lock().clear();
    }
}

fn start_worker(index: usize) -> io::Result<(Handle, Worker)> {
    let (started, handle) = mpsc::sync_channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let (ends, over) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name(format!("staniel-{index}")).spawn(move || {
        INDEX.with(|cell| cell.set(index));
        clock::refresh();
        let runtime = match Builder::new_current_thread()
            .enable_all()
            .on_thread_unpark(clock::refresh)
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        let beat = task::spawn_on(runtime.handle(), async {
            let mut beat = tokio::time::interval(clock::HEARTBEAT);
            loop {
                beat.tick().await;
                clock::refresh();
            }
        });
        if started.send(Ok(runtime.handle().clone())).is_ok() {
            // Ends when the crew drops its half, whatever it says.
            let _ = runtime.block_on(stopped);
        }
        beat.abort();
        runtime.shutdown_background();
        drop(ends);
    })?;
    let handle = handle.recv().map_err(io::Error::other)??;
    Ok((handle, Worker { stop, over, thread }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_worker_has_its_own_slot_and_the_threads_end() {
        let crew = Crew::start(Workers::N(2)).unwrap();
        let slots = std::sync::Arc::new(PerWorker::<Vec<usize>>::new(Vec::new));
        for (index, handle) in crew.handles().iter().enumerate() {
            let slots = slots.clone();
            handle.spawn(async move { slots.here().push(index) }).await.unwrap();
        }
        let seen: Vec<_> =
            slots.each().map(|slot| slot.clone()).filter(|slot| !slot.is_empty()).collect();
        assert_eq!(seen.concat(), [0, 1]);
        crew.stop(Duration::from_secs(10)).await;
        assert!(crew.threads.lock().is_empty());
    }
}
