//! HTTP/1 against other readings of the same bytes: a slow reference, nginx, and the inputs kept by the fuzzers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests; what they share is not in test functions"
)]

mod client;
mod corpus;
mod differential;
mod nginx;
mod reference;
mod server;
mod support;
