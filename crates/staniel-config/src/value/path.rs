//! Which paths a route takes.

use std::fmt;
use std::str::FromStr;

use crate::code::Code;
use crate::kind::Syntax;
use crate::value::ParseValueError;

/// Which paths a route takes.
///
/// The text is in one spelling, so that it can be compared with a path in the same spelling: escapes of unreserved
/// characters are decoded (RFC 3986, section 6.2.2.2), other escapes have capital digits, and what may not stand in a
/// path is escaped. There are no dot segments.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PathPattern {
    /// `"/*"`: any path.
    Any,
    /// `"/api"`: this path alone.
    Exact(String),
    /// `"/api/*"`: `/api` and everything below it, by segments; holds `/api`, without a slash at the end.
    Below(String),
}

// === impl PathPattern ===

impl PathPattern {
    /// Whether the pattern takes a path that has the same spelling as the pattern, without a query.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => path == exact,
            Self::Below(parent) => path
                .strip_prefix(parent.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

impl FromStr for PathPattern {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        let bad = |label: &str| {
            ParseValueError::new(
                Code::BadPath,
                format!("`{}` is not a path to match", text.escape_debug()),
                label,
            )
        };
        if !text.starts_with('/') {
            let error = bad("a path begins with `/`");
            return Err(if text.contains("://") {
                error
            } else {
                error.help(format!("write `\"/{}\"`", text.escape_debug()))
            });
        }
        let (below, path) = match text.strip_suffix("/*") {
            Some(path) => (true, path),
            None => (false, text),
        };
        if path.contains('*') {
            return Err(bad("`*` stands only at the end, as `/*`")
                .help("a real `*` in a path is written `%2A`"));
        }
        if path.contains(['?', '#']) {
            return Err(bad("a query or fragment is not part of the path"));
        }
        let path = normalized(path)
            .map_err(|(label, help)| help.into_iter().fold(bad(label), |e, line| e.help(line)))?;
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(bad("`.` and `..` are resolved before a path is matched")
                .help("write the path that is meant"));
        }
        Ok(match (below, path.is_empty()) {
            (true, true) => Self::Any,
            (true, false) => Self::Below(path),
            (false, _) => Self::Exact(path),
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("/*"),
            Self::Exact(path) => f.write_str(path),
            Self::Below(path) => write!(f, "{path}/*"),
        }
    }
}

impl Syntax for PathPattern {
    fn accepts() -> String {
        "a path such as `\"/api\"` or `\"/api/*\"`".to_owned()
    }
}

/// The path in its one spelling, or what is wrong with it.
fn normalized(path: &str) -> Result<String, (&'static str, Option<&'static str>)> {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            push(&mut out, byte, is_path_byte(byte));
            continue;
        }
        let mut digit = || {
            bytes
                .next()
                .and_then(|byte| char::from(byte).to_digit(16))
                .and_then(|d| u8::try_from(d).ok())
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(("`%` needs two hexadecimal digits", Some("a real `%` is written `%25`")));
        };
        match high * 16 + low {
            0 => return Err(("requests with `%00` are refused", None)),
            decoded => push(&mut out, decoded, is_unreserved(decoded)),
        }
    }
    if out.contains("%00") {
        return Err(("requests with `%00` are refused", None));
    }
    Ok(out)
}

fn push(out: &mut String, byte: u8, as_is: bool) {
    if as_is {
        out.push(char::from(byte));
    } else {
        out.push_str(&format!("%{byte:02X}"));
    }
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986, section 3.3: pchar and `/`.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}
