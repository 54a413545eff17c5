//! The examples, run as programs and talked to by programs that are not ours.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests; what they share is not in test functions"
)]

mod examples;
mod program;
