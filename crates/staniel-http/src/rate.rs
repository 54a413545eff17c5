//! Least rates at which a peer has to send and to take.

use std::time::Duration;

use staniel_core::{Deadline, clock};
use tokio::time::Instant;

/// The least rate that a peer has to keep, on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a rate and its grace, nothing else")]
pub struct MinRate {
    /// Bytes for each second that we wait for the peer.
    pub bytes_per_second: u64,
    /// So long we wait whatever the rate.
    pub grace: Duration,
}

impl Default for MinRate {
    /// 240 B/s after 5 s: less than any modem, and far more than who wants to hold a connection for nothing sends.
    fn default() -> Self {
        Self { bytes_per_second: 240, grace: Duration::from_secs(5) }
    }
}

/// Measures one direction of one body. The clock runs only while we wait for the peer.
#[derive(Debug, Default)]
pub(crate) struct RateClock {
    rate: Option<MinRate>,
    idle: Option<Duration>,
    bytes: u64,
    waited: Duration,
    since: Option<Instant>,
}

// === impl RateClock ===

impl RateClock {
    pub(crate) fn new(rate: Option<MinRate>, idle: Option<Duration>) -> Self {
        Self { rate, idle, ..Self::default() }
    }

    /// The peer has sent or taken `n` bytes.
    pub(crate) fn moved(&mut self, n: usize) {
        self.bytes += n as u64;
        self.pause();
    }

    /// It is not the peer any more whom we wait for.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.waited += clock::now().saturating_duration_since(since);
        }
    }

    /// We wait for the peer: arms `deadline` for when it will have been too slow, once for each wait.
    pub(crate) fn wait(&mut self, deadline: &mut Deadline) {
        if self.since.is_none() {
            self.since = Some(clock::now());
            match self.patience() {
                Some(patience) => deadline.arm(patience),
                None => deadline.disarm(),
            }
        }
    }

    /// How much longer it may take until the next byte.
    fn patience(&self) -> Option<Duration> {
        // A rate of nothing is none.
        let rate = self.rate.filter(|rate| rate.bytes_per_second > 0);
        let by_rate = rate.map(|MinRate { bytes_per_second, grace }| {
            let earned = Duration::from_secs(self.bytes / bytes_per_second);
            earned.max(grace).saturating_sub(self.waited)
        });
        match (by_rate, self.idle) {
            (Some(by_rate), Some(idle)) => Some(by_rate.min(idle)),
            (by_rate, idle) => by_rate.or(idle),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a peer that sends `n` bytes at once and every `every` lasts, up to an hour.
    async fn lasts(
        rate: Option<MinRate>,
        idle: Option<Duration>,
        n: usize,
        every: Duration,
    ) -> Option<u64> {
        let (begin, mut clock, mut deadline) =
            (Instant::now(), RateClock::new(rate, idle), Deadline::default());
        clock.moved(n);
        while begin.elapsed() < Duration::from_secs(3600) {
            clock.wait(&mut deadline);
            if tokio::time::timeout(every, deadline.expired()).await.is_ok() {
                return Some(begin.elapsed().as_secs());
            }
            clock.moved(n);
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_legal_slow_peer_lives_and_a_drip_does_not() {
        let rate = Some(MinRate::default());
        let second = Duration::from_secs(1);
        assert_eq!(lasts(rate, None, 1024, second).await, None);
        assert_eq!(lasts(rate, None, 1, second).await, Some(5));
        assert_eq!(
            lasts(rate, Some(60 * second), 1_000_000, 61 * second).await,
            Some(60),
            "a burst buys no hour"
        );
        assert_eq!(lasts(None, None, 1, 600 * second).await, None);
        let none = Some(MinRate { bytes_per_second: 0, grace: second });
        assert_eq!(lasts(none, None, 0, 600 * second).await, None);
    }
}
