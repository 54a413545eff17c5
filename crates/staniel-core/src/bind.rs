//! An endpoint and everything that is said about it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use crate::addr::{Addr, EndpointName};
use crate::connection::Connection;
use crate::endpoint::{self, Endpoint, EndpointError};
use crate::handler::{BoxHandler, Handler};

/// What to bind: addresses, a name, and the settings of the connections that arrive there.
///
/// Stages (limits, socket options, filter) are settings and run in a fixed order; layers are the user's own and run in
/// the order they are added, the first outermost.
///
/// ```
/// use staniel_core::{Bind, ConnLimits};
///
/// let web = Bind::at("tcp://*:8080").name("web").limits(ConnLimits { max: Some(1000), ..ConnLimits::default() });
/// # drop(web);
/// ```
#[derive(Clone)]
pub struct Bind {
    pub(crate) name: Option<EndpointName>,
    pub(crate) at: Result<Vec<Endpoint>, EndpointError>,
    pub(crate) socket: SocketOptions,
    pub(crate) limits: ConnLimits,
    pub(crate) udp: UdpOptions,
    pub(crate) filter: Option<Filter>,
    pub(crate) raw_layers: Vec<DynLayer>,
    pub(crate) layers: Vec<DynLayer>,
}

pub(crate) type Filter = Arc<dyn Fn(&Addr) -> bool + Send + Sync>;
pub(crate) type DynLayer = Arc<dyn Fn(BoxHandler) -> BoxHandler + Send + Sync>;

/// What can stand where an endpoint is wanted: a text such as `"tcp://*:80"`, an [`Endpoint`], a [`Bind`].
pub trait IntoBind {
    /// As a [`Bind`]; an address that cannot be read is reported when it is to be bound.
    fn into_bind(self) -> Bind;
}

/// Options of the sockets. What is `None` stays as the reason beside it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// How many connects may wait to be accepted: 4096, which is the most that Linux allows by default.
    pub backlog: u32,
    /// Send small writes at once (`TCP_NODELAY`): on, since an answer in two writes would wait for the peer's delayed
    /// acknowledgement.
    pub nodelay: bool,
    /// Probe silent peers: after 60 s, every 15 s, 4 times; finds those that vanished without a word.
    pub keepalive: Option<Keepalive>,
    /// Let `[::]` take only IPv6. Off: one socket serves both families.
    pub v6_only: bool,
    /// The kernel's receive buffer, in bytes; `None` leaves it to the kernel, which adapts it.
    pub recv_buffer: Option<usize>,
    /// The kernel's send buffer, in bytes; `None` leaves it to the kernel, which adapts it.
    pub send_buffer: Option<usize>,
}

/// TCP keep-alive probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the three numbers that the kernel has")]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Probes without an answer until the connection is given up.
    pub probes: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(15), probes: 4 }
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            nodelay: true,
            keepalive: Some(Keepalive::default()),
            v6_only: false,
            recv_buffer: None,
            send_buffer: None,
        }
    }
}

/// Limits on connections. They may be changed while the endpoint runs, and count for connections that come after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnLimits {
    /// Open connections (for UDP: sessions are bounded by [`UdpOptions::max_sessions`]). `None`: only the host's limit
    /// holds. When it is reached, accepting pauses and the kernel's queue waits.
    pub max: Option<usize>,
    /// Time from accept to the first byte for handlers of plain byte streams. `None`: no limit, because in many
    /// protocols the server speaks first. HTTP has deadlines of its own.
    pub first_byte: Option<Duration>,
    /// Longest time without a byte in either direction. `None`: no limit, because what idleness means is the
    /// protocol's to say.
    pub idle: Option<Duration>,
    /// Greatest age. `None`: no limit.
    pub max_age: Option<Duration>,
}

/// How datagrams become sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Sessions at once, over all workers: 65 536. At the bound a new one is refused, so that a flood of forged
    /// addresses cannot push out those that live. A proxy whose sessions own a descriptor each sets less.
    pub max_sessions: usize,
    /// Silence in both directions that ends a session: 60 s.
    pub session_idle: Duration,
    /// Datagrams that may wait in one session: 64. What comes then is dropped and counted, and others do not wait.
    pub session_queue: usize,
    /// The silence that ends a session while the endpoint drains: 1 s.
    pub drain_idle: Duration,
}

impl Default for UdpOptions {
    fn default() -> Self {
        Self {
            max_sessions: 65_536,
            session_idle: Duration::from_secs(60),
            session_queue: 64,
            drain_idle: Duration::from_secs(1),
        }
    }
}

// === impl Bind ===

impl Bind {
    /// Begins with where to listen; see [`IntoBind`].
    pub fn at(endpoint: impl IntoBind) -> Self {
        endpoint.into_bind()
    }

    /// One endpoint on several addresses.
    pub fn at_all(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        Self::of(Ok(endpoints.into_iter().collect()))
    }

    fn of(at: Result<Vec<Endpoint>, EndpointError>) -> Self {
        Self {
            name: None,
            at,
            socket: SocketOptions::default(),
            limits: ConnLimits::default(),
            udp: UdpOptions::default(),
            filter: None,
            raw_layers: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// The name in logs, metrics and reloads. Without one it is the address.
    #[must_use]
    pub fn name(mut self, name: impl Into<EndpointName>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Socket options. Changed while the endpoint is bound, they count for connections accepted from then on; a buffer
    /// size that was set stays until another is, and `v6_only` cannot change while the address is bound.
    #[must_use]
    pub fn socket(mut self, options: SocketOptions) -> Self {
        self.socket = options;
        self
    }

    /// Limits of its connections.
    #[must_use]
    pub fn limits(mut self, limits: ConnLimits) -> Self {
        self.limits = limits;
        self
    }

    /// How its datagrams become sessions.
    #[must_use]
    pub fn udp(mut self, options: UdpOptions) -> Self {
        self.udp = options;
        self
    }

    /// Decides by the peer's address whether a connection is taken. Runs in the accept loop, before a task exists, so
    /// it must not block.
    #[must_use]
    pub fn filter(mut self, f: impl Fn(&Addr) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Arc::new(f));
        self
    }

    /// Adds a layer that sees the bytes of the wire, before TLS.
    #[must_use]
    pub fn raw_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxHandler> + Send + Sync + 'static,
        L::Service: Handler<Connection>,
    {
        self.raw_layers.push(Arc::new(move |inner| BoxHandler::new(layer.layer(inner))));
        self
    }

    /// Adds a layer that sees the application's bytes. The first added is the outermost.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxHandler> + Send + Sync + 'static,
        L::Service: Handler<Connection>,
    {
        self.layers.push(Arc::new(move |inner| BoxHandler::new(layer.layer(inner))));
        self
    }

    /// The name, given or derived.
    pub(crate) fn endpoint_name(&self) -> EndpointName {
        match (&self.name, &self.at) {
            (Some(name), _) => name.clone(),
            (None, Ok(at)) => {
                let all: Vec<_> = at.iter().map(ToString::to_string).collect();
                EndpointName::from(all.join(" "))
            }
            (None, Err(_)) => EndpointName::from("unnamed"),
        }
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind")
            .field("name", &self.name)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl IntoBind for Bind {
    fn into_bind(self) -> Bind {
        self
    }
}

impl IntoBind for &str {
    fn into_bind(self) -> Bind {
        Bind::of(endpoint::parse(self))
    }
}

impl IntoBind for String {
    fn into_bind(self) -> Bind {
        self.as_str().into_bind()
    }
}

impl IntoBind for Endpoint {
    fn into_bind(self) -> Bind {
        Bind::of(Ok(vec![self]))
    }
}

/// A bare socket address is TCP.
impl IntoBind for SocketAddr {
    fn into_bind(self) -> Bind {
        Endpoint::Tcp(self).into_bind()
    }
}
