//! Opening connections.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::addr::{Addr, EndpointName};
use crate::bind::Keepalive;
use crate::connection::{ConnMeta, Connection, Io, MetaParts, Stopping};
use crate::transport::tcp::probes;

/// Head start of one address before the next is tried beside it (RFC 8305, section 5: "250 milliseconds").
const HEAD_START: Duration = Duration::from_millis(250);

/// Where to connect to: a host and a port. A name is resolved when it is used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    host: TargetHost,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum TargetHost {
    Ip(IpAddr),
    Name(Arc<str>),
}

/// A text is no `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no `host:port`")]
pub struct NoTarget(String);

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The target could not be read.
    #[error(transparent)]
    Target(#[from] NoTarget),
    /// The name did not resolve to any address.
    #[error("`{target}` does not resolve")]
    Resolve {
        /// What was to be reached.
        target: Target,
        /// The resolver's answer; `None` if it knows the name but has no address for it.
        source: Option<io::Error>,
    },
    /// No address accepted.
    #[error("cannot connect to `{target}`")]
    Failed {
        /// What was to be reached.
        target: Target,
        /// The error of the last address.
        source: io::Error,
    },
    /// It took longer than the connector allows.
    #[error("no connection to `{target}` within {limit:?}")]
    TimedOut {
        /// What was to be reached.
        target: Target,
        /// The limit.
        limit: Duration,
    },
}

// === impl ConnectError ===

impl ConnectError {
    /// Whether it was for want of descriptors on our side: the target is not at fault.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        let code = match self {
            Self::Failed { source, .. } => source.raw_os_error(),
            Self::Resolve { source, .. } => source.as_ref().and_then(io::Error::raw_os_error),
            Self::Target(_) | Self::TimedOut { .. } => None,
        };
        matches!(code, Some(libc::EMFILE | libc::ENFILE))
    }
}

/// Opens TCP connections: resolves, tries the addresses of both families in turn (RFC 8305), and gives up in time.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    /// Time for everything, name included: 10 s. `Duration::MAX` is no limit.
    pub timeout: Duration,
    /// Keep-alive probes, as for accepted connections.
    pub keepalive: Option<Keepalive>,
}

impl Default for TcpConnector {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), keepalive: Some(Keepalive::default()) }
    }
}

// === impl Target ===

impl Target {
    /// A host, which may be an address, and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = bare.parse().map_or_else(|_| TargetHost::Name(bare.into()), TargetHost::Ip);
        Self { host, port }
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// All addresses it stands for now, IPv6 and IPv4 in turn, in the resolver's order.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Resolve`].
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let name = match &self.host {
            TargetHost::Ip(ip) => return Ok(vec![SocketAddr::new(*ip, self.port)]),
            TargetHost::Name(name) => name,
        };
        let error = |source| ConnectError::Resolve { target: self.clone(), source };
        let found = tokio::net::lookup_host((&**name, self.port))
            .await
            .map_err(|source| error(Some(source)))?;
        let found = interleaved(found.collect());
        if found.is_empty() { Err(error(None)) } else { Ok(found) }
    }
}

/// The families in turn, beginning with that of the first address (RFC 8305, section 4).
fn interleaved(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return all,
            (a, b) => all.extend(a.into_iter().chain(b)),
        }
    }
}

impl From<SocketAddr> for Target {
    fn from(addr: SocketAddr) -> Self {
        Self { host: TargetHost::Ip(addr.ip()), port: addr.port() }
    }
}

impl std::str::FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        if let Ok(addr) = text.parse::<SocketAddr>() {
            return Ok(addr.into());
        }
        let error = || NoTarget(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        if host.is_empty() || host.contains([':', '/', '@', ' ']) {
            return Err(error());
        }
        Ok(Self::new(host, port))
    }
}

impl TryFrom<&str> for Target {
    type Error = NoTarget;

    fn try_from(text: &str) -> Result<Self, NoTarget> {
        text.parse()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            TargetHost::Ip(ip) => SocketAddr::new(*ip, self.port).fmt(f),
            TargetHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

// === impl TcpConnector ===

impl TcpConnector {
    /// Opens a connection to `"host:port"`, a socket address, or a [`Target`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, every attempt is given up.
    pub async fn connect<T>(&self, to: T) -> Result<Connection, ConnectError>
    where
        T: TryInto<Target>,
        ConnectError: From<T::Error>,
    {
        let target = to.try_into()?;
        let attempt = async { self.race(&target, target.resolve().await?).await };
        tokio::time::timeout(self.timeout, attempt).await.unwrap_or_else(|_| {
            Err(ConnectError::TimedOut { target: target.clone(), limit: self.timeout })
        })
    }

    /// Opens a connection to the first of `addrs` that accepts; `target` is what they are the addresses of.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Failed`], [`ConnectError::TimedOut`].
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is done, every attempt is given up.
    pub async fn connect_any(
        &self,
        target: &Target,
        addrs: Vec<SocketAddr>,
    ) -> Result<Connection, ConnectError> {
        tokio::time::timeout(self.timeout, self.race(target, addrs)).await.unwrap_or_else(|_| {
            Err(ConnectError::TimedOut { target: target.clone(), limit: self.timeout })
        })
    }

    async fn race(
        &self,
        target: &Target,
        addrs: Vec<SocketAddr>,
    ) -> Result<Connection, ConnectError> {
        let failed = |source| ConnectError::Failed { target: target.clone(), source };
        let mut rest = addrs.into_iter();
        // One address is the usual case, and needs no tasks.
        if rest.len() == 1
            && let Some(addr) = rest.next()
        {
            let stream = TcpStream::connect(addr).await.map_err(failed)?;
            return self.finish(stream).map_err(failed);
        }
        let mut attempts = JoinSet::new();
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        loop {
            if let Some(addr) = rest.next() {
                attempts.spawn(async move { open(addr)?.connect(addr).await });
            }
            let done = if rest.len() == 0 {
                attempts.join_next().await
            } else {
                match tokio::time::timeout(HEAD_START, attempts.join_next()).await {
                    Ok(done) => done,
                    Err(_) => continue,
                }
            };
            match done {
                Some(Ok(Ok(stream))) => return self.finish(stream).map_err(failed),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_)) => {}
                None if rest.len() == 0 => return Err(failed(last)),
                None => {}
            }
        }
    }

    fn finish(&self, stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        if let Some(keepalive) = self.keepalive {
            SockRef::from(&stream).set_tcp_keepalive(&probes(keepalive))?;
        }
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        let meta = ConnMeta::new(MetaParts {
            endpoint: EndpointName::from("upstream"),
            peer: Addr::from(peer),
            local: Addr::from(local),
            stopping: Stopping::default(),
        });
        let mut io = Io::from_tcp(stream);
        io.account_to(&meta, None);
        Ok(Connection::from_parts(io, meta, Extensions::new()))
    }
}

fn open(addr: SocketAddr) -> io::Result<TcpSocket> {
    if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

impl From<std::convert::Infallible> for ConnectError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_shown() {
        for text in ["127.0.0.1:80", "[::1]:80", "example.com:8080"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for text in ["example.com", ":80", "a b:80", "http://x:80", "::1:80", "x:99999"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert_eq!(Target::new("[::1]", 80), "[::1]:80".parse().unwrap());
    }

    #[test]
    fn families_take_turns() {
        let of = |all: &str| -> Vec<SocketAddr> {
            all.split(' ').map(|one| one.parse().unwrap()).collect()
        };
        assert_eq!(
            interleaved(of("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 2.2.2.2:1")),
            of("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1")
        );
    }

    #[tokio::test]
    async fn a_dead_address_does_not_keep_from_the_next() {
        let alive = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = alive.local_addr().unwrap();
        // Reserved and closed again: nobody listens there.
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let conn = TcpConnector::default()
            .connect_any(&Target::from(addr), vec![dead, addr])
            .await
            .unwrap();
        assert_eq!(conn.meta().peer().as_ip(), Some(addr));
        let error = TcpConnector::default().connect(dead).await.unwrap_err();
        assert!(matches!(error, ConnectError::Failed { .. }));
    }
}
