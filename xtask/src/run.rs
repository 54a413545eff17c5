//! Starting cargo and other programs, their output left where the person can see it.

use std::process::{Command, Stdio};

use crate::Result;
use crate::repo;

/// The cargo that runs this command.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repo::root());
    cargo
}

/// Says what is run, runs it and turns a failure into an error that names it.
///
/// # Errors
///
/// If the program does not start or does not succeed.
pub(crate) fn shown(command: &mut Command) -> Result<()> {
    let line = line(command);
    println!("$ {line}");
    let status = command.status().map_err(|err| format!("`{line}` does not start: {err}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{line}` failed ({status})").into()) }
}

/// Whether `cargo NAME` exists on this machine.
pub(crate) fn has_subcommand(name: &str) -> bool {
    cargo()
        .args([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The packages of the workspace as `cargo metadata` tells them.
///
/// # Errors
///
/// If a manifest is wrong.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let out = cargo().args(["metadata", "--format-version", "1", "--no-deps"]).output()?;
    if !out.status.success() {
        return Err(
            format!("`cargo metadata` failed: {}", String::from_utf8_lossy(&out.stderr)).into()
        );
    }
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    command.get_args().fold(program, |line, arg| line + " " + &arg.to_string_lossy())
}
