//! Hosts, endpoints, relays and sessions on real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests; what they share is not in test functions"
)]

mod accept;
mod apply;
mod connect;
mod drain;
mod endings;
mod io;
mod limits;
mod process;
mod relay;
mod reload;
mod resources;
mod support;
mod udp;
