//! The time as the byte path reads it.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// How often a worker that never sleeps refreshes its clock: the error of a deadline is at most this.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);

/// How long before its first use [`millis`] begins to count.
const EPOCH: Duration = Duration::from_secs(365 * 24 * 3600);

thread_local! {
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The time, read from the kernel or, on a thread of [`crate::Workers::PerCore`], at its last wake-up.
///
/// A worker refreshes its clock whenever it wakes, at each turn of a connection, and every 100 ms while it is busy with
/// other things, so that arming a deadline costs nothing. Elsewhere, and under a paused clock in tests, it is [`Instant::now`].
#[must_use]
pub fn now() -> Instant {
    NOW.try_with(Cell::get).ok().flatten().unwrap_or_else(Instant::now)
}

/// Milliseconds since a moment before this process first asked; what fits an atomic.
#[must_use]
pub fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = now();
    // Well before the first to ask: a thread whose clock stands a little behind, or a test whose clock was put forward,
    // must not find itself before the start.
    let start = || now.checked_sub(EPOCH).unwrap_or(now);
    now.saturating_duration_since(*START.get_or_init(start)).as_millis() as u64
}

/// Reads the clock anew for this thread, which from then on is one of the workers.
pub(crate) fn refresh() {
    let _ = NOW.try_with(|cell| cell.set(Some(Instant::now())));
}

/// Reads the clock anew if this thread is one of the workers: at the begin of a connection's turn, since the one before
/// may have held the thread, and a deadline must not begin in the past.
pub(crate) fn catch_up() {
    let _ = NOW.try_with(|cell| {
        if cell.get().is_some() {
            cell.set(Some(Instant::now()));
        }
    });
}
