//! The one place where tasks begin. Every task belongs to something that drains or ends it.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs a future on the runtime behind `on`. The caller owns the handle and sees to the end of the task.
pub(crate) fn spawn_on<F>(on: &Handle, future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    on.spawn(future)
}

/// Runs a future on the current runtime. The caller owns the handle and sees to the end of the task.
///
/// # Panics
///
/// Outside a tokio runtime, as tokio's own function does.
#[expect(clippy::disallowed_methods, reason = "this is the function that the lint sends people to")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(future)
}
