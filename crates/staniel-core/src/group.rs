//! A bound address: its listeners, one for each worker, and the connections that came by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::addr::EndpointName;
use crate::bind::{Bind, ConnLimits, Filter, UdpOptions};
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
    pub(crate) host: Arc<Shared>,
    stopping: Vec<Stopping>,
    live: AtomicUsize,
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
        n: usize,
    ) -> Arc<Self> {
        let group = Arc::new(Self {
            at,
            local,
            site: ArcSwap::new(site),
            host: host.clone(),
            stopping: (0..n).map(|_| Stopping::default()).collect(),
            live: AtomicUsize::new(0),
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
        let begin = Instant::now();
        self.stop_accepting();
        let before = self.live();
        let ended = async {
            self.closed().await;
            self.empty().await;
        };
        let mut aborted = 0;
        if tokio::time::timeout(deadline, ended).await.is_err() {
            aborted = self.abort(CloseReason::DrainDeadline);
            if tokio::time::timeout(ABORT_GRACE, self.empty()).await.is_err() {
                tracing::warn!(at = %self.local, left = self.live(), "connections did not let go when they were cut off");
            }
            for accept_loop in std::mem::take(&mut *self.loops.lock()) {
                accept_loop.abort();
            }
        }
        let name = self.site.load().name.clone();
        Drained { name, finished: before.saturating_sub(aborted), aborted, took: begin.elapsed() }
    }

    /// Cuts off all open connections and says how many those were.
    pub(crate) fn abort(&self, why: CloseReason) -> usize {
        let all = self.connections();
        all.iter().for_each(|meta| meta.abort(why));
        all.len()
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
        if self.group.live.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.group.gone.notify_waiters();
        }
    }
}
