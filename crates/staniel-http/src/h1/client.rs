//! A client connection of HTTP/1: one request, its answer, and perhaps another.

use std::borrow::Cow;
use std::io;
use std::task::{Context, Poll, Waker, ready};

use http::Extensions;
use staniel_core::buffer::{Class, Lease};
use staniel_core::{ConnMeta, Connection, Io};

use super::outgoing::Outgoing;
use super::{Asked, BodyError, BodyState, Framing, HeadError, Limits, Parsed, Progress, WireHead};
use crate::transfer::{Fed, Form, feed, feed_slice};

/// How many interim answers one request may get: an upstream that sends them for ever is broken.
const INTERIM: u8 = 16;

/// Why the upstream's half of an exchange failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// It closed before an answer began.
    #[error("the upstream closed the connection without an answer")]
    Closed,
    /// It closed in the middle of the answer, or behind an interim one.
    #[error("the upstream closed in the middle of its answer")]
    Truncated,
    /// The connection broke.
    #[error("the connection to the upstream broke")]
    Io(#[source] io::Error),
    /// Its answer's head is malformed or ambiguous.
    #[error("malformed answer from the upstream")]
    Head(#[source] HeadError),
    /// Its answer's body is malformed.
    #[error("malformed answer body from the upstream")]
    Body(#[source] BodyError),
    /// It sent something that nobody asked for.
    #[error("unasked-for bytes from the upstream")]
    Unasked,
}

/// A connection to an HTTP/1 server that carries one exchange at a time.
#[derive(Debug)]
pub struct H1Client {
    io: Io,
    meta: ConnMeta,
    /// Has carried an exchange before.
    reused: bool,
    // Of the exchange.
    held: Option<Lease>,
    progress: Progress,
    asked: Asked,
    interim: u8,
    out: Outgoing,
    wrote_any: bool,
    heard_any: bool,
    body: Option<BodyState>,
    /// The answer is whole and lets the connection live.
    reusable: bool,
}

// === impl H1Client ===

impl H1Client {
    /// Speaks HTTP/1 on a fresh connection.
    #[must_use]
    pub fn new(conn: Connection) -> Self {
        let (io, meta, _) = conn.into_parts();
        Self {
            io,
            meta,
            reused: false,
            held: None,
            progress: Progress::default(),
            asked: Asked::Other,
            interim: 0,
            out: Outgoing::default(),
            wrote_any: false,
            heard_any: false,
            body: None,
            reusable: false,
        }
    }

    /// The connection.
    #[must_use]
    pub fn meta(&self) -> &ConnMeta {
        &self.meta
    }

    /// Whether it lives as far as can be seen without a system call.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.io.is_quiet()
    }

    /// Whether it has carried an exchange before this one: then it may have died in the moment it was taken.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether any byte of the request may have reached the upstream.
    #[must_use]
    pub fn wrote_any(&self) -> bool {
        self.wrote_any
    }

    /// Whether a byte of the answer has come.
    #[must_use]
    pub fn heard_any(&self) -> bool {
        self.heard_any
    }

    /// Begins a request with its head and what is at hand of its body; sends what the upstream takes now.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Io`]; [`UpstreamError::Closed`] and [`UpstreamError::Unasked`] if the upstream has closed or spoken
    /// before it was asked: then nothing was written.
    pub fn begin(&mut self, asked: Asked, head: &[u8], body: &[u8]) -> Result<(), UpstreamError> {
        self.asked = asked;
        self.interim = 0;
        self.progress = Progress::default();
        self.wrote_any = false;
        self.heard_any = false;
        self.body = None;
        self.reusable = false;
        self.check_silence()?;
        let written = self.out.write(&mut self.io, head, body);
        self.wrote(written)
    }

    /// What an upstream says before it is asked would be taken for the answer, perhaps to the request of another client.
    fn check_silence(&mut self) -> Result<(), UpstreamError> {
        let mut cx = Context::from_waker(Waker::noop());
        match self.io.poll_fill(&mut cx, &mut self.held, Class::Half) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(0)) => Err(UpstreamError::Closed),
            Poll::Ready(Ok(_)) => {
                self.heard_any = true;
                Err(UpstreamError::Unasked)
            }
            Poll::Ready(Err(error)) => Err(UpstreamError::Io(error)),
        }
    }

    fn wrote(&mut self, written: io::Result<usize>) -> Result<(), UpstreamError> {
        let n = written.map_err(UpstreamError::Io)?;
        self.wrote_any |= n > 0;
        Ok(())
    }

    /// Sends a piece of the request's body; to be called when [`H1Client::poll_sent`] is ready.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Io`].
    pub fn send(&mut self, piece: Lease) -> Result<(), UpstreamError> {
        let written = self.out.send(&mut self.io, piece);
        self.wrote(written)
    }

    /// Ready when the upstream's socket has taken everything so far.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Io`].
    pub fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        let wrote_any = &mut self.wrote_any;
        let polled = self.out.poll_sent(&mut self.io, cx, |n| *wrote_any |= n > 0);
        polled.map_err(UpstreamError::Io)
    }

    /// Whether everything so far has been taken.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.out.is_empty()
    }

    /// The next head of the answer; an interim one (1xx but 101) is followed by another.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`].
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        limits: &Limits,
    ) -> Poll<Result<WireHead, UpstreamError>> {
        loop {
            if let Some(bytes) = self.held.take() {
                match WireHead::parse_response(bytes, &mut self.progress, limits, self.asked) {
                    Ok(Parsed::Head(head, _)) => return Poll::Ready(self.took_head(head, limits)),
                    Ok(Parsed::Partial(bytes)) => self.held = Some(bytes),
                    Err(error) => return Poll::Ready(Err(UpstreamError::Head(error))),
                }
            }
            match self.io.poll_fill(cx, &mut self.held, Class::Block) {
                Poll::Ready(Ok(0)) if self.heard_any => {
                    return Poll::Ready(Err(UpstreamError::Truncated));
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(UpstreamError::Closed)),
                Poll::Ready(Ok(_)) => self.heard_any = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(UpstreamError::Io(error))),
                Poll::Pending => {
                    self.held = self.held.take().map(Lease::settle);
                    return Poll::Pending;
                }
            }
        }
    }

    fn took_head(
        &mut self,
        mut head: WireHead,
        limits: &Limits,
    ) -> Result<WireHead, UpstreamError> {
        match head.status() {
            101 => {}
            100..200 => {
                self.interim += 1;
                if self.interim > INTERIM {
                    return Err(UpstreamError::Unasked);
                }
                self.held = head.take_behind();
            }
            status => {
                let body = BodyState::new(head.framing(), limits);
                let tunnel = self.asked == Asked::Connect && matches!(status, 200..300);
                // RFC 9112, section 9.2: what comes behind the last answer answers nothing.
                let more = body.is_done() && !head.behind().is_empty();
                self.reusable = head.keep_alive() && !tunnel && !more;
                self.body = Some(body);
            }
        }
        Ok(head)
    }

    /// What stands behind the head of the answer, in the form in which it goes out. To be called once for the final head.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Body`].
    pub fn first<'a>(
        &mut self,
        head: &'a WireHead,
        form: Form,
    ) -> Result<Cow<'a, [u8]>, UpstreamError> {
        let Some(body) = &mut self.body else { return Ok(Cow::Borrowed(&[])) };
        let (first, more) = feed_slice(body, form, head.behind()).map_err(UpstreamError::Body)?;
        self.reusable &= !more;
        Ok(first)
    }

    /// The next piece of the answer's body, in the form in which it goes out; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`].
    pub fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        form: Form,
    ) -> Poll<Result<Option<Lease>, UpstreamError>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
        loop {
            if body.is_done() {
                return Poll::Ready(Ok(None));
            }
            let mut bytes = None;
            let n = ready!(self.io.poll_fill(cx, &mut bytes, Class::Block))
                .map_err(UpstreamError::Io)?;
            let Some(bytes) = bytes.filter(|_| n > 0) else {
                self.reusable = false;
                return Poll::Ready(
                    body.finish_at_eof().map(|()| None).map_err(|_| UpstreamError::Truncated),
                );
            };
            let Fed { piece, rest, .. } = feed(body, form, bytes).map_err(UpstreamError::Body)?;
            self.reusable &= rest.is_none();
            if let Some(piece) = piece {
                return Poll::Ready(Ok(Some(piece)));
            }
        }
    }

    /// Whether the answer's body is complete.
    #[must_use]
    pub fn body_done(&self) -> bool {
        self.body.as_ref().is_some_and(BodyState::is_done)
    }

    /// How much of the answer's body is still to come, where that is known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.body.as_ref().and_then(BodyState::remaining)
    }

    /// This connection for another exchange, if its answer is whole, its request was sent whole, and neither side said that
    /// it was the last.
    #[must_use]
    pub fn reuse(mut self, request_done: bool) -> Option<Self> {
        let whole = self.reusable && request_done && self.is_sent() && self.body_done();
        whole.then(|| {
            self.reused = true;
            self.body = None;
            self
        })
    }

    /// The connection, after a 101, for another protocol. `head` is the answer that said so.
    #[must_use]
    pub fn upgrade(mut self, head: &mut WireHead) -> Connection {
        if let Some(ahead) = head.take_behind() {
            self.io.unread(ahead);
        }
        Connection::from_parts(self.io, self.meta, Extensions::new())
    }
}

/// The framing of a request as lines of its head.
pub fn write_framing(framing: Framing, out: &mut Vec<u8>) {
    // `Content-Length` is no hop-by-hop field and still stands among the others.
    if framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
}
