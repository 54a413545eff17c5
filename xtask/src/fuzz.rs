//! `cargo xtask fuzz TARGET`: one fuzz target, as long as the person likes.

use std::process::Command;

use crate::Result;
use crate::repo;
use crate::run::{has_subcommand, shown};

/// Runs `target` with cargo-fuzz; `args` go to it.
///
/// # Errors
///
/// If a tool or the target is missing, or the run finds something.
pub(crate) fn run(target: &str, args: &[&str]) -> Result<()> {
    let there = repo::root().join("fuzz/fuzz_targets").join(target).with_extension("rs");
    if !there.is_file() {
        return Err(format!("there is no fuzz target `{target}` in fuzz/fuzz_targets").into());
    }
    if !has_subcommand("fuzz") {
        let advice = "cargo-fuzz is missing: `cargo install cargo-fuzz`, and `rustup toolchain install nightly`";
        return Err(advice.into());
    }
    // Not the cargo that runs us: that one is stable, and only rustup's own understands `+nightly`.
    let mut fuzz = Command::new("cargo");
    shown(fuzz.current_dir(repo::root()).args(["+nightly", "fuzz", "run", target]).args(args))
}
