//! A bound address: its listeners, one for each worker, and the connections that came by it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::addr::{Addr, EndpointName};
use crate::bind::{Bind, ConnLimits, Filter, SocketOptions, UdpOptions};
use crate::connection::{ConnMeta, Live, Stopping};
use crate::endpoint::Endpoint;
use crate::gate::{Gate, Pass};
use crate::host::Shared;
use crate::reason::CloseReason;
use crate::served::{Kind, Served};
use crate::{accept, task, transport};

/// What an aborted connection gets to let go of its descriptor before it is not waited for any more.
pub(crate) const ABORT_GRACE: Duration = Duration::from_millis(250);

/// The life of an endpoint that does not depend on its addresses.
pub(crate) struct Site {
    pub(crate) name: EndpointName,
    pub(crate) gate: Arc<Gate>,
    pub(crate) settings: ArcSwap<Settings>,
}

/// What may change while the endpoint runs; a connection keeps what it began with.
pub(crate) struct Settings {
    pub(crate) served: Kind,
    pub(crate) limits: ConnLimits,
    pub(crate) udp: UdpOptions,
    pub(crate) filter: Option<Filter>,
}

// === impl Site ===

impl Site {
    pub(crate) fn new(name: EndpointName, spec: &Bind, served: &Served) -> Arc<Self> {
        let settings = Settings::of(spec, served);
        Arc::new(Self {
            name,
            gate: Gate::new(settings.max()),
            settings: ArcSwap::from_pointee(settings),
        })
    }

    pub(crate) fn set(&self, settings: Settings) {
        self.gate.set_max(settings.max());
        self.settings.store(Arc::new(settings));
    }
}

// === impl Settings ===

impl Settings {
    pub(crate) fn of(spec: &Bind, served: &Served) -> Self {
        let served = match &served.0 {
            Kind::Connections(handler) => {
                let layers = spec.raw_layers.iter().chain(&spec.layers);
                Kind::Connections(layers.rev().fold(handler.clone(), |inner, layer| layer(inner)))
            }
            Kind::Sessions(handler) => Kind::Sessions(handler.clone()),
        };
        Self {
            served,
            limits: spec.limits.clone(),
            udp: spec.udp.clone(),
            filter: spec.filter.clone(),
        }
    }

    /// Whether the filter takes `peer`. One that panics refuses, and does not take the accept loop along.
    pub(crate) fn lets_in(&self, peer: &Addr) -> bool {
        let Some(filter) = &self.filter else { return true };
        catch_unwind(AssertUnwindSafe(|| filter(peer))).unwrap_or_else(|_| {
            tracing::error!(%peer, "the filter panicked");
            false
        })
    }

    fn max(&self) -> Option<usize> {
        match self.served {
            Kind::Connections(_) => self.limits.max,
            Kind::Sessions(_) => {
                Some(self.limits.max.unwrap_or(usize::MAX).min(self.udp.max_sessions))
            }
        }
    }
}

/// One bound address.
pub(crate) struct Group {
    /// As it was asked for: port 0 stays 0.
    pub(crate) at: Endpoint,
    /// As it is.
    pub(crate) local: Endpoint,
    /// The endpoint that it belongs to now.
    pub(crate) site: ArcSwap<Site>,
    /// Told when `site` changes.
    pub(crate) moved: Notify,
    pub(crate) host: Arc<Shared>,
    /// The options of its sockets, and what changes them.
    socket: Mutex<(SocketOptions, Vec<transport::Tuner>)>,
    stopping: Vec<Stopping>,
    live: AtomicUsize,
    /// Connections that are over.
    settled: AtomicUsize,
    /// Connections that were cut off.
    cut: AtomicUsize,
    /// Whoever still comes is cut off.
    halted: AtomicBool,
    gone: Notify,
    open: Vec<Mutex<Slab<ConnMeta>>>,
    /// Accept loops that still run.
    accepting: AtomicUsize,
    loops: Mutex<Vec<AbortHandle>>,
}

/// How the draining of an endpoint went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// The endpoint.
    pub name: EndpointName,
    /// Connections that ended by themselves.
    pub finished: usize,
    /// Connections that were cut off at the deadline.
    pub aborted: usize,
    /// How long it took.
    pub took: Duration,
}

// === impl Group ===

impl Group {
    /// A group whose listeners do not accept yet.
    pub(crate) fn new(
        at: Endpoint,
        local: Endpoint,
        site: Arc<Site>,
        host: Arc<Shared>,
        socket: SocketOptions,
        n: usize,
    ) -> Arc<Self> {
        let group = Arc::new(Self {
            at,
            local,
            site: ArcSwap::new(site),
            moved: Notify::new(),
            host: host.clone(),
            socket: Mutex::new((socket, Vec::new())),
            stopping: (0..n).map(|_| Stopping::default()).collect(),
            live: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            halted: AtomicBool::new(false),
            gone: Notify::new(),
            open: (0..n).map(|_| Mutex::default()).collect(),
            accepting: AtomicUsize::new(0),
            loops: Mutex::default(),
        });
        host.know(&group);
        group
    }

    /// Starts the accept loops, each on its worker.
    pub(crate) fn accept(self: &Arc<Self>, listeners: Vec<Box<dyn transport::Listener>>) {
        let workers = self.host.crew.handles();
        self.socket.lock().1 = listeners.iter().filter_map(|listener| listener.tuner()).collect();
        let start = |((worker, listener), (handle, stopping)): ((usize, _), (_, &Stopping))| {
            self.accepting.fetch_add(1, Ordering::SeqCst);
            let (group, stopping) = (self.clone(), stopping.clone());
            // Counted down also when the loop is aborted or panics.
            let counted = Counted(self.clone());
            let accept_loop = async move {
                let _counted = counted;
                accept::run(group, worker, listener, stopping).await;
            };
            task::spawn_on(handle, accept_loop).abort_handle()
        };
        let loops = listeners
            .into_iter()
            .enumerate()
            .zip(workers.iter().zip(&self.stopping))
            .map(start)
            .collect();
        *self.loops.lock() = loops;
        if self.halted.load(Ordering::SeqCst) {
            self.halt(CloseReason::Aborted);
        }
    }

    /// Belongs to `site` from now on: what arrives is counted and served there.
    pub(crate) fn move_to(&self, site: Arc<Site>) {
        self.site.store(site);
        self.moved.notify_waiters();
    }

    /// The options of its sockets.
    pub(crate) fn socket_options(&self) -> SocketOptions {
        self.socket.lock().0.clone()
    }

    /// Gives its sockets other options; connections accepted from now on have them.
    pub(crate) fn tune(&self, options: &SocketOptions) {
        let mut socket = self.socket.lock();
        if socket.0 == *options {
            return;
        }
        socket.0 = options.clone();
        for tuner in &socket.1 {
            if let Err(error) = tuner(options) {
                tracing::warn!(at = %self.local, %error, "cannot change a socket option");
            }
        }
    }

    /// Takes no new connections from now on, and asks those that are open to finish.
    pub(crate) fn stop_accepting(&self) {
        self.stopping.iter().for_each(Stopping::set);
    }

    /// Whether it has stopped accepting.
    pub(crate) fn is_given_up(&self) -> bool {
        self.stopping.iter().any(Stopping::is_set)
    }

    /// Waits until the listeners are closed: the address is then free.
    pub(crate) async fn closed(&self) {
        self.wait_for(|group| group.accepting.load(Ordering::SeqCst)).await;
    }

    /// Stops accepting, waits for the open connections at most for `deadline`, and cuts off what is left then.
    pub(crate) async fn drain(&self, deadline: Duration) -> Drained {
        self.stop_accepting();
        self.counted(async {
            let ended = async {
                self.closed().await;
                self.empty().await;
            };
            if tokio::time::timeout(deadline, ended).await.is_err() {
                self.end_now(CloseReason::DrainDeadline).await;
            }
        })
        .await
    }

    /// Closes the listeners and cuts off all open connections.
    pub(crate) async fn cut_off(&self, why: CloseReason) -> Drained {
        self.counted(self.end_now(why)).await
    }

    async fn end_now(&self, why: CloseReason) {
        self.halt(why);
        let over = async {
            self.closed().await;
            self.empty().await;
        };
        if tokio::time::timeout(ABORT_GRACE, over).await.is_err() {
            tracing::warn!(at = %self.local, left = self.live(), "connections did not let go when they were cut off");
        }
    }

    /// Cuts off everything, and whoever still comes; waits for nothing.
    pub(crate) fn halt(&self, why: CloseReason) {
        self.stop_accepting();
        // Before the look into the books: who is written into them later finds it set.
        self.halted.store(true, Ordering::SeqCst);
        for accept_loop in std::mem::take(&mut *self.loops.lock()) {
            accept_loop.abort();
        }
        for meta in self.connections() {
            self.cut(&meta, why);
        }
    }

    fn cut(&self, meta: &ConnMeta, why: CloseReason) {
        if meta.cut_off(why) {
            self.cut.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Says what became of the connections while `end` ran.
    async fn counted(&self, end: impl Future<Output = ()>) -> Drained {
        let counts = || (self.settled.load(Ordering::SeqCst), self.cut.load(Ordering::SeqCst));
        let (begin, before) = (Instant::now(), counts());
        end.await;
        let after = counts();
        let (settled, aborted) = (after.0 - before.0, after.1 - before.1);
        let name = self.site.load().name.clone();
        Drained { name, finished: settled.saturating_sub(aborted), aborted, took: begin.elapsed() }
    }

    pub(crate) fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> Vec<ConnMeta> {
        self.open
            .iter()
            .flat_map(|open| open.lock().iter().map(|(_, meta)| meta.clone()).collect::<Vec<_>>())
            .collect()
    }

    async fn empty(&self) {
        self.wait_for(Self::live).await;
    }

    async fn wait_for(&self, left: impl Fn(&Self) -> usize) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if left(self) == 0 {
                return;
            }
            gone.await;
        }
    }

    /// Writes a new connection into the books.
    pub(crate) fn admit(
        self: &Arc<Self>,
        worker: usize,
        meta: ConnMeta,
        passes: (Pass, Pass),
    ) -> Arc<Open> {
        self.live.fetch_add(1, Ordering::SeqCst);
        let key = self.open.get(worker).map(|open| open.lock().insert(meta.clone()));
        if self.halted.load(Ordering::SeqCst) {
            self.cut(&meta, CloseReason::Aborted);
        }
        self.host.observer.accepted(&meta);
        Arc::new(Open { meta, group: self.clone(), worker, key, _passes: passes })
    }
}

/// A running accept loop.
struct Counted(Arc<Group>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.accepting.fetch_sub(1, Ordering::SeqCst);
        self.0.gone.notify_waiters();
    }
}

/// An open connection in the books. When the last part of the connection goes, this goes, and the books are settled.
pub(crate) struct Open {
    pub(crate) meta: ConnMeta,
    group: Arc<Group>,
    worker: usize,
    key: Option<usize>,
    /// Of the host's gate and the endpoint's.
    _passes: (Pass, Pass),
}

impl Live for Open {}

impl Drop for Open {
    fn drop(&mut self) {
        self.meta.end(CloseReason::Done);
        let why = self.meta.ended().unwrap_or(CloseReason::Done);
        if let (Some(open), Some(key)) = (self.group.open.get(self.worker), self.key) {
            open.lock().try_remove(key);
        }
        let error = self.meta.error();
        self.group.host.observer.closed(&self.meta, why, error.as_deref());
        self.meta.over();
        self.group.settled.fetch_add(1, Ordering::SeqCst);
        if self.group.live.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.group.gone.notify_waiters();
        }
    }
}
