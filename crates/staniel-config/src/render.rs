//! Diagnostics as text: for people, for editors, for programs.

use std::fmt::Write;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::{Source, Span};

mod json;

/// How diagnostics are rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// With the lines of the text and marks under them.
    #[default]
    Full,
    /// One line each: `file:line:column: severity[code]: title: what stands under the marks`.
    Short,
    /// One JSON array of objects; codes and keys are stable.
    Json,
}

/// The diagnostics of `source` as text; empty if there are none, except for JSON. `color` is for [`Format::Full`].
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: &Source, format: Format, color: bool) -> String {
    match format {
        Format::Full => {
            let each: Vec<_> =
                diagnostics.iter().map(|diagnostic| full(diagnostic, source, color)).collect();
            each.join("\n")
        }
        Format::Short => diagnostics.iter().map(|diagnostic| short(diagnostic, source)).collect(),
        Format::Json => json::array(diagnostics, source),
    }
}

/// The last line, such as `2 problems (1 error, 1 warning). Nothing was applied.`; `ending` is what came of it.
#[must_use]
pub fn summary(diagnostics: &[Diagnostic], ending: &str) -> String {
    let count = |severity| {
        diagnostics.iter().filter(|diagnostic| diagnostic.severity() == severity).count()
    };
    let noun = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let kinds: Vec<_> = [Severity::Error, Severity::Warning]
        .into_iter()
        .filter_map(|severity| {
            Some(count(severity)).filter(|&n| n > 0).map(|n| noun(n, severity.word()))
        })
        .collect();
    let mut line = noun(diagnostics.len(), "problem");
    if !kinds.is_empty() {
        let _ = write!(line, " ({})", kinds.join(", "));
    }
    line.push('.');
    if !ending.is_empty() {
        line.push(' ');
        line.push_str(ending);
    }
    line
}

fn full(diagnostic: &Diagnostic, source: &Source, color: bool) -> String {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(diagnostic.title())
        .id(diagnostic.code().word())
        .elements(Vec::<Snippet<'_, Annotation<'_>>>::new());
    if let Some((first, others)) = diagnostic.labels().split_first() {
        let primary = AnnotationKind::Primary.span(source.range(first.span)).label(text_of(first));
        let context = others.iter().map(|label| {
            AnnotationKind::Context.span(source.range(label.span)).label(text_of(label))
        });
        let snippet = Snippet::source(source.text.as_str()).path(source.name.as_str());
        group = group.element(snippet.annotation(primary).annotations(context));
    }
    group = all_help(diagnostic)
        .into_iter()
        .fold(group, |group: Group<'_>, line| group.element(Level::HELP.message(line)));
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
    text.push('\n');
    text
}

/// The text under the marks, if there is one.
fn text_of(label: &Label) -> Option<&str> {
    Some(label.text.as_str()).filter(|text| !text.is_empty())
}

/// The help lines, and one for the values that would be right.
fn all_help(diagnostic: &Diagnostic) -> Vec<String> {
    let mut lines = diagnostic.help_lines().to_vec();
    if !diagnostic.allowed_values().is_empty() {
        lines.push(format!("allowed: {}", diagnostic.allowed_values().join(", ")));
    }
    lines
}

fn short(diagnostic: &Diagnostic, source: &Source) -> String {
    let at = source.position(diagnostic.span().unwrap_or(Span::EMPTY));
    let (severity, code, title) = (diagnostic.severity(), diagnostic.code(), diagnostic.title());
    let label = diagnostic.labels().first().and_then(text_of);
    let label = label.map(|text| format!(": {text}")).unwrap_or_default();
    format!("{}:{}:{}: {severity}[{code}]: {title}{label}\n", source.name, at.line, at.column)
}
