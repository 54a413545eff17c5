//! The field lines of a head (RFC 9112, section 5) and the table they are kept in.
//!
//! The scanner is our own and not that of `httparse`: it stops at a bare LF, which `httparse` takes for a line end,
//! it notes which fields a proxy looks at while their names are in the cache, and it looks at each byte of a value
//! once, eight at a time.

use std::cell::RefCell;

use super::HeadError;
use super::chars::{self, PLAIN, TOKEN, class, value_len};
use super::known::{Known, KnownSet};
use super::limits::{Limits, MAX_HEAD};

/// The name has an underscore.
pub(crate) const HAS_UNDERSCORE: u8 = 1;
/// The line is not sent.
pub(crate) const DROPPED: u8 = 2;
/// The line lies in [`Table::extra`], not in the head.
pub(crate) const APPENDED: u8 = 4;

/// A field line. `at..end` is the whole of it, with its CRLF.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) at: u16,
    pub(crate) name_len: u16,
    pub(crate) value_at: u16,
    pub(crate) value_len: u16,
    pub(crate) end: u16,
    pub(crate) known: Known,
    pub(crate) flags: u8,
}

const _: () = assert!(size_of::<Line>() == 12);

// === impl Line ===

impl Line {
    #[inline]
    pub(crate) fn is_dropped(&self) -> bool {
        self.flags & DROPPED != 0
    }

    #[inline]
    pub(crate) fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let at = usize::from(self.at);
        bytes.get(at..at + usize::from(self.name_len)).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let at = usize::from(self.value_at);
        bytes.get(at..at + usize::from(self.value_len)).unwrap_or_default()
    }
}

/// A field as it is seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field<'a> {
    /// Its name, as it was sent.
    pub name: &'a [u8],
    /// Its value, without white space around it.
    pub value: &'a [u8],
    /// Which one it is.
    pub known: Known,
}

/// The field lines of one head, in wire order, on loan from the thread.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) lines: Vec<Line>,
    /// Lines and targets that were added.
    pub(crate) extra: Vec<u8>,
}

/// A table as large as most heads need.
const LINES: usize = 32;
/// How many tables a thread keeps: 512 of 384 B.
const KEPT: usize = 512;
/// What a table may have grown to and still be kept.
const KEPT_EXTRA: usize = 1024;

thread_local! {
    static FREE: RefCell<Vec<(Vec<Line>, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

// === impl Table ===

impl Table {
    pub(crate) fn take() -> Self {
        let free = FREE.try_with(|free| free.try_borrow_mut().ok()?.pop()).ok().flatten();
        let (lines, extra) = free.unwrap_or_else(|| (Vec::with_capacity(LINES), Vec::new()));
        Self { lines, extra }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let (mut lines, mut extra) =
            (std::mem::take(&mut self.lines), std::mem::take(&mut self.extra));
        if lines.capacity() == 0 || lines.capacity() > LINES * 4 || extra.capacity() > KEPT_EXTRA {
            return;
        }
        lines.clear();
        extra.clear();
        // A thread that is ending keeps nothing.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && free.len() < KEPT
            {
                free.push((lines, extra));
            }
        });
    }
}

/// How a field section ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// With an empty line: where what follows it begins, and what was seen.
    Whole { end: usize, seen: Seen },
    /// Not yet: where its first incomplete line begins.
    Part { line: usize },
}

/// What a field section has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) present: KnownSet,
    /// Fields that may stand once and stand more often: `Host`, `Content-Length`.
    pub(crate) repeated: KnownSet,
    pub(crate) underscores: bool,
}

/// Where a field section lies and how much of it is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section {
    /// Where it begins.
    pub(crate) start: usize,
    /// Where to begin to read, and how many lines lie before that.
    pub(crate) from: usize,
    pub(crate) lines: usize,
}

/// Reads field lines until the empty one. Whatever is wrong is found at the first byte that is wrong, so that a
/// verdict does not depend on how much has arrived.
pub(crate) fn scan(
    bytes: &[u8],
    section: Section,
    limits: &Limits,
    lines: &mut Vec<Line>,
) -> Result<Scan, HeadError> {
    // The empty line is not counted.
    let end = (section.start + usize::from(limits.headers_total) + 2).min(MAX_HEAD);
    let window = bytes.get(..end.min(bytes.len())).unwrap_or_default();
    let short = |line| {
        if bytes.len() > window.len() {
            Err(HeadError::HeadersTooLarge)
        } else {
            Ok(Scan::Part { line })
        }
    };

    let mut seen = Seen::default();
    let mut at = section.from;
    let mut room = usize::from(limits.header_count).saturating_sub(section.lines);
    loop {
        let rest = window.get(at..).unwrap_or_default();
        if rest.starts_with(b"\r\n") {
            return Ok(Scan::Whole { end: at + 2, seen });
        }
        // The colon first, wherever it is; if what stands before it is no name, a second look says why.
        let name = chars::colon(rest).and_then(|n| rest.get(..n)).unwrap_or_default();
        let known = Known::of(name);
        let mut flags = 0;
        if known == Known::Other {
            let classes = chars::common(name);
            if name.is_empty() || classes & TOKEN == 0 {
                return match no_name(rest) {
                    Some(fault) => Err(fault),
                    None => short(at),
                };
            }
            if classes & PLAIN == 0 {
                flags = HAS_UNDERSCORE;
                seen.underscores = true;
            }
        }

        let mut value_at = name.len() + 1;
        while let Some(b' ' | b'\t') = rest.get(value_at) {
            value_at += 1;
        }
        let behind = rest.get(value_at..).unwrap_or_default();
        let mut len = value_len(behind);
        match behind.get(len..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return short(at),
            [b'\r', ..] => return Err(HeadError::BareCr),
            [b'\n', ..] => return Err(HeadError::BareLf),
            _ => return Err(HeadError::FieldValue),
        }
        let line_end = at + value_at + len + 2;
        while let Some(b' ' | b'\t') = len.checked_sub(1).and_then(|last| behind.get(last)) {
            len -= 1;
        }

        if room == 0 {
            return Err(HeadError::TooManyFields);
        }
        room -= 1;
        if matches!(known, Known::Host | Known::ContentLength) && seen.present.contains(known) {
            seen.repeated.insert(known);
        }
        seen.present.insert(known);
        lines.push(Line {
            at: at as u16,
            name_len: name.len() as u16,
            value_at: (at + value_at) as u16,
            value_len: len as u16,
            end: line_end as u16,
            known,
            flags,
        });
        at = line_end;
    }
}

/// What is wrong with a line that does not begin with a token and a colon; `None` if that is not known yet.
#[cold]
fn no_name(line: &[u8]) -> Option<HeadError> {
    let n = line.iter().position(|&b| class(b) & TOKEN == 0).unwrap_or(line.len());
    match (n, line.get(n..).unwrap_or_default()) {
        (_, [] | [b'\r']) => None,
        (0, [b':', ..]) => Some(HeadError::EmptyName),
        // RFC 9112, section 5.2. White space before the first field (section 2.2) is refused as well.
        (0, [b' ' | b'\t', ..]) => Some(HeadError::ObsFold),
        // RFC 9112, section 5.1: "A server MUST reject, with a response status code of 400 (Bad Request), any received
        // request message that contains whitespace between a header field name and colon."
        (_, [b' ' | b'\t', ..]) => Some(HeadError::SpaceBeforeColon),
        (_, [b'\n', ..]) => Some(HeadError::BareLf),
        (_, [b'\r', b'\n', ..]) => Some(HeadError::MissingColon),
        (_, [b'\r', ..]) => Some(HeadError::BareCr),
        _ => Some(HeadError::FieldName),
    }
}
