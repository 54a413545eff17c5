//! The proxy as a whole: real sockets, peers that misbehave on purpose, programs that are not ours.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests; what they share is not in test functions"
)]

mod support;

mod answers;
mod balance;
mod bodies;
mod datagram;
mod fields;
mod flow;
mod foreign;
mod log;
mod paths;
mod pool;
mod reload;
mod reload_load;
mod smuggling;
mod stream;
mod upgrade;
