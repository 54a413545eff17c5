//! What keeps a proxy from outliving a bench that was killed.
//!
//! A leftover that shares its port would take half of the next run's connections. So a proxy is started by this program
//! once more, which asks the kernel for a signal when the bench dies and then becomes the proxy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::Result;

/// The word that makes the bench's own program become another one.
pub(crate) const CHILD: &str = "child-leash";

/// Becomes `PROGRAM ARGS`.
///
/// # Errors
///
/// If it cannot; otherwise it does not return.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [program, args @ ..] = words else { return Err("leash wants PROGRAM ARGS".into()) };
    set_parent_process_death_signal(Some(Signal::TERM))?;
    Err(format!("`{program}`: {}", Command::new(program).args(args).exec()).into())
}

/// `command`, started by the program `leash`.
pub(crate) fn on(leash: &Path, command: &Command) -> Command {
    let mut leashed = Command::new(leash);
    leashed.arg(CHILD).arg(command.get_program()).args(command.get_args());
    if let Some(dir) = command.get_current_dir() {
        leashed.current_dir(dir);
    }
    leashed
}

/// A copy of `program` in `dir` that every user may run; the original may lie where others cannot look.
///
/// # Errors
///
/// If it cannot be copied.
pub(crate) fn copy(program: &Path, dir: &Path, name: &str) -> Result<PathBuf> {
    let copy = dir.join(name);
    fs::copy(program, &copy)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}
