//! Diagnostics as JSON.

use std::fmt::Write;

use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

/// One array, an object per line, so that it can be read by line too.
pub(super) fn array(diagnostics: &[Diagnostic], source: &Source) -> String {
    let objects: Vec<_> = diagnostics.iter().map(|diagnostic| object(diagnostic, source)).collect();
    match objects.is_empty() {
        true => "[]\n".to_owned(),
        false => format!("[\n{}\n]\n", objects.join(",\n")),
    }
}

fn object(diagnostic: &Diagnostic, source: &Source) -> String {
    let at = source.position(diagnostic.span().unwrap_or(Span::EMPTY));
    let labels = diagnostic.labels().iter().map(|label| {
        let (start, end) = (source.position(label.span), source.end_position(label.span));
        format!(
            "{{\"line\":{},\"column\":{},\"end_line\":{},\"end_column\":{},\"text\":{}}}",
            start.line,
            start.column,
            end.line,
            end.column,
            string(&label.text)
        )
    });
    format!(
        "{{\"code\":{},\"severity\":{},\"message\":{},\"file\":{},\"line\":{},\"column\":{},\"path\":{},\"help\":{},\"allowed\":{},\"labels\":{}}}",
        string(diagnostic.code().word()),
        string(diagnostic.severity().word()),
        string(diagnostic.title()),
        string(&source.name),
        at.line,
        at.column,
        string(diagnostic.path()),
        list(diagnostic.help_lines().iter().map(|line| string(line))),
        list(diagnostic.allowed_values().iter().map(|value| string(value))),
        list(labels),
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// RFC 8259, section 7: the quote, the backslash and control characters are escaped.
fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
