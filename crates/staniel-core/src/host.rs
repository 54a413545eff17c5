//! What runs listen handlers and direct binds until it is told to stop.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::Bind;
use crate::bind::IntoBind;
use crate::endpoint::Endpoint;
use crate::error::{BoxError, Chain, Result, StartError};
use crate::gate::Gate;
use crate::group::{ABORT_GRACE, Drained, Group};
use crate::handler::BoxFuture;
use crate::listen::ListenHandler;
use crate::manager::{Plan, Stop, TransportManager};
use crate::observe::{Nobody, Observer};
use crate::reason::CloseReason;
use crate::reload::Reload;
use crate::served::{IntoServed, Served};
use crate::task;
use crate::transport::Transport;
use crate::transport::memory::MemoryTransport;
use crate::transport::tcp::TcpTransport;
use crate::transport::udp::UdpTransport;
use crate::worker::{Crew, Workers};

/// How long a drain may take unless said otherwise: longer than ordinary requests, shorter than the patience of those who
/// restart services.
const SHUTDOWN: Duration = Duration::from_secs(30);

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
            observer: self.observer,
            gate: Gate::new(Some(max)),
            groups: Mutex::default(),
            tasks: Mutex::default(),
            stopping: CancellationToken::new(),
            phase: watch::Sender::new(Phase::Starting),
        });
        let mut running = Running {
            own: TransportManager::new(shared.clone()),
            handlers: self
                .handlers
                .into_iter()
                .map(|it| (it, TransportManager::new(shared.clone())))
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

    /// Starts, and serves until SIGTERM, SIGINT or [`Host::shutdown_on`]; then drains. A second signal cuts off at once.
    ///
    /// # Errors
    ///
    /// [`StartError`], or the system's if it does not let the process handle signals.
    pub async fn run(mut self) -> Result {
        let mut signals = Signals::listen()?;
        let told = self.shutdown_on.take().unwrap_or_else(|| Box::pin(std::future::pending()));
        let timeout = self.shutdown_timeout;
        let running = self.start().await?;
        tokio::select! {
            () = signals.next() => {}
            () = told => {}
        }
        running.stop_or_now(timeout, signals.next()).await;
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

/// A host that serves. Dropping it does not stop it in good order: call [`Running::stop`].
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
    /// It returns the moment the last connection has ended.
    pub async fn stop(self, how: Stop) -> Vec<Drained> {
        match how {
            Stop::Drain(deadline) => self.stop_or_now(deadline, std::future::pending()).await,
            Stop::Now => self.stop_or_now(Duration::ZERO, std::future::ready(())).await,
        }
    }

    /// Drains for at most `deadline`, or until `now` is done.
    async fn stop_or_now(
        mut self,
        deadline: Duration,
        now: impl Future<Output = ()>,
    ) -> Vec<Drained> {
        let shared = self.shared.clone();
        shared.phase.send_replace(Phase::Draining);
        shared.stopping.cancel();
        self.reloads.shutdown().await;
        let groups = shared.groups();
        groups.iter().for_each(|group| group.stop_accepting());
        let mut drains: JoinSet<Drained> = JoinSet::new();
        for group in groups {
            drains.spawn(async move { group.drain(deadline).await });
        }
        let mut drained = Vec::new();
        {
            let all = async {
                while let Some(one) = drains.join_next().await {
                    drained.extend(one);
                }
                shared.finish_tasks().await;
            };
            tokio::select! {
                biased;
                // The tasks of the host have the same time as the connections, and what these need to let go.
                all = tokio::time::timeout(deadline + 2 * ABORT_GRACE, all) => {
                    if all.is_err() {
                        tracing::warn!("tasks of the host did not end in time");
                    }
                }
                () = now => {
                    for group in shared.groups() {
                        group.abort(CloseReason::Aborted);
                    }
                }
            }
        }
        while let Ok(Some(one)) = tokio::time::timeout(ABORT_GRACE, drains.join_next()).await {
            drained.extend(one);
        }
        for (handler, tm) in &self.handlers {
            if let Err(error) = handler.stop(tm).await {
                tracing::error!(handler = %handler.name(), error = %Chain(&*error), "could not stop in good order");
            }
        }
        // Joining threads blocks.
        let crew = shared.clone();
        let _ = tokio::task::spawn_blocking(move || crew.crew.stop()).await;
        shared.phase.send_replace(Phase::Stopped);
        drained
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
        if let Err(error) = handler.rebind(&tm).await {
            tracing::error!(handler = %handler.name(), error = %Chain(&*error), "the reload failed; nothing was changed");
        }
    }
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

/// What all parts of one host share.
pub(crate) struct Shared {
    pub(crate) crew: Crew,
    pub(crate) control: Handle,
    pub(crate) memory: Arc<MemoryTransport>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) gate: Arc<Gate>,
    transports: Vec<Arc<dyn Transport>>,
    groups: Mutex<Vec<Weak<Group>>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stopping: CancellationToken,
    phase: watch::Sender<Phase>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn transport(&self, at: &Endpoint) -> Option<Arc<dyn Transport>> {
        let memory: Arc<dyn Transport> = self.memory.clone();
        self.transports.iter().chain([&memory]).find(|transport| transport.can_bind(at)).cloned()
    }

    /// Remembers a group for as long as somebody uses it.
    pub(crate) fn know(&self, group: &Arc<Group>) {
        let mut groups = self.groups.lock();
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(group));
    }

    /// All groups that accept or drain.
    fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits until no group that was given up still holds the address.
    pub(crate) async fn released(&self, at: &Endpoint) {
        for group in self.groups() {
            if group.is_given_up() && (group.at == *at || group.local == *at) {
                group.closed().await;
            }
        }
    }

    /// Takes over a task: a drain waits for it.
    pub(crate) fn own(&self, task: JoinHandle<()>) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    async fn finish_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

/// The object-safe twin of [`ListenHandler`].
trait DynListenHandler: Send + Sync {
    fn name(&self) -> String;
    fn init<'a>(&'a self, host: &'a HostContext) -> BoxFuture<'a, Result>;
    fn bind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result>;
    fn reload(&self) -> Option<Reload>;
    fn rebind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result>;
    fn stop<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result>;
}

impl<H: ListenHandler> DynListenHandler for H {
    fn name(&self) -> String {
        ListenHandler::name(self).into_owned()
    }

    fn init<'a>(&'a self, host: &'a HostContext) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::init(self, host))
    }

    fn bind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::bind(self, tm))
    }

    fn reload(&self) -> Option<Reload> {
        ListenHandler::reload(self)
    }

    fn rebind<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::rebind(self, tm))
    }

    fn stop<'a>(&'a self, tm: &'a TransportManager) -> BoxFuture<'a, Result> {
        Box::pin(ListenHandler::stop(self, tm))
    }
}
