//! Idle connections that are kept for the next who needs one.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::worker::PerWorker;

/// Idle connections to one target, one list for each worker; the one that was used last is given out first, so that the
/// others can grow old and go.
///
/// A connection given out may have died in the moment: whoever takes one must be able to begin again with another.
pub struct Pool<T> {
    idle: PerWorker<Vec<Idle<T>>>,
    max_idle: usize,
    max_age: Duration,
}

struct Idle<T> {
    since: Instant,
    it: T,
}

// === impl Pool ===

impl<T> Pool<T> {
    /// Keeps at most `max_idle` connections for each worker, and none longer than `max_age` without use.
    #[must_use]
    pub fn new(max_idle: usize, max_age: Duration) -> Self {
        Self { idle: PerWorker::new(Vec::new), max_idle, max_age }
    }

    /// The connection used last that `is_alive` takes for living; those that it does not are dropped.
    pub fn checkout(&self, mut is_alive: impl FnMut(&T) -> bool) -> Option<T> {
        let mut dead = Vec::new();
        let mut idle = self.idle.here();
        let found = loop {
            let Some(Idle { since, it }) = idle.pop() else { break None };
            if clock::now().saturating_duration_since(since) < self.max_age && is_alive(&it) {
                break Some(it);
            }
            dead.push(it);
        };
        drop(idle);
        // Closing sockets takes a while; not under the lock.
        drop(dead);
        found
    }

    /// Keeps `it` for the next. It is dropped if the list is full.
    pub fn put(&self, it: T) {
        let mut idle = self.idle.here();
        if idle.len() < self.max_idle {
            idle.push(Idle { since: clock::now(), it });
        }
    }

    /// Drops what has been idle for too long, and what is dead. To be called now and then, from any thread.
    pub fn sweep(&self, mut is_alive: impl FnMut(&T) -> bool) {
        let now = Instant::now();
        for mut idle in self.idle.each() {
            let is_gone = |idle: &mut Idle<T>| {
                now.saturating_duration_since(idle.since) >= self.max_age || !is_alive(&idle.it)
            };
            let gone: Vec<_> = idle.extract_if(.., is_gone).collect();
            drop(idle);
            drop(gone);
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        for mut idle in self.idle.each() {
            let all = std::mem::take(&mut *idle);
            drop(idle);
            drop(all);
        }
    }

    /// How many are idle now, over all workers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.idle.each().map(|idle| idle.len()).sum()
    }

    /// Whether none is idle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_used_comes_first_and_the_old_go() {
        let pool = Pool::new(3, Duration::from_secs(60));
        pool.put("old");
        tokio::time::advance(Duration::from_secs(50)).await;
        pool.put("dead");
        pool.put("new");
        pool.put("too many");
        assert_eq!(pool.len(), 3);
        assert_eq!(pool.checkout(|_| true), Some("new"));
        tokio::time::advance(Duration::from_secs(11)).await;
        pool.sweep(|_| true);
        assert_eq!(pool.len(), 1, "what was idle for a minute is gone");
        assert_eq!(pool.checkout(|it| *it != "dead"), None);
        assert!(pool.is_empty());
    }
}
