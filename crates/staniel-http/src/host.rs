//! Hosts as they are named by a request, and the one spelling they are matched by.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::str;

use crate::h1::is_host_byte;

/// No name of the DNS has more than 253 letters, and no address.
const MAX_HOST: usize = 255;

/// A host and perhaps a port, as `Host` and the authority of a target name them.
///
/// A subset of RFC 3986, section 3.2: no user, no escape, no `sub-delims` (a comma would make it a list), and a host
/// that is not empty, as RFC 9110, section 4.2.1 demands for `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

// === impl Authority ===

impl<'a> Authority<'a> {
    /// Reads `host [ ":" port ]`; an empty port is none.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let at = match bytes {
            [b'[', ..] => bytes.iter().position(|&b| b == b']')? + 1,
            _ => bytes.iter().position(|&b| !is_host_byte(b)).unwrap_or(bytes.len()),
        };
        let (host, rest) = bytes.split_at_checked(at)?;
        if host.is_empty()
            || host.len() > MAX_HOST
            || (host.starts_with(b"[") && literal(host).is_none())
        {
            return None;
        }
        let port = match rest {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(number(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// The host, as it was written.
    #[must_use]
    pub fn host(&self) -> &'a [u8] {
        self.host
    }

    /// The port, if one was written.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The spelling by which hosts are matched: lower case, without a trailing dot, an IPv6 address in its canonical
    /// text (RFC 5952) without brackets.
    #[must_use]
    pub fn canonical(&self) -> Cow<'a, [u8]> {
        if let Some(address) = literal(self.host) {
            return Cow::Owned(address.to_string().into_bytes());
        }
        let name = match self.host {
            [name @ .., b'.'] if !name.is_empty() => name,
            name => name,
        };
        if name.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        }
    }
}

/// The spelling by which the host of `host [ ":" port ]` is matched ([`Authority::canonical`]).
#[must_use]
pub fn canonical(host_and_port: &[u8]) -> Option<Cow<'_, [u8]>> {
    Authority::parse(host_and_port).map(|authority| authority.canonical())
}

/// The address in `[...]`. RFC 3986, section 3.2.2: `IPv6address`, not `IPvFuture`; a zone has no place here.
fn literal(host: &[u8]) -> Option<Ipv6Addr> {
    let [b'[', inner @ .., b']'] = host else { return None };
    str::from_utf8(inner).ok()?.parse().ok()
}

/// Digits that fit a port.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |port, &b| {
        port.checked_mul(10)?.checked_add(u16::from(b.is_ascii_digit().then(|| b - b'0')?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, expected: Option<&str>) {
        let canonical = canonical(host.as_bytes());
        assert_eq!(canonical.as_deref(), expected.map(str::as_bytes), "{host}");
        if let Some(canonical) = canonical
            && !host.starts_with('[')
        {
            assert_eq!(
                super::canonical(&canonical).as_deref(),
                Some(&*canonical),
                "{host}: canonical twice"
            );
        }
    }

    #[test]
    fn hosts_have_one_spelling() {
        check("example.com", Some("example.com"));
        check("EXAMPLE.com.:8080", Some("example.com"));
        check("a_b-c.test", Some("a_b-c.test"));
        check("10.0.0.1:80", Some("10.0.0.1"));
        check("[2001:DB8:0::0:1]:443", Some("2001:db8::1"));
        check("[::ffff:10.0.0.1]", Some("::ffff:10.0.0.1"));
        check("xn--bcher-kva.example", Some("xn--bcher-kva.example"));
        check("host:", Some("host"));
        check(".", Some("."));
    }

    #[test]
    fn what_is_not_a_host_is_none() {
        for host in [
            "",
            ":80",
            "a b",
            "a/x",
            "a,b",
            "u@a",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:-1",
            "a:+1",
            "[::1",
            "[::1]x",
            "::1",
            "[]",
            "[::1%25eth0]",
            "[v1.x]",
            "[::g]",
            "a%2e",
            "a?b",
            "a#b",
            "a\\b",
            "b\u{fc}cher",
            "a\0",
            "[1.2.3.4]",
            "a;b",
        ] {
            check(host, None);
        }
        check(&"a".repeat(256), None);
    }
}
