//! The client's half of an exchange on HTTP/1.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use http::Extensions;
use staniel_core::buffer::{Class, Lease, scratch};
use staniel_core::calendar::Civil;
use staniel_core::{ConnMeta, Connection, Deadline, Io};
use tokio::io::AsyncWrite;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{BodyError, BodyState, Framing, WireHead};
use crate::exchange::{Answer, BodyRules, DownError, Downstream, reason};
use crate::rate::RateClock;
use crate::server::Settings;
use crate::transfer::{Fed, Form, feed};

/// Up to this much of a body goes into one buffer with its head; more is written from where it is.
const COPIED: usize = 8 * 1024;
/// A body may come in pieces that each say nothing (framing alone); after so many the task lets others run.
const PIECES: usize = 32;

/// How far the answer has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answered {
    Nothing,
    Begun,
    Whole,
    /// Broken off: the connection must not look as if it ended well.
    Spoiled,
}

/// One connection of HTTP/1, and the exchange that is under way on it.
pub(crate) struct H1Down {
    pub(super) io: Io,
    pub(super) meta: ConnMeta,
    pub(super) settings: Arc<Settings>,
    /// Bytes that came and are not consumed: the next head, or the body.
    pub(super) carry: Option<Lease>,
    /// While we wait for the client to send.
    pub(super) reading: Deadline,
    /// The client has finished sending.
    pub(super) half_closed: bool,
    writing: Deadline,
    unsent: Option<Lease>,
    /// Registered once for the connection; the flag beside it is what is looked at.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    upgraded: bool,
    // Of the exchange.
    framing: Framing,
    body: BodyState,
    rules: BodyRules,
    content: u64,
    read_rate: RateClock,
    write_rate: RateClock,
    minor: u8,
    to_head: bool,
    keep_alive: bool,
    waits_for_continue: bool,
    answered: Answered,
    taken: u64,
    sent: u64,
}

// === impl H1Down ===

impl H1Down {
    pub(super) fn new(io: Io, meta: ConnMeta, settings: Arc<Settings>) -> Self {
        let body = BodyState::new(Framing::None, &settings.limits);
        Self {
            io,
            meta,
            settings,
            carry: None,
            reading: Deadline::default(),
            half_closed: false,
            writing: Deadline::default(),
            unsent: None,
            stop: None,
            upgraded: false,
            framing: Framing::None,
            body,
            rules: BodyRules::default(),
            content: 0,
            read_rate: RateClock::default(),
            write_rate: RateClock::default(),
            minor: 1,
            to_head: false,
            keep_alive: true,
            waits_for_continue: false,
            answered: Answered::Nothing,
            taken: 0,
            sent: 0,
        }
    }

    /// Begins the exchange of `head`.
    pub(super) fn begin(&mut self, head: &WireHead) {
        self.framing = head.framing();
        self.body = BodyState::new(self.framing, &self.settings.limits);
        self.content = 0;
        self.allow(BodyRules::default());
        self.minor = head.minor();
        self.to_head = head.asked() == super::Asked::Head;
        self.keep_alive = head.keep_alive();
        // RFC 9110, section 10.1.1: a client that sends its body anyway need not be told.
        self.waits_for_continue =
            head.expects_continue() && self.carry.is_none() && !self.body.is_done();
        self.answered = Answered::Nothing;
        self.taken = head.wire_len() as u64;
        self.sent = 0;
        self.reading.disarm();
    }

    pub(super) fn was_upgraded(&self) -> bool {
        self.upgraded
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.answered == Answered::Spoiled
    }

    /// Whether another request may come on this connection, as far as the answer is concerned.
    pub(super) fn is_reusable(&self) -> bool {
        // A client that was never told to go on may send its body or not: where the next request begins is then unclear.
        self.answered == Answered::Whole && self.keep_alive && !self.waits_for_continue
    }

    /// Whether the endpoint drains. The first look also sees to being woken when it begins to.
    pub(super) fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        let stopping = self.meta.stopping();
        if stopping.is_set() {
            return true;
        }
        if self.stop.is_none() {
            let mut stop = Box::pin(stopping.token().clone().cancelled_owned());
            let is_set = stop.as_mut().poll(cx).is_ready();
            self.stop = Some(stop);
            return is_set;
        }
        false
    }

    /// Whether the connection goes on after this exchange; asked once, when the answer's head is written.
    fn stays_open(&mut self) -> bool {
        self.keep_alive &= !self.half_closed && !self.meta.stopping().is_set();
        self.keep_alive
    }

    /// Writes a head and the beginning of a body: in one buffer if they are small, gathered if not.
    fn write_head(&mut self, head: &[u8], body: &[u8]) -> Result<(), DownError> {
        let total = head.len() + body.len();
        let written = match self.unsent {
            // An interim answer is still in the way.
            Some(_) => Ok(0),
            None => self.io.write_now(&[IoSlice::new(head), IoSlice::new(body)]),
        };
        let n = self.wrote(written)?;
        if n < total {
            let mut rest = Vec::with_capacity(total - n);
            rest.extend_from_slice(head.get(n.min(head.len())..).unwrap_or_default());
            rest.extend_from_slice(body.get(n.saturating_sub(head.len())..).unwrap_or_default());
            self.hold(Lease::copy_of(&rest));
        }
        Ok(())
    }

    fn hold(&mut self, more: Lease) {
        self.unsent = Some(match self.unsent.take() {
            None => more,
            Some(first) => Lease::copy_of(&[first.as_slice(), more.as_slice()].concat()),
        });
    }

    fn wrote(&mut self, written: io::Result<usize>) -> Result<usize, DownError> {
        match written {
            Ok(n) => {
                self.sent += n as u64;
                self.write_rate.moved(n);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(self.gone(error)),
        }
    }

    fn gone(&mut self, error: io::Error) -> DownError {
        self.keep_alive = false;
        DownError::Gone(error)
    }

    /// Feeds what is at hand to the body.
    fn feed_carry(&mut self) -> Result<Option<Lease>, DownError> {
        let Some(bytes) = self.carry.take() else { return Ok(None) };
        let before = bytes.len();
        self.waits_for_continue = false;
        let Fed { piece, rest, content } =
            feed(&mut self.body, Form::Wire, bytes).map_err(|error| {
                self.keep_alive = false;
                DownError::Body(error)
            })?;
        self.taken += (before - rest.as_ref().map_or(0, |rest| rest.len())) as u64;
        self.carry = rest;
        self.content += content;
        if self.rules.max.is_some_and(|max| self.content > max) {
            self.keep_alive = false;
            return Err(DownError::TooLarge);
        }
        Ok(piece)
    }

    /// The lines that say how the connection and the body go on.
    fn write_own_lines(&mut self, out: &mut Vec<u8>, chunked: bool) {
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !self.stays_open() {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.minor == 0 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl Downstream for H1Down {
    fn meta(&self) -> &ConnMeta {
        &self.meta
    }

    fn allow(&mut self, rules: BodyRules) {
        self.read_rate = RateClock::new(rules.min_rate, rules.idle);
        self.write_rate = RateClock::new(rules.min_rate, rules.idle);
        self.rules = rules;
    }

    fn bytes(&self) -> (u64, u64) {
        (self.taken, self.sent)
    }

    fn body_framing(&self) -> Framing {
        self.framing
    }

    fn body_done(&self) -> bool {
        self.body.is_done()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Lease>, DownError>> {
        if let (Framing::Length(length), Some(max)) = (self.framing, self.rules.max)
            && length > max
        {
            self.keep_alive = false;
            return Poll::Ready(Err(DownError::TooLarge));
        }
        for _ in 0..PIECES {
            if self.body.is_done() {
                return Poll::Ready(Ok(None));
            }
            if let Some(piece) = self.feed_carry()? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.body.is_done() {
                return Poll::Ready(Ok(None));
            }
            match self.io.poll_fill(cx, &mut self.carry, Class::Block) {
                Poll::Ready(Ok(0)) => {
                    self.half_closed = true;
                    self.keep_alive = false;
                    return Poll::Ready(Err(DownError::Body(BodyError::Truncated)));
                }
                Poll::Ready(Ok(n)) => self.read_rate.moved(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.gone(error))),
                Poll::Pending => {
                    self.read_rate.wait(&mut self.reading);
                    ready!(self.reading.poll_expired(cx));
                    self.keep_alive = false;
                    return Poll::Ready(Err(DownError::SendsTooSlowly));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn body_at_hand(&mut self) -> Result<Option<Lease>, DownError> {
        if self.body.is_done() { Ok(None) } else { self.feed_carry() }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownError> {
        // What it sends ahead is kept, one read of it; more waits in the kernel.
        if self.carry.is_some() || self.half_closed {
            return Poll::Pending;
        }
        match ready!(self.io.poll_fill(cx, &mut self.carry, Class::Block)) {
            Ok(0) => self.half_closed = true,
            Ok(_) => self.carry = self.carry.take().map(Lease::settle),
            Err(error) => return Poll::Ready(self.gone(error)),
        }
        Poll::Pending
    }

    fn waits_for_continue(&self) -> bool {
        self.waits_for_continue
    }

    fn interim(&mut self, head: &WireHead) -> Result<(), DownError> {
        if self.minor == 0 || self.answered != Answered::Nothing {
            return Ok(());
        }
        if head.status() == 100 {
            // One "go on" for one question.
            if !self.waits_for_continue {
                return Ok(());
            }
            self.waits_for_continue = false;
        }
        scratch(|out| {
            head.write_start(out);
            head.write_fields(out);
            out.extend_from_slice(b"\r\n");
            self.write_head(out, b"")
        })
    }

    fn form(&self, framing: Framing) -> Form {
        Form::to(framing, self.minor)
    }

    fn respond(
        &mut self,
        head: &WireHead,
        framing: Framing,
        first: &[u8],
    ) -> Result<(), DownError> {
        let form = self.form(framing);
        // Without a length, the end of the body is the end of the connection.
        self.keep_alive &= form != Form::Payload;
        self.answered = Answered::Begun;
        let chunked = form == Form::Chunks || (form == Form::Wire && framing == Framing::Chunked);
        scratch(|out| {
            head.write_start(out);
            head.write_fields(out);
            if head.status() == 101 {
                let protocol = head.upgrade().unwrap_or_default();
                out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
                out.extend_from_slice(protocol);
                out.extend_from_slice(b"\r\n\r\n");
                return self.write_head(out, b"");
            }
            self.write_own_lines(out, chunked);
            if first.len() <= COPIED {
                out.extend_from_slice(first);
                self.write_head(out, b"")
            } else {
                self.write_head(out, first)
            }
        })
    }

    fn answer(&mut self, answer: &Answer) -> Result<(), DownError> {
        self.answered = Answered::Whole;
        scratch(|out| {
            let Answer { status, content_type, fields, body } = answer;
            out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(*status)).as_bytes());
            let date = Civil::of(SystemTime::now()).http_date();
            out.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
            for (name, value) in fields {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            // RFC 9110, section 8.6: neither 1xx nor 204 has a length, and 304 would have that of another answer.
            if !matches!(status, 100..200 | 204 | 304) {
                if !body.is_empty() {
                    out.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
                }
                out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
            }
            self.write_own_lines(out, false);
            let body =
                if self.to_head || matches!(status, 100..200 | 204 | 304) { &[][..] } else { body };
            self.write_head(out, body)
        })
    }

    fn send(&mut self, mut piece: Lease) -> Result<(), DownError> {
        if self.unsent.is_none() {
            let written = self.io.write_now(&[IoSlice::new(&piece)]);
            let n = self.wrote(written)?;
            piece.consume(n);
        }
        if !piece.is_empty() {
            self.hold(piece);
        }
        Ok(())
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownError>> {
        while let Some(unsent) = &mut self.unsent {
            match Pin::new(&mut self.io).poll_write(cx, unsent) {
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(self.gone(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(n)) => {
                    unsent.consume(n);
                    if unsent.is_empty() {
                        self.unsent = None;
                    }
                    self.sent += n as u64;
                    self.write_rate.moved(n);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.gone(error))),
                Poll::Pending => {
                    // What has to wait moves out of the large block.
                    self.unsent = self.unsent.take().map(Lease::settle);
                    self.write_rate.wait(&mut self.writing);
                    ready!(self.writing.poll_expired(cx));
                    self.keep_alive = false;
                    return Poll::Ready(Err(DownError::ReadsTooSlowly));
                }
            }
        }
        if self.io.as_tcp().is_none() {
            let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
            flushed.map_err(|error| self.gone(error))?;
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self) {
        if self.answered == Answered::Begun {
            self.answered = Answered::Whole;
        }
    }

    fn is_answered(&self) -> bool {
        self.answered != Answered::Nothing
    }

    fn spoil(&mut self) {
        self.answered = Answered::Spoiled;
        self.keep_alive = false;
    }

    fn close_after(&mut self) {
        self.keep_alive = false;
    }

    fn upgrade(&mut self) -> Option<Connection> {
        if self.upgraded {
            return None;
        }
        self.upgraded = true;
        let nothing = Io::from_stream(tokio::io::empty());
        let mut io = std::mem::replace(&mut self.io, nothing);
        if let Some(ahead) = self.carry.take() {
            io.unread(ahead);
        }
        Some(Connection::from_parts(io, self.meta.clone(), Extensions::new()))
    }
}
