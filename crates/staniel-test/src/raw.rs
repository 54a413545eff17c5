//! Peers that send exactly the bytes they are told to.
//!
//! Nothing here corrects, completes or refuses what a test writes; what arrives is kept as it stood on the wire.

mod client;
mod message;
mod origin;
mod reader;
mod script;

pub use client::RawClient;
pub use message::Message;
pub use origin::{RawOrigin, Recorded};
pub use script::Answer;

pub(crate) use message::Framing;
pub(crate) use origin::accept;
pub(crate) use reader::Reader;
