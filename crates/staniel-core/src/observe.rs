//! Where counts and logs hang.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::addr::{Addr, EndpointName};
use crate::connection::ConnMeta;
use crate::error::BoxError;
use crate::manager::ApplyReport;
use crate::reason::CloseReason;

/// Told once of every event, never of a byte. All methods do nothing by default; they run on the byte path's threads, so
/// they must not block.
#[expect(unused_variables, reason = "the defaults do nothing with what they get")]
pub trait Observer: Send + Sync + 'static {
    /// A connection or session was taken.
    fn accepted(&self, meta: &ConnMeta) {}
    /// One was refused before it had a task.
    fn rejected(&self, endpoint: &EndpointName, peer: &Addr, why: CloseReason) {}
    /// The last part of a connection or session is gone. Called exactly once for each `accepted`.
    fn closed(&self, meta: &ConnMeta, why: CloseReason, error: Option<&BoxError>) {}
    /// Accepting failed; the loop goes on.
    fn accept_error(&self, endpoint: &EndpointName, error: &io::Error) {}
    /// `n` datagrams were dropped.
    fn datagrams_dropped(&self, endpoint: &EndpointName, n: u64, why: CloseReason) {}
    /// A listen handler has made its endpoints those of a plan, at its start or after a reload.
    fn reloaded(&self, handler: &str, report: &ApplyReport) {}
    /// The host's tick came late by this much: something blocks its runtime.
    fn tick_late(&self, by: Duration) {}
}

/// An observer whose panics stay its own: an accept loop and a connection's books go on without it.
pub(crate) struct Guarded(pub(crate) Arc<dyn Observer>);

impl Guarded {
    fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if catch_unwind(AssertUnwindSafe(|| what(&*self.0))).is_err() {
            tracing::error!("the observer panicked");
        }
    }
}

impl Observer for Guarded {
    fn accepted(&self, meta: &ConnMeta) {
        self.tell(|it| it.accepted(meta));
    }

    fn rejected(&self, endpoint: &EndpointName, peer: &Addr, why: CloseReason) {
        self.tell(|it| it.rejected(endpoint, peer, why));
    }

    fn closed(&self, meta: &ConnMeta, why: CloseReason, error: Option<&BoxError>) {
        self.tell(|it| it.closed(meta, why, error));
    }

    fn accept_error(&self, endpoint: &EndpointName, error: &io::Error) {
        self.tell(|it| it.accept_error(endpoint, error));
    }

    fn datagrams_dropped(&self, endpoint: &EndpointName, n: u64, why: CloseReason) {
        self.tell(|it| it.datagrams_dropped(endpoint, n, why));
    }

    fn reloaded(&self, handler: &str, report: &ApplyReport) {
        self.tell(|it| it.reloaded(handler, report));
    }

    fn tick_late(&self, by: Duration) {
        self.tell(|it| it.tick_late(by));
    }
}

/// Observes nothing.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Observer for Nobody {}
