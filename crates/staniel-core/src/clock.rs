//! The time as the byte path reads it.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// How often a worker that never sleeps refreshes its clock: the error of a deadline is at most this.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);

thread_local! {
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time, read from the kernel or, on a thread of [`crate::Workers::PerCore`], at its last wake-up.
///
/// A worker refreshes its clock whenever it wakes and every 100 ms while it is busy, so that arming a deadline costs
/// no system call. Elsewhere, and under a paused clock in tests, it is [`Instant::now`].
#[must_use]
pub fn now() -> Instant {
    NOW.try_with(Cell::get).ok().flatten().unwrap_or_else(Instant::now)
}

/// Milliseconds since this process first asked; what fits an atomic.
#[must_use]
pub fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = now();
    now.saturating_duration_since(*START.get_or_init(|| now)).as_millis() as u64
}

/// Reads the clock anew for this thread, which from then on is one of the workers.
pub(crate) fn refresh() {
    let _ = NOW.try_with(|cell| cell.set(Some(Instant::now())));
}
