//! One timer for the life of a connection.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::clock;

/// A deadline that is cheap to move: arming stores a time, and the runtime's timer is touched only when it would fire
/// too late or has fired too early.
///
/// [`Deadline::poll_expired`] is meant to be asked after the I/O it guards was pending.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    timer: Option<Timer>,
}

#[derive(Debug)]
struct Timer {
    fires_at: Instant,
    sleep: Pin<Box<Sleep>>,
}

// === impl Deadline ===

impl Deadline {
    /// Expires `after` from now; what was armed before is forgotten.
    pub fn arm(&mut self, after: Duration) {
        self.at = clock::now().checked_add(after);
    }

    /// Expires `after` from now unless it is to expire earlier anyway.
    pub fn tighten(&mut self, after: Duration) {
        let new = clock::now().checked_add(after);
        self.at = match (self.at, new) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
    }

    /// Never expires, until armed again.
    pub fn disarm(&mut self) {
        self.at = None;
    }

    /// Whether a time is set.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.at.is_some()
    }

    /// Ready once the time has come; otherwise the task is woken when it has.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if clock::now() >= at {
            return Poll::Ready(());
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Timer { fires_at: at, sleep: Box::pin(sleep_until(at)) });
        if timer.fires_at > at {
            timer.fires_at = at;
            timer.sleep.as_mut().reset(at);
        }
        while timer.sleep.as_mut().poll(cx).is_ready() {
            if timer.fires_at >= at {
                return Poll::Ready(());
            }
            timer.fires_at = at;
            timer.sleep.as_mut().reset(at);
        }
        Poll::Pending
    }

    /// Waits until the time has come; for ever if none is set.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: the deadline stays as it was armed.
    pub async fn expired(&mut self) {
        std::future::poll_fn(|cx| self.poll_expired(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn expires_after(deadline: &mut Deadline) -> u128 {
        let start = Instant::now();
        deadline.expired().await;
        start.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn moving_it_either_way_counts() {
        let mut deadline = Deadline::default();
        deadline.arm(Duration::from_secs(10));
        assert!(tokio::time::timeout(Duration::from_secs(1), deadline.expired()).await.is_err());
        deadline.arm(Duration::from_secs(2));
        assert_eq!(expires_after(&mut deadline).await, 2000, "earlier than the timer that runs");
        deadline.arm(Duration::from_secs(30));
        assert_eq!(expires_after(&mut deadline).await, 30_000, "later than the timer that ran");
        deadline.arm(Duration::from_secs(5));
        deadline.tighten(Duration::from_secs(9));
        deadline.tighten(Duration::from_secs(1));
        assert_eq!(expires_after(&mut deadline).await, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn disarmed_it_never_expires() {
        let mut deadline = Deadline::default();
        deadline.arm(Duration::from_secs(1));
        deadline.disarm();
        assert!(tokio::time::timeout(Duration::from_secs(3600), deadline.expired()).await.is_err());
    }
}
