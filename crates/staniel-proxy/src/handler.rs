//! The proxy as a listen handler: configuration to endpoints, again after each reload.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use staniel_config::{AccessLog as AccessTo, Address, Auto, Config, Listen, ListenerName, Traffic};
use staniel_core::endpoint::{every_address, loopbacks};
use staniel_core::sometimes::Sometimes;
use staniel_core::{
    Bind, BoxError, Chain, ConnLimits, ConnectError, Connection, Endpoint, EndpointName,
    HostContext, IntoServed, ListenHandler, Plan, Pool, Reload, Result, Served, SocketOptions,
    TransportManager, UdpOptions, descriptor_limit, sessions,
};
use staniel_http::h1::{self, H1Client};
use staniel_http::{HttpTimeouts, http};

use crate::cluster::Destination;
use crate::compile::compile;
use crate::http::HttpProxy;
use crate::log::{AccessLog, Writer};
use crate::snapshot::{Forward, HttpListener, Snapshot, endpoint_name};
use crate::stats::Stats;
use crate::tcp::TcpProxy;
use crate::udp::UdpProxy;

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// A reverse proxy that runs by a configuration. A clone is the same proxy.
///
/// ```
/// use staniel_config::{Source, read};
/// use staniel_core::{Host, Stop};
/// use staniel_proxy::Proxy;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> staniel_core::Result {
/// let text = "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\nto = \"http://127.0.0.1:9000\"\n";
/// let config = read(&Source::new("inline", text)).config.ok_or("a bad configuration")?;
/// let proxy = Proxy::new(config);
/// let running = Host::new().add(proxy.clone()).start().await?;
/// println!("{:?}", proxy.bound());
/// running.stop(Stop::Now).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// What runs, or is to run first.
    running: Mutex<Running>,
    make_reload: Mutex<Option<MakeReload>>,
    read: OnceLock<Read>,
    bound: Mutex<Vec<(ListenerName, Vec<Endpoint>)>>,
}

type MakeReload = Box<dyn FnOnce() -> Option<Reload> + Send>;
type Read = Box<dyn Fn() -> Result<Config, BoxError> + Send + Sync>;

struct Running {
    config: Config,
    served: HashMap<EndpointName, Serving>,
}

/// What is served on an endpoint, beside the words it was made from.
#[derive(Clone)]
struct Serving {
    listen: Listen,
    drain_idle: Duration,
    served: Served,
    now: Now,
}

/// What the handlers of an endpoint go by, and a reload replaces. It is theirs as long as the endpoint has its name: the
/// last connections of one that was removed go by what it was.
#[derive(Clone)]
enum Now {
    Http(Arc<ArcSwap<HttpListener>>),
    Forward(Arc<ArcSwap<Forward>>),
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) log: AccessLog,
    pub(crate) stats: Stats,
}

/// A configuration was refused; what ran before goes on.
#[derive(Debug, thiserror::Error)]
#[error("the configuration was refused: {0}")]
pub struct Rejected(String);

// === impl Rejected ===

impl Rejected {
    /// With the reason in a few words; the details have been told.
    #[must_use]
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

// === impl Proxy ===

impl Proxy {
    /// A proxy that will run by `config`.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let stats = Stats::new();
        Self(Arc::new(Inner {
            shared: Arc::new(Shared {
                snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
                log: AccessLog::new(stats.records_lost.clone()),
                stats,
            }),
            running: Mutex::new(Running { config, served: HashMap::new() }),
            make_reload: Mutex::new(None),
            read: OnceLock::new(),
            bound: Mutex::default(),
        }))
    }

    /// Lets the proxy change while it runs: each time that the token of `reload` fires, `read` gives the configuration to
    /// go on with. An error of `read` changes nothing; it should have told the operator what is wrong.
    ///
    /// To be called before the proxy is started; of two calls the first counts.
    #[must_use]
    pub fn reread(
        self,
        reload: impl FnOnce() -> Option<Reload> + Send + 'static,
        read: impl Fn() -> Result<Config, BoxError> + Send + Sync + 'static,
    ) -> Self {
        if self.0.read.set(Box::new(read)).is_ok() {
            *self.0.make_reload.lock() = Some(Box::new(reload));
        }
        self
    }

    /// Which listener is bound to which addresses, with ports that the system chose; empty before the start.
    #[must_use]
    pub fn bound(&self) -> Vec<(ListenerName, Vec<Endpoint>)> {
        self.0.bound.lock().clone()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.0.shared.stats
    }

    /// Makes `config` what runs: whole, or not at all.
    async fn apply(&self, config: Config, tm: &TransportManager) -> Result<(), BoxError> {
        let Inner { shared, running, bound, .. } = &*self.0;
        let old = shared.snapshot.load_full();
        let snapshot = Arc::new(compile(&config, &old));
        let (mut plan, mut served) = (Plan::default(), HashMap::new());
        for listen in &config.listeners {
            for (name, bind, serving) in self.endpoints(listen, config.server.drain_idle, &snapshot)
            {
                plan = plan.bind(bind.name(name.clone()), serving.served.clone());
                served.insert(name, serving);
            }
        }
        let publish = {
            let (slot, snapshot) = (shared.snapshot.clone(), snapshot.clone());
            let all: Vec<_> =
                served.iter().map(|(name, it)| (name.clone(), it.now.clone())).collect();
            move || {
                all.iter().for_each(|(name, now)| now.publish(name, &snapshot));
                slot.store(snapshot);
            }
        };
        // What else can fail: a file that cannot be opened leaves everything as it was, too.
        let writer =
            Writer::open(&config.log.access.value, config.log.format).map_err(|source| NoLog {
                to: match &config.log.access.value {
                    AccessTo::File(path) => path.clone(),
                    _ => "standard output".into(),
                },
                source,
            })?;
        let plan = plan.drain_removed(config.server.shutdown_timeout).on_commit(publish);
        let report = tm.apply(plan).await?;
        shared.log.switch(writer)?;

        *bound.lock() = bound_addresses(&config, tm);
        let before = std::mem::replace(&mut *running.lock(), Running { config, served });
        let now = running.lock();
        let changes = Changes::between(&before.config, &now.config);
        drop(now);
        for cluster in old.clusters.values() {
            let gone = |destination: &&Arc<Destination>| {
                !snapshot.clusters.values().any(|cluster| {
                    cluster.destinations.iter().any(|it| Arc::ptr_eq(it, destination))
                })
            };
            cluster.destinations.iter().filter(gone).for_each(|destination| destination.retire());
        }
        if old.generation > 0 {
            let names = |names: &[EndpointName]| {
                names.iter().map(EndpointName::as_str).collect::<Vec<_>>().join(",")
            };
            tracing::info!(
                generation = snapshot.generation,
                added = names(&report.added),
                changed = names(&report.changed),
                removed = names(&report.removed),
                renamed = names(&report.renamed),
                kept = report.kept.len(),
                routes = %changes.routes,
                clusters = %changes.clusters,
                "reloaded"
            );
        }
        Ok(())
    }

    /// The endpoints of a listener and what they serve: the very same as before where nothing was changed.
    fn endpoints(
        &self,
        listen: &Listen,
        drain_idle: Duration,
        snapshot: &Snapshot,
    ) -> Vec<(EndpointName, Bind, Serving)> {
        let running = self.0.running.lock();
        let shared = &self.0.shared;
        let serve = |name: &EndpointName, is_udp: bool| {
            let old = running.served.get(name);
            let now = Now::of(name, old, snapshot)?;
            let same = |old: &&Serving| {
                old.listen == *listen && old.drain_idle == drain_idle && old.now.is(&now)
            };
            let served = match (old.filter(same), &now) {
                (Some(old), _) => old.served.clone(),
                (None, Now::Http(listener)) => {
                    http_of(listen, drain_idle, shared, listener).into_served()
                }
                (None, Now::Forward(forward)) => {
                    let (shared, forward) = (shared.clone(), forward.clone());
                    match is_udp {
                        true => sessions(UdpProxy { shared, forward }),
                        false => TcpProxy { shared, forward }.into_served(),
                    }
                }
            };
            Some(Serving { listen: listen.clone(), drain_idle, served, now })
        };
        let limits =
            ConnLimits { max: listen.limits.max_connections.get(), ..ConnLimits::default() };
        let (tcp, udp) = match &listen.traffic {
            Traffic::Http => (true, false),
            Traffic::Forward { tcp, udp, .. } => (*tcp, *udp),
            // The configuration refuses what this version cannot do.
            _ => (false, false),
        };
        let mut all = Vec::new();
        if tcp {
            let name = endpoint_name(&listen.name.value, false);
            let bind = bind(listen, Endpoint::Tcp).limits(limits);
            all.extend(serve(&name, false).map(|serving| (name, bind, serving)));
        }
        if udp {
            let name = endpoint_name(&listen.name.value, tcp);
            let options = UdpOptions {
                max_sessions: match listen.limits.max_sessions {
                    Auto::Set(n) => n,
                    // A session owns a socket.
                    Auto::Auto => (descriptor_limit() / 10).max(1),
                },
                session_idle: listen.timeouts.session_idle,
                session_queue: listen.limits.session_queue,
                drain_idle,
            };
            let bind = bind(listen, Endpoint::Udp).udp(options);
            all.extend(serve(&name, true).map(|serving| (name, bind, serving)));
        }
        all
    }
}

// === impl Now ===

impl Now {
    /// That of an endpoint which is there already and stays of its kind, or a new one.
    fn of(name: &EndpointName, old: Option<&Serving>, snapshot: &Snapshot) -> Option<Self> {
        match (old.map(|old| &old.now), snapshot.http.get(name), snapshot.forward.get(name)) {
            (Some(Self::Http(now)), Some(_), _) => Some(Self::Http(now.clone())),
            (Some(Self::Forward(now)), _, Some(_)) => Some(Self::Forward(now.clone())),
            (_, Some(http), _) => Some(Self::Http(Arc::new(ArcSwap::new(http.clone())))),
            (_, _, Some(forward)) => Some(Self::Forward(Arc::new(ArcSwap::new(forward.clone())))),
            (_, None, None) => None,
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(a), Self::Http(b)) => Arc::ptr_eq(a, b),
            (Self::Forward(a), Self::Forward(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    fn publish(&self, name: &EndpointName, snapshot: &Snapshot) {
        match self {
            Self::Http(now) => {
                snapshot.http.get(name).into_iter().for_each(|http| now.store(http.clone()));
            }
            Self::Forward(now) => {
                snapshot.forward.get(name).into_iter().for_each(|it| now.store(it.clone()));
            }
        }
    }
}

impl ListenHandler for Proxy {
    fn name(&self) -> std::borrow::Cow<'static, str> {
        "proxy".into()
    }

    async fn init(&self, host: &HostContext) -> Result {
        let (shared, stopping) = (self.0.shared.clone(), host.stopping().clone());
        host.spawn("sweep of idle upstream connections", async move {
            let mut tick = tokio::time::interval(SWEEP);
            loop {
                tokio::select! {
                    _ = tick.tick() => {
                        shared.pools(|pool| pool.sweep(H1Client::is_alive));
                        shared.log.report();
                    }
                    () = stopping.cancelled() => {
                        // What is idle now is not needed for what is left, and its other end may wait for us.
                        shared.pools(Pool::clear);
                        return Ok(());
                    }
                }
            }
        });
        Ok(())
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        let config = self.0.running.lock().config.clone();
        self.apply(config, tm).await
    }

    fn reload(&self) -> Option<Reload> {
        let make = self.0.make_reload.lock().take()?;
        make()
    }

    async fn rebind(&self, tm: &TransportManager) -> Result {
        let Some(read) = self.0.read.get() else { return Ok(()) };
        let config = read()?;
        let started = self.0.running.lock().config.server.clone();
        if started.workers != config.server.workers
            || started.max_connections != config.server.max_connections
        {
            tracing::warn!(
                "`server.workers` and `server.max_connections` count from the next start"
            );
        }
        self.apply(config, tm).await
    }

    async fn stop(&self, _tm: &TransportManager) -> Result {
        let shared = self.0.shared.clone();
        // The writer may have to wait for the disk.
        tokio::task::spawn_blocking(move || shared.log.close()).await?;
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("bound", &self.bound()).finish_non_exhaustive()
    }
}

/// The access log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the access log `{}`", to.display())]
struct NoLog {
    to: PathBuf,
    source: std::io::Error,
}

fn bind(listen: &Listen, kind: fn(std::net::SocketAddr) -> Endpoint) -> Bind {
    let listed = || listen.addresses.iter().map(|address| address.value);
    // `[::]` in the file is IPv6 alone; every address of both families is written without a host. Where both stand, they
    // cannot share a kind of socket, and the latter becomes one for each family.
    let v6_only = listed()
        .any(|address| matches!(address, Address::Ip(addr) if addr.ip() == Ipv6Addr::UNSPECIFIED));
    let addrs = listed().flat_map(|address| match address {
        Address::Any { port } if !v6_only => vec![every_address(port)],
        Address::Localhost { port } => loopbacks(port),
        other => other.socket_addrs().collect(),
    });
    Bind::at_all(addrs.map(kind)).socket(SocketOptions { v6_only, ..SocketOptions::default() })
}

fn http_of(
    listen: &Listen,
    drain_idle: Duration,
    shared: &Arc<Shared>,
    listener: &Arc<ArcSwap<HttpListener>>,
) -> staniel_http::Http<HttpProxy> {
    let mut limits = h1::Limits::default();
    // The configuration allows no more than fits.
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    limits.request_line = short(listen.limits.request_line);
    limits.headers_total = short(listen.limits.headers_total);
    limits.header_count = short(listen.limits.header_count);
    let timeouts = HttpTimeouts {
        head: listen.timeouts.request_head,
        keep_alive: listen.timeouts.keep_alive,
        drain_idle,
        ..HttpTimeouts::default()
    };
    http(HttpProxy { shared: shared.clone(), listener: listener.clone() })
        .limits(limits)
        .timeouts(timeouts)
}

fn bound_addresses(config: &Config, tm: &TransportManager) -> Vec<(ListenerName, Vec<Endpoint>)> {
    let of = |listen: &Listen| {
        let names =
            [endpoint_name(&listen.name.value, false), endpoint_name(&listen.name.value, true)];
        let bound =
            names.iter().filter_map(|name| tm.get(name.as_str())).flat_map(|bound| bound.local());
        (listen.name.value.clone(), bound.collect())
    };
    config.listeners.iter().map(of).collect()
}

/// What a reload changed beside the endpoints, for its log line.
struct Changes {
    routes: Counted,
    clusters: Counted,
}

#[derive(Default)]
struct Counted {
    added: usize,
    changed: usize,
    removed: usize,
    kept: usize,
}

// === impl Changes ===

impl Changes {
    fn between(old: &Config, new: &Config) -> Self {
        let name = |route: &staniel_config::Route| route.name.value.clone();
        let cluster = |cluster: &staniel_config::Cluster| cluster.name.value.clone();
        Self {
            routes: Counted::of(&old.routes, &new.routes, name),
            clusters: Counted::of(&old.clusters, &new.clusters, cluster),
        }
    }
}

// === impl Counted ===

impl Counted {
    fn of<T: PartialEq, N: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> N) -> Self {
        let mut counted = Self::default();
        for one in new {
            match old.iter().find(|other| name(other) == name(one)) {
                None => counted.added += 1,
                Some(other) if other == one => counted.kept += 1,
                Some(_) => counted.changed += 1,
            }
        }
        counted.removed =
            old.iter().filter(|one| !new.iter().any(|other| name(other) == name(one))).count();
        counted
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, changed, removed, kept } = self;
        write!(f, "+{added} ~{changed} -{removed} ={kept}")
    }
}

// === impl Shared ===

impl Shared {
    /// Runs `f` on the kept connections of every destination.
    pub(crate) fn pools(&self, f: impl Fn(&Pool<H1Client>)) {
        for cluster in self.snapshot.load_full().clusters.values() {
            cluster.destinations.iter().for_each(|destination| f(&destination.pool));
        }
    }

    /// Opens a connection. If there are no descriptors left, those of idle connections are given up for it.
    pub(crate) async fn connect(
        &self,
        destination: &Destination,
    ) -> Result<Connection, ConnectError> {
        match destination.connect().await {
            Err(error) if error.is_exhausted() => {
                self.pools(Pool::clear);
                destination.connect().await
            }
            done => done,
        }
    }

    /// Says that a destination cannot be reached, now and then.
    pub(crate) fn complain(destination: &Destination, error: &ConnectError) {
        static FAILED: Sometimes = Sometimes::new();
        if let Some(more) = FAILED.due() {
            let error = Chain(error);
            tracing::warn!(destination = %destination.authority, %error, more, "a destination cannot be reached");
        }
    }
}
