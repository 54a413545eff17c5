//! Where to listen, and how that is written.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::sys;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// A TCP address; `[::]` takes IPv4 as well unless the socket options say otherwise.
    Tcp(SocketAddr),
    /// A UDP address.
    Udp(SocketAddr),
    /// A name in the host's own memory: for tests, and for services of one host that talk to each other.
    Memory(String),
    /// An address for a transport of the user's own.
    Custom {
        /// What stands before `://`.
        scheme: String,
        /// What stands behind it.
        rest: String,
    },
}

/// An address could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no `scheme://` in front.
    #[error("`{0}` has no transport in front, such as `tcp://`")]
    NoScheme(String),
    /// The host is neither an address nor `*` nor `localhost`. Names are not resolved: which address one means may
    /// change, and none is ever taken as "every address".
    #[error(
        "`{0}` is no address to listen on: give an IP address, `*` (every address) or `localhost`"
    )]
    NoAddress(String),
    /// The port is missing or no number up to 65535.
    #[error("`{0}` has no port, such as `:8080`")]
    NoPort(String),
    /// The transport exists in the plans of this project, but not in this version.
    #[error("this version cannot listen on `{0}://`; it can on tcp, udp, http and mem")]
    NotYet(String),
    /// Nothing stands behind the scheme.
    #[error("`{0}` has no name")]
    Empty(String),
}

/// The addresses that one text stands for: `localhost` is two.
pub(crate) fn parse(text: &str) -> Result<Vec<Endpoint>, EndpointError> {
    let (scheme, rest) = text
        .split_once("://")
        .or_else(|| text.split_once(':').filter(|(s, _)| *s == "mem"))
        .ok_or_else(|| match text.split_once(':') {
            Some((scheme @ ("unix" | "unixgram" | "systemd"), _)) => {
                EndpointError::NotYet(scheme.to_owned())
            }
            _ => EndpointError::NoScheme(text.to_owned()),
        })?;
    let sockets =
        |make: fn(SocketAddr) -> Endpoint| Ok(addresses(rest)?.into_iter().map(make).collect());
    match scheme {
        "tcp" | "http" => sockets(Endpoint::Tcp),
        "udp" => sockets(Endpoint::Udp),
        "https" | "quic" | "vsock" => Err(EndpointError::NotYet(scheme.to_owned())),
        _ if rest.is_empty() => Err(EndpointError::Empty(text.to_owned())),
        "mem" => Ok(vec![Endpoint::Memory(rest.to_owned())]),
        _ => Ok(vec![Endpoint::Custom { scheme: scheme.to_owned(), rest: rest.to_owned() }]),
    }
}

/// `127.0.0.1:80`, `[::1]:80`, `*:80` and `:80` (every address of both families), `localhost:80` (both loopbacks).
fn addresses(text: &str) -> Result<Vec<SocketAddr>, EndpointError> {
    if let Ok(addr) = text.parse() {
        return Ok(vec![addr]);
    }
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| EndpointError::NoPort(text.to_owned()))?;
    let port: u16 = port.parse().map_err(|_| EndpointError::NoPort(text.to_owned()))?;
    match host {
        "" | "*" => Ok(vec![every_address(port)]),
        "localhost" => Ok(loopbacks(port)),
        _ => Err(EndpointError::NoAddress(host.to_owned())),
    }
}

/// What to bind to be reached by every address of the machine: `[::]`, whose one socket takes IPv4 as well, or `0.0.0.0`
/// where there is no IPv6.
#[must_use]
pub fn every_address(port: u16) -> SocketAddr {
    let any = if sys::has_ipv6() {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    };
    SocketAddr::new(any, port)
}

/// The loopback addresses of the families that the machine has.
#[must_use]
pub fn loopbacks(port: u16) -> Vec<SocketAddr> {
    let v6 = sys::has_ipv6().then_some(IpAddr::from(Ipv6Addr::LOCALHOST));
    let ips = [IpAddr::from(Ipv4Addr::LOCALHOST)].into_iter().chain(v6);
    ips.map(|ip| SocketAddr::new(ip, port)).collect()
}

// === impl Endpoint ===

impl Endpoint {
    /// The IP address and port, if it is that kind of endpoint.
    #[must_use]
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) | Self::Udp(addr) => Some(*addr),
            Self::Memory(_) | Self::Custom { .. } => None,
        }
    }

    /// Whether a socket at one may keep another from being bound at the other.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (Some(a), Some(b)) = (self.socket_addr(), other.socket_addr()) else {
            return self == other;
        };
        let same_ip = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
        self.is_datagram() == other.is_datagram() && a.port() == b.port() && same_ip
    }

    /// Whether datagrams arrive here rather than connections.
    #[must_use]
    pub const fn is_datagram(&self) -> bool {
        matches!(self, Self::Udp(_))
    }
}

/// Reads an endpoint that is one address; `localhost` means the IPv4 loopback here (a [`crate::Bind`] takes both).
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)?.into_iter().next().ok_or_else(|| EndpointError::Empty(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "tcp://{addr}"),
            Self::Udp(addr) => write!(f, "udp://{addr}"),
            Self::Memory(name) => write!(f, "mem:{name}"),
            Self::Custom { scheme, rest } => write!(f, "{scheme}://{rest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match parse(text) {
            Ok(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn addresses_are_read() {
        check("tcp://127.0.0.1:80", "tcp://127.0.0.1:80");
        check("udp://[::1]:53", "udp://[::1]:53");
        check("http://0.0.0.0:8080", "tcp://0.0.0.0:8080");
        check("mem:inner", "mem:inner");
        check("mem://inner", "mem:inner");
        check("serial://ttyS0", "serial://ttyS0");
        if sys::has_ipv6() {
            check("tcp://*:80", "tcp://[::]:80");
            check("tcp://:80", "tcp://[::]:80");
            check("tcp://localhost:80", "tcp://127.0.0.1:80 tcp://[::1]:80");
        }
    }

    #[test]
    fn a_name_is_never_taken_as_every_address() {
        check(
            "tcp://example.com:80",
            "`example.com` is no address to listen on: give an IP address, `*` (every address) or `localhost`",
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        check("127.0.0.1:80", "`127.0.0.1:80` has no transport in front, such as `tcp://`");
        check("tcp://127.0.0.1", "`127.0.0.1` has no port, such as `:8080`");
        check("tcp://127.0.0.1:99999", "`127.0.0.1:99999` has no port, such as `:8080`");
        check(
            "quic://*:443",
            "this version cannot listen on `quic://`; it can on tcp, udp, http and mem",
        );
        check(
            "unix:/run/x",
            "this version cannot listen on `unix://`; it can on tcp, udp, http and mem",
        );
        check("mem:", "`mem:` has no name");
    }
}
