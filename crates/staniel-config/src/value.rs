//! The values that have a syntax of their own: addresses, patterns, methods.

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

pub(crate) mod address;
pub(crate) mod cidr;
pub(crate) mod destination;
pub(crate) mod host;
pub(crate) mod method;
pub(crate) mod path;

/// A text is not what its key needs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{title}")]
pub struct ParseValueError {
    code: Code,
    title: String,
    label: String,
    help: Vec<String>,
    allowed: Vec<&'static str>,
    near: Option<String>,
}

// === impl ParseValueError ===

impl ParseValueError {
    pub(crate) fn new(code: Code, title: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            code,
            title: title.into(),
            label: label.into(),
            help: Vec::new(),
            allowed: Vec::new(),
            near: None,
        }
    }

    pub(crate) fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }

    /// The text is none of these words.
    pub(crate) fn none_of(mut self, written: &str, words: &[&'static str]) -> Self {
        self.near = Some(written.to_owned());
        self.allowed.extend_from_slice(words);
        self
    }

    /// The kind of problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The same as a diagnostic about this place.
    #[must_use]
    pub fn at(self, span: Span) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(self.code, self.title).label(span, self.label);
        if let Some(written) = &self.near {
            diagnostic = diagnostic.did_you_mean(written, self.allowed.iter().copied());
        }
        self.help.into_iter().fold(diagnostic, Diagnostic::help).allowed(self.allowed)
    }
}
