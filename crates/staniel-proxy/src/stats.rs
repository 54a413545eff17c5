//! Counts of what happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use staniel_core::PerWorker;

use crate::outcome::RequestEnd;

/// Counts since the start. Each worker has its own, so that counting costs no locked instruction that another one waits for.
#[derive(Debug)]
pub struct Stats {
    workers: PerWorker<Counts>,
    /// Shared with the access log.
    pub(crate) records_lost: Arc<AtomicU64>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    requests: [u64; RequestEnd::ALL.len()],
    violations: BTreeMap<&'static str, u64>,
}

// === impl Stats ===

impl Stats {
    pub(crate) fn new() -> Self {
        Self { workers: PerWorker::new(Counts::default), records_lost: Arc::default() }
    }

    pub(crate) fn ended(&self, end: RequestEnd) {
        if let Some(count) = self.workers.here().requests.get_mut(end as usize) {
            *count += 1;
        }
    }

    /// `kind` comes from a fixed set, never from the peer.
    pub(crate) fn violated(&self, kind: &'static str) {
        *self.workers.here().violations.entry(kind).or_default() += 1;
    }

    /// Requests by how they ended.
    #[must_use]
    pub fn requests(&self) -> Vec<(RequestEnd, u64)> {
        let mut all = RequestEnd::ALL.map(|end| (end, 0));
        for counts in self.workers.each() {
            all.iter_mut().zip(counts.requests).for_each(|((_, sum), count)| *sum += count);
        }
        all.to_vec()
    }

    /// Records of the access log that were lost: there was no room for them, or they could not be written.
    #[must_use]
    pub fn records_lost(&self) -> u64 {
        self.records_lost.load(Ordering::Relaxed)
    }

    /// Messages that broke the rules of their protocol, by what was wrong.
    #[must_use]
    pub fn violations(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for counts in self.workers.each() {
            for (kind, count) in &counts.violations {
                *all.entry(*kind).or_default() += count;
            }
        }
        all
    }
}
