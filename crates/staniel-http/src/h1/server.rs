//! A server connection of HTTP/1: requests one after another, each handed to an exchange.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use staniel_core::buffer::{Class, Lease};
use staniel_core::{CloseReason, Connection, Deadline, clock};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::{HeadError, Parsed, Progress, WireHead};
use crate::exchange::{Answer, Downstream, Exchanges, Refusal, Refused};
use crate::h1::down::{DRAINED, H1Down, broke};
use crate::server::Settings;

/// How long a body that nobody wanted is read.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// A client that sends faster than we throw away must not keep the thread.
const READS: usize = 16;

/// What came of waiting for a request.
enum Next {
    Head(WireHead),
    Refused {
        why: Refusal,
        since: Instant,
        bytes_in: usize,
    },
    /// The connection is over; the reason has been said.
    Over,
}

/// Serves the requests of one connection until it is over.
pub(crate) async fn serve<E: Exchanges>(exchanges: &E, settings: Arc<Settings>, conn: Connection) {
    let (io, meta, extensions) = conn.into_parts();
    meta.freeze(extensions);
    let mut session = exchanges.session(&meta);
    let mut down = H1Down::new(io, meta, settings);
    let mut first = true;
    loop {
        // Pipelined requests come out of one read, and without this a client of them would never let others run.
        tokio::task::consume_budget().await;
        match next_request(&mut down, first).await {
            Next::Head(mut head) => {
                down.begin(&head);
                exchanges.exchange(&mut session, &mut head, &mut down).await;
                if down.was_upgraded() {
                    return;
                }
            }
            Next::Refused { why, since, bytes_in } => {
                down.meta.end(match why {
                    Refusal::Head(_) | Refusal::Expectation => CloseReason::ProtocolError,
                    Refusal::Timeout => CloseReason::HeadTimeout,
                });
                answer_refusal(&mut down, why);
                let took = clock::now().saturating_duration_since(since);
                let (_, bytes_out) = down.bytes();
                let bytes_in = bytes_in as u64;
                exchanges.refused(
                    &mut session,
                    &down.meta,
                    Refused { why, took, bytes_in, bytes_out },
                );
                let linger = !down.half_closed;
                return Box::pin(close(&mut down, linger)).await;
            }
            Next::Over => return,
        }
        first = false;
        let lives = down.is_reusable()
            && (down.body_done() || Box::pin(drain_body(&mut down)).await)
            && std::future::poll_fn(|cx| down.poll_sent(cx)).await.is_ok();
        if !lives {
            if down.is_drained() {
                down.meta.end(CloseReason::Drained);
            }
            let linger = down.may_get_more();
            return Box::pin(close(&mut down, linger)).await;
        }
    }
}

/// Waits for the head of the next request.
async fn next_request(down: &mut H1Down, first: bool) -> Next {
    let timeouts = &down.settings.timeouts;
    down.reading.arm(if first { timeouts.head } else { timeouts.keep_alive });
    let since = clock::now();
    let mut first_byte = None;
    let mut progress = Progress::default();
    let mut begun = false;
    let mut draining = false;
    loop {
        if let Some(bytes) = down.carry.take() {
            let bytes_in = bytes.len();
            let since_byte = *first_byte.get_or_insert_with(clock::now);
            let refused = |why, bytes_in| Next::Refused { why, since: since_byte, bytes_in };
            match WireHead::parse_request(bytes, &mut progress, &down.settings.limits) {
                Ok(Parsed::Head(head, rest)) => {
                    down.carry = rest;
                    if head.has_unknown_expectation() {
                        return refused(Refusal::Expectation, head.wire_len());
                    }
                    return Next::Head(head);
                }
                Ok(Parsed::Partial(bytes)) => {
                    // The empty line that some clients send behind a body does not begin anything.
                    if !begun && !matches!(&*bytes, b"\r" | b"\r\n") {
                        begun = true;
                        let waited = clock::now().saturating_duration_since(since);
                        let spent = if first { waited } else { Duration::ZERO };
                        let head = down.settings.timeouts.head;
                        down.reading.arm(head.saturating_sub(spent));
                    }
                    down.carry = Some(bytes);
                }
                Err(error) => return refused(Refusal::Head(error), bytes_in),
            }
        }
        let idle = !begun;
        let event = std::future::poll_fn(|cx| poll_event(down, cx, idle, &mut draining)).await;
        match event {
            Event::Bytes => {}
            Event::End(Ok(())) => {
                down.meta.end(if first || begun {
                    CloseReason::PeerClosed
                } else {
                    CloseReason::Done
                });
                return Next::Over;
            }
            Event::End(Err(error)) => {
                down.meta.end(broke(&error));
                return Next::Over;
            }
            Event::Expired if begun => {
                let bytes_in = down.carry.as_ref().map_or(0, |carry| carry.len());
                let since = first_byte.unwrap_or(since);
                return Next::Refused { why: Refusal::Timeout, since, bytes_in };
            }
            Event::Expired => {
                down.meta.end(match (draining, first) {
                    (true, _) => CloseReason::Drained,
                    (false, true) => CloseReason::HeadTimeout,
                    (false, false) => CloseReason::KeepAliveTimeout,
                });
                Box::pin(close(down, false)).await;
                return Next::Over;
            }
        }
    }
}

enum Event {
    Bytes,
    End(io::Result<()>),
    Expired,
}

fn poll_event(
    down: &mut H1Down,
    cx: &mut Context<'_>,
    idle: bool,
    draining: &mut bool,
) -> Poll<Event> {
    // A client that has finished sending is read no further.
    if down.half_closed && down.carry.is_none() {
        return Poll::Ready(Event::End(Ok(())));
    }
    match down.io.poll_fill(cx, &mut down.carry, Class::Block) {
        Poll::Ready(Ok(0)) => return Poll::Ready(Event::End(Ok(()))),
        Poll::Ready(Ok(_)) => return Poll::Ready(Event::Bytes),
        Poll::Ready(Err(error)) => return Poll::Ready(Event::End(Err(error))),
        Poll::Pending => {}
    }
    // What waits moves out of the large block.
    down.carry = down.carry.take().map(Lease::settle);
    if idle && !*draining && down.poll_stopping(cx) {
        *draining = true;
        down.reading.tighten(down.settings.timeouts.drain_idle);
    }
    ready!(down.reading.poll_expired(cx));
    Poll::Ready(Event::Expired)
}

/// Answers what could not be an exchange.
fn answer_refusal(down: &mut H1Down, refusal: Refusal) {
    down.begin_refusal(down.settings.timeouts.linger);
    let answer = match refusal {
        Refusal::Head(HeadError::Tls) => Answer::text(400, "this port speaks HTTP without TLS\n"),
        refusal => Answer::status(refusal.status()),
    };
    // A client that is gone is not told.
    let _ = down.answer(&answer);
}

/// Reads what is left of a small body; says whether all of it has come.
async fn drain_body(down: &mut H1Down) -> bool {
    if down.has_much_left() {
        return false;
    }
    down.begin_drain();
    let mut limit = Deadline::default();
    limit.arm(DRAIN_TIME);
    let mut drained = 0;
    std::future::poll_fn(|cx| {
        loop {
            match down.poll_body(cx) {
                Poll::Ready(Ok(Some(piece))) => {
                    drained += piece.len() as u64;
                    if drained > DRAINED {
                        return Poll::Ready(false);
                    }
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(true),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return limit.poll_expired(cx).map(|()| false),
            }
        }
    })
    .await
}

/// Sends what is left, says that nothing more comes, and where the client may still be sending (`linger`) reads on for a
/// moment: a close with unread bytes is a reset, which can take the answer away from the client.
///
/// RFC 9112, section 9.6: "the server first performs a half-close … then continues to read from the connection until it
/// receives a corresponding close by the client".
async fn close(down: &mut H1Down, linger: bool) {
    let mut patience = Deadline::default();
    let (mut reading, mut writing) = (linger, true);
    std::future::poll_fn(|cx| {
        // The answer was broken off, or cannot be brought to its end: dropping the connection says so.
        if !patience.is_armed() {
            if down.is_broken_off() || matches!(down.poll_sent(cx), Poll::Ready(Err(_))) {
                return Poll::Ready(());
            }
            if !down.is_cut_short() {
                patience.arm(down.settings.timeouts.linger);
            }
        }
        if writing && patience.is_armed() {
            match Pin::new(&mut down.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => writing = false,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        // From the beginning: a client that sends before it reads would otherwise never get to the answer.
        for left in (0..READS).rev() {
            if !reading {
                break;
            }
            down.carry = None;
            match down.io.poll_fill(cx, &mut down.carry, Class::Block) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => reading = false,
                Poll::Pending => break,
            }
            if left == 0 {
                cx.waker().wake_by_ref();
            }
        }
        down.carry = None;
        if !reading && !writing {
            return Poll::Ready(());
        }
        patience.poll_expired(cx)
    })
    .await;
}
