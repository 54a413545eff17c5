//! Limits on how many may be in at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Lets at most `max` in; exact under any number of threads, and the limit may change at any time.
#[derive(Debug)]
pub(crate) struct Gate {
    max: AtomicUsize,
    inside: AtomicUsize,
    waiting: AtomicUsize,
    left: Notify,
}

/// One place inside; given back on drop.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

// === impl Gate ===

impl Gate {
    pub(crate) fn new(max: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            max: AtomicUsize::new(max.unwrap_or(usize::MAX)),
            inside: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            left: Notify::new(),
        })
    }

    pub(crate) fn set_max(&self, max: Option<usize>) {
        self.max.store(max.unwrap_or(usize::MAX), Ordering::SeqCst);
        self.left.notify_waiters();
    }

    /// How many may be in.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::SeqCst)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.inside.load(Ordering::SeqCst) < self.max.load(Ordering::SeqCst)
    }

    pub(crate) fn try_enter(self: &Arc<Self>) -> Option<Pass> {
        let max = self.max.load(Ordering::SeqCst);
        let entered = self
            .inside
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| (n < max).then_some(n + 1));
        entered.is_ok().then(|| Pass(self.clone()))
    }

    /// Waits until somebody has left or the limit was raised, unless there is room now.
    pub(crate) async fn room(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Registered before the look, so that who leaves in between is not missed.
            left.as_mut().enable();
            if self.has_room() {
                return;
            }
            left.await;
        }
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn who_waits_gets_in_when_one_leaves_or_the_limit_grows() {
        let gate = Gate::new(Some(1));
        let first = gate.try_enter().unwrap();
        assert!(gate.try_enter().is_none());
        assert!(tokio::time::timeout(Duration::from_millis(1), gate.room()).await.is_err());
        assert_eq!(
            gate.waiting.load(Ordering::SeqCst),
            0,
            "who stops waiting is not counted any more"
        );
        let leave = async { drop(first) };
        tokio::join!(gate.room(), leave);
        let _first = gate.try_enter().unwrap();
        let raise = async { gate.set_max(Some(2)) };
        tokio::join!(gate.room(), raise);
        assert!(gate.try_enter().is_some());
    }

    #[test]
    fn the_limit_is_exact_under_many_threads() {
        let gate = Gate::new(Some(10));
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if let Some(_pass) = gate.try_enter() {
                            most.fetch_max(gate.inside.load(Ordering::SeqCst), Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 10);
        assert_eq!(gate.inside.load(Ordering::SeqCst), 0);
    }
}
