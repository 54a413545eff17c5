//! Addresses, names and ids.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where one end of a connection is.
///
/// A peer that a dual-stack socket shows as `::ffff:a.b.c.d` is the IPv4 peer `a.b.c.d` everywhere: in limits, in
/// trust, in logs. Conversion from [`SocketAddr`] sees to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// An end of an in-memory connection, by number.
    Memory(u64),
}

// === impl Addr ===

impl Addr {
    /// The IP address and port, if it has them.
    #[must_use]
    pub const fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(addr) => Some(*addr),
            Self::Memory(_) => None,
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self::Ip(canonical(addr))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(addr) => addr.fmt(f),
            Self::Memory(number) => write!(f, "mem:{number}"),
        }
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address that it is; every other address unchanged.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// The name of an endpoint: in configuration, logs (`listener`) and metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointName(Arc<str>);

// === impl EndpointName ===

impl EndpointName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for EndpointName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for EndpointName {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Cow<'_, str>> for EndpointName {
    fn from(name: Cow<'_, str>) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells connections apart: unique in this process, shown as 13 characters that sort by time of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

// === impl ConnectionId ===

impl ConnectionId {
    pub(crate) fn next() -> Self {
        // Seeded with the time of the first connection, so that ids of two runs of one program rarely meet in a log.
        static NEXT: OnceLock<AtomicU64> = OnceLock::new();
        let next = NEXT.get_or_init(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            AtomicU64::new((since.as_millis() as u64) << 20)
        });
        Self(next.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Crockford's base 32: digits sort as numbers do, and no two look alike.
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let mut text = [b'0'; 13];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = DIGITS.get((rest & 31) as usize).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_peer_is_an_ipv4_peer() {
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:80".parse().unwrap();
        assert_eq!(Addr::from(mapped).to_string(), "192.0.2.7:80");
        let real: SocketAddr = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!(Addr::from(real).to_string(), "[2001:db8::1]:80");
    }

    #[test]
    fn ids_are_unique_and_sort_by_time_as_text() {
        let ids: Vec<_> = (0..100).map(|_| ConnectionId::next().to_string()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
