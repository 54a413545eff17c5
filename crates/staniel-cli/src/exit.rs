//! How the process ends, as numbers that scripts rely on.

use std::process::ExitCode;

/// The end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked.
    Fine,
    /// It failed while running: an address was taken, a file could not be written.
    Failed,
    /// The command line (or the environment) asks for what there is not.
    Usage,
    /// The configuration is not there or not valid.
    Config,
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Config => 3,
        })
    }
}
