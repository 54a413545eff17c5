//! The client's half of an exchange on HTTP/1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use staniel_core::buffer::Lease;
use staniel_core::{CloseReason, ConnMeta, Deadline, Io};
use tokio_util::sync::WaitForCancellationFutureOwned;

use self::exchange::{Answered, Exchange};
use super::outgoing::Outgoing;
use super::{Asked, Framing, WireHead};
use crate::exchange::{BodyRules, DownError, Downstream};
use crate::rate::RateClock;
use crate::server::Settings;
use crate::transfer::{Fed, Form, feed};

mod downstream;
mod exchange;

/// How much of a body that nobody wanted is read so that the connection can be used again.
pub(super) const DRAINED: u64 = 64 * 1024;
/// Up to this much of a body goes into one buffer with its head; more is written from where it is.
const COPIED: usize = 8 * 1024;

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
    out: Outgoing,
    /// Registered once for the connection; the flag beside it is what is looked at.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    upgraded: bool,
    exchange: Exchange,
}

// === impl H1Down ===

impl H1Down {
    pub(super) fn new(io: Io, meta: ConnMeta, settings: Arc<Settings>) -> Self {
        Self {
            exchange: Exchange::new(&settings, Framing::None),
            io,
            meta,
            settings,
            carry: None,
            reading: Deadline::default(),
            half_closed: false,
            writing: Deadline::default(),
            out: Outgoing::default(),
            stop: None,
            upgraded: false,
        }
    }

    /// Begins the exchange of `head`.
    pub(super) fn begin(&mut self, head: &WireHead) {
        self.reading.disarm();
        let mut exchange = Exchange::new(&self.settings, head.framing());
        exchange.minor = head.minor();
        exchange.asked = head.asked();
        exchange.keep_alive = head.keep_alive();
        exchange.is_last = !head.keep_alive();
        // RFC 9110, section 10.1.1: a client that sends its body anyway need not be told.
        exchange.waits_for_continue =
            head.expects_continue() && self.carry.is_none() && !exchange.body.is_done();
        exchange.taken = head.wire_len() as u64;
        self.exchange = exchange;
    }

    /// Begins the answer to what could not be an exchange. A client that does not take it is waited for no longer than
    /// `patience`.
    pub(super) fn begin_refusal(&mut self, patience: Duration) {
        self.exchange = Exchange::new(&self.settings, Framing::None);
        self.exchange.keep_alive = false;
        self.allow(BodyRules { idle: Some(patience), ..BodyRules::default() });
    }

    /// Begins to read a body that nobody wanted: how it was read before does not count.
    pub(super) fn begin_drain(&mut self) {
        let BodyRules { min_rate, idle, .. } = self.exchange.rules;
        self.exchange.read_rate = RateClock::new(min_rate, idle);
    }

    pub(super) fn was_upgraded(&self) -> bool {
        self.upgraded
    }

    /// Whether another request may come on this connection, as far as the answer is concerned.
    pub(super) fn is_reusable(&self) -> bool {
        let Exchange { answered, keep_alive, switched, .. } = self.exchange;
        answered == Answered::Whole && keep_alive && !switched
    }

    /// Whether the answer was begun and will not be finished.
    pub(super) fn is_broken_off(&self) -> bool {
        matches!(self.exchange.answered, Answered::Begun | Answered::Spoiled)
    }

    /// Whether the client must not take what it got for a whole answer.
    pub(super) fn is_cut_short(&self) -> bool {
        !self.upgraded && (self.is_broken_off() || !self.out.is_empty())
    }

    /// Whether the connection ends only because its endpoint does.
    pub(super) fn is_drained(&self) -> bool {
        self.exchange.drained
    }

    /// Whether bytes may be under way to us that nobody will read.
    pub(super) fn may_get_more(&self) -> bool {
        let expected = !self.exchange.is_last || !self.body_done() || self.carry.is_some();
        self.is_answered() && !self.half_closed && (expected || !self.io.is_quiet())
    }

    /// Whether what is left of the body is known to be more than anybody will read for nothing.
    pub(super) fn has_much_left(&self) -> bool {
        self.exchange.body.remaining().is_some_and(|rest| rest > DRAINED)
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
        let exchange = &mut self.exchange;
        // A client that was never told to go on may send its body or not: where the next request begins is then unclear.
        exchange.keep_alive &= !self.half_closed && !exchange.waits_for_continue;
        if exchange.keep_alive && self.meta.stopping().is_set() {
            exchange.keep_alive = false;
            exchange.drained = true;
        }
        exchange.keep_alive
    }

    /// Writes a head and the beginning of a body: in one buffer if they are small, gathered if not.
    fn write_head(&mut self, head: &mut Vec<u8>, mut body: &[u8]) -> Result<(), DownError> {
        if body.len() <= COPIED {
            head.extend_from_slice(body);
            body = b"";
        }
        let written = self.out.write(&mut self.io, head, body);
        self.wrote(written)
    }

    fn wrote(&mut self, written: io::Result<usize>) -> Result<(), DownError> {
        let n = written.map_err(|error| self.gone(error))?;
        if n > 0 {
            self.exchange.sent += n as u64;
            self.exchange.write_rate.moved(n);
        }
        Ok(())
    }

    /// Makes this the last exchange, for a reason.
    fn end(&mut self, why: CloseReason) {
        self.exchange.keep_alive = false;
        self.meta.end(why);
    }

    fn gone(&mut self, error: io::Error) -> DownError {
        self.end(broke(&error));
        DownError::Gone(error)
    }

    /// Feeds what is at hand to the body.
    fn feed_carry(&mut self) -> Result<Option<Lease>, DownError> {
        self.check_length()?;
        let Some(bytes) = self.carry.take() else { return Ok(None) };
        let exchange = &mut self.exchange;
        exchange.waits_for_continue = false;
        let before = bytes.len();
        let Fed { piece, rest, content } = match feed(&mut exchange.body, Form::Wire, bytes) {
            Ok(fed) => fed,
            Err(error) => {
                self.end(CloseReason::ProtocolError);
                return Err(DownError::Body(error));
            }
        };
        let taken = before - rest.as_ref().map_or(0, |rest| rest.len());
        exchange.read_rate.moved(taken);
        exchange.taken += taken as u64;
        exchange.content += content;
        self.carry = rest;
        if exchange.rules.max.is_some_and(|max| exchange.content > max) {
            exchange.keep_alive = false;
            return Err(DownError::TooLarge);
        }
        Ok(piece)
    }

    /// Refuses a body that is too large by its own word before any of it is read.
    fn check_length(&mut self) -> Result<(), DownError> {
        match (self.exchange.framing, self.exchange.rules.max) {
            (Framing::Length(length), Some(max)) if length > max => {
                self.exchange.keep_alive = false;
                Err(DownError::TooLarge)
            }
            _ => Ok(()),
        }
    }

    /// Sees to what is unsent while something else is waited for: nobody else may.
    fn push(&mut self, cx: &mut Context<'_>) -> Result<(), DownError> {
        match self.out.is_empty() {
            true => Ok(()),
            false => match self.poll_sent(cx) {
                Poll::Ready(Err(error)) => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// The lines that say how the connection and the body go on.
    fn write_own_lines(&mut self, out: &mut Vec<u8>, chunked: bool) {
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if !self.stays_open() {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.exchange.minor == 0 {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
    }

    /// Whether an answer with this status has no body, and whether it makes the connection one of another protocol.
    fn begin_answer(&mut self, status: u16) {
        let tunnel = self.exchange.asked == Asked::Connect && matches!(status, 200..300);
        self.exchange.switched = status == 101 || tunnel;
        // RFC 9112, section 6.3, rules 1 and 2.
        self.exchange.bodiless =
            tunnel || self.exchange.asked == Asked::Head || matches!(status, 100..200 | 204 | 304);
    }
}

/// Why a connection with this error is over.
pub(super) fn broke(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => CloseReason::PeerReset,
        _ => CloseReason::PeerClosed,
    }
}

impl Drop for H1Down {
    /// However it ends (a panic, an abort, an error), half an answer must not look whole.
    fn drop(&mut self) {
        if self.is_cut_short() {
            self.io.reset_on_close();
        }
    }
}
