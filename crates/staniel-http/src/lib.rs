//! HTTP for servers, clients and proxies: one implementation per version, none of it tied to a socket.
//!
//! A server is [`http()`] around something that [answers requests](Exchanges); it is a handler like any other. What answers
//! works on heads as they stand on the wire ([`h1::WireHead`]) and on the client's half of the exchange
//! ([`Downstream`]); [`h1::H1Client`] is the other half.

pub mod exchange;
pub mod h1;
pub mod host;
pub mod path;
pub mod rate;
pub mod server;
pub mod transfer;

pub use crate::exchange::{Answer, BodyRules, DownError, Downstream, Exchanges, Refusal, Refused};
pub use crate::rate::MinRate;
pub use crate::server::{Http, HttpTimeouts, http};
pub use crate::transfer::Form;
