//! The chunked transfer coding (RFC 9112, section 7.1): read strictly, written plainly.
//!
//! # What a proxy passes on
//!
//! A chunked body may be sent on in the frames it came in, without a copy, but not with everything that stands in the
//! frames: extensions belong to one hop, and some trailers must not travel. So the reader is a filter. While it reads it
//! names the pieces of the input that may be sent as they are; what lies between them is cut out. The pieces joined are
//! a chunked body of the plainest form, however the input was split, and for nearly every body there is one piece: the
//! whole input ([`ChunkedReader::wire_is_clean`]). Trailers are held back until their end is seen and then named
//! from the reader's own buffer.

use super::chars::{TOKEN, class};
use super::fields::{self, Scan, Section, Table};
use super::known::KnownSet;
use super::limits::{CHUNK_SIZE_DIGITS, Limits};
use super::{BodyError, HeadError};

mod writer;

pub use writer::{ChunkHead, ChunkedWriter};

/// Who is told what is read.
pub(super) trait Sink {
    /// Content.
    fn data(&mut self, _: &[u8]) {}
    /// Bytes that may be sent as they are.
    fn wire(&mut self, _: &[u8]) {}
}

/// Sees the content.
pub(super) struct Data<F>(pub(super) F);

impl<F: FnMut(&[u8])> Sink for Data<F> {
    fn data(&mut self, bytes: &[u8]) {
        (self.0)(bytes);
    }
}

/// Sees what may be sent as it is.
pub(super) struct Wire<F>(pub(super) F);

impl<F: FnMut(&[u8])> Sink for Wire<F> {
    fn wire(&mut self, bytes: &[u8]) {
        (self.0)(bytes);
    }
}

/// Sees both.
pub(super) struct Both<D, W>(pub(super) D, pub(super) W);

impl<D: FnMut(&[u8]), W: FnMut(&[u8])> Sink for Both<D, W> {
    fn data(&mut self, bytes: &[u8]) {
        (self.0)(bytes);
    }

    fn wire(&mut self, bytes: &[u8]) {
        (self.1)(bytes);
    }
}

/// Where the reader stands: what the next byte has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A digit, or what ends the size.
    Size,
    Extension(Extension),
    /// The LF of a size line.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or the CR of the end.
    Trailer,
    TrailerLine,
    TrailerLf,
    EndLf,
    Done,
    Failed(BodyError),
}

/// Where in `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112, section 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// White space was seen; a `;` has to come.
    Gap,
    /// Behind `;`.
    Name0,
    Name,
    /// White space behind a name: `=` or `;` has to come.
    NameGap,
    /// Behind `=`.
    Value0,
    Value,
    Quoted,
    Escaped,
    /// Behind the closing quote.
    Closed,
}

/// Reads a chunked body.
#[derive(Debug)]
pub struct ChunkedReader {
    state: State,
    digits: u8,
    clean: bool,
    /// Bytes of the extensions of this chunk, and of all.
    extension: u16,
    extensions: u16,
    limits: Limits,
    /// What is left of this chunk.
    size: u64,
    trailers: Option<Box<Trailers>>,
}

#[derive(Debug, Default)]
struct Trailers {
    lines: Vec<u8>,
}

// === impl ChunkedReader ===

impl ChunkedReader {
    /// A reader at the beginning of a body.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::Size,
            digits: 0,
            clean: true,
            extension: 0,
            extensions: 0,
            limits: *limits,
            size: 0,
            trailers: None,
        }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether all that the last call took may be sent as it is.
    #[must_use]
    pub fn wire_is_clean(&self) -> bool {
        self.clean
    }

    /// The trailer lines that may be passed on, each with its CRLF, once the body is complete.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.trailers {
            Some(trailers) if self.is_done() => &trailers.lines,
            _ => b"",
        }
    }

    /// Takes bytes of the body and says how many; `data` sees the content.
    ///
    /// # Errors
    ///
    /// A [`BodyError`], the same one in every later call.
    pub fn feed(&mut self, bytes: &[u8], data: impl FnMut(&[u8])) -> Result<usize, BodyError> {
        self.run(bytes, &mut Data(data))
    }

    /// Takes bytes of the body and says how many; `wire` sees the pieces that are to be sent on as they are.
    ///
    /// # Errors
    ///
    /// A [`BodyError`], the same one in every later call. The pieces of this call are then not complete.
    pub fn feed_wire(&mut self, bytes: &[u8], wire: impl FnMut(&[u8])) -> Result<usize, BodyError> {
        self.run(bytes, &mut Wire(wire))
    }

    pub(super) fn run(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, BodyError> {
        self.clean = true;
        let result = self.advance(bytes, sink);
        if let Err(fault) = result {
            self.state = State::Failed(fault);
        }
        result
    }

    fn advance(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, BodyError> {
        let mut at = 0;
        // Where the piece begins that may be sent as it is.
        let mut piece = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Size => match (byte as char).to_digit(16) {
                    Some(digit) => {
                        self.digits += 1;
                        if self.digits > CHUNK_SIZE_DIGITS {
                            return Err(BodyError::ChunkSize);
                        }
                        self.size = self.size << 4 | u64::from(digit);
                    }
                    // RFC 9112, section 7.1: chunk-size = 1*HEXDIG
                    None if self.digits == 0 => return Err(BodyError::ChunkSize),
                    None => match byte {
                        b'\r' => self.state = State::SizeLf,
                        b';' | b' ' | b'\t' => {
                            self.cut(bytes, piece, at, sink);
                            self.state = self.extension(Extension::Gap, byte)?;
                        }
                        b'\n' => return Err(BodyError::LineEnd),
                        _ => return Err(BodyError::ChunkSize),
                    },
                },
                State::Extension(within) => {
                    self.clean = false;
                    self.state = self.extension(within, byte)?;
                    if self.state == State::SizeLf {
                        piece = at;
                    }
                }
                State::SizeLf => {
                    expect(byte, b'\n', BodyError::LineEnd)?;
                    self.extensions += self.extension;
                    (self.digits, self.extension) = (0, 0);
                    self.state = if self.size == 0 { State::Trailer } else { State::Data };
                }
                State::Data => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let data = match usize::try_from(self.size) {
                        Ok(size) => rest.get(..size).unwrap_or(rest),
                        Err(_) => rest,
                    };
                    sink.data(data);
                    self.size -= data.len() as u64;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    at += data.len();
                    continue;
                }
                State::DataCr => {
                    expect(byte, b'\r', BodyError::ChunkEnd)?;
                    self.state = State::DataLf;
                }
                State::DataLf => {
                    expect(byte, b'\n', BodyError::ChunkEnd)?;
                    self.state = State::Size;
                }
                State::Trailer if byte == b'\r' => {
                    if self.trailers.is_some() {
                        self.clean = false;
                    }
                    self.state = State::EndLf;
                }
                State::Trailer => {
                    if self.trailers.is_none() {
                        self.cut(bytes, piece, at, sink);
                    }
                    self.state = State::TrailerLine;
                    continue;
                }
                State::TrailerLine => {
                    self.clean = false;
                    self.hold(byte)?;
                    match byte {
                        b'\n' => return Err(BodyError::Trailers(HeadError::BareLf)),
                        b'\r' => self.state = State::TrailerLf,
                        _ => {}
                    }
                }
                State::TrailerLf => {
                    self.clean = false;
                    expect(byte, b'\n', BodyError::Trailers(HeadError::BareCr))?;
                    self.hold(byte)?;
                    self.state = State::Trailer;
                }
                State::EndLf => {
                    expect(byte, b'\n', BodyError::LineEnd)?;
                    self.state = State::Done;
                    if let Some(trailers) = &mut self.trailers {
                        self.clean = false;
                        trailers.filter(&self.limits)?;
                        sink.wire(&trailers.lines);
                        sink.wire(b"\r\n");
                        return Ok(at + 1);
                    }
                }
                State::Done => break,
                State::Failed(fault) => return Err(fault),
            }
            at += 1;
        }
        // Bytes of an extension or of trailers at the end are not in a piece.
        let outside = match self.state {
            State::Extension(_) | State::TrailerLine | State::TrailerLf => true,
            State::Trailer | State::EndLf => self.trailers.is_some(),
            _ => false,
        };
        if !outside && let Some(piece) = bytes.get(piece..at).filter(|piece| !piece.is_empty()) {
            sink.wire(piece);
        }
        Ok(at)
    }

    /// Ends a piece before `at`.
    fn cut(&mut self, bytes: &[u8], piece: usize, at: usize, sink: &mut impl Sink) {
        self.clean = false;
        if let Some(piece) = bytes.get(piece..at).filter(|piece| !piece.is_empty()) {
            sink.wire(piece);
        }
    }

    /// One byte of an extension. A CR is not allowed in any place but the end, quoted or not.
    fn extension(&mut self, within: Extension, byte: u8) -> Result<State, BodyError> {
        use Extension::{Closed, Escaped, Gap, Name, Name0, NameGap, Quoted, Value, Value0};
        let token = class(byte) & TOKEN != 0;
        let blank = matches!(byte, b' ' | b'\t');
        let next = match (within, byte) {
            (Name | Value | Closed, b'\r') => return Ok(State::SizeLf),
            (Name | NameGap | Value | Closed | Gap, b';') => Name0,
            (Name | NameGap, b'=') => Value0,
            (Name0, _) if blank => Name0,
            (Value0, _) if blank => Value0,
            (Name | NameGap, _) if blank => NameGap,
            (Value | Closed | Gap, _) if blank => Gap,
            (Name0 | Name, _) if token => Name,
            (Value0 | Value, _) if token => Value,
            (Value0, b'"') => Quoted,
            (Quoted, b'"') => Closed,
            (Quoted, b'\\') => Escaped,
            (Quoted | Escaped, b'\t' | b' '..=b'~' | 0x80..) => Quoted,
            (_, b'\n') => return Err(BodyError::LineEnd),
            _ => return Err(BodyError::ChunkExtension),
        };
        self.extension += 1;
        let of_all = self.extensions.checked_add(self.extension);
        if self.extension > self.limits.chunk_extension
            || of_all.is_none_or(|n| n > self.limits.chunk_extensions_total)
        {
            return Err(BodyError::ChunkExtensionsTooLarge);
        }
        Ok(State::Extension(next))
    }

    fn hold(&mut self, byte: u8) -> Result<(), BodyError> {
        let lines = &mut self.trailers.get_or_insert_default().lines;
        if lines.len() >= usize::from(self.limits.trailers) {
            return Err(BodyError::TrailersTooLarge);
        }
        lines.push(byte);
        Ok(())
    }
}

// === impl Trailers ===

impl Trailers {
    /// Checks the lines as fields and keeps those that may travel (RFC 9110, section 6.5.1).
    fn filter(&mut self, limits: &Limits) -> Result<(), BodyError> {
        self.lines.extend_from_slice(b"\r\n");
        let mut table = Table::take();
        let section = Section { start: 0, from: 0, lines: 0 };
        let limits = Limits { headers_total: limits.trailers, ..*limits };
        match fields::scan(&self.lines, section, &limits, &mut table.lines) {
            Ok(Scan::Whole { .. }) => {}
            Ok(Scan::Part { .. }) => return Err(BodyError::Trailers(HeadError::MissingColon)),
            Err(fault) => return Err(BodyError::Trailers(fault)),
        }
        let allowed = table.lines.iter().filter(|line| {
            !KnownSet::NOT_IN_TRAILERS.contains(line.known)
                && line.flags & fields::HAS_UNDERSCORE == 0
        });
        let lines = allowed
            .filter_map(|line| self.lines.get(usize::from(line.at)..usize::from(line.end)))
            .collect::<Vec<_>>()
            .concat();
        self.lines = lines;
        Ok(())
    }
}

fn expect(byte: u8, expected: u8, fault: BodyError) -> Result<(), BodyError> {
    if byte == expected { Ok(()) } else { Err(fault) }
}

#[cfg(test)]
mod tests;
