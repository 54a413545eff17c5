//! A head as it came: its bytes, and a table of what is where in them.

use std::fmt;

use staniel_core::buffer::Lease;

use super::fields::{self, APPENDED, Field, Line, Scan, Section, Table};
use super::framing::{self, Facts};
use super::known::{Known, KnownSet};
use super::limits::Limits;
use super::start_line::{self, Span, StartLine};
use super::target::TargetForm;
use super::{Asked, Framing, HeadError, Target};

/// A head of a message. Edits are marks in its table and lines appended to it, so that fields that nobody touched are
/// copied in whole runs, byte for byte.
pub struct WireHead {
    pub(super) bytes: Lease,
    pub(super) table: Table,
    pub(super) start: StartLine,
    /// Where the head ends; behind it its block may hold more.
    end: u16,
    pub(super) kind: Kind,
    pub(super) facts: Facts,
    /// Fields that are there and not removed.
    pub(super) present: KnownSet,
    pub(super) underscores: bool,
    framing: Framing,
}

/// What the first line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request whose target lies in the head, or in what was added.
    Request {
        form: TargetForm,
        replaced: bool,
    },
    Response,
}

/// What became of the bytes.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a head is there or it is not")]
pub enum Parsed {
    /// A head, and what stood behind it.
    Head(WireHead, Option<Lease>),
    /// More is needed: the same bytes. Before a wait they should be settled.
    Partial(Lease),
}

/// How far an incomplete head is known to be right, kept from one read to the next.
///
/// A client that sends a head byte by byte makes the parser look at each line again, not at the whole head: the work per
/// read is bounded by the longest line, a few microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Where the fields begin.
    fields: u16,
    /// Where the first incomplete line begins, and how many lines lie before it.
    line: u16,
    count: u16,
}

/// A head found in some bytes.
struct Found {
    start: StartLine,
    seen: fields::Seen,
    end: usize,
}

// === impl Progress ===

impl Progress {
    /// Reads one head; `None` if it is not whole.
    fn read(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        table: &mut Table,
        first: impl Fn() -> Result<Option<StartLine>, HeadError>,
    ) -> Result<Option<Found>, HeadError> {
        let known = std::mem::take(self);
        if known.line > 0 {
            let section = Section {
                start: known.fields.into(),
                from: known.line.into(),
                lines: known.count.into(),
            };
            match fields::scan(bytes, section, limits, &mut table.lines)? {
                Scan::Whole { .. } => table.lines.clear(),
                Scan::Part { line } => {
                    let count = known.count + table.lines.len() as u16;
                    *self = Self { line: line as u16, count, ..known };
                    return Ok(None);
                }
            }
        }
        let Some(start) = first()? else { return Ok(None) };
        let section = Section { start: start.end.into(), from: start.end.into(), lines: 0 };
        Ok(match fields::scan(bytes, section, limits, &mut table.lines)? {
            Scan::Whole { end, seen } => Some(Found { start, seen, end }),
            Scan::Part { line } => {
                *self =
                    Self { fields: start.end, line: line as u16, count: table.lines.len() as u16 };
                None
            }
        })
    }
}

// === impl WireHead ===

impl WireHead {
    /// Reads the head of a request off the front of `bytes`, or gives them back until all of it has arrived.
    ///
    /// The head moves into the smallest buffer that holds it, as it has to wait for its answer. An incomplete head never
    /// fills a block: before that it is refused.
    ///
    /// # Errors
    ///
    /// A [`HeadError`] for whatever has two readings or breaks a limit.
    pub fn parse_request(
        mut bytes: Lease,
        progress: &mut Progress,
        limits: &Limits,
    ) -> Result<Parsed, HeadError> {
        // RFC 9112, section 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at least
        // one empty line (CRLF) received prior to the request-line." One, not more.
        let from = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        let mut table = Table::take();
        let found = if *bytes == *b"\r" {
            None
        } else {
            progress.read(&bytes, limits, &mut table, || {
                start_line::request(&bytes, from, limits.request_line)
            })?
        };
        let Some(Found { start, seen, end }) = found else { return Ok(Parsed::Partial(bytes)) };

        let (framing, facts) = framing::of_request(&bytes, &table.lines, &seen, start.minor)?;

        let (bytes, rest) = if end == bytes.len() {
            (bytes.settle(), None)
        } else {
            let head = Lease::copy_of(bytes.get(..end).unwrap_or_default());
            bytes.consume(end);
            (head, Some(bytes.settle()))
        };
        let head = Self {
            bytes,
            table,
            start,
            end: end as u16,
            kind: Kind::Request { form: start.form, replaced: false },
            facts,
            present: seen.present,
            underscores: seen.underscores,
            framing,
        };
        Ok(Parsed::Head(head, rest))
    }

    /// Reads the head of a response off the front of `bytes`, or gives them back until all of it has arrived.
    ///
    /// The head stays in its block together with what stands [`behind`](Self::behind) it, so that both can be sent on in
    /// one write; the second part of [`Parsed::Head`] is always `None`.
    ///
    /// # Errors
    ///
    /// A [`HeadError`]: to the client that is a 502, and the connection must not be used again.
    pub fn parse_response(
        bytes: Lease,
        progress: &mut Progress,
        limits: &Limits,
        asked: Asked,
    ) -> Result<Parsed, HeadError> {
        let mut table = Table::take();
        let found = progress.read(&bytes, limits, &mut table, || {
            start_line::status(&bytes, 0, limits.request_line)
        })?;
        let Some(Found { start, seen, end }) = found else { return Ok(Parsed::Partial(bytes)) };
        let (framing, facts) =
            framing::of_response(&bytes, &table.lines, &seen, start.minor, start.status, asked)?;
        let head = Self {
            bytes,
            table,
            start,
            end: end as u16,
            kind: Kind::Response,
            facts,
            present: seen.present,
            underscores: seen.underscores,
            framing,
        };
        Ok(Parsed::Head(head, None))
    }

    /// What stands behind the head in its block: the beginning of the body of a response.
    #[must_use]
    pub fn behind(&self) -> &[u8] {
        self.bytes.get(usize::from(self.end)..).unwrap_or_default()
    }

    /// Moves out what stands behind the head.
    #[must_use]
    pub fn take_behind(&mut self) -> Option<Lease> {
        let end = usize::from(self.end);
        if self.bytes.len() <= end {
            return None;
        }
        let head = Lease::copy_of(self.bytes.get(..end).unwrap_or_default());
        let mut behind = std::mem::replace(&mut self.bytes, head);
        behind.consume(end);
        Some(behind.settle())
    }

    /// The head alone, in the smallest buffer that holds it. What stands behind it is lost: take it first.
    #[must_use]
    pub fn settle(mut self) -> Self {
        self.bytes.truncate(self.end.into());
        self.bytes = self.bytes.settle();
        self
    }

    /// The method of a request; empty for a response.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.start.first.of(&self.bytes)
    }

    /// The target of a request, as it was sent or as it was [set](Self::set_target); empty for a response.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        match self.kind {
            Kind::Request { replaced: false, .. } => self.start.second.of(&self.bytes),
            Kind::Request { replaced: true, .. } => self.start.second.of(&self.table.extra),
            Kind::Response => b"",
        }
    }

    /// The target in its parts. Of a response, or of a target that was set to what is none, all parts are empty.
    #[must_use]
    pub fn parts(&self) -> Target<'_> {
        Target::of(self.method(), self.target()).unwrap_or(Target {
            form: TargetForm::Origin,
            scheme: None,
            authority: None,
            path: b"",
            query: None,
        })
    }

    /// The host that a request is for. RFC 9112, section 3.2.2: an absolute target wins over `Host`.
    #[must_use]
    pub fn host(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Request { form: TargetForm::Absolute | TargetForm::Authority, .. } => {
                self.parts().authority
            }
            _ => self.get(Known::Host),
        }
    }

    /// What this request asks, for reading the head of its answer.
    #[must_use]
    pub fn asked(&self) -> Asked {
        Asked::of(self.method())
    }

    /// The minor version as it is treated: 0, or 1 for all others.
    #[must_use]
    pub fn minor(&self) -> u8 {
        self.start.minor
    }

    /// The status of a response; 0 for a request.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.start.status
    }

    /// The reason of a response, often empty.
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        match self.kind {
            Kind::Response => self.start.second.of(&self.bytes),
            Kind::Request { .. } => b"",
        }
    }

    /// How many bytes the head had on the wire.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.end.into()
    }

    /// How the end of the body is found.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the connection can carry another message after this one (RFC 9112, section 9.3). `false` also where the
    /// end of the body is the end of the connection, or where an answer announces a body that it must not have.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        !self.facts.has(Facts::CLOSE)
            && (self.start.minor > 0 || self.facts.has(Facts::KEEP_ALIVE))
            && self.framing != Framing::UntilClose
    }

    /// Whether the client waits for 100 (Continue) before it sends its body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.facts.has(Facts::CONTINUE)
    }

    /// Whether `Expect` asks for what nobody knows: 417 (RFC 9110, section 10.1.1).
    #[must_use]
    pub fn has_unknown_expectation(&self) -> bool {
        self.facts.has(Facts::EXPECTS)
    }

    /// Whether `TE` names `trailers`; known after the field was removed, too.
    #[must_use]
    pub fn accepts_trailers(&self) -> bool {
        self.facts.has(Facts::TRAILERS)
    }

    /// The protocols that `Upgrade` names, if `Connection` names `upgrade`; known after both were removed, too.
    ///
    /// RFC 9110, section 7.8: without the option, and on HTTP/1.0, the field is ignored.
    #[must_use]
    pub fn upgrade(&self) -> Option<&[u8]> {
        if !self.facts.has(Facts::UPGRADE) || self.start.minor == 0 {
            return None;
        }
        let line = self.table.lines.iter().find(|line| line.known == Known::Upgrade)?;
        Some(line.value(self.base(line)))
    }

    /// Whether a field is there.
    #[inline]
    #[must_use]
    pub fn has(&self, known: Known) -> bool {
        self.present.contains(known)
    }

    /// The value of the first field line of this name.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.get_all(known).next()
    }

    /// The values of all field lines of this name.
    pub fn get_all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let lines = if self.has(known) { self.table.lines.as_slice() } else { &[] };
        lines
            .iter()
            .filter(move |line| line.known == known && !line.is_dropped())
            .map(|line| line.value(self.base(line)))
    }

    /// The value of the first field line of this name, in any case.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        self.find_all(name).next()
    }

    /// The values of all field lines of this name, in any case.
    pub fn find_all(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        let known = Known::of(name);
        let lines = if known == Known::Other || self.has(known) {
            self.table.lines.as_slice()
        } else {
            &[]
        };
        lines
            .iter()
            .filter(move |line| self.is_named(line, known, name) && !line.is_dropped())
            .map(|line| line.value(self.base(line)))
    }

    /// The fields that are not removed: in wire order, then those appended.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.table.lines.iter().filter(|line| !line.is_dropped()).map(|line| {
            let base = self.base(line);
            Field { name: line.name(base), value: line.value(base), known: line.known }
        })
    }

    /// How many field lines there are.
    #[must_use]
    pub fn field_count(&self) -> usize {
        self.table.lines.iter().filter(|line| !line.is_dropped()).count()
    }

    /// The options of `Connection`, empty ones left out.
    pub fn connection_options(&self) -> impl Iterator<Item = &[u8]> {
        self.get_all(Known::Connection)
            .flat_map(super::chars::list)
            .filter(|option| !option.is_empty())
    }

    /// The bytes that `line` points into.
    #[inline]
    pub(super) fn base(&self, line: &Line) -> &[u8] {
        if line.flags & APPENDED == 0 { &self.bytes } else { &self.table.extra }
    }

    #[inline]
    pub(super) fn is_named(&self, line: &Line, known: Known, name: &[u8]) -> bool {
        line.known == known
            && (known != Known::Other || line.name(self.base(line)).eq_ignore_ascii_case(name))
    }

    /// The bytes of the version in the status line and what is behind it, without the line end.
    pub(super) fn status_and_reason(&self) -> &[u8] {
        let from = 9;
        Span { at: from, len: self.start.end.saturating_sub(2 + from) }.of(&self.bytes)
    }
}

impl fmt::Debug for WireHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets: names only.
        f.debug_struct("WireHead")
            .field("method", &String::from_utf8_lossy(self.method()))
            .field("status", &self.status())
            .field("framing", &self.framing)
            .field(
                "fields",
                &self.fields().map(|field| String::from_utf8_lossy(field.name)).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
