//! Where a message ends (RFC 9112, section 6), and what else its head says about the connection.

use super::HeadError;
use super::chars::{self, TOKEN, class};
use super::fields::{Line, Seen};
use super::known::Known;
use crate::host::Authority;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9112, section 6.3 has these")]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, up to the last one and its trailers.
    Chunked,
    /// All there is until the peer closes: responses only.
    UntilClose,
}

/// What was asked, as far as the end of the answer depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9112, section 6.3 names these two methods")]
pub enum Asked {
    /// Any method but the two below.
    #[default]
    Other,
    /// HEAD: the answer has no body, whatever it says.
    Head,
    /// CONNECT: a 2xx begins a tunnel.
    Connect,
}

// === impl Asked ===

impl Asked {
    /// What a request with this method asks.
    #[must_use]
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// What the fields of a head say, as bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts(u8);

// === impl Facts ===

impl Facts {
    pub(crate) const CLOSE: u8 = 1;
    pub(crate) const KEEP_ALIVE: u8 = 2;
    /// `Connection` names `upgrade`.
    pub(crate) const UPGRADE: u8 = 4;
    pub(crate) const CONTINUE: u8 = 8;
    /// `Expect` says something else.
    pub(crate) const EXPECTS: u8 = 16;
    pub(crate) const TRAILERS: u8 = 32;

    #[inline]
    pub(crate) fn has(self, fact: u8) -> bool {
        self.0 & fact != 0
    }

    fn add(&mut self, fact: u8) {
        self.0 |= fact;
    }
}

/// Every option is compared with every field when they are removed; this bounds the work that one head can cause.
const CONNECTION_OPTIONS: usize = 64;

/// What the fields say about the body.
#[derive(Debug, Default)]
struct Claims {
    length: Option<u64>,
    /// `Transfer-Encoding` stands there.
    encoded: bool,
    chunked: bool,
    unknown_coding: bool,
    facts: Facts,
}

/// The framing of a request.
pub(crate) fn of_request(
    bytes: &[u8],
    lines: &[Line],
    seen: &Seen,
    minor: u8,
) -> Result<(Framing, Facts), HeadError> {
    // RFC 9112, section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message
    // that lacks a Host header field and to any request message that contains more than one Host header field line".
    if minor > 0 && !seen.present.contains(Known::Host) {
        return Err(HeadError::NoHost);
    }
    if seen.repeated.contains(Known::Host) {
        return Err(HeadError::RepeatedHost);
    }
    let claims = read(bytes, lines, seen, minor, true)?;
    let framing = match claims.length {
        _ if claims.chunked => Framing::Chunked,
        Some(n) => Framing::Length(n),
        // RFC 9112, section 6.3, rule 7.
        None => Framing::None,
    };
    Ok((framing, claims.facts))
}

/// The framing of a response.
pub(crate) fn of_response(
    bytes: &[u8],
    lines: &[Line],
    seen: &Seen,
    minor: u8,
    status: u16,
    asked: Asked,
) -> Result<(Framing, Facts), HeadError> {
    let mut claims = read(bytes, lines, seen, minor, false)?;
    // RFC 9112, section 6.3, rules 1 and 2.
    let bodiless = matches!(status, 100..200 | 204);
    let framing = match claims.length {
        _ if bodiless => {
            // A body that must not be there may follow nevertheless: what comes next is not to be taken for an answer.
            if claims.chunked || claims.length.is_some_and(|n| n > 0) {
                claims.facts.add(Facts::CLOSE);
            }
            Framing::None
        }
        _ if status == 304 || asked == Asked::Head => Framing::None,
        _ if asked == Asked::Connect && matches!(status, 200..300) => Framing::None,
        _ if claims.chunked => Framing::Chunked,
        Some(n) => Framing::Length(n),
        // Rule 8.
        None => Framing::UntilClose,
    };
    Ok((framing, claims.facts))
}

/// Reads the fields that frame the message or steer the connection. Where RFC 9112 lets a recipient choose between
/// repairing and refusing, this refuses.
fn read(
    bytes: &[u8],
    lines: &[Line],
    seen: &Seen,
    minor: u8,
    request: bool,
) -> Result<Claims, HeadError> {
    let mut claims = Claims::default();
    let mut options = 0;
    if seen.repeated.contains(Known::ContentLength) {
        return Err(HeadError::RepeatedLength);
    }
    for line in lines {
        match line.known {
            Known::Host if request && Authority::parse(line.value(bytes)).is_none() => {
                return Err(HeadError::InvalidHost);
            }
            Known::ContentLength => claims.length = Some(length(line.value(bytes))?),
            Known::TransferEncoding => encoding(line.value(bytes), &mut claims)?,
            Known::Connection => {
                for option in chars::list(line.value(bytes)) {
                    options += 1;
                    claims.facts.add(match option.len() {
                        5 if option.eq_ignore_ascii_case(b"close") => Facts::CLOSE,
                        10 if option.eq_ignore_ascii_case(b"keep-alive") => Facts::KEEP_ALIVE,
                        7 if option.eq_ignore_ascii_case(b"upgrade") => Facts::UPGRADE,
                        _ => 0,
                    });
                }
                if options > CONNECTION_OPTIONS {
                    return Err(HeadError::TooManyOptions);
                }
            }
            Known::Te => {
                let mut codings = chars::list(line.value(bytes));
                let takes = codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
                claims.facts.add(if takes { Facts::TRAILERS } else { 0 });
            }
            // RFC 9110, section 10.1.1: "A server that receives a 100-continue expectation in an HTTP/1.0 request MUST
            // ignore that expectation."
            Known::Expect if minor > 0 => {
                let waits = line.value(bytes).eq_ignore_ascii_case(b"100-continue");
                claims.facts.add(if waits { Facts::CONTINUE } else { Facts::EXPECTS });
            }
            _ => {}
        }
    }
    if claims.encoded {
        // RFC 9112, section 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding
        // header field MUST treat the message as if the framing is faulty".
        if minor == 0 {
            return Err(HeadError::EncodingOnHttp10);
        }
        // RFC 9112, section 6.3, rule 3: "Such a message might indicate an attempt to perform request smuggling".
        if claims.length.is_some() {
            return Err(HeadError::LengthAndEncoding);
        }
        if claims.unknown_coding {
            return Err(HeadError::UnknownEncoding);
        }
    }
    Ok(claims)
}

/// RFC 9112, section 6.2: `Content-Length = 1*DIGIT`.
fn length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() {
        return Err(HeadError::InvalidLength);
    }
    if value.contains(&b',') {
        return Err(HeadError::RepeatedLength);
    }
    value
        .iter()
        .try_fold(0_u64, |n, &b| {
            let digit = b.is_ascii_digit().then(|| b - b'0')?;
            n.checked_mul(10)?.checked_add(u64::from(digit))
        })
        .ok_or(HeadError::InvalidLength)
}

/// RFC 9112, section 6.1: `chunked` last and once; of others only whether they are well-formed is looked at.
fn encoding(value: &[u8], claims: &mut Claims) -> Result<(), HeadError> {
    claims.encoded = true;
    for coding in chars::list(value) {
        // "A sender MUST NOT apply the chunked transfer coding more than once to a message body", nor another after it.
        if claims.chunked {
            return Err(HeadError::InvalidEncoding);
        }
        if coding.eq_ignore_ascii_case(b"chunked") {
            claims.chunked = true;
        } else if is_coding(coding) {
            claims.unknown_coding = true;
        } else {
            return Err(HeadError::InvalidEncoding);
        }
    }
    Ok(())
}

/// RFC 9110, section 10.1.4: `transfer-coding = token *( OWS ";" OWS transfer-parameter )`, with tokens as values.
/// `chunked` has no parameters (RFC 9112, section 7.1).
fn is_coding(coding: &[u8]) -> bool {
    let mut parts = coding.split(|&b| b == b';').map(chars::trim);
    let name = parts.next().unwrap_or_default();
    chars::is_token(name)
        && !name.eq_ignore_ascii_case(b"chunked")
        && parts.all(|parameter| {
            let at = parameter.iter().position(|&b| class(b) & TOKEN == 0).unwrap_or(0);
            let value = parameter.get(at..).and_then(|rest| chars::trim(rest).strip_prefix(b"="));
            at > 0 && value.is_some_and(|value| chars::is_token(chars::trim(value)))
        })
}
