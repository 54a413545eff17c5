//! What all parts of a host share.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Phase;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::group::Group;
use crate::observe::Observer;
use crate::reason::CloseReason;
use crate::transport::Transport;
use crate::transport::memory::MemoryTransport;
use crate::worker::Crew;

/// What all parts of one host share.
pub(crate) struct Shared {
    pub(crate) crew: Crew,
    pub(crate) control: Handle,
    pub(crate) memory: Arc<MemoryTransport>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) gate: Arc<Gate>,
    pub(super) transports: Vec<Arc<dyn Transport>>,
    pub(super) groups: Mutex<Vec<Weak<Group>>>,
    pub(super) tasks: Mutex<Vec<JoinHandle<()>>>,
    pub(super) stopping: CancellationToken,
    pub(super) phase: watch::Sender<Phase>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn transport(&self, at: &Endpoint) -> Option<Arc<dyn Transport>> {
        let memory: Arc<dyn Transport> = self.memory.clone();
        self.transports.iter().chain([&memory]).find(|transport| transport.can_bind(at)).cloned()
    }

    /// Remembers a group for as long as somebody uses it.
    pub(crate) fn know(&self, group: &Arc<Group>) {
        let mut groups = self.groups.lock();
        groups.retain(|group| group.strong_count() > 0);
        groups.push(Arc::downgrade(group));
        // The stop has looked at this list already, or will do so.
        if self.is_stopping() {
            group.stop_accepting();
        }
    }

    /// Whether nothing new is to be bound.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Cuts off everything, and waits for nothing.
    pub(super) fn halt(&self) {
        self.stopping.cancel();
        self.groups().iter().for_each(|group| group.halt(CloseReason::Aborted));
        self.abort_tasks();
        self.crew.leave();
        self.phase.send_replace(Phase::Stopped);
    }

    /// All groups that accept or drain.
    pub(super) fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits until no group that was given up still holds the address.
    pub(crate) async fn released(&self, at: &Endpoint) {
        for group in self.groups() {
            if group.is_given_up() && group.local.overlaps(at) {
                group.closed().await;
            }
        }
    }

    /// Takes over a task: a drain waits for it.
    pub(crate) fn own(&self, task: JoinHandle<()>) {
        let mut tasks = self.tasks.lock();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    pub(super) async fn finish_tasks(&self) {
        loop {
            // One that is not waited for to its end is aborted.
            let task = self.tasks.lock().pop().map(AbortOnDropHandle::new);
            let Some(task) = task else { return };
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }

    pub(super) fn abort_tasks(&self) {
        for task in std::mem::take(&mut *self.tasks.lock()) {
            task.abort();
        }
    }
}
