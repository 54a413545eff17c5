//! Bodies on their way from one framing to another.

use std::borrow::Cow;

use staniel_core::buffer::Lease;

use crate::h1::{BodyError, BodyState, ChunkedWriter, Framing};

/// In which form a body goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "as it came, framed anew, or bare")]
pub enum Form {
    /// In the framing it came in.
    Wire,
    /// In chunks, though it came otherwise.
    Chunks,
    /// Its content alone.
    Payload,
}

/// What became of some bytes of a body.
#[derive(Debug)]
pub struct Fed {
    /// What goes out; nothing if it was framing alone.
    pub piece: Option<Lease>,
    /// What comes behind the body.
    pub rest: Option<Lease>,
    /// Bytes of content among them.
    pub content: u64,
}

impl Form {
    /// How a body that comes in `framing` goes to a peer that knows HTTP/1.1, or only 1.0.
    #[must_use]
    pub const fn to(framing: Framing, minor: u8) -> Self {
        match framing {
            Framing::None | Framing::Length(_) => Self::Wire,
            Framing::Chunked if minor > 0 => Self::Wire,
            // The peer then sees where it was cut off, and the connection lives on.
            Framing::UntilClose if minor > 0 => Self::Chunks,
            Framing::Chunked | Framing::UntilClose => Self::Payload,
        }
    }

    /// What closes the body, once all of it has gone out.
    #[must_use]
    pub const fn end(self) -> &'static [u8] {
        match self {
            Self::Wire | Self::Payload => b"",
            Self::Chunks => ChunkedWriter::END,
        }
    }
}

/// Feeds what was read to the state of the body. What is clean goes on in the buffer that it was read into.
///
/// # Errors
///
/// A [`BodyError`] where the framing is broken.
pub fn feed(body: &mut BodyState, form: Form, mut bytes: Lease) -> Result<Fed, BodyError> {
    let (mut content, mut whole, mut parts) = (0, 0, Vec::new());
    let taken = match form {
        Form::Wire => {
            let start = bytes.as_ptr();
            body.feed_both(
                &bytes,
                |data| content += data.len() as u64,
                |wire| {
                    // The usual case is one piece, from the front; only what is cut up is copied.
                    if whole == 0 && parts.is_empty() && wire.as_ptr() == start {
                        whole = wire.len();
                    } else {
                        parts.extend_from_slice(wire);
                    }
                },
            )?
        }
        Form::Payload => body.feed(&bytes, |data| {
            content += data.len() as u64;
            parts.extend_from_slice(data);
        })?,
        Form::Chunks => body.feed(&bytes, |data| {
            content += data.len() as u64;
            ChunkedWriter::write(data, &mut parts);
        })?,
    };
    let rest = bytes.get(taken..).filter(|rest| !rest.is_empty()).map(Lease::copy_of);
    bytes.truncate(whole);
    if !parts.is_empty() {
        parts.splice(..0, bytes.iter().copied());
        bytes = Lease::copy_of(&parts);
    }
    Ok(Fed { piece: (!bytes.is_empty()).then_some(bytes), rest, content })
}

/// As [`feed`], for bytes that stay where they are: what goes out of them, and whether something is behind the body.
///
/// # Errors
///
/// A [`BodyError`] where the framing is broken.
pub fn feed_slice<'a>(
    body: &mut BodyState,
    form: Form,
    bytes: &'a [u8],
) -> Result<(Cow<'a, [u8]>, bool), BodyError> {
    if form == Form::Wire {
        let (mut pieces, mut first) = (0, 0);
        let mut parts = Vec::new();
        let taken = body.feed_wire(bytes, |wire| {
            pieces += 1;
            if pieces == 1 && wire.as_ptr() == bytes.as_ptr() {
                first = wire.len();
            } else {
                parts.extend_from_slice(wire);
            }
        })?;
        let front = bytes.get(..first).unwrap_or_default();
        let all = if parts.is_empty() {
            Cow::Borrowed(front)
        } else {
            Cow::Owned([front, &parts].concat())
        };
        return Ok((all, taken < bytes.len()));
    }
    let mut parts = Vec::new();
    let taken = body.feed(bytes, |data| match form {
        Form::Chunks => ChunkedWriter::write(data, &mut parts),
        Form::Wire | Form::Payload => parts.extend_from_slice(data),
    })?;
    Ok((Cow::Owned(parts), taken < bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::h1::Limits;

    #[track_caller]
    fn check(framing: Framing, form: Form, input: &[u8], piece: &[u8], rest: &[u8]) {
        let mut body = BodyState::new(framing, &Limits::default());
        let fed = feed(&mut body, form, Lease::copy_of(input)).unwrap();
        assert_eq!(fed.piece.as_deref().unwrap_or_default(), piece);
        assert_eq!(fed.rest.as_deref().unwrap_or_default(), rest);
        let mut body = BodyState::new(framing, &Limits::default());
        let (all, behind) = feed_slice(&mut body, form, input).unwrap();
        assert_eq!((&*all, behind), (piece, !rest.is_empty()));
    }

    #[test]
    fn bodies_change_their_form() {
        check(Framing::Length(4), Form::Wire, b"bodyGET", b"body", b"GET");
        let chunked = b"4\r\nbody\r\n0\r\n\r\nGET";
        check(Framing::Chunked, Form::Wire, chunked, b"4\r\nbody\r\n0\r\n\r\n", b"GET");
        check(Framing::Chunked, Form::Payload, chunked, b"body", b"GET");
        check(Framing::UntilClose, Form::Chunks, b"body", b"4\r\nbody\r\n", b"");
        let extended = b"4;x=y\r\nbody\r\n0\r\n\r\n";
        check(Framing::Chunked, Form::Wire, extended, b"4\r\nbody\r\n0\r\n\r\n", b"");
    }
}
