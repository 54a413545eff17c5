//! Whole texts in, diagnostics or a config out.

use std::slice;

use crate::{Config, Diagnostic, Format, Loaded, Source, read, render};

mod diagnostics;
mod model;
mod properties;
mod relations;
mod rendering;

/// A listener and a route, for tests about something else.
const SERVES: &str = "[listen.web]\naddress = \":80\"\n[route.web]\nto = \"http://127.0.0.1:1\"\n";

fn load(text: &str) -> (Source, Loaded) {
    let source = Source::new("s.toml", text);
    let loaded = read(&source);
    (source, loaded)
}

/// The config of a text that has no problem at all.
fn config(text: &str) -> Config {
    let (source, loaded) = load(text);
    let problems = render(&loaded.diagnostics, &source, Format::Full, false);
    assert_eq!(problems, "", "{text}");
    loaded.config.unwrap()
}

/// Reads a text and compares its problems, one per line, in the short form without the file's name and the label.
fn check(text: &str, expected: &str) {
    let (source, loaded) = load(text);
    let line = |diagnostic: &Diagnostic| {
        let short = render(slice::from_ref(diagnostic), &source, Format::Short, false);
        let label = diagnostic.labels().first().map(|label| format!(": {}", label.text));
        let line = short.strip_prefix("s.toml:").unwrap().trim_end();
        line.strip_suffix(&label.unwrap_or_default()).unwrap_or(line).to_owned()
    };
    let lines: Vec<_> = loaded.diagnostics.iter().map(line).collect();
    let expected: Vec<_> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines, expected, "for this text:\n{text}");
    let refused = lines.iter().any(|line| line.contains(": error["));
    assert_eq!(loaded.config.is_none(), refused, "{text}");
}

/// As [`check`], for lines that follow a listener and a route; their first line is line 5.
fn check_more(text: &str, expected: &str) {
    check(&format!("{SERVES}{text}"), expected);
}
