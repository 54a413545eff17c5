//! What an exchange does with its client.

use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use http::Extensions;
use staniel_core::buffer::{Class, Lease, scratch};
use staniel_core::calendar::Civil;
use staniel_core::{CloseReason, ConnMeta, Connection, Io};
use tokio::io::ReadBuf;

use super::H1Down;
use super::exchange::Answered;
use crate::exchange::{Answer, BodyRules, DownError, Downstream, reason};
use crate::h1::{Asked, BodyError, Framing, WireHead};
use crate::rate::RateClock;
use crate::transfer::Form;

/// A body may come in pieces that each say nothing (framing alone); after so many the task lets others run.
const PIECES: usize = 32;

impl Downstream for H1Down {
    fn meta(&self) -> &ConnMeta {
        &self.meta
    }

    fn allow(&mut self, rules: BodyRules) {
        self.exchange.read_rate = RateClock::new(rules.min_rate, rules.idle);
        self.exchange.write_rate = RateClock::new(rules.min_rate, rules.idle);
        self.exchange.rules = rules;
    }

    fn bytes(&self) -> (u64, u64) {
        (self.exchange.taken, self.exchange.sent)
    }

    fn body_framing(&self) -> Framing {
        self.exchange.framing
    }

    fn body_done(&self) -> bool {
        self.exchange.body.is_done()
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Lease>, DownError>> {
        self.push(cx)?;
        for _ in 0..PIECES {
            if self.exchange.body.is_done() {
                return Poll::Ready(Ok(None));
            }
            if let Some(piece) = self.feed_carry()? {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.exchange.body.is_done() {
                return Poll::Ready(Ok(None));
            }
            match self.io.poll_fill(cx, &mut self.carry, Class::Block) {
                Poll::Ready(Ok(0)) => {
                    self.half_closed = true;
                    self.end(CloseReason::PeerClosed);
                    return Poll::Ready(Err(DownError::Body(BodyError::Truncated)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.gone(error))),
                // It is we whom the client waits for.
                Poll::Pending if self.exchange.waits_for_continue => return Poll::Pending,
                Poll::Pending => {
                    self.exchange.read_rate.wait(&mut self.reading);
                    ready!(self.reading.poll_expired(cx));
                    self.end(CloseReason::BodyTooSlow);
                    return Poll::Ready(Err(DownError::SendsTooSlowly));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn body_at_hand(&mut self) -> Result<Option<Lease>, DownError> {
        if self.exchange.body.is_done() { Ok(None) } else { self.feed_carry() }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownError> {
        if let Err(error) = self.push(cx) {
            return Poll::Ready(error);
        }
        if self.half_closed {
            return Poll::Pending;
        }
        // What it sends ahead is kept, one read of it; more waits in the kernel. A reset is seen if nothing does.
        if self.carry.is_some() {
            let mut one = [0];
            let mut one = ReadBuf::new(&mut one);
            let peeked = self.io.as_tcp().map(|socket| socket.poll_peek(cx, &mut one));
            return match peeked {
                Some(Poll::Ready(Err(error))) => Poll::Ready(self.gone(error)),
                _ => Poll::Pending,
            };
        }
        match ready!(self.io.poll_fill(cx, &mut self.carry, Class::Block)) {
            Ok(0) => self.half_closed = true,
            Ok(_) => {
                self.carry = self.carry.take().map(Lease::settle);
                // It did not wait, so this is its body; and it is not the client any more who is waited for.
                self.exchange.waits_for_continue &= self.exchange.body.is_done();
                self.exchange.read_rate.pause();
            }
            Err(error) => return Poll::Ready(self.gone(error)),
        }
        Poll::Pending
    }

    fn waits_for_continue(&self) -> bool {
        self.exchange.waits_for_continue
    }

    fn interim(&mut self, head: &WireHead) -> Result<(), DownError> {
        if self.exchange.minor == 0 || self.is_answered() {
            return Ok(());
        }
        if head.status() == 100 {
            // One "go on" for one question.
            if !self.exchange.waits_for_continue {
                return Ok(());
            }
            self.exchange.waits_for_continue = false;
        }
        scratch(|out| {
            head.write_start(out);
            head.write_fields(out);
            out.extend_from_slice(b"\r\n");
            self.write_head(out, b"")
        })
    }

    fn form(&self, framing: Framing) -> Form {
        Form::to(framing, self.exchange.minor)
    }

    fn respond(
        &mut self,
        head: &WireHead,
        framing: Framing,
        first: &[u8],
    ) -> Result<(), DownError> {
        if self.is_answered() {
            self.spoil();
            return Ok(());
        }
        self.begin_answer(head.status());
        let exchange = &mut self.exchange;
        let (framing, first) =
            if exchange.bodiless { (Framing::None, &[][..]) } else { (framing, first) };
        let form = Form::to(framing, exchange.minor);
        // Without a length, the end of the body is the end of the connection.
        exchange.keep_alive &= form != Form::Payload;
        exchange.answered = Answered::Begun;
        exchange.owed = match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::UntilClose => None,
        };
        if !exchange.owes(first.len()) {
            self.spoil();
            return Ok(());
        }
        let chunked = form == Form::Chunks || (form == Form::Wire && framing == Framing::Chunked);
        scratch(|out| {
            head.write_start(out);
            head.write_fields(out);
            if head.status() == 101 {
                out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
                out.extend_from_slice(head.upgrade().unwrap_or_default());
                out.extend_from_slice(b"\r\n");
            } else if !self.exchange.switched {
                self.write_own_lines(out, chunked);
            }
            out.extend_from_slice(b"\r\n");
            self.write_head(out, first)
        })
    }

    fn answer(&mut self, answer: &Answer) -> Result<(), DownError> {
        if self.is_answered() {
            self.spoil();
            return Ok(());
        }
        let Answer { status, content_type, fields, body } = answer;
        self.begin_answer(*status);
        self.exchange.answered = Answered::Whole;
        self.exchange.keep_alive &= !self.has_much_left();
        scratch(|out| {
            out.extend_from_slice(format!("HTTP/1.1 {status} {}\r\n", reason(*status)).as_bytes());
            let date = Civil::of(SystemTime::now()).http_date();
            out.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
            for (name, value) in fields {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            // RFC 9110, section 8.6: 1xx, 204 and the 2xx to a CONNECT have no length; 304 would have that of another
            // answer, while that to a HEAD is the one of this.
            if !self.exchange.bodiless || self.exchange.asked == Asked::Head {
                if !body.is_empty() {
                    out.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
                }
                out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
            }
            if *status == 101 {
                out.extend_from_slice(b"Connection: Upgrade\r\n");
            } else if !self.exchange.switched {
                self.write_own_lines(out, false);
            }
            out.extend_from_slice(b"\r\n");
            self.write_head(out, if self.exchange.bodiless { &[] } else { body })
        })
    }

    fn send(&mut self, piece: Lease) -> Result<(), DownError> {
        if self.exchange.bodiless || self.exchange.answered != Answered::Begun {
            return Ok(());
        }
        if !self.exchange.owes(piece.len()) {
            // The client would take the rest for its next answer.
            self.spoil();
            return Ok(());
        }
        let written = self.out.send(&mut self.io, piece);
        self.wrote(written)
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownError>> {
        let exchange = &mut self.exchange;
        let polled = self.out.poll_sent(&mut self.io, cx, |n| {
            exchange.sent += n as u64;
            exchange.write_rate.moved(n);
        });
        match polled {
            Poll::Ready(Ok(())) => {
                exchange.write_rate.pause();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.gone(error))),
            Poll::Pending => {
                exchange.write_rate.wait(&mut self.writing);
                ready!(self.writing.poll_expired(cx));
                self.end(CloseReason::ReadTooSlow);
                Poll::Ready(Err(DownError::ReadsTooSlowly))
            }
        }
    }

    fn finish(&mut self) {
        if self.exchange.answered == Answered::Begun {
            self.exchange.answered = match self.exchange.owed {
                None | Some(0) => Answered::Whole,
                Some(_) => Answered::Spoiled,
            };
        }
    }

    fn is_answered(&self) -> bool {
        self.exchange.answered != Answered::Nothing
    }

    fn spoil(&mut self) {
        self.exchange.answered = Answered::Spoiled;
        self.exchange.keep_alive = false;
    }

    fn close_after(&mut self) {
        self.exchange.keep_alive = false;
    }

    fn upgrade(&mut self) -> Option<Connection> {
        // What is unsent would be lost, and what is left of a body would be taken for the other protocol.
        let ready = self.exchange.switched && self.is_answered() && self.out.is_empty();
        if self.upgraded || !ready || !self.body_done() {
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
