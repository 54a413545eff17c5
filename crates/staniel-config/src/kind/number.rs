//! Whole numbers, and sizes in bytes.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::kind::{Kind, quoted};
use crate::node::{Node, Value};
use crate::reader::Reader;

/// Units of a size, largest first; a decimal one before the binary one below it.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

/// A whole number in a range.
pub(crate) struct Whole<N> {
    range: RangeInclusive<N>,
}

pub(crate) fn whole<N>(range: RangeInclusive<N>) -> Whole<N> {
    Whole { range }
}

impl<N: Copy + Display + TryFrom<i128> + PartialOrd> Kind for Whole<N> {
    type Out = N;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<N> {
        let number = match &node.value {
            Value::Whole(number) => *number,
            // Where a word would do as well, "cannot be a string" is not what is wrong.
            Value::Text(text) if accepts != self.accepts() => {
                let title = format!("`{}` is not a whole number", quoted(text));
                reader.report(
                    Diagnostic::new(Code::WrongType, title)
                        .label(node.span, format!("expected {accepts}")),
                );
                return None;
            }
            Value::Text(_)
            | Value::Fraction(_)
            | Value::Truth(_)
            | Value::Date(_)
            | Value::List(_)
            | Value::Table(_) => {
                reader.wrong_type(node, accepts);
                return None;
            }
        };
        in_range(N::try_from(number).ok(), &self.range, node, accepts, reader)
    }

    fn spell(&self, value: &N) -> String {
        value.to_string()
    }

    fn accepts(&self) -> String {
        format!("a whole number from {} to {}", self.range.start(), self.range.end())
    }
}

/// A size in bytes: a plain number, or a string with a unit.
pub(crate) struct Size<N> {
    range: RangeInclusive<N>,
}

pub(crate) fn size<N>(range: RangeInclusive<N>) -> Size<N> {
    Size { range }
}

impl<N: Copy + TryFrom<i128> + TryInto<u64> + PartialOrd> Kind for Size<N> {
    type Out = N;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<N> {
        let bytes = match &node.value {
            Value::Whole(bytes) => *bytes,
            Value::Text(text) => match parse_size(text) {
                Some(bytes) => i128::from(bytes),
                None => {
                    reader.report(
                        Diagnostic::new(Code::BadSize, format!("`{}` is not a size", text.escape_debug()))
                            .label(node.span, format!("expected {accepts}"))
                            .help("a size is a number of bytes, or a number and a unit: `\"64KiB\"`, `\"10MB\"`")
                            .allowed(UNITS.iter().rev().map(|&(unit, _)| unit)),
                    );
                    return None;
                }
            },
            Value::Fraction(_)
            | Value::Truth(_)
            | Value::Date(_)
            | Value::List(_)
            | Value::Table(_) => {
                reader.wrong_type(node, accepts);
                return None;
            }
        };
        in_range(N::try_from(bytes).ok(), &self.range, node, accepts, reader)
    }

    fn spell(&self, value: &N) -> String {
        format!("\"{}\"", spell_size((*value).try_into().unwrap_or(u64::MAX)))
    }

    fn accepts(&self) -> String {
        let bytes = |value: &N| spell_size((*value).try_into().unwrap_or(u64::MAX));
        format!("a size from {} to {}", bytes(self.range.start()), bytes(self.range.end()))
    }
}

/// Passes a value of the range on, and reports any other.
pub(crate) fn in_range<N: PartialOrd>(
    value: Option<N>,
    range: &RangeInclusive<N>,
    node: &Node,
    accepts: &str,
    reader: &mut Reader,
) -> Option<N> {
    let value = value.filter(|value| range.contains(value));
    if value.is_none() {
        let key = reader.key_name().to_owned();
        reader.report(
            Diagnostic::new(Code::OutOfRange, format!("`{key}` is out of range"))
                .label(node.span, format!("expected {accepts}")),
        );
    }
    value
}

/// Bytes of `64KiB`, `10MB`, `240B`, `240`; units in any case.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit = text.get(digits..)?.trim_start_matches(' ');
    let bytes = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some(&(_, bytes)) => bytes,
        None if unit.is_empty() => 1,
        None => return None,
    };
    number.checked_mul(bytes)
}

/// The shortest exact spelling.
pub(crate) fn spell_size(bytes: u64) -> String {
    UNITS
        .iter()
        .filter(|&&(_, unit)| bytes != 0 && bytes.is_multiple_of(unit))
        .map(|(name, unit)| format!("{}{name}", bytes / unit))
        .min_by_key(String::len)
        .unwrap_or_else(|| "0".to_owned())
}
