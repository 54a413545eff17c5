//! TOML text into the tree, with every syntax error found on the way.

use toml::de::{DeTable, DeValue, Error};

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Node, Table, Value};
use crate::source::Span;

/// Reads as much of `text` as can be understood; what cannot is in the list.
pub(crate) fn parse(text: &str) -> (Table, Vec<Diagnostic>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    (table(root.get_ref()), errors.iter().map(|error| diagnostic(error, text)).collect())
}

fn table(from: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = from
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: Span::new(key.span()),
            node: Node { span: Span::new(value.span()), value: self::value(value.get_ref()) },
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    Table { entries }
}

fn value(from: &DeValue<'_>) -> Value {
    match from {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(digits) => Value::Whole(whole(digits.as_str(), digits.radix())),
        DeValue::Float(digits) => Value::Fraction(digits.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Truth(*truth),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| Node { span: Span::new(item.span()), value: value(item.get_ref()) })
                .collect(),
        ),
        DeValue::Table(inner) => Value::Table(table(inner)),
    }
}

/// A number too long for `i128` is out of every range, so its sign is all that matters.
fn whole(digits: &str, radix: u32) -> i128 {
    let too_long = if digits.starts_with('-') { i128::MIN } else { i128::MAX };
    i128::from_str_radix(digits, radix).unwrap_or(too_long)
}

fn diagnostic(error: &Error, text: &str) -> Diagnostic {
    // An error at the end of the text has an empty span behind the last line: point at the last character instead.
    let end = text.trim_end().len();
    let span = error.span().unwrap_or(end..end);
    let span = if span.start > end { end..end } else { span };
    if error.message() == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        return Diagnostic::new(Code::DuplicateKey, format!("`{key}` is defined twice"))
            .label(Span::new(span), "already defined above")
            .help("a table or key may stand in the file once: join the two, or rename one");
    }
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (error.message(), None),
    };
    let diagnostic = Diagnostic::new(Code::Syntax, format!("this is not TOML: {what}"));
    let label = match expected {
        Some("literal string") => "a string needs quotes".to_owned(),
        Some(expected) => format!("expected {expected}"),
        None => what.to_owned(),
    };
    diagnostic.label(Span::new(span), label)
}
