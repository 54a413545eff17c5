//! What is wrong with a config: data, for the renderers to print.

use std::fmt;

use crate::code::Code;
use crate::source::Span;
use crate::suggest::nearest;

/// Whether a config with this problem can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a config runs or it does not")]
pub enum Severity {
    /// The config is refused as a whole.
    Error,
    /// The config runs, though probably not as meant.
    Warning,
}

/// One problem: what, where, and the way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    code: Code,
    title: String,
    labels: Vec<Label>,
    path: String,
    help: Vec<String>,
    allowed: Vec<String>,
}

/// A place in the text and what is to be said about it. The first label of a diagnostic is the problem's own place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What stands under the marks; may be empty.
    pub text: String,
}

// === impl Severity ===

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

// === impl Diagnostic ===

impl Diagnostic {
    /// A problem of this kind. The title begins with a small letter and has no full stop; values stand in backticks.
    pub fn new(code: Code, title: impl Into<String>) -> Self {
        Self {
            code,
            title: one_line(title.into()),
            labels: Vec::new(),
            path: String::new(),
            help: Vec::new(),
            allowed: Vec::new(),
        }
    }

    /// Marks a place. The first call marks the problem itself, later ones what it has to do with.
    #[must_use]
    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: one_line(text.into()) });
        self
    }

    /// Says which key this is about, such as `cluster.api.load_balancing`.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = one_line(path.into());
        self
    }

    /// Adds a line that says what to do.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(one_line(line.into()));
        self
    }

    /// Lists the values that would be right.
    #[must_use]
    pub fn allowed<'a>(mut self, values: impl IntoIterator<Item = &'a str>) -> Self {
        self.allowed.extend(values.into_iter().map(|value| one_line(value.to_owned())));
        self
    }

    /// Adds "did you mean" if one of `known` is only a slip away from `written`.
    #[must_use]
    pub fn did_you_mean<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(written, known) {
            Some(best) => self.help(format!("did you mean `{best}`?")),
            None => self,
        }
    }

    /// The kind of problem.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Whether it stops the config; a property of the code.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The marked places, the problem's own first.
    #[must_use]
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The key it is about, or nothing.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What to do, line by line.
    #[must_use]
    pub fn help_lines(&self) -> &[String] {
        &self.help
    }

    /// The values that would be right, if they can be listed.
    #[must_use]
    pub fn allowed_values(&self) -> &[String] {
        &self.allowed
    }

    /// The problem's own place, if it has one.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }
}

/// Texts quote what the user wrote, which may hold line ends and worse.
fn one_line(text: String) -> String {
    if !text.chars().any(char::is_control) {
        return text;
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}
