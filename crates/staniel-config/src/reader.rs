//! Walks the tree beside the declarations: knows where it stands and collects what is wrong.

use std::collections::BTreeMap;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::Protocol;
use crate::node::{Node, Table, Value};
use crate::schema::{Rule, Section};
use crate::source::Span;

/// Longest name of a listener, route or cluster: it becomes a log field and a metric label.
const MAX_NAME: usize = 64;

/// The state of one reading.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Every known key that the user wrote.
    pub(crate) written: BTreeMap<String, Written>,
    /// Where the names stand that the user chose.
    pub(crate) names: BTreeMap<String, Span>,
    path: Vec<String>,
    /// The key that leads here, for problems without a place of their own.
    span: Span,
}

/// A key as the user wrote it.
pub(crate) struct Written {
    pub(crate) span: Span,
    pub(crate) only: &'static [Protocol],
}

impl Reader {
    /// Reads one key of a table by its rule.
    pub(crate) fn key<T>(&mut self, table: &Table, key: &'static str, rule: &impl Rule<T>) -> T {
        let entry = table.get(key);
        match entry {
            Some(entry) => self.within(key, entry.key_span, |reader| {
                let written = Written { span: entry.key_span, only: rule.only() };
                reader.written.insert(reader.here(), written);
                rule.read(key, Some(entry), reader)
            }),
            None => rule.read(key, None, self),
        }
    }

    /// Steps into a key for as long as `read` runs.
    pub(crate) fn within<T>(
        &mut self,
        key: &str,
        span: Span,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let outer = std::mem::replace(&mut self.span, span);
        self.path.push(key.to_owned());
        let out = read(self);
        self.path.pop();
        self.span = outer;
        out
    }

    /// Lets problems without a place of their own mark `span`, for as long as `read` runs.
    pub(crate) fn marking<T>(&mut self, span: Span, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.span, span);
        let out = read(self);
        self.span = outer;
        out
    }

    /// The path of the key that is being read.
    pub(crate) fn here(&self) -> String {
        self.path.join(".")
    }

    /// The last part of the path.
    pub(crate) fn key_name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Reports a problem of the key that is being read.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        let here = self.here();
        self.diagnostics.push(diagnostic.at(here));
    }

    /// Reports every key of the table that its declaration does not have.
    pub(crate) fn known_keys<T: Section>(&mut self, table: &Table) {
        for entry in &table.entries {
            let key = entry.key.as_str();
            if T::KEYS.contains(&key) {
                continue;
            }
            self.within(key, entry.key_span, |reader| {
                let place =
                    if reader.path.len() == 1 { "at the top".to_owned() } else { reader.place() };
                reader.report(if T::LATER.contains(&key) {
                    Diagnostic::new(Code::NotYet, format!("`{key}` is for a later version"))
                        .label(entry.key_span, "this version cannot do it")
                        .help("remove it, or wait for the version that has it")
                } else {
                    Diagnostic::new(Code::UnknownKey, format!("unknown key `{key}`"))
                        .label(entry.key_span, format!("not a key that is known {place}"))
                        .did_you_mean(key, T::KEYS.iter().copied())
                        .allowed(T::KEYS.iter().copied())
                });
            });
        }
    }

    /// The table that the key which is being read stands in.
    fn place(&self) -> String {
        let outer = self.path.len().saturating_sub(1);
        format!("in `{}`", self.path.get(..outer).unwrap_or_default().join("."))
    }

    /// Reports that a key of the table that is being read is absent.
    pub(crate) fn missing(&mut self, key: &str, accepts: &str) {
        let owner = self.here();
        let span = self.span;
        self.report(
            Diagnostic::new(Code::MissingKey, format!("`{owner}` has no `{key}`"))
                .label(span, format!("needs `{key}`"))
                .help(format!("`{key}` is {accepts}")),
        );
    }

    /// Reports a value of the wrong kind.
    pub(crate) fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let key = self.key_name().to_owned();
        self.report(
            Diagnostic::new(Code::WrongType, format!("`{key}` cannot be {}", node.noun()))
                .label(node.span, format!("expected {wanted}")),
        );
    }

    /// The table that a node should be.
    pub(crate) fn table<'n>(&mut self, node: &'n Node) -> Option<&'n Table> {
        match &node.value {
            Value::Table(table) => Some(table),
            Value::Text(_)
            | Value::Whole(_)
            | Value::Fraction(_)
            | Value::Truth(_)
            | Value::Date(_)
            | Value::List(_) => {
                self.wrong_type(node, "a table");
                None
            }
        }
    }

    /// Checks a name that the user chose.
    pub(crate) fn name(&mut self, name: &str) {
        self.names.insert(self.here(), self.span);
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
            let span = self.span;
            self.report(
                Diagnostic::new(
                    Code::BadName,
                    format!("`{}` cannot be a name", name.escape_debug()),
                )
                .label(span, "used in logs and metrics")
                .help(format!("a name has 1 to {MAX_NAME} ASCII letters, digits, `-` and `_`")),
            );
        }
    }
}
