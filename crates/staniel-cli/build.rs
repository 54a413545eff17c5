//! Notes for `staniel version --build` what this was built from, and with what.

use std::path::Path;
use std::process::Command;

fn main() {
    // Every commit, checkout and merge writes a line here. Without it (a published crate) there is no commit to tell.
    let journal = Path::new("../../.git/logs/HEAD");
    let commit = if journal.exists() {
        println!("cargo::rerun-if-changed={}", journal.display());
        says("git", &["rev-parse", "--short=12", "HEAD"])
    } else {
        println!("cargo::rerun-if-changed=build.rs");
        None
    };
    let rustc = std::env::var("RUSTC").ok().and_then(|rustc| says(&rustc, &["--version"]));
    for (key, value) in [
        ("STANIEL_COMMIT", commit),
        ("STANIEL_RUSTC", rustc),
        ("STANIEL_TARGET", std::env::var("TARGET").ok()),
        ("STANIEL_PROFILE", std::env::var("PROFILE").ok()),
    ] {
        println!("cargo::rustc-env={key}={}", value.as_deref().unwrap_or("unknown"));
    }
}

/// The first line that a program prints, if it succeeds.
fn says(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().filter(|_| output.status.success()).map(ToOwned::to_owned)
}
