//! How large the parts of a message may be.

use staniel_core::buffer::Class;

/// The most bytes that a head can have: every offset into it is a `u16`.
pub(crate) const MAX_HEAD: usize = u16::MAX as usize;

// A read brings up to one block. A head that fills it without an end has been refused before.
const _: () = assert!(MAX_HEAD < Class::Block.size());

/// More hexadecimal digits than these are not a chunk size but an attempt to overflow one.
pub(crate) const CHUNK_SIZE_DIGITS: u8 = 15;

/// Bounds on the head and on the framing of a body.
///
/// They are `u16` because a head never exceeds the 64 KiB block it is read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The request or status line, without its CRLF: 8 KiB. Longer URLs are mistakes or probes.
    pub request_line: u16,
    /// All field lines with their line ends: 32 KiB, what other servers take as well.
    pub headers_total: u16,
    /// Field lines: 100. Many small fields cost more than one large one.
    pub header_count: u16,
    /// The extensions of one chunk: 256 B. Nobody uses them; signatures in them have about 100 B.
    pub chunk_extension: u16,
    /// The extensions of all chunks of a message: 4 KiB. They are read and thrown away, so they are only a cost.
    pub chunk_extensions_total: u16,
    /// The trailer section: 8 KiB. It is kept until its end is seen.
    pub trailers: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8 * 1024,
            headers_total: 32 * 1024,
            header_count: 100,
            chunk_extension: 256,
            chunk_extensions_total: 4 * 1024,
            trailers: 8 * 1024,
        }
    }
}
