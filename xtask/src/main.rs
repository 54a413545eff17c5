//! The repository's own commands: `cargo xtask tidy | codegen | test | ci | fuzz`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what these commands do"
)]

mod ci;
mod codegen;
mod foreign;
mod fuzz;
mod repo;
mod run;
mod source;
mod suite;
mod tidy;

use std::process::ExitCode;

/// What a command ends with; the text of an error is for the person who typed it.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const HELP: &str = "\
usage: cargo xtask COMMAND

  tidy [--report]     compare the repository with its own rules; --report prints the size figures
  codegen [--check]   write what is generated into docs/reference; --check only compares
  test [ARGS]         the whole test-suite, foreign programs included; ARGS go to `cargo test`
  ci                  everything that has to pass before a change goes in, step by step
  fuzz TARGET [ARGS]  run one fuzz target (cargo-fuzz and a nightly toolchain)
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["tidy"] => tidy::run(),
        ["tidy", "--report"] => tidy::report(),
        ["codegen"] => codegen::write(),
        ["codegen", "--check"] => codegen::check(),
        ["test", rest @ ..] => suite::run(rest),
        ["ci"] => ci::run(),
        ["fuzz", target, rest @ ..] => fuzz::run(target, rest),
        ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(HELP.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
