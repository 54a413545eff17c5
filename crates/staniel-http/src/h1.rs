//! HTTP/1.1 (RFC 9112): heads and bodies as they stand on the wire.
//!
//! Bytes come in as a [`Lease`](staniel_core::buffer::Lease) and stay where they were read: a [`WireHead`] is a table
//! of ranges into them, an edit is a mark in the table or a line appended to it, and a body is a count of bytes
//! ([`BodyState`]). Nothing here does I/O, waits, or allocates per field.
//!
//! Of two readings of a message this module takes neither: what RFC 9112 lets a recipient repair (bare LF, folded
//! lines, a repeated length) is refused, because the next hop may repair it in another way.

mod body;
mod chars;
mod chunked;
mod client;
mod down;
mod edit;
mod error;
mod fields;
mod framing;
mod head;
mod known;
mod limits;
mod outgoing;
mod server;
mod start_line;
mod target;

pub(crate) use server::serve;

pub use body::BodyState;
pub use chunked::{ChunkHead, ChunkedReader, ChunkedWriter};
pub use client::{H1Client, UpstreamError, write_framing};
pub use edit::AppendError;
pub use error::{BodyError, HeadError};
pub use fields::Field;
pub use framing::{Asked, Framing};
pub use head::{Parsed, Progress, WireHead};
pub use known::{Known, KnownSet};
pub use limits::Limits;
pub use target::{Target, TargetForm};

/// Whether `byte` may stand in a registered name.
pub(crate) fn is_host_byte(byte: u8) -> bool {
    chars::class(byte) & chars::HOST != 0
}

/// Whether `byte` may stand in a target.
fn is_target_byte(byte: u8) -> bool {
    chars::class(byte) & chars::TARGET != 0
}

/// Whether `byte` is `unreserved` (RFC 3986, section 2.3).
pub(crate) fn is_unreserved(byte: u8) -> bool {
    chars::class(byte) & chars::UNRESERVED != 0
}
