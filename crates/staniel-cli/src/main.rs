//! The program `staniel`: reads a configuration and runs the proxy it describes.
//!
//! This crate is the edge. It alone prints, exits and reads the environment; what it prints for people stands here, and
//! what can be wrong with a configuration is said by `staniel-config`. Standard output is for what was asked for (a
//! verdict, a page, the access log), standard error for everything else.

mod args;
mod check;
mod exit;
mod file;
mod init;
mod log;
mod quickstart;
mod ready;
mod run;
mod say;
mod start;
mod version;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, Verb};
use crate::exit::Exit;

fn main() -> ExitCode {
    let exit = match Args::try_parse() {
        Ok(Args { verb }) => match verb {
            Verb::Run(args) => run::run(&args),
            Verb::Check(args) => check::check(&args),
            Verb::Init(args) => init::init(&args),
            Verb::Version(args) => version::version(&args),
        },
        // Help and `--version` come this way too.
        Err(error) => {
            // If it cannot be printed there is nobody to tell.
            drop(error.print());
            if error.use_stderr() { Exit::Usage } else { Exit::Fine }
        }
    };
    exit.into()
}
