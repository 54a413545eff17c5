//! Where a cluster sends.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::code::Code;
use crate::kind::Syntax;
use crate::value::ParseValueError;
use crate::value::address::parse_port;
use crate::value::host::check_host;

/// Where a destination is: a host and a port, and what is spoken there if the user said so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationAddress {
    /// What is spoken there.
    pub scheme: Scheme,
    /// The host.
    pub host: DestinationHost,
    /// The port; never 0.
    pub port: u16,
}

/// What is spoken at a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `host:port`: whatever the route or listener speaks.
    Any,
    /// `http://`: HTTP/1.1 without TLS.
    Http,
    /// `tcp://`: bytes.
    Tcp,
    /// `udp://`: datagrams.
    Udp,
}

/// The host of a destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DestinationHost {
    /// An address.
    Ip(IpAddr),
    /// A name to look up, in lower case.
    Name(Arc<str>),
}

/// A `Host` header: a host, and a port if there is one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority(String);

// === impl DestinationAddress ===

impl DestinationAddress {
    /// What a `Host` header says for this destination: the port only when it is not 80, HTTP's own.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            80 => self.host.to_string(),
            port => format!("{}:{port}", self.host),
        }
    }
}

impl FromStr for DestinationAddress {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let bad = |label: &str| {
            ParseValueError::new(
                Code::BadDestination,
                format!("`{}` is not a destination", text.escape_debug()),
                label,
            )
        };
        if text.starts_with("unix:") {
            let title = "destinations behind a Unix socket are for a later version";
            return Err(ParseValueError::new(Code::NotYet, title, "this version cannot do it"));
        }
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Any, text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "http" => (Scheme::Http, rest),
                "tcp" => (Scheme::Tcp, rest),
                "udp" => (Scheme::Udp, rest),
                later @ ("https" | "h2c" | "h3" | "ws" | "wss" | "tls" | "quic") => {
                    let title = format!("`{later}://` destinations are for a later version");
                    let error =
                        ParseValueError::new(Code::NotYet, title, "this version cannot do it");
                    return Err(match later {
                        "ws" => error.help("WebSocket begins as HTTP: write `http://`"),
                        _ => error.help("this version speaks `http://`, `tcp://` and `udp://`"),
                    });
                }
                _ => return Err(bad("unknown scheme").none_of(scheme, &["http", "tcp", "udp"])),
            },
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if !path.is_empty() {
            let fixed = text.strip_suffix(path).unwrap_or(text).escape_debug();
            return Err(bad("a destination has no path")
                .help(format!("write `\"{fixed}\"`: the request's own path is sent on")));
        }
        if authority.contains('@') {
            return Err(bad("a destination has no user or password"));
        }
        let (host, port) =
            split_port(authority).ok_or_else(|| bad("the port is not a number from 1 to 65535"))?;
        if host.is_empty() {
            return Err(bad("no host").help("for this machine write `127.0.0.1`"));
        }
        let port = match (port, scheme) {
            (Some(0), _) => return Err(bad("nobody can be reached on port 0")),
            (Some(port), _) => port,
            (None, Scheme::Http) => 80,
            (None, _) => {
                let help = format!(
                    "write `\"{}:8080\"`, or `\"http://{}\"` for port 80",
                    text.escape_debug(),
                    host.escape_debug()
                );
                return Err(bad("no port").help(help));
            }
        };
        let host = DestinationHost::read(host)
            .map_err(|(label, help)| help.into_iter().fold(bad(label), ParseValueError::help))?;
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for DestinationAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        match scheme {
            Scheme::Any => write!(f, "{host}:{port}"),
            scheme => write!(f, "{}://{host}:{port}", scheme.word()),
        }
    }
}

impl Syntax for DestinationAddress {
    fn accepts() -> String {
        "a destination such as `\"http://10.0.0.1:80\"` or `\"10.0.0.1:5432\"`".to_owned()
    }
}

// === impl Scheme ===

impl Scheme {
    /// What stands before `://`; `any` if nothing does.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

// === impl DestinationHost ===

impl DestinationHost {
    /// The host, or what is wrong with it and what to do.
    fn read(text: &str) -> Result<Self, (&'static str, Option<String>)> {
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(address.into()));
        }
        let host = check_host(text)?;
        match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => match address.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Self::Ip(address.into())),
                Err(_) => Err(("not an IPv6 address", None)),
            },
            None => Ok(Self::Name(host.into())),
        }
    }
}

impl fmt::Display for DestinationHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(address)) => address.fmt(f),
            Self::Ip(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

// === impl Authority ===

impl Authority {
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Authority {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let bad = |label: &str| {
            ParseValueError::new(
                Code::BadHost,
                format!("`{}` is not a `Host` header", text.escape_debug()),
                label,
            )
        };
        let (host, port) =
            split_port(text).ok_or_else(|| bad("the port is not a number from 0 to 65535"))?;
        let host = check_host(host)
            .map_err(|(label, help)| help.into_iter().fold(bad(label), ParseValueError::help))?;
        Ok(Self(match port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }))
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Syntax for Authority {
    fn accepts() -> String {
        "a host such as `\"example.com\"`".to_owned()
    }
}

/// Parts `host:port`, leaving the colons of an IPv6 address alone; nothing if the port is not one.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port))
            if !port.ends_with(']') && (!host.contains(':') || host.ends_with(']')) =>
        {
            Some((host, Some(parse_port(port)?)))
        }
        _ => Some((text, None)),
    }
}
