//! Whole texts in, diagnostics or a config out.

use crate::{Config, Format, Loaded, Source, read, render};

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

/// Reads a text and compares its problems, one per line, in the short form without the file's name.
fn check(text: &str, expected: &str) {
    let (source, loaded) = load(text);
    let short = render(&loaded.diagnostics, &source, Format::Short, false);
    let lines: Vec<_> = short.lines().map(|line| line.strip_prefix("s.toml:").unwrap()).collect();
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
