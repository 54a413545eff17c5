//! Durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::kind::number::in_range;
use crate::kind::{Kind, quoted};
use crate::node::{Node, Value};
use crate::reader::Reader;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Units in milliseconds, largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A number and a unit, in a range.
pub(crate) struct Time {
    range: RangeInclusive<Duration>,
}

pub(crate) fn duration(range: RangeInclusive<Duration>) -> Time {
    Time { range }
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Kind for Time {
    type Out = Duration;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Duration> {
        let problem = |written: &str| {
            Diagnostic::new(
                Code::BadDuration,
                format!("`{}` is not a duration", written.escape_debug()),
            )
            .label(node.span, format!("expected {accepts}"))
        };
        match &node.value {
            Value::Text(text) => match parse_duration(text) {
                Some(value) => in_range(Some(value), &self.range, node, accepts, reader),
                None => {
                    let help = "a duration is a whole number and a unit: `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`";
                    let units = UNITS.iter().rev().map(|&(unit, _)| unit);
                    reader.report(problem(text).help(help).allowed(units));
                    None
                }
            },
            Value::Whole(number) => {
                reader.report(
                    problem(&number.to_string())
                        .help("a duration has a unit: `\"30s\"`, `\"250ms\"`"),
                );
                None
            }
            Value::Fraction(_)
            | Value::Truth(_)
            | Value::Date(_)
            | Value::List(_)
            | Value::Table(_) => {
                reader.wrong_type(node, accepts);
                None
            }
        }
    }

    fn spell(&self, value: &Duration) -> String {
        quoted(&spell_duration(*value))
    }

    fn accepts(&self) -> String {
        format!(
            "a duration from {} to {}",
            spell_duration(*self.range.start()),
            spell_duration(*self.range.end())
        )
    }
}

/// `250ms`, `30s`, `5m`, `1h`, `1d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit = text.get(digits..)?.trim_start_matches(' ');
    let &(_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// In the largest unit that is exact; below a millisecond is lost.
pub(crate) fn spell_duration(value: Duration) -> String {
    let total = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    UNITS
        .iter()
        .find(|&&(_, unit)| total != 0 && total.is_multiple_of(unit))
        .map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", total / unit))
}
