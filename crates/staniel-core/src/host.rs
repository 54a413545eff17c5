//! What runs listen handlers and direct binds until it is told to stop.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Bind;
use crate::bind::IntoBind;
use crate::error::{BoxError, Chain, Result, StartError};
use crate::gate::Gate;
use crate::group::{ABORT_GRACE, Drained};
use crate::listen::{DynListenHandler, ListenHandler};
use crate::manager::{Plan, Stop, TransportManager};
use crate::observe::{Guarded, Nobody, Observer};
use crate::reason::CloseReason;
use crate::reload::Reload;
use crate::served::{IntoServed, Served};
use crate::task;
use crate::transport::Transport;
use crate::transport::memory::MemoryTransport;
use crate::transport::tcp::TcpTransport;
use crate::transport::udp::UdpTransport;
use crate::worker::{Crew, Workers};

pub(crate) use self::shared::Shared;

mod shared;

/// How long a drain may take unless said otherwise: longer than ordinary requests, shorter than the patience of those who
/// restart services.
const SHUTDOWN: Duration = Duration::from_secs(30);
/// What listen handlers get to tidy up, and worker threads to end, when everything else is over.
const TIDY: Duration = Duration::from_secs(5);

/// Where a host is in its life. Ready to serve is only [`Phase::Ready`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Handlers initialise and bind.
    Starting,
    /// Everything is bound and served.
    Ready,
    /// Nothing new is taken; what is open finishes.
    Draining,
    /// All over.
    Stopped,
}

/// Runs listen handlers and direct binds.
///
/// ```no_run
/// use staniel_core::{Connection, Host, Result};
///
/// #[tokio::main]
/// async fn main() -> Result {
///     Host::new().bind("tcp://0.0.0.0:4040", echo).run().await
/// }
///
/// async fn echo(conn: Connection) -> std::io::Result<()> {
///     let (mut r, mut w) = tokio::io::split(conn);
///     tokio::io::copy(&mut r, &mut w).await.map(drop)
/// }
/// ```
pub struct Host {
    binds: Vec<(Bind, Served)>,
    handlers: Vec<Arc<dyn DynListenHandler>>,
    transports: Vec<Arc<dyn Transport>>,
    workers: Workers,
    observer: Arc<dyn Observer>,
    max_connections: Option<usize>,
    shutdown_timeout: Duration,
    shutdown_on: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            binds: Vec::new(),
            handlers: Vec::new(),
            transports: vec![Arc::new(TcpTransport), Arc::new(UdpTransport)],
            workers: Workers::default(),
            observer: Arc::new(Nobody),
            max_connections: None,
            shutdown_timeout: SHUTDOWN,
            shutdown_on: None,
        }
    }
}

// === impl Host ===

impl Host {
    /// A host with nothing to run yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves `what` at an endpoint: a [`crate::Handler`] of connections, or [`sessions`](crate::sessions).
    #[must_use]
    pub fn bind<K>(mut self, at: impl IntoBind, what: impl IntoServed<K>) -> Self {
        self.binds.push((at.into_bind(), what.into_served()));
        self
    }

    /// Runs a listen handler.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "hosts are not numbers")]
    pub fn add(mut self, handler: impl ListenHandler) -> Self {
        self.handlers.push(Arc::new(handler));
        self
    }

    /// Adds a transport; it is asked before those that are built in.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports.insert(0, Arc::new(transport));
        self
    }

    /// On which threads to serve: the ambient runtime unless said otherwise.
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// Tells `observer` of every event.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Open connections and sessions over all endpoints: 80 % of the descriptors that the process may have, since each
    /// holds one and some are wanted for other things. At the limit accepting pauses.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = Some(max);
        self
    }

    /// How long open connections may take to finish when the host stops: 30 s.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Stops [`Host::run`] when `f` is done, beside the signals.
    #[must_use]
    pub fn shutdown_on(mut self, f: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown_on = Some(Box::pin(f));
        self
    }

    /// Initialises and binds everything, and returns when it is ready to serve. All or nothing.
    ///
    /// # Errors
    ///
    /// [`StartError`] with every endpoint and every handler that failed; what was bound is closed again.
    pub async fn start(self) -> Result<Running, StartError> {
        let failed = |error: io::Error| StartError {
            failed: Vec::new(),
            handlers: vec![("workers".into(), error.into())],
        };
        let crew = Crew::start(self.workers).map_err(failed)?;
        let memory = Arc::new(MemoryTransport::default());
        let max = self
            .max_connections
            .unwrap_or_else(|| crate::sys::descriptor_limit().saturating_mul(4) / 5);
        let shared = Arc::new(Shared {
            crew,
            control: Handle::current(),
            transports: self.transports,
            memory,
            observer: Arc::new(Guarded(self.observer)),
            gate: Gate::new(Some(max)),
            groups: Mutex::default(),
            tasks: Mutex::default(),
            stopping: CancellationToken::new(),
            phase: watch::Sender::new(Phase::Starting),
        });
        let mut running = Running {
            own: TransportManager::new(shared.clone(), None),
            handlers: self
                .handlers
                .into_iter()
                .map(|it| {
                    let view = TransportManager::new(shared.clone(), Some(it.name()));
                    (it, view)
                })
                .collect(),
            reloads: JoinSet::new(),
            shared,
        };
        match running.begin(self.binds).await {
            Ok(()) => {
                running.shared.phase.send_replace(Phase::Ready);
                Ok(running)
            }
            Err(error) => {
                running.stop(Stop::Now).await;
                Err(error)
            }
        }
    }

    /// Starts, and serves until SIGTERM, SIGINT or [`Host::shutdown_on`]; then drains. A second signal cuts off at once,
    /// and so does the first while the host has not started yet.
    ///
    /// # Errors
    ///
    /// [`StartError`], or the system's if it does not let the process handle signals.
    pub async fn run(mut self) -> Result {
        let mut signals = Signals::listen()?;
        let told = self.shutdown_on.take().unwrap_or_else(|| Box::pin(std::future::pending()));
        let timeout = self.shutdown_timeout;
        tokio::pin!(told);
        let running = tokio::select! {
            running = self.start() => running?,
            // What does not get started can be ended all the same.
            () = signals.next() => return Ok(()),
            () = &mut told => return Ok(()),
        };
        tokio::select! {
            () = signals.next() => {}
            () = told => {}
        }
        running.stop_or_now(Stop::Drain(timeout), signals.next()).await;
        Ok(())
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("binds", &self.binds).finish_non_exhaustive()
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
struct Signals {
    term: Signal,
    int: Signal,
}

// === impl Signals ===

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// A host that serves, until [`Running::stop`]. Dropped without that, everything is cut off where it stands: the listeners
/// close, connections end, and nothing is waited for.
pub struct Running {
    shared: Arc<Shared>,
    own: TransportManager,
    handlers: Vec<(Arc<dyn DynListenHandler>, TransportManager)>,
    reloads: JoinSet<()>,
}

// === impl Running ===

impl Running {
    async fn begin(&mut self, binds: Vec<(Bind, Served)>) -> Result<(), StartError> {
        let mut error = StartError { failed: Vec::new(), handlers: Vec::new() };
        let context = HostContext(self.shared.clone());
        let inits = self.handlers.iter().map(|(handler, _)| (handler.clone(), context.clone()));
        let inits = inits.map(|(handler, context)| async move {
            (handler.name(), handler.init(&context).await)
        });
        error.handlers.extend(failures(inits).await);
        if !error.handlers.is_empty() {
            return Err(error);
        }
        // Before anything is read, so that what changes meanwhile is not missed.
        let tokens: Vec<Option<Reload>> =
            self.handlers.iter().map(|(handler, _)| handler.reload()).collect();
        let own = async {
            let plan = Plan { wanted: binds, ..Plan::default() };
            self.own.apply(plan).await
        };
        let binds = self.handlers.iter().cloned();
        let binds =
            binds.map(|(handler, tm)| async move { (handler.name(), handler.bind(&tm).await) });
        let (own, handlers) = tokio::join!(own, failures(binds));
        error.handlers.extend(handlers);
        if let Err(own) = own {
            error.failed.extend(own.failed);
        }
        if !(error.failed.is_empty() && error.handlers.is_empty()) {
            return Err(error);
        }
        for ((handler, tm), token) in self.handlers.iter().zip(tokens) {
            if let Some(token) = token {
                self.reloads.spawn(rebind_on(handler.clone(), tm.clone(), token));
            }
        }
        self.reloads.spawn(tick(self.shared.clone()));
        Ok(())
    }

    /// Binds and changes endpoints beside those of the handlers.
    #[must_use]
    pub fn manager(&self) -> &TransportManager {
        &self.own
    }

    /// Where the host is in its life; ready to serve is only [`Phase::Ready`].
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.shared.phase.subscribe()
    }

    /// Stops: nothing new is taken, what is open finishes or is cut off as `how` says, then the handlers tidy up.
    ///
    /// It returns the moment the last connection has ended, with one record for each endpoint.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, what is left is cut off.
    pub async fn stop(self, how: Stop) -> Vec<Drained> {
        self.stop_or_now(how, std::future::pending()).await
    }

    /// Stops as `how` says; cuts off what is left when `now` is done.
    async fn stop_or_now(mut self, how: Stop, now: impl Future<Output = ()>) -> Vec<Drained> {
        let shared = self.shared.clone();
        shared.phase.send_replace(Phase::Draining);
        shared.stopping.cancel();
        self.reloads.shutdown().await;
        let groups = shared.groups();
        let open: usize = groups.iter().map(|group| group.live()).sum();
        tracing::info!(open, ?how, "stopping");
        groups.iter().for_each(|group| group.stop_accepting());
        let mut drains: JoinSet<Drained> = JoinSet::new();
        for group in groups {
            drains.spawn(async move {
                match how {
                    Stop::Drain(deadline) => group.drain(deadline).await,
                    Stop::Now => group.cut_off(CloseReason::Aborted).await,
                }
            });
        }
        let deadline = match how {
            Stop::Drain(deadline) => deadline,
            Stop::Now => Duration::ZERO,
        };
        let mut drained = Vec::new();
        {
            let all = async {
                while let Some(one) = drains.join_next().await {
                    record(&mut drained, one);
                }
                shared.finish_tasks().await;
            };
            // The tasks of the host have the same time as the connections, and what these need to let go.
            let all = tokio::time::timeout(deadline.saturating_add(2 * ABORT_GRACE), all);
            tokio::select! {
                all = all => {
                    if all.is_err() {
                        tracing::warn!("tasks of the host did not end in time");
                    }
                }
                () = now => shared.groups().iter().for_each(|group| group.halt(CloseReason::Aborted)),
            }
        }
        while let Ok(Some(one)) = tokio::time::timeout(ABORT_GRACE, drains.join_next()).await {
            record(&mut drained, one);
        }
        let (finished, aborted) = drained.iter().fold((0, 0), |(finished, aborted), one| {
            (finished + one.finished, aborted + one.aborted)
        });
        tracing::info!(finished, aborted, "drained");
        shared.abort_tasks();
        let stops = self.handlers.iter().cloned().map(|(handler, tm)| async move {
            let stopped = tokio::time::timeout(TIDY, handler.stop(&tm)).await;
            (handler.name(), stopped.unwrap_or_else(|late| Err(late.into())))
        });
        for (handler, error) in failures(stops).await {
            tracing::error!(handler, error = %Chain(&*error), "could not stop in good order");
        }
        shared.crew.stop(TIDY).await;
        shared.phase.send_replace(Phase::Stopped);
        drained
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if *self.shared.phase.borrow() != Phase::Stopped {
            self.shared.halt();
        }
    }
}

/// Adds a drained address to the record of its endpoint.
fn record(all: &mut Vec<Drained>, one: Result<Drained, tokio::task::JoinError>) {
    let Ok(one) = one else { return };
    match all.iter_mut().find(|other| other.name == one.name) {
        Some(other) => {
            other.finished += one.finished;
            other.aborted += one.aborted;
            other.took = other.took.max(one.took);
        }
        None => all.push(one),
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("phase", &*self.shared.phase.borrow())
            .finish_non_exhaustive()
    }
}

/// Runs all futures at the same time and returns the names and errors of those that failed.
async fn failures<N, F>(all: impl Iterator<Item = F>) -> Vec<(String, BoxError)>
where
    N: Into<String>,
    F: Future<Output = (N, Result)> + Send + 'static,
    N: Send + 'static,
{
    let mut running: JoinSet<(N, Result)> = all.collect();
    let mut failed = Vec::new();
    while let Some(done) = running.join_next().await {
        match done {
            Ok((_, Ok(()))) => {}
            Ok((name, Err(error))) => failed.push((name.into(), error)),
            Err(panic) => failed.push(("listen handler".to_owned(), panic.into())),
        }
    }
    failed
}

async fn rebind_on(handler: Arc<dyn DynListenHandler>, tm: TransportManager, mut token: Reload) {
    loop {
        token.fired().await;
        match caught(handler.rebind(&tm)).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::error!(handler = %handler.name(), error = %Chain(&*error), "the reload failed");
            }
            None => tracing::error!(handler = %handler.name(), "the reload panicked"),
        }
    }
}

/// What a future comes to; `None` if it panics.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Once a second: says how late it comes, which tells of something that blocks the runtime.
async fn tick(shared: Arc<Shared>) {
    const EVERY: Duration = Duration::from_secs(1);
    let mut next = tokio::time::Instant::now();
    loop {
        next += EVERY;
        tokio::time::sleep_until(next).await;
        let late = next.elapsed();
        if late > EVERY / 10 {
            shared.observer.tick_late(late);
            next = tokio::time::Instant::now();
        }
    }
}

/// What handlers see of the host.
#[derive(Clone)]
pub struct HostContext(Arc<Shared>);

// === impl HostContext ===

impl HostContext {
    /// Cancelled when the host begins to stop.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// Where the host is in its life.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.0.phase.subscribe()
    }

    /// Runs a task beside the connections. A drain waits for it, so it must end by itself or when [`stopping`] says so.
    ///
    /// An error is logged under `name`.
    ///
    /// [`stopping`]: HostContext::stopping
    pub fn spawn<F>(&self, name: &str, future: F)
    where
        F: Future<Output = Result> + Send + 'static,
    {
        let name = name.to_owned();
        let task = task::spawn_on(&self.0.control, async move {
            if let Err(error) = future.await {
                tracing::error!(task = name, error = %Chain(&*error), "a task of the host failed");
            }
        });
        self.0.own(task);
    }
}

impl fmt::Debug for HostContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostContext")
            .field("phase", &*self.0.phase.borrow())
            .finish_non_exhaustive()
    }
}
