//! `cargo xtask test`: every test of the workspace, with plain cargo.

use crate::Result;
use crate::foreign;
use crate::run::{cargo, shown};

/// Builds the binary that tests start, then runs all tests and doc tests. `args` go to `cargo test`.
///
/// # Errors
///
/// If a required program is missing, or something does not build or pass.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    foreign::check()?;
    shown(cargo().args(["build", "--package", "staniel-cli"]))?;
    let passed = shown(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(args));
    foreign::check()?;
    passed
}
