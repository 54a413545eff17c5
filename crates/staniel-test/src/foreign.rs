//! Programs that are not ours: found, started, waited for, ended.
//!
//! Tests that need one begin with [`require`] and return when it gives nothing, so that a machine without it still runs
//! the others. With `STANIEL_REQUIRE_FOREIGN=1` in the environment a missing program fails the test instead.
//!
//! ```no_run
//! # async fn doc() -> std::io::Result<()> {
//! use std::process::Command;
//! use std::time::Duration;
//! use staniel_test::{foreign, port};
//!
//! let Some(nginx) = foreign::require("nginx") else { return Ok(()) };
//! let addr = port::free_tcp()?;
//! let mut child = foreign::Child::start(Command::new(nginx).args(["-c", "test.conf"]))?;
//! child.ready(addr, Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```

mod child;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub use child::{Child, Signal};

/// When this is `1`, what is missing is a failure.
const REQUIRED: &str = "STANIEL_REQUIRE_FOREIGN";

/// Finds a program on the search path, or in the directories where servers lie.
///
/// `None` means that the calling test is to be left out; a line on standard error has said so.
///
/// # Panics
///
/// If it is missing and `STANIEL_REQUIRE_FOREIGN=1`.
#[must_use]
pub fn require(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut found = std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(program));
    found.find(|file| file.is_file()).or_else(|| missing(&format!("`{program}`")))
}

/// Finds a Python that can import `module`, and gives the interpreter.
///
/// # Panics
///
/// If one of them is missing and `STANIEL_REQUIRE_FOREIGN=1`.
#[must_use]
pub fn require_python(module: &str) -> Option<PathBuf> {
    let python = require("python3")?;
    let mut import = Command::new(&python);
    import
        .args(["-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if import.status().is_ok_and(|status| status.success()) {
        Some(python)
    } else {
        missing(&format!("the Python module `{module}`"))
    }
}

#[expect(clippy::panic, reason = "a test that must not be left out fails here")]
fn missing(what: &str) -> Option<PathBuf> {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test").to_owned();
    if std::env::var_os(REQUIRED).is_some_and(|value| value == "1") {
        panic!("{what} is missing and {REQUIRED}=1; `cargo xtask test` says where it comes from");
    }
    // Not `eprintln!`: the test runner hides what a passing test prints, and this is to be seen.
    drop(writeln!(std::io::stderr(), "left out: {test}: {what} is missing"));
    None
}
