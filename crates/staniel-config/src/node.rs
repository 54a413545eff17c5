//! The tree that every format is read into: a value and where it stands.

use crate::source::Span;

/// One value of the config.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Whole(i128),
    Fraction(String),
    Truth(bool),
    /// A date or a time; no key takes one.
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// The entries of a table, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

// === impl Node ===

impl Node {
    /// What the user would call this kind of value, with its article.
    pub(crate) fn noun(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Whole(_) => "a whole number",
            Value::Fraction(_) => "a decimal number",
            Value::Truth(_) => "a boolean",
            Value::Date(_) => "a date or time",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}
