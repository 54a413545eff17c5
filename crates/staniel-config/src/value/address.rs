//! Where to listen.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::code::Code;
use crate::kind::Syntax;
use crate::value::ParseValueError;

/// Where a listener listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Address {
    /// `":8080"` or `"*:8080"`: every address of the machine, IPv4 and IPv6.
    Any {
        /// The port; 0 lets the kernel choose.
        port: u16,
    },
    /// `"localhost:8080"`: both loopback addresses.
    Localhost {
        /// The port; 0 lets the kernel choose.
        port: u16,
    },
    /// `"192.0.2.1:8080"`, `"[2001:db8::1]:8080"`: this address alone; `[::]` is IPv6 alone.
    Ip(SocketAddr),
}

// === impl Address ===

impl Address {
    /// The port; 0 lets the kernel choose.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Any { port } | Self::Localhost { port } => port,
            Self::Ip(address) => address.port(),
        }
    }

    /// The one or two socket addresses it stands for; [`Any`](Self::Any) is both wildcards, though one socket can be both.
    pub fn socket_addrs(self) -> impl Iterator<Item = SocketAddr> {
        let (first, second) = match self {
            Self::Any { port } => (
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
                Some(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))),
            ),
            Self::Localhost { port } => (
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                Some(SocketAddr::from((Ipv6Addr::LOCALHOST, port))),
            ),
            Self::Ip(address) => (address, None),
        };
        std::iter::once(first).chain(second)
    }
}

impl FromStr for Address {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let bad = |label: &str| {
            ParseValueError::new(
                Code::BadAddress,
                format!("`{}` is not an address to listen on", text.escape_debug()),
                label,
            )
        };
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(bad("an address has no scheme").help(format!(
                "remove `{}://`; what is spoken goes into `protocols`",
                scheme.escape_debug()
            )));
        }
        if text.starts_with("unix:") {
            let title = "listening on a Unix socket is for a later version";
            return Err(ParseValueError::new(Code::NotYet, title, "this version cannot do it"));
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::Ip(address));
        }
        let examples =
            "write `\":8080\"`, `\"127.0.0.1:8080\"`, `\"[::1]:8080\"` or `\"localhost:8080\"`";
        if text.parse::<IpAddr>().is_ok() {
            let bracketed = if text.contains(':') { format!("[{text}]") } else { text.to_owned() };
            return Err(bad("no port").help(format!("add the port: `\"{bracketed}:8080\"`")));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(bad("no port").help(match text.parse::<u16>() {
                Ok(port) => format!("put a colon before the port: `\":{port}\"`"),
                Err(_) => examples.to_owned(),
            }));
        };
        let port = parse_port(port)
            .ok_or_else(|| bad("the port is not a number from 0 to 65535").help(examples))?;
        match host {
            "" | "*" => Ok(Self::Any { port }),
            host if host.eq_ignore_ascii_case("localhost") => Ok(Self::Localhost { port }),
            host if host.starts_with('[') || host.contains(':') => {
                Err(bad("not an IPv6 address in brackets").help(examples))
            }
            _ => Err(bad("a listener needs an IP address, not a name")
                .help(format!("to listen on every address of the machine, write `\":{port}\"`"))
                .help("to serve this name only, give it to a route: `host = …`")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any { port } => write!(f, ":{port}"),
            Self::Localhost { port } => write!(f, "localhost:{port}"),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl Syntax for Address {
    fn accepts() -> String {
        "an address and port such as `\":8080\"`".to_owned()
    }
}

/// A port in decimal digits alone: no sign, no space.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
