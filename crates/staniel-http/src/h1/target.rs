//! Request targets (RFC 9112, section 3.2).

use super::HeadError;
use crate::host::Authority;

/// The four forms of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9112, section 3.2 has these four")]
pub enum TargetForm {
    /// `/path?query`.
    #[default]
    Origin,
    /// `http://host/path?query`.
    Absolute,
    /// `host:port`, with CONNECT only.
    Authority,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// A target in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target<'a> {
    /// Which form it has.
    pub form: TargetForm,
    /// The scheme of an absolute target, as it was written: `http` or `https`.
    pub scheme: Option<&'a [u8]>,
    /// The host and port of an absolute target or of CONNECT.
    pub authority: Option<&'a [u8]>,
    /// The path, `/` if an absolute target has none, `*` if it asks about the server, empty with CONNECT.
    pub path: &'a [u8],
    /// What stands behind `?`.
    pub query: Option<&'a [u8]>,
}

// === impl Target ===

impl<'a> Target<'a> {
    /// Reads a target strictly: the form has to suit the method, no user, no fragment, no scheme but `http` and `https`.
    ///
    /// What browsers leave as it is (`|`, `{`, `^`, a lone `%` and so on) passes; whether the path can be understood is
    /// for [`crate::path::normalise`] to say.
    ///
    /// # Errors
    ///
    /// [`HeadError::Target`].
    pub fn parse(method: &[u8], target: &'a [u8]) -> Result<Self, HeadError> {
        if !target.iter().all(|&b| super::is_target_byte(b)) {
            return Err(HeadError::Target);
        }
        Self::of(method, target)
    }

    /// Reads a target whose bytes are known to be fit for one.
    pub(crate) fn of(method: &[u8], target: &'a [u8]) -> Result<Self, HeadError> {
        let connect = method == b"CONNECT";
        match target {
            [b'/', ..] if !connect => {
                let (path, query) = split_query(target);
                Ok(Self { form: TargetForm::Origin, scheme: None, authority: None, path, query })
            }
            // RFC 9112, section 3.2.4: "only used for a server-wide OPTIONS request".
            b"*" if method == b"OPTIONS" => Ok(Self {
                form: TargetForm::Asterisk,
                scheme: None,
                authority: None,
                path: b"*",
                query: None,
            }),
            // RFC 9112, section 3.2.3: "only used for CONNECT requests"; the port is not optional.
            _ if connect => match Authority::parse(target) {
                Some(authority) if authority.port().is_some() => Ok(Self {
                    form: TargetForm::Authority,
                    scheme: None,
                    authority: Some(target),
                    path: b"",
                    query: None,
                }),
                _ => Err(HeadError::Target),
            },
            _ => Self::absolute(method, target),
        }
    }

    fn absolute(method: &[u8], target: &'a [u8]) -> Result<Self, HeadError> {
        let colon = target.iter().position(|&b| b == b':').ok_or(HeadError::Target)?;
        let (scheme, rest) = target.split_at_checked(colon).ok_or(HeadError::Target)?;
        let rest = rest.strip_prefix(b"://").ok_or(HeadError::Target)?;
        if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
            return Err(HeadError::Target);
        }
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, behind) = rest.split_at_checked(end).ok_or(HeadError::Target)?;
        if Authority::parse(authority).is_none() {
            return Err(HeadError::Target);
        }
        let (path, query) = split_query(behind);
        let path = match path {
            // RFC 9112, section 3.2.4: OPTIONS for a URI without path and query asks about the server.
            [] if query.is_none() && method == b"OPTIONS" => b"*",
            [] => b"/",
            path => path,
        };
        Ok(Self {
            form: TargetForm::Absolute,
            scheme: Some(scheme),
            authority: Some(authority),
            path,
            query,
        })
    }
}

fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(at) = target.iter().position(|&b| b == b'?') else { return (target, None) };
    (target.get(..at).unwrap_or_default(), target.get(at + 1..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &str, expected: Option<(TargetForm, &str, &str, Option<&str>)>) {
        let parsed = Target::parse(method.as_bytes(), target.as_bytes()).ok();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let parsed = parsed.map(|t| {
            (t.form, text(t.authority.unwrap_or_default()), text(t.path), t.query.map(text))
        });
        let expected = expected.map(|(form, authority, path, query)| {
            (form, authority.into(), path.into(), query.map(Into::into))
        });
        assert_eq!(parsed, expected, "{method} {target}");
    }

    #[test]
    fn each_form_has_its_parts() {
        use TargetForm::{Absolute, Asterisk, Authority, Origin};
        check("GET", "/", Some((Origin, "", "/", None)));
        check("GET", "/a?b?c", Some((Origin, "", "/a", Some("b?c"))));
        check("GET", "//a", Some((Origin, "", "//a", None)));
        check("GET", "/a|b?q={100%}", Some((Origin, "", "/a|b", Some("q={100%}"))));
        check("GET", "http://a.test", Some((Absolute, "a.test", "/", None)));
        check("GET", "HTTPS://a.test:8443/x?y", Some((Absolute, "a.test:8443", "/x", Some("y"))));
        check("GET", "http://a.test?y", Some((Absolute, "a.test", "/", Some("y"))));
        check("OPTIONS", "http://a.test", Some((Absolute, "a.test", "*", None)));
        check("OPTIONS", "*", Some((Asterisk, "", "*", None)));
        check("CONNECT", "a.test:443", Some((Authority, "a.test:443", "", None)));
        check("CONNECT", "[::1]:443", Some((Authority, "[::1]:443", "", None)));
    }

    #[test]
    fn tricks_are_not_targets() {
        for target in [
            "",
            "a",
            "*",
            "a.test:443",
            "/a b",
            "/a\tb",
            "/a#b",
            "#",
            "?",
            "http:/a",
            "http://",
            "http:///x",
            "http://u@a/",
            "http://u:p@a/",
            "http://a:b/",
            "http://a,b/",
            "http://a\\b/",
            "ftp://a/",
            "://a/",
            "/\u{fc}",
            "/\0",
            "/\u{7f}",
            "/a\"b",
            "/<a>",
            "http://a#b",
            "http://[::1/",
        ] {
            check("GET", target, None);
        }
        for target in ["/", "a.test", "a.test:", "http://a.test:443", "u@a:443", "*", "a:443/x"] {
            check("CONNECT", target, None);
        }
    }
}
