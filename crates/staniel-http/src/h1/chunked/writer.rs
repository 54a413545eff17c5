//! Chunks for a peer that wants them.

use std::ops::Deref;

/// The line before the content of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct ChunkHead {
    text: [u8; 18],
    len: u8,
}

impl Deref for ChunkHead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Writes a chunked body.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct ChunkedWriter;

// === impl ChunkedWriter ===

impl ChunkedWriter {
    /// What follows the content of a chunk.
    pub const TAIL: &[u8] = b"\r\n";
    /// The end of a body without trailers.
    pub const END: &[u8] = b"0\r\n\r\n";

    /// The line before `len` bytes of content. For none there is no chunk: a chunk of size 0 is the end.
    #[must_use]
    pub fn head(len: usize) -> ChunkHead {
        let mut head = ChunkHead { text: [0; 18], len: 0 };
        let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
        for (i, slot) in head.text.iter_mut().take(digits as usize).enumerate() {
            let nibble = len >> (4 * (digits as usize - 1 - i)) & 0xf;
            *slot = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'0');
        }
        if let Some(end) = head.text.get_mut(digits as usize..digits as usize + 2) {
            end.copy_from_slice(b"\r\n");
        }
        head.len = digits as u8 + 2;
        head
    }

    /// Appends `content` as one chunk; nothing if there is none.
    pub fn write(content: &[u8], out: &mut Vec<u8>) {
        if content.is_empty() {
            return;
        }
        out.extend_from_slice(&Self::head(content.len()));
        out.extend_from_slice(content);
        out.extend_from_slice(Self::TAIL);
    }

    /// Appends the end: the last chunk, `trailers` (whole lines) and the empty line.
    pub fn finish(trailers: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"0\r\n");
        out.extend_from_slice(trailers);
        out.extend_from_slice(b"\r\n");
    }
}
