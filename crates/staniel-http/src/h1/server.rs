//! A server connection of HTTP/1: requests one after another, each handed to an exchange.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use staniel_core::buffer::{Class, Lease};
use staniel_core::{CloseReason, Connection, Deadline};
use tokio::io::AsyncWrite;

use super::{HeadError, Parsed, Progress, WireHead};
use crate::exchange::{Answer, Downstream, Exchanges, Refusal};
use crate::h1::down::H1Down;
use crate::server::Settings;

/// How much of a body that nobody wanted is read so that the connection can be used again.
const DRAINED: u64 = 64 * 1024;

/// What came of waiting for a request.
enum Next {
    Head(WireHead),
    Refused(Refusal),
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
        match next_request(&mut down, first).await {
            Next::Head(head) => {
                down.begin(&head);
                exchanges.exchange(&mut session, head, &mut down).await;
                if down.was_upgraded() {
                    return;
                }
            }
            Next::Refused(refusal) => {
                exchanges.refused(&mut session, &down.meta, refusal);
                down.meta.end(match refusal {
                    Refusal::Head(_) => CloseReason::ProtocolError,
                    Refusal::Timeout => CloseReason::HeadTimeout,
                });
                return Box::pin(refuse(&mut down, refusal)).await;
            }
            Next::Over => return,
        }
        first = false;
        if !down.is_reusable() {
            return Box::pin(close(&mut down)).await;
        }
        if !down.body_done() && !Box::pin(drain_body(&mut down)).await {
            return Box::pin(close(&mut down)).await;
        }
    }
}

/// Waits for the head of the next request.
async fn next_request(down: &mut H1Down, first: bool) -> Next {
    let timeouts = &down.settings.timeouts;
    down.reading.arm(if first { timeouts.head } else { timeouts.keep_alive });
    let mut progress = Progress::default();
    let mut begun = false;
    let mut draining = false;
    loop {
        if let Some(bytes) = down.carry.take() {
            match WireHead::parse_request(bytes, &mut progress, &down.settings.limits) {
                Ok(Parsed::Head(head, rest)) => {
                    down.carry = rest;
                    return Next::Head(head);
                }
                Ok(Parsed::Partial(bytes)) => {
                    down.carry = Some(bytes.settle());
                    if !begun && !first {
                        down.reading.arm(down.settings.timeouts.head);
                    }
                    begun = true;
                }
                Err(error) => return Next::Refused(Refusal::Head(error)),
            }
        }
        let idle = !begun;
        let event = std::future::poll_fn(|cx| poll_event(down, cx, idle, &mut draining)).await;
        match event {
            Event::Bytes => {}
            Event::End(Ok(())) => {
                down.meta.end(if first && idle {
                    CloseReason::PeerClosed
                } else {
                    CloseReason::Done
                });
                return Next::Over;
            }
            Event::End(Err(error)) => {
                let reset = error.kind() == io::ErrorKind::ConnectionReset;
                down.meta.end(if reset { CloseReason::PeerReset } else { CloseReason::PeerClosed });
                return Next::Over;
            }
            Event::Expired if begun => return Next::Refused(Refusal::Timeout),
            Event::Expired => {
                down.meta.end(match (draining, first) {
                    (true, _) => CloseReason::Drained,
                    (false, true) => CloseReason::HeadTimeout,
                    (false, false) => CloseReason::KeepAliveTimeout,
                });
                Box::pin(close(down)).await;
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

/// Answers what could not be an exchange, and closes.
async fn refuse(down: &mut H1Down, refusal: Refusal) {
    down.close_after();
    let answer = match refusal {
        Refusal::Head(HeadError::Tls) => Answer::text(400, "this port speaks HTTP without TLS\n"),
        refusal => Answer::status(refusal.status()),
    };
    // A client that is gone is not told.
    let _ = down.answer(&answer);
    close(down).await;
}

/// Reads what is left of a small body; says whether all of it has come.
async fn drain_body(down: &mut H1Down) -> bool {
    let mut drained = 0;
    loop {
        match std::future::poll_fn(|cx| down.poll_body(cx)).await {
            Ok(Some(piece)) => drained += piece.len() as u64,
            Ok(None) => return true,
            Err(_) => return false,
        }
        if drained > DRAINED {
            return false;
        }
    }
}

/// Sends what is left, says that nothing more comes, and where the client may still be sending reads on for a moment: a
/// close with unread bytes is a reset, which can take the answer away from the client.
///
/// RFC 9112, section 9.6: "the server first performs a half-close … then continues to read from the connection until it
/// receives a corresponding close by the client".
async fn close(down: &mut H1Down) {
    if down.is_spoiled() {
        down.io.reset_on_close();
        return;
    }
    if std::future::poll_fn(|cx| down.poll_sent(cx)).await.is_err() {
        return;
    }
    let may_send = down.is_answered()
        && (!down.body_done() || down.carry.is_some() || down.meta.ended().is_some());
    let mut linger = Deadline::default();
    linger.arm(down.settings.timeouts.linger);
    let shut = std::future::poll_fn(|cx| {
        if linger.poll_expired(cx).is_ready() {
            return Poll::Ready(false);
        }
        Pin::new(&mut down.io).poll_shutdown(cx).map(|done| done.is_ok())
    });
    if !shut.await || !may_send || down.half_closed {
        return;
    }
    std::future::poll_fn(|cx| {
        loop {
            down.carry = None;
            match down.io.poll_fill(cx, &mut down.carry, Class::Block) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return linger.poll_expired(cx),
            }
        }
    })
    .await;
}
