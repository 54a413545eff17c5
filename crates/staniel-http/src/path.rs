//! Paths in the one spelling by which routes and rules match them.
//!
//! The client's bytes are what is forwarded, so this spelling has to be what any origin would make of them. Where origins
//! differ, there is a second reading ([`NormalPath::escaped_slashes_read`]) for the router to compare, or none at all.

use std::borrow::Cow;

use crate::h1::is_unreserved;

/// A path that is refused: 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("a path that does not begin with a slash")]
    Relative,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("malformed escape in a path")]
    Escape,
    /// `%00`, which ends a path for one origin and not for another.
    #[error("an escaped NUL in a path")]
    Nul,
    /// A segment like `..;x`: `..` for an origin that cuts off parameters, a name for others.
    #[error("a dot segment with a parameter")]
    DotParameter,
}

/// A path, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'a> {
    path: Cow<'a, [u8]>,
    had_dot_segments: bool,
    slashes_read: Option<Vec<u8>>,
}

// === impl PathError ===

impl PathError {
    /// A stable name for the label of a counter.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Relative => "relative_path",
            Self::Escape => "path_escape",
            Self::Nul => "path_nul",
            Self::DotParameter => "dot_segment_parameter",
        }
    }
}

// === impl NormalPath ===

impl NormalPath<'_> {
    /// The normalised path.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.path
    }

    /// Whether dot segments were removed. Then this path is what has to be forwarded, not the client's.
    #[must_use]
    pub fn had_dot_segments(&self) -> bool {
        self.had_dot_segments
    }

    /// The path as an origin reads it that takes `%2F` and `%5C` for `/`, if it has any of these. Where that is another
    /// route than the path itself, the request has to be refused.
    #[must_use]
    pub fn escaped_slashes_read(&self) -> Option<&[u8]> {
        self.slashes_read.as_deref()
    }
}

/// Normalises a path (without its query).
///
/// RFC 3986, section 6.2.2: escapes of unreserved characters are decoded, other escapes have upper-case digits, dot
/// segments are removed. Beyond it, repeated slashes and `\` are read as one `/`, as most origins do. A path without any
/// of these comes back as it is after one look.
///
/// # Errors
///
/// A [`PathError`] for a path that has no one meaning.
pub fn normalise(path: &[u8]) -> Result<NormalPath<'_>, PathError> {
    let Some((b'/', rest)) = path.split_first() else { return Err(PathError::Relative) };
    // All bytes are looked at, so that the compiler can do many at a time. The first is a slash, hence in no other way odd.
    let odd = path.iter().zip(rest).fold(false, |odd, (&a, &b)| {
        odd | (b == b'%') | (b == b'\\') | ((a == b'/') & ((b == b'/') | (b == b'.')))
    });
    if !odd {
        return Ok(NormalPath {
            path: Cow::Borrowed(path),
            had_dot_segments: false,
            slashes_read: None,
        });
    }
    slow(path)
}

#[cold]
fn slow(path: &[u8]) -> Result<NormalPath<'_>, PathError> {
    let unescaped = unescape(path)?;
    let (normal, had_dot_segments) = remove_dots(&unescaped.path)?;
    let slashes_read = match unescaped.has_slashes {
        true => Some(remove_dots(&read_slashes(&unescaped.path))?.0),
        false => None,
    };
    let path = if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) };
    Ok(NormalPath { path, had_dot_segments, slashes_read })
}

struct Unescaped {
    path: Vec<u8>,
    has_slashes: bool,
}

/// Decodes the escapes of unreserved characters once, and writes the others with upper-case digits.
fn unescape(path: &[u8]) -> Result<Unescaped, PathError> {
    let mut to = Unescaped { path: Vec::with_capacity(path.len()), has_slashes: false };
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'\\' => to.path.push(b'/'),
            b'%' => {
                let [high, low, behind @ ..] = rest else { return Err(PathError::Escape) };
                let digit = |b: u8| (b as char).to_digit(16).map(|digit| digit as u8);
                let (Some(tens), Some(ones)) = (digit(*high), digit(*low)) else {
                    return Err(PathError::Escape);
                };
                rest = behind;
                match tens << 4 | ones {
                    0 => return Err(PathError::Nul),
                    byte if is_unreserved(byte) => to.path.push(byte),
                    byte => {
                        to.has_slashes |= matches!(byte, b'/' | b'\\');
                        to.path.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                    }
                }
            }
            byte => to.path.push(byte),
        }
    }
    Ok(to)
}

/// `%2F` and `%5C` as `/`; the escapes are well-formed and in upper case.
fn read_slashes(path: &[u8]) -> Vec<u8> {
    let mut read = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte == b'%' && (rest.starts_with(b"2F") || rest.starts_with(b"5C")) {
            rest = rest.get(2..).unwrap_or_default();
            read.push(b'/');
        } else {
            read.push(byte);
        }
    }
    read
}

/// RFC 3986, section 5.2.4, with empty segments left out except behind the last slash. Above the root there is the root.
fn remove_dots(path: &[u8]) -> Result<(Vec<u8>, bool), PathError> {
    let mut normal = Vec::with_capacity(path.len());
    let mut had_dots = false;
    // Whether the path ends with a slash as it stands in `normal`.
    let mut open = true;
    for segment in path.split(|&b| b == b'/') {
        match segment {
            b"" => open = true,
            b"." | b".." => {
                had_dots = true;
                open = true;
                if segment == b".." {
                    let parent = normal.iter().rposition(|&b| b == b'/').unwrap_or(0);
                    normal.truncate(parent);
                }
            }
            [b'.', b';', ..] | [b'.', b'.', b';', ..] => return Err(PathError::DotParameter),
            segment => {
                normal.push(b'/');
                normal.extend_from_slice(segment);
                open = false;
            }
        }
    }
    if open {
        normal.push(b'/');
    }
    Ok((normal, had_dots))
}

#[cfg(test)]
mod tests;
