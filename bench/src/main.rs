//! Compares the release `staniel` with nginx and HAProxy, in one interleaved run on one machine.
//!
//! What is compared is the CPU time that a proxy's process tree spends per request, as the kernel accounts it: throughput
//! on few cores says more about the load side than about the proxy. Load and origin are processes of their own and share
//! no CPU with the proxy, rounds go A B C, then C B A, and ratios are taken pair by pair inside a round.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures are what this program is for"
)]
#![expect(clippy::disallowed_types, reason = "the wall clock is what is measured with")]

mod args;
mod figures;
mod hold;
mod leash;
mod load;
mod machine;
mod measure;
mod origin;
mod peer;
mod process;
mod proxy;
mod report;
mod scenario;
mod wire;

use std::process::ExitCode;

/// What a step ends with; the text of an error is for the person who runs the bench.
type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        // The bench starts itself again for these; they are not for people.
        [origin::CHILD] => origin::run(),
        [load::CHILD, rest @ ..] => load::run(rest),
        [hold::CHILD, rest @ ..] => hold::run(rest),
        [leash::CHILD, rest @ ..] => leash::run(rest),
        ["--help" | "-h" | "help"] => {
            print!("{}", args::HELP);
            Ok(())
        }
        words => args::Options::parse(words).and_then(|options| measure::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}
