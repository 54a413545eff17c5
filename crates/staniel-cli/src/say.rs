//! Words for whoever reads the terminal.
//!
//! Not `println!` or `eprintln!`: these panic when the reader has gone (`staniel check | head -1`) or the disk is full, and
//! nobody is owed the rest. What cannot be said must never end what serves.

use std::io::{self, IsTerminal, Write};

use staniel_config::{Diagnostic, Format, Severity, Source, render, summary};

/// Standard error for the log: whatever becomes of a line, the log is told that it was written.
#[derive(Debug, Default)]
pub(crate) struct Deaf;

// === impl Deaf ===

impl Write for Deaf {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        drop(io::stderr().lock().write_all(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to standard output.
pub(crate) fn out(text: &str) {
    write(&mut io::stdout().lock(), text);
}

/// Writes to standard error.
pub(crate) fn err(text: &str) {
    write(&mut io::stderr().lock(), text);
}

fn write(to: &mut impl Write, text: &str) {
    drop(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
}

/// Whether what goes there may be coloured: it is a terminal, and nobody minds (<https://no-color.org>).
pub(crate) fn has_color(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal()
        && !is_set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// All problems on standard error, with what came of it as the last words.
pub(crate) fn problems(diagnostics: &[Diagnostic], source: &Source, ending: &str) {
    let text = render(diagnostics, source, Format::Full, has_color(&io::stderr()));
    err(&format!("{text}\n{}\n", summary(diagnostics, ending)));
}

/// All problems while the program runs: on a terminal as they look best, in a log one line each.
pub(crate) fn log_problems(diagnostics: &[Diagnostic], source: &Source) {
    if diagnostics.is_empty() {
        return;
    }
    if io::stderr().is_terminal() {
        err(&render(diagnostics, source, Format::Full, has_color(&io::stderr())));
        return;
    }
    for diagnostic in diagnostics {
        let short = render(std::slice::from_ref(diagnostic), source, Format::Short, false);
        let mut line = short.trim_end().to_owned();
        for help in diagnostic.help_lines() {
            line.push_str(&format!("; {help}"));
        }
        if !diagnostic.allowed_values().is_empty() {
            line.push_str(&format!("; allowed: {}", diagnostic.allowed_values().join(", ")));
        }
        match diagnostic.severity() {
            Severity::Error => tracing::error!("{line}"),
            Severity::Warning => tracing::warn!("{line}"),
        }
    }
}

/// `1 listener`, `2 listeners`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
