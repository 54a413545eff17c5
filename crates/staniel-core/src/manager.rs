//! The set of bound endpoints, and how it changes while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::addr::EndpointName;
use crate::bind::{Bind, ConnLimits, IntoBind};
use crate::connection::ConnMeta;
use crate::endpoint::Endpoint;
use crate::error::{ApplyError, BindError};
use crate::group::{Drained, Group, Settings, Site};
use crate::host::Shared;
use crate::reason::CloseReason;
use crate::served::{IntoServed, Kind, Served};

mod apply;

/// Binds endpoints and changes them while they run.
///
/// Every listen handler gets a view of its own: its names cannot touch another's. A clone is the same view.
#[derive(Clone)]
pub struct TransportManager(pub(crate) Arc<View>);

pub(crate) struct View {
    pub(crate) host: Arc<Shared>,
    /// The listen handler whose view this is.
    owner: Option<String>,
    /// Puts changes in order.
    changes: tokio::sync::Mutex<()>,
    bound: Mutex<BTreeMap<EndpointName, Arc<Entry>>>,
}

/// A bound endpoint.
pub(crate) struct Entry {
    site: Arc<Site>,
    spec: Mutex<(Bind, Served)>,
    groups: Mutex<Vec<Arc<Group>>>,
}

/// The endpoints that a view is to have; see [`TransportManager::apply`].
#[derive(Default)]
pub struct Plan {
    pub(crate) wanted: Vec<(Bind, Served)>,
    pub(crate) drain_removed: Option<Duration>,
    pub(crate) commit: Option<Box<dyn FnOnce() + Send>>,
}

/// What a change did, in names of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplyReport {
    /// Bound now, and not before.
    pub added: Vec<EndpointName>,
    /// Same endpoint, other settings or addresses. What arrives from now on sees the new ones.
    pub changed: Vec<EndpointName>,
    /// Not bound any more; what was open is draining.
    pub removed: Vec<EndpointName>,
    /// Untouched.
    pub kept: Vec<EndpointName>,
    /// Bound under another name before; its sockets were taken over.
    pub renamed: Vec<EndpointName>,
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Stop {
    /// Let what is open finish, for at most this long.
    Drain(Duration),
    /// Cut it off.
    Now,
}

/// What is served does not fit the endpoint: sessions on TCP, connections on UDP.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{name}` does not serve that kind: datagrams want `sessions(..)`, everything else a handler of connections"
)]
#[non_exhaustive]
pub struct WrongKind {
    /// The endpoint.
    pub name: EndpointName,
}

// === impl Plan ===

impl Plan {
    /// Adds an endpoint.
    #[must_use]
    pub fn bind<K>(mut self, at: impl IntoBind, what: impl IntoServed<K>) -> Self {
        self.wanted.push((at.into_bind(), what.into_served()));
        self
    }

    /// How long connections of endpoints that go away may take to finish: 30 s unless said otherwise.
    #[must_use]
    pub fn drain_removed(mut self, deadline: Duration) -> Self {
        self.drain_removed = Some(deadline);
        self
    }

    /// Runs `f` when everything new is bound and nothing can fail any more, before the new listeners accept: the moment
    /// to publish what they serve.
    #[must_use]
    pub fn on_commit(mut self, f: impl FnOnce() + Send + 'static) -> Self {
        self.commit = Some(Box::new(f));
        self
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

// === impl ApplyReport ===

impl ApplyReport {
    /// Whether anything is different now.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let Self { added, changed, removed, kept: _, renamed } = self;
        [added, changed, removed, renamed].into_iter().any(|names| !names.is_empty())
    }
}

// === impl TransportManager ===

impl TransportManager {
    pub(crate) fn new(host: Arc<Shared>, owner: Option<String>) -> Self {
        Self(Arc::new(View {
            host,
            owner,
            changes: tokio::sync::Mutex::default(),
            bound: Mutex::default(),
        }))
    }

    /// Binds one endpoint more and serves `what` on it: a [`crate::Handler`] of connections, or
    /// [`sessions`](crate::sessions).
    ///
    /// # Errors
    ///
    /// [`BindError`] if the address is taken, not allowed, not readable, or the name is in use; nothing is changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, either nothing or all of it has happened.
    pub async fn bind<K>(
        &self,
        at: impl IntoBind,
        what: impl IntoServed<K>,
    ) -> Result<Bound, BindError> {
        let (bind, served) = (at.into_bind(), what.into_served());
        let name = bind.endpoint_name();
        apply::add(&self.0, bind, served).await?;
        let entry = self.0.bound.lock().get(&name).cloned();
        entry.map(|entry| Bound { entry, view: self.0.clone() }).ok_or_else(|| {
            BindError::new(
                &name,
                None,
                crate::error::BindErrorKind::Io,
                "the endpoint was stopped while it was bound",
            )
        })
    }

    /// Makes the endpoints of this view those of the plan, and touches only what differs.
    ///
    /// Endpoints are compared by name and address. One that stays keeps its sockets and connections; handler, layers and
    /// limits are swapped in place and count for what arrives from then on. New addresses are bound before anything is
    /// given up. An address that goes away stops accepting (what waits in its queue is still taken), and its connections
    /// drain in the background.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] with every endpoint that could not be bound. Nothing has changed then.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, either nothing or all of it has happened, but the wait for closing sockets is cut short.
    pub async fn apply(&self, plan: Plan) -> Result<ApplyReport, ApplyError> {
        apply::apply(&self.0, plan).await
    }

    /// A handle to a bound endpoint.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Bound> {
        let entry = self.0.bound.lock().get(&EndpointName::from(name)).cloned()?;
        Some(Bound { entry, view: self.0.clone() })
    }

    /// All endpoints of this view, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Bound> {
        self.0
            .bound
            .lock()
            .values()
            .map(|entry| Bound { entry: entry.clone(), view: self.0.clone() })
            .collect()
    }

    /// Stops the named endpoints; names that are not bound are passed over.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, the endpoints have stopped accepting and are not waited for any more.
    pub async fn stop(&self, names: &[&str], how: Stop) -> Vec<Drained> {
        let mut drained = Vec::new();
        for bound in names.iter().filter_map(|name| self.get(name)) {
            drained.push(bound.stop(how).await);
        }
        drained
    }

    /// A connection to the in-memory endpoint `name` of this host.
    ///
    /// # Errors
    ///
    /// [`std::io::ErrorKind::ConnectionRefused`] if nothing is bound there.
    pub async fn dial(&self, name: &str) -> std::io::Result<tokio::io::DuplexStream> {
        self.0.host.memory.dial(name).await
    }
}

impl std::fmt::Debug for TransportManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.bound.lock().keys()).finish()
    }
}

/// A handle to one bound endpoint; dropping it does nothing.
#[derive(Clone)]
pub struct Bound {
    entry: Arc<Entry>,
    view: Arc<View>,
}

// === impl Bound ===

impl Bound {
    /// The endpoint's name.
    #[must_use]
    pub fn name(&self) -> &EndpointName {
        &self.entry.site.name
    }

    /// What was really bound, with ports that the system chose.
    #[must_use]
    pub fn local(&self) -> Vec<Endpoint> {
        self.entry.groups.lock().iter().map(|group| group.local.clone()).collect()
    }

    /// Serves `what` to connections that arrive from now on; those that are open finish with what they began with.
    ///
    /// # Errors
    ///
    /// [`WrongKind`] if the endpoint does not serve that kind.
    pub fn swap<K>(&self, what: impl IntoServed<K>) -> Result<(), WrongKind> {
        let served = what.into_served();
        let mut spec = self.entry.spec.lock();
        if std::mem::discriminant(&spec.1.0) != std::mem::discriminant(&served.0) {
            return Err(WrongKind { name: self.name().clone() });
        }
        spec.1 = served;
        self.entry.site.set(Settings::of(&spec.0, &spec.1));
        Ok(())
    }

    /// Changes the limits, for connections that arrive from now on.
    pub fn set_limits(&self, limits: ConnLimits) {
        let mut spec = self.entry.spec.lock();
        spec.0.limits = limits;
        self.entry.site.set(Settings::of(&spec.0, &spec.1));
    }

    /// How many connections or sessions are open.
    #[must_use]
    pub fn live(&self) -> usize {
        self.groups().iter().map(|group| group.live()).sum()
    }

    /// Those connections.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnMeta> {
        self.groups().iter().flat_map(|group| group.connections()).collect()
    }

    /// Stops the endpoint and takes it out of its view, after a change of the view that is under way.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, either nothing has happened, or the endpoint has stopped accepting and is not waited for
    /// any more.
    pub async fn stop(&self, how: Stop) -> Drained {
        let groups = {
            // A change that is under way may count on these sockets.
            let _order = self.view.changes.lock().await;
            self.view.bound.lock().retain(|_, entry| !Arc::ptr_eq(entry, &self.entry));
            self.groups()
        };
        let mut all =
            Drained { name: self.name().clone(), finished: 0, aborted: 0, took: Duration::ZERO };
        for group in &groups {
            group.stop_accepting();
        }
        for group in groups {
            let one = match how {
                Stop::Drain(deadline) => group.drain(deadline.saturating_sub(all.took)).await,
                Stop::Now => group.cut_off(CloseReason::Aborted).await,
            };
            all.finished += one.finished;
            all.aborted += one.aborted;
            all.took += one.took;
        }
        all
    }

    fn groups(&self) -> Vec<Arc<Group>> {
        self.entry.groups.lock().clone()
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("name", self.name())
            .field("local", &self.local())
            .finish_non_exhaustive()
    }
}

/// Whether `what` can be served at `at`.
fn fits(at: &Endpoint, what: &Served) -> bool {
    matches!((&what.0, at.is_datagram()), (Kind::Connections(_), false) | (Kind::Sessions(_), true))
}
