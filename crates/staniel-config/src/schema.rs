//! How a table is declared: one line per key, from which come its reader, its defaults and its page in the reference.
//!
//! ```text
//! table! {
//!     /// What the table is about.
//!     pub struct Server {
//!         /// What the key does.
//!         pub shutdown_timeout: Duration => preset(duration(SECOND..=DAY), secs(30), "why 30 s");
//!     }
//! }
//! ```
//!
//! The right side is a [`Rule`]: where the value comes from when the key is absent. A rule holds a
//! [`Kind`](crate::kind::Kind): how one value is read, and spelled.

use crate::kind::Kind;
use crate::model::Protocol;
use crate::node::{Entry, Table};
use crate::reader::Reader;
use crate::source::{Span, Spanned};

/// A table that was declared with `table!`.
pub(crate) trait Section: Sized {
    /// The keys, in the order of the declaration.
    const KEYS: &'static [&'static str];
    /// Keys that a later version will know.
    const LATER: &'static [&'static str];
    /// What the table is about.
    const DOC: &'static str;

    /// Reads the table; what is wrong in it goes to the reader, and the default stands in.
    fn read(table: &Table, reader: &mut Reader) -> Self;

    /// Describes every key.
    fn document() -> Vec<KeyDoc>;
}

/// What the reference says about one key.
pub(crate) struct KeyDoc {
    pub(crate) key: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) rule: RuleDoc,
}

/// What a rule says about itself.
pub(crate) enum RuleDoc {
    Value { accepts: String, default: Fallback, only: &'static [Protocol], table: Vec<KeyDoc> },
    Table { named: Option<&'static str>, doc: &'static str, keys: Vec<KeyDoc> },
}

/// What holds when the key is absent.
pub(crate) enum Fallback {
    Value { spelled: String, why: &'static str },
    Required,
    Says(&'static str),
}

/// Where the value of a key comes from.
pub(crate) trait Rule<T> {
    /// The value of the key, given its entry if the user wrote one. The reader stands at the key.
    fn read(&self, key: &'static str, entry: Option<&Entry>, reader: &mut Reader) -> T;

    fn document(&self) -> RuleDoc;

    /// The protocols that the key means something for; empty for all.
    fn only(&self) -> &'static [Protocol] {
        &[]
    }
}

macro_rules! table {
    (
        $(#[doc = $table_doc:literal])+
        $vis:vis struct $Table:ident {
            $( $(#[doc = $doc:literal])+ $key_vis:vis $key:ident : $ty:ty => $rule:expr; )*
        }
        $(later $($later:literal),+;)?
    ) => {
        $(#[doc = $table_doc])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $Table {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nDeclared as `", stringify!($rule), "`.")]
                $key_vis $key: $ty,
            )*
        }

        impl $crate::schema::Section for $Table {
            const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            const LATER: &'static [&'static str] = &[$($($later),+)?];
            const DOC: &'static str = concat!($($table_doc, "\n"),+);

            fn read(table: &$crate::node::Table, reader: &mut $crate::reader::Reader) -> Self {
                reader.known_keys::<Self>(table);
                Self { $( $key: reader.key(table, stringify!($key), &$rule), )* }
            }

            fn document() -> Vec<$crate::schema::KeyDoc> {
                vec![$(
                    $crate::schema::KeyDoc {
                        key: stringify!($key),
                        doc: concat!($($doc, "\n"),+),
                        rule: $crate::schema::Rule::<$ty>::document(&$rule),
                    }
                ),*]
            }
        }

        impl Default for $Table {
            fn default() -> Self {
                $crate::schema::Section::read(&Default::default(), &mut $crate::reader::Reader::default())
            }
        }
    };
}
pub(crate) use table;

// === the rules ===

/// Has a default, and the default a reason.
pub(crate) struct Preset<K: Kind> {
    kind: K,
    default: K::Out,
    why: &'static str,
    only: &'static [Protocol],
}

pub(crate) fn preset<K: Kind>(kind: K, default: K::Out, why: &'static str) -> Preset<K> {
    Preset { kind, default, why, only: &[] }
}

impl<K: Kind> Preset<K> {
    /// The key has no effect on listeners without one of these protocols.
    pub(crate) fn only(self, only: &'static [Protocol]) -> Self {
        Self { only, ..self }
    }
}

impl<K: Kind> Rule<K::Out> for Preset<K>
where
    K::Out: Clone,
{
    fn read(&self, _key: &'static str, entry: Option<&Entry>, reader: &mut Reader) -> K::Out {
        entry
            .and_then(|entry| {
                let accepts = self.kind.accepts();
                self.kind.read(&entry.node, &accepts, reader)
            })
            .unwrap_or_else(|| self.default.clone())
    }

    fn document(&self) -> RuleDoc {
        let default = Fallback::Value { spelled: self.kind.spell(&self.default), why: self.why };
        RuleDoc::Value {
            accepts: self.kind.accepts(),
            default,
            only: self.only,
            table: self.kind.table(),
        }
    }

    fn only(&self) -> &'static [Protocol] {
        self.only
    }
}

/// Must be there; absent or wrong, it is `None` and the reader knows.
pub(crate) struct Required<K> {
    kind: K,
}

pub(crate) fn required<K: Kind>(kind: K) -> Required<K> {
    Required { kind }
}

impl<K: Kind> Rule<Option<K::Out>> for Required<K> {
    fn read(
        &self,
        key: &'static str,
        entry: Option<&Entry>,
        reader: &mut Reader,
    ) -> Option<K::Out> {
        if entry.is_none() {
            reader.missing(key, &self.kind.accepts());
        }
        self.kind.read(&entry?.node, &self.kind.accepts(), reader)
    }

    fn document(&self) -> RuleDoc {
        RuleDoc::Value {
            accepts: self.kind.accepts(),
            default: Fallback::Required,
            only: &[],
            table: self.kind.table(),
        }
    }
}

/// May be absent, which means something of its own.
pub(crate) struct Optional<K> {
    kind: K,
    absent: &'static str,
}

pub(crate) fn optional<K: Kind>(kind: K, absent: &'static str) -> Optional<K> {
    Optional { kind, absent }
}

impl<K: Kind> Rule<Option<K::Out>> for Optional<K> {
    fn read(
        &self,
        _key: &'static str,
        entry: Option<&Entry>,
        reader: &mut Reader,
    ) -> Option<K::Out> {
        self.kind.read(&entry?.node, &self.kind.accepts(), reader)
    }

    fn document(&self) -> RuleDoc {
        RuleDoc::Value {
            accepts: self.kind.accepts(),
            default: Fallback::Says(self.absent),
            only: &[],
            table: self.kind.table(),
        }
    }
}

/// A table inside the table.
pub(crate) struct Inner;

pub(crate) fn inner() -> Inner {
    Inner
}

impl<T: Section + Default> Rule<T> for Inner {
    fn read(&self, _key: &'static str, entry: Option<&Entry>, reader: &mut Reader) -> T {
        entry
            .and_then(|entry| reader.table(&entry.node))
            .map(|table| T::read(table, reader))
            .unwrap_or_default()
    }

    fn document(&self) -> RuleDoc {
        RuleDoc::Table { named: None, doc: T::DOC, keys: T::document() }
    }
}

/// A table of tables whose keys are names that the user chose.
pub(crate) struct Named {
    placeholder: &'static str,
}

pub(crate) fn named(placeholder: &'static str) -> Named {
    Named { placeholder }
}

/// One table of a [`Named`], and where its name stands.
pub(crate) type NamedTable<T> = (Spanned<String>, T);

impl<T: Section> Rule<Vec<NamedTable<T>>> for Named {
    fn read(
        &self,
        _key: &'static str,
        entry: Option<&Entry>,
        reader: &mut Reader,
    ) -> Vec<NamedTable<T>> {
        let Some(table) = entry.and_then(|entry| reader.table(&entry.node)) else {
            return Vec::new();
        };
        let mut all = Vec::with_capacity(table.entries.len());
        for Entry { key, key_span, node } in &table.entries {
            reader.within(key, *key_span, |reader| {
                reader.name(key);
                if let Some(table) = reader.table(node) {
                    all.push((Spanned::new(key.clone(), *key_span), T::read(table, reader)));
                }
            });
        }
        all
    }

    fn document(&self) -> RuleDoc {
        RuleDoc::Table { named: Some(self.placeholder), doc: T::DOC, keys: T::document() }
    }
}

/// The place of a default.
pub(crate) const NOWHERE: Span = Span::EMPTY;
