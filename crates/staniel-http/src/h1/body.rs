//! A body as a count of bytes, whatever its framing.

use super::BodyError;
use super::chunked::{Both, ChunkedReader, Data, Sink, Wire};
use super::framing::Framing;
use super::limits::Limits;

/// How much of a body is still to come.
#[derive(Debug)]
pub struct BodyState {
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    Length(u64),
    Chunked(ChunkedReader),
    UntilClose,
    Closed,
}

// === impl BodyState ===

impl BodyState {
    /// A body of which nothing has come yet.
    #[must_use]
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        let rest = match framing {
            Framing::None => Rest::Length(0),
            Framing::Length(n) => Rest::Length(n),
            Framing::Chunked => Rest::Chunked(ChunkedReader::new(limits)),
            Framing::UntilClose => Rest::UntilClose,
        };
        Self { rest }
    }

    /// Says how many of `bytes` belong to this body, counted as they stand on the wire; `data` sees the content. What is
    /// left over is the next message.
    ///
    /// # Errors
    ///
    /// A [`BodyError`], the same one in every later call.
    pub fn feed(&mut self, bytes: &[u8], data: impl FnMut(&[u8])) -> Result<usize, BodyError> {
        self.run(bytes, &mut Data(data))
    }

    /// As [`Self::feed`], but `wire` sees the pieces that are to be sent to a peer that gets the body in the same
    /// framing: all of the input but what must not be passed on. The pieces of all calls joined are a well-formed body,
    /// however it was split; where [`Self::wire_is_clean`] they are the input.
    ///
    /// # Errors
    ///
    /// A [`BodyError`], the same one in every later call. The pieces of this call are then not complete.
    pub fn feed_wire(&mut self, bytes: &[u8], wire: impl FnMut(&[u8])) -> Result<usize, BodyError> {
        self.run(bytes, &mut Wire(wire))
    }

    /// As [`Self::feed_wire`], and `data` sees the content beside it.
    ///
    /// # Errors
    ///
    /// As [`Self::feed_wire`].
    pub fn feed_both(
        &mut self,
        bytes: &[u8],
        data: impl FnMut(&[u8]),
        wire: impl FnMut(&[u8]),
    ) -> Result<usize, BodyError> {
        self.run(bytes, &mut Both(data, wire))
    }

    fn run(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, BodyError> {
        let taken = match &mut self.rest {
            Rest::Chunked(reader) => return reader.run(bytes, sink),
            Rest::UntilClose => bytes,
            Rest::Closed => b"",
            Rest::Length(rest) => {
                let taken =
                    usize::try_from(*rest).ok().and_then(|n| bytes.get(..n)).unwrap_or(bytes);
                *rest -= taken.len() as u64;
                taken
            }
        };
        if !taken.is_empty() {
            sink.data(taken);
            sink.wire(taken);
        }
        Ok(taken.len())
    }

    /// Whether all that the last call took may be sent as it is.
    #[must_use]
    pub fn wire_is_clean(&self) -> bool {
        match &self.rest {
            Rest::Chunked(reader) => reader.wire_is_clean(),
            _ => true,
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.rest {
            Rest::Length(rest) => *rest == 0,
            Rest::Chunked(reader) => reader.is_done(),
            Rest::UntilClose => false,
            Rest::Closed => true,
        }
    }

    /// How many bytes are still to come, where that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match &self.rest {
            Rest::Length(rest) => Some(*rest),
            _ if self.is_done() => Some(0),
            _ => None,
        }
    }

    /// Counts `n` bytes that went past this state, from socket to socket. A chunked body cannot go that way.
    pub fn took(&mut self, n: u64) {
        if let Rest::Length(rest) = &mut self.rest {
            *rest = rest.saturating_sub(n);
        }
    }

    /// Says that the peer has closed.
    ///
    /// # Errors
    ///
    /// [`BodyError::Truncated`] if the body ends before its end (RFC 9112, section 8).
    pub fn finish_at_eof(&mut self) -> Result<(), BodyError> {
        if matches!(self.rest, Rest::UntilClose) {
            self.rest = Rest::Closed;
        }
        if self.is_done() { Ok(()) } else { Err(BodyError::Truncated) }
    }

    /// The trailer lines that may be passed on, each with its CRLF, once the body is complete.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.rest {
            Rest::Chunked(reader) => reader.trailers(),
            _ => b"",
        }
    }
}
