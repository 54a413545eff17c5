//! What is on its way out of a connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use staniel_core::Io;
use staniel_core::buffer::Lease;
use tokio::io::AsyncWrite;

/// Bytes that the socket has not taken yet. Whatever is written goes behind them.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    unsent: Option<Lease>,
    /// A wrapped stream (a cipher) may hold back what it was given.
    unflushed: bool,
}

// === impl Outgoing ===

impl Outgoing {
    /// Whether everything has left.
    pub(super) fn is_empty(&self) -> bool {
        self.unsent.is_none() && !self.unflushed
    }

    /// Writes `head` and, gathered, `body`: what the socket takes now, which is how many bytes; the rest is held.
    pub(super) fn write(&mut self, io: &mut Io, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let n = self.write_now(io, &[IoSlice::new(head), IoSlice::new(body)])?;
        if n < head.len() + body.len() {
            let rest_of_head = head.get(n.min(head.len())..).unwrap_or_default();
            let rest_of_body = body.get(n.saturating_sub(head.len())..).unwrap_or_default();
            self.hold(&[rest_of_head, rest_of_body]);
        }
        Ok(n)
    }

    /// As [`Outgoing::write`]; what is left stays in its buffer.
    pub(super) fn send(&mut self, io: &mut Io, mut piece: Lease) -> io::Result<usize> {
        let n = self.write_now(io, &[IoSlice::new(&piece)])?;
        piece.consume(n);
        if self.unsent.is_some() {
            self.hold(&[&piece]);
        } else if !piece.is_empty() {
            self.unsent = Some(piece);
        }
        Ok(n)
    }

    /// Ready when everything has left. `took` is told of what the socket takes.
    pub(super) fn poll_sent(
        &mut self,
        io: &mut Io,
        cx: &mut Context<'_>,
        mut took: impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        while let Some(unsent) = &mut self.unsent {
            match Pin::new(&mut *io).poll_write(cx, unsent) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    unsent.consume(n);
                    if unsent.is_empty() {
                        self.unsent = None;
                    }
                    self.unflushed = io.as_tcp().is_none();
                    took(n);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    // What has to wait moves out of the large block.
                    self.unsent = self.unsent.take().map(Lease::settle);
                    return Poll::Pending;
                }
            }
        }
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn write_now(&mut self, io: &mut Io, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.unsent.is_some() || parts.iter().all(|part| part.is_empty()) {
            return Ok(0);
        }
        match io.write_now(parts) {
            Ok(n) => {
                self.unflushed |= io.as_tcp().is_none();
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn hold(&mut self, parts: &[&[u8]]) {
        let held = self.unsent.take();
        let held = held.as_ref().map_or(&[][..], Lease::as_slice);
        let all = parts.iter().fold(held.to_vec(), |mut all, part| {
            all.extend_from_slice(part);
            all
        });
        self.unsent = (!all.is_empty()).then(|| Lease::copy_of(&all));
    }
}
