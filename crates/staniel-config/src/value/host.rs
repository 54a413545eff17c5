//! Which hosts a route takes.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::code::Code;
use crate::kind::Syntax;
use crate::value::ParseValueError;

/// Which hosts a route takes. Names are in lower case, without port and without the dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HostPattern {
    /// `"*"`: any host, and none at all.
    Any,
    /// `"api.example.com"`: this host; an IPv6 address has its brackets.
    Exact(String),
    /// `"*.example.com"`: every host with one label or more before this; holds `example.com`.
    Below(String),
}

// === impl HostPattern ===

impl HostPattern {
    /// Whether the pattern takes a host that has no port and no dot at the end; its case does not matter.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => host.eq_ignore_ascii_case(name),
            Self::Below(parent) => host
                .len()
                .checked_sub(parent.len())
                .and_then(|at| host.split_at_checked(at))
                .is_some_and(|(front, end)| {
                    end.eq_ignore_ascii_case(parent) && front.len() > 1 && front.ends_with('.')
                }),
        }
    }
}

impl FromStr for HostPattern {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let name = check_host(name).map_err(|(label, help)| {
            let error = ParseValueError::new(
                Code::BadHost,
                format!("`{}` is not a host", text.escape_debug()),
                label,
            );
            help.into_iter().fold(error, ParseValueError::help)
        })?;
        match below {
            true if name.starts_with('[') => Err(ParseValueError::new(
                Code::BadHost,
                format!("`{text}` is not a host"),
                "there is nothing below an address",
            )),
            true => Ok(Self::Below(name)),
            false => Ok(Self::Exact(name)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
        }
    }
}

impl Syntax for HostPattern {
    fn accepts() -> String {
        "a host such as `\"example.com\"` or `\"*.example.com\"`".to_owned()
    }
}

/// The host in its one spelling, or what is wrong with it and what to do.
pub(crate) fn check_host(text: &str) -> Result<String, (&'static str, Option<String>)> {
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or_default();
        return Err(("a host has no scheme", Some(format!("write `\"{}\"`", host.escape_debug()))));
    }
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().map_err(|_| ("not an IPv6 address", None))?;
        return Ok(format!("[{address}]"));
    }
    if !text.is_ascii() {
        let help = "write the name in its ASCII form, which begins with `xn--`";
        return Err(("a host on the wire is ASCII", Some(help.to_owned())));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(("an IPv6 address needs brackets", Some(format!("write `\"[{text}]\"`"))));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        let help = format!("write `\"{}\"`: the port is the listener's", host.escape_debug());
        return Err(("a host has no port here", Some(help)));
    }
    if text.contains('*') {
        return Err((
            "`*` stands alone, or as the whole first label",
            Some("write `\"*.example.com\"`".to_owned()),
        ));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // RFC 1035, section 2.3.4: labels of 63 octets or less, names of 255 (253 in this spelling).
    if name.len() > 253 || !name.split('.').all(label_fits) {
        return Err(("labels are 1 to 63 letters, digits and `-`, joined by dots", None));
    }
    Ok(name.to_ascii_lowercase())
}
