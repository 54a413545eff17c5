//! Copying both ways between two connections.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;

use crate::buffer::{Class, Lease};
use crate::connection::{Connection, Io};
use crate::deadline::Deadline;
use crate::reason::CloseReason;

/// How a relay goes.
#[derive(Clone, Debug)]
pub struct RelayOptions {
    /// Longest time without a byte in either direction; `None` is no limit, because what idleness means is the protocol's
    /// to say.
    pub idle: Option<Duration>,
    /// The same once one side has finished sending: 60 s, since the other then only has to say its last words. `None` is
    /// no limit.
    pub half_closed: Option<Duration>,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self { idle: None, half_closed: Some(Duration::from_secs(60)) }
    }
}

/// How a relay went.
#[derive(Debug)]
#[non_exhaustive]
pub struct Relayed {
    /// Bytes from the first connection to the second.
    pub up: u64,
    /// Bytes from the second to the first.
    pub down: u64,
    /// Why it ended: [`CloseReason::Done`] when both sides had finished sending.
    pub why: CloseReason,
    /// What broke it off, if something did.
    pub error: Option<io::Error>,
}

/// Copies bytes both ways until both sides have finished sending. See [`relay_with`].
///
/// # Cancel safety
///
/// Dropped before it is done, both connections close.
pub async fn relay(a: Connection, b: Connection) -> Relayed {
    relay_with(a, b, RelayOptions::default()).await
}

/// Copies bytes both ways between `a`, who connected, and `b`, to whom.
///
/// When one side has finished sending, the other is told so and may go on: an answer to a half-closed request arrives. When
/// one side is reset, the other is too, so that nobody takes what it got for all of it. While nothing moves, no buffer is
/// held. The end is also written into `a`'s [`crate::ConnMeta::end`].
///
/// # Cancel safety
///
/// Dropped before it is done, both connections close.
pub async fn relay_with(mut a: Connection, mut b: Connection, options: RelayOptions) -> Relayed {
    let (mut up, mut down) = (Direction::default(), Direction::default());
    let mut idle = Deadline::default();
    arm(&mut idle, options.idle);
    let mut down_first = false;
    let broke = std::future::poll_fn(|cx| {
        let before = (up.moved, down.moved, up.is_over() || down.is_over());
        // In turn, since the first may use up what a task may do at a time.
        down_first = !down_first;
        let polled = if down_first {
            let down = down.poll(cx, b.io(), a.io());
            (up.poll(cx, a.io(), b.io()), down)
        } else {
            (up.poll(cx, a.io(), b.io()), down.poll(cx, b.io(), a.io()))
        };
        let broke = match polled {
            (Poll::Ready(Err((Side::From, error))), _)
            | (_, Poll::Ready(Err((Side::To, error)))) => Some((a_broke(&error), error)),
            (Poll::Ready(Err((Side::To, error))), _)
            | (_, Poll::Ready(Err((Side::From, error)))) => {
                Some((CloseReason::UpstreamReset, error))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(None),
            _ => None,
        };
        if let Some((why, error)) = broke {
            return Poll::Ready(Some((why, Some(error))));
        }
        let half_closed = up.is_over() || down.is_over();
        if before != (up.moved, down.moved, half_closed) {
            let limit =
                if half_closed { shorter(options.idle, options.half_closed) } else { options.idle };
            arm(&mut idle, limit);
        }
        idle.poll_expired(cx).map(|()| Some((CloseReason::IdleTimeout, None)))
    })
    .await;
    let (why, error) = broke.unwrap_or((CloseReason::Done, None));
    if error.is_some() {
        a.io().reset_on_close();
        b.io().reset_on_close();
    }
    a.meta().end(why);
    Relayed { up: up.moved, down: down.moved, why, error }
}

fn arm(deadline: &mut Deadline, limit: Option<Duration>) {
    match limit {
        Some(limit) => deadline.arm(limit),
        None => deadline.disarm(),
    }
}

fn shorter(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn a_broke(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => CloseReason::PeerReset,
        _ => CloseReason::PeerClosed,
    }
}

/// Which end of a direction failed.
enum Side {
    From,
    To,
}

/// One direction: what was read and is not written yet, and how far the end has got.
#[derive(Default)]
struct Direction {
    held: Option<Lease>,
    ended: bool,
    told: bool,
    moved: u64,
}

// === impl Direction ===

impl Direction {
    /// Nothing more will come this way, and the other end knows.
    fn is_over(&self) -> bool {
        self.told
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Io,
        to: &mut Io,
    ) -> Poll<Result<(), (Side, io::Error)>> {
        let at_to = |error| (Side::To, error);
        loop {
            while let Some(held) = &mut self.held {
                let n = match Pin::new(&mut *to).poll_write(cx, held) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(at_to(io::ErrorKind::WriteZero.into())));
                    }
                    Poll::Ready(done) => done.map_err(at_to)?,
                    Poll::Pending => {
                        // What has to wait moves out of the large block.
                        self.held = self.held.take().map(Lease::settle);
                        return Poll::Pending;
                    }
                };
                self.moved += n as u64;
                held.consume(n);
                if held.is_empty() {
                    self.held = None;
                }
            }
            // A wrapped stream (a cipher) may hold back what it was given.
            if to.as_tcp().is_none()
                && Pin::new(&mut *to).poll_flush(cx).map_err(at_to)?.is_pending()
                && self.ended
            {
                return Poll::Pending;
            }
            if self.ended {
                if !self.told {
                    match ready!(Pin::new(&mut *to).poll_shutdown(cx)) {
                        // It has gone already, and with it who would be told.
                        Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                        done => done.map_err(at_to)?,
                    }
                    self.told = true;
                }
                return Poll::Ready(Ok(()));
            }
            if ready!(from.poll_fill(cx, &mut self.held, Class::Block))
                .map_err(|error| (Side::From, error))?
                == 0
            {
                self.ended = true;
            }
        }
    }
}
