//! The first line of a message (RFC 9112, sections 3 and 4).

use super::HeadError;
use super::chars::{self, TARGET, TOKEN, class};
use super::limits::MAX_HEAD;
use super::target::{Target, TargetForm};

/// A piece of a head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) at: u16,
    pub(crate) len: u16,
}

// === impl Span ===

impl Span {
    /// `at..end`; both lie in the window of [`MAX_HEAD`] bytes.
    #[inline]
    pub(crate) fn between(at: usize, end: usize) -> Self {
        debug_assert!(at <= end && end <= MAX_HEAD);
        Self { at: at as u16, len: (end - at) as u16 }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        let at = usize::from(self.at);
        bytes.get(at..at + usize::from(self.len)).unwrap_or_default()
    }
}

/// What a first line says. Of a request, `first` is the method and `second` the target; of a response, `second` is
/// the reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StartLine {
    pub(crate) first: Span,
    pub(crate) second: Span,
    pub(crate) status: u16,
    pub(crate) minor: u8,
    pub(crate) form: TargetForm,
    /// Where the fields begin.
    pub(crate) end: u16,
}

/// How a line is read that may not have arrived whole: a verdict on a part of it stands for the whole.
type Read = Result<Option<StartLine>, HeadError>;

/// Reads `method SP request-target SP HTTP-version CRLF` at `from`, strictly: one SP each, nothing before or behind.
pub(crate) fn request(bytes: &[u8], from: usize, limit: u16) -> Read {
    let (line, cut) = window(bytes, from, limit);
    let short = if cut { Err(HeadError::RequestLineTooLong) } else { Ok(None) };
    // A TLS record begins with its type, handshake.
    if line.first() == Some(&0x16) {
        return Err(HeadError::Tls);
    }

    // RFC 9112, section 3.1: method = token
    let n = line.iter().position(|&b| class(b) & TOKEN == 0);
    let Some((n, end)) = n.and_then(|n| Some((n, *line.get(n)?))) else { return short };
    match end {
        b' ' if n > 0 => {}
        b'\n' => return Err(HeadError::BareLf),
        b'\r' => return line_end(line.get(n..), HeadError::RequestLine, short),
        _ => return Err(HeadError::Method),
    }
    let method = Span::between(from, from + n);

    let at = n + 1;
    let rest = line.get(at..).unwrap_or_default();
    let n = rest.iter().position(|&b| class(b) & TARGET == 0);
    let Some((n, end)) = n.and_then(|n| Some((n, *rest.get(n)?))) else { return short };
    match end {
        b' ' if n > 0 => {}
        b' ' => return Err(HeadError::RequestLine),
        b'\n' => return Err(HeadError::BareLf),
        // HTTP/0.9: a target and no version.
        b'\r' => return line_end(rest.get(n..), HeadError::RequestLine, short),
        _ => return Err(HeadError::Target),
    }
    let target = Span::between(from + at, from + at + n);

    let at = at + n + 1;
    let rest = line.get(at..).unwrap_or_default();
    let Some(minor) = version(rest)? else { return short };
    match rest.get(8..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Some(StartLine {
            first: method,
            second: target,
            status: 0,
            minor,
            form: form(method.of(bytes), target.of(bytes))?,
            end: (from + at + 10) as u16,
        })),
        [] | [b'\r'] => short,
        [b'\r', ..] => Err(HeadError::BareCr),
        [b'\n', ..] => Err(HeadError::BareLf),
        _ => Err(HeadError::Version),
    }
}

/// Reads `HTTP-version SP status-code SP [ reason-phrase ] CRLF` at `from`. The SP before an empty reason may be missing,
/// as many origins leave it out and nothing can be confused by it.
pub(crate) fn status(bytes: &[u8], from: usize, limit: u16) -> Read {
    let (line, cut) = window(bytes, from, limit);
    let short = if cut { Err(HeadError::StatusLine) } else { Ok(None) };
    let Some(minor) = version(line)? else { return short };

    let mut status = 0;
    for (i, &b) in line.iter().enumerate().take(12).skip(8) {
        match (i, b) {
            (8, b' ') => {}
            (9, b'1'..=b'9') | (10 | 11, b'0'..=b'9') => status = status * 10 + u16::from(b - b'0'),
            _ => return Err(HeadError::StatusLine),
        }
    }
    let Some(rest) = line.get(12..) else { return short };
    let n = chars::value_len(rest);
    if !matches!(rest.first(), None | Some(b' ' | b'\r' | b'\n')) {
        return Err(HeadError::StatusLine);
    }
    let reason = Span::between(from + 12 + usize::from(n > 0), from + 12 + n);
    match rest.get(n..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(Some(StartLine {
            first: Span::default(),
            second: reason,
            status,
            minor,
            form: TargetForm::Origin,
            end: (from + 12 + n + 2) as u16,
        })),
        [] | [b'\r'] => short,
        [b'\r', ..] => Err(HeadError::BareCr),
        [b'\n', ..] => Err(HeadError::BareLf),
        _ => Err(HeadError::StatusLine),
    }
}

#[inline]
fn form(method: &[u8], target: &[u8]) -> Result<TargetForm, HeadError> {
    match target {
        // The methods that have a form of their own, CONNECT and OPTIONS, have seven letters.
        [b'/', ..] if method.len() != 7 => Ok(TargetForm::Origin),
        _ => Target::of(method, target).map(|target| target.form),
    }
}

/// The bytes in which the line must end, and whether there are more than these.
fn window(bytes: &[u8], from: usize, limit: u16) -> (&[u8], bool) {
    let end = (from + usize::from(limit) + 2).min(MAX_HEAD);
    (bytes.get(from..end.min(bytes.len())).unwrap_or_default(), bytes.len() > end)
}

/// A line that ends where it should not: `fault` if this is really its end.
fn line_end(at: Option<&[u8]>, fault: HeadError, short: Read) -> Read {
    match at {
        Some([b'\r', b'\n', ..]) => Err(fault),
        Some([b'\r', _, ..]) => Err(HeadError::BareCr),
        _ => short,
    }
}

/// Reads `HTTP-version` off the front: its minor number as we treat it.
fn version(bytes: &[u8]) -> Result<Option<u8>, HeadError> {
    // RFC 9112, section 2.3: HTTP-name is case-sensitive.
    if let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9', ..] = bytes {
        // RFC 9110, section 2.5: a recipient of a higher minor version "SHOULD process the message as if it was in the
        // highest minor version within that major version to which the recipient is conformant".
        return Ok(Some(u8::from(*minor != b'0')));
    }
    let digit = |b: &u8| b.is_ascii_digit();
    for (i, b) in bytes.iter().enumerate().take(8) {
        let fits = match i {
            5 | 7 => digit(b),
            6 => *b == b'.',
            _ => b"HTTP/".get(i) == Some(b),
        };
        if !fits {
            return Err(match b {
                b'\n' => HeadError::BareLf,
                _ => HeadError::Version,
            });
        }
    }
    match bytes {
        [_, _, _, _, _, b'0', _, _, ..] => Err(HeadError::Version),
        [_, _, _, _, _, _, _, _, ..] => Err(HeadError::VersionUnsupported),
        _ => Ok(None),
    }
}
