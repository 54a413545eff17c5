//! Log lines that an attacker cannot turn into a full disk.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;

/// Lets one log line of a kind through each second and counts those that were left out.
#[derive(Debug)]
pub struct Sometimes {
    /// [`clock::millis`] plus one of the last line; 0 before the first.
    last: AtomicU64,
    left_out: AtomicU64,
}

// === impl Sometimes ===

impl Sometimes {
    /// For a `static` beside the log line.
    #[expect(clippy::new_without_default, reason = "it has to be const")]
    #[must_use]
    pub const fn new() -> Self {
        Self { last: AtomicU64::new(0), left_out: AtomicU64::new(0) }
    }

    /// `Some` with the number of lines left out since the last, when one is due.
    pub fn due(&self) -> Option<u64> {
        let now = clock::millis() + 1;
        let last = self.last.load(Ordering::Relaxed);
        let due = last == 0 || now >= last + 1000;
        if due
            && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_a_second_and_the_rest_is_counted() {
        let line = Sometimes::new();
        assert_eq!(line.due(), Some(0));
        assert_eq!((line.due(), line.due()), (None, None));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(line.due(), Some(2));
    }
}
