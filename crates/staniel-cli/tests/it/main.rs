//! The program as its users see it: words in, words and exit codes out, and connections through it.

#![expect(clippy::unwrap_used, reason = "tests; what they share is not in test functions")]

mod check;
mod deaf;
mod docs;
mod init;
mod program;
mod quickstart;
mod reload;
mod run;
