//! How one value is read: what it accepts, what it makes of it, and how the same value is spelled.

use std::marker::PhantomData;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Auto, Limit};
use crate::node::{Node, Value};
use crate::reader::Reader;
use crate::schema::KeyDoc;
use crate::source::Spanned;
use crate::value::ParseValueError;

pub(crate) mod number;
pub(crate) mod time;

/// Reads values of one kind.
pub(crate) trait Kind {
    type Out;

    /// The value, or nothing when the reader has been told why not. `accepts` is what the key accepts in all, for
    /// the message about a value of the wrong type.
    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Self::Out>;

    /// The value as the user would write it.
    fn spell(&self, value: &Self::Out) -> String;

    /// A noun phrase: `a whole number from 1 to 100`.
    fn accepts(&self) -> String;

    /// The keys of the table that a value may be.
    fn table(&self) -> Vec<KeyDoc> {
        Vec::new()
    }
}

/// A value that is written as a string and has its own syntax.
pub(crate) trait Syntax:
    std::str::FromStr<Err = ParseValueError> + std::fmt::Display
{
    /// A noun phrase for what is accepted.
    fn accepts() -> String;
}

/// A string with a syntax of its own, and its place.
pub(crate) struct Parsed<T>(PhantomData<T>);

pub(crate) fn parsed<T: Syntax>() -> Parsed<T> {
    Parsed(PhantomData)
}

impl<T: Syntax> Kind for Parsed<T> {
    type Out = Spanned<T>;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Spanned<T>> {
        match text(node, accepts, reader)?.parse() {
            Ok(value) => Some(Spanned::new(value, node.span)),
            Err(error) => {
                reader.report(error.at(node.span));
                None
            }
        }
    }

    fn spell(&self, value: &Spanned<T>) -> String {
        quoted(&value.to_string())
    }

    fn accepts(&self) -> String {
        T::accepts()
    }
}

/// As [`parsed`], for values whose place nobody asks for.
pub(crate) struct Word<T>(PhantomData<T>);

pub(crate) fn word<T: Syntax>() -> Word<T> {
    Word(PhantomData)
}

impl<T: Syntax> Kind for Word<T> {
    type Out = T;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<T> {
        parsed::<T>().read(node, accepts, reader).map(|spanned| spanned.value)
    }

    fn spell(&self, value: &T) -> String {
        quoted(&value.to_string())
    }

    fn accepts(&self) -> String {
        T::accepts()
    }
}

/// `true` or `false`.
pub(crate) struct Truth;

pub(crate) fn truth() -> Truth {
    Truth
}

impl Kind for Truth {
    type Out = bool;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<bool> {
        if let Value::Truth(truth) = node.value {
            return Some(truth);
        }
        reader.wrong_type(node, accepts);
        None
    }

    fn spell(&self, value: &bool) -> String {
        value.to_string()
    }

    fn accepts(&self) -> String {
        "`true` or `false`".to_owned()
    }
}

/// `"auto"`, or a value.
pub(crate) struct AutoOr<K>(K);

pub(crate) fn auto_or<K: Kind>(kind: K) -> AutoOr<K> {
    AutoOr(kind)
}

impl<K: Kind> Kind for AutoOr<K> {
    type Out = Auto<K::Out>;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Self::Out> {
        match &node.value {
            Value::Text(text) if text == "auto" => Some(Auto::Auto),
            _ => self.0.read(node, accepts, reader).map(Auto::Set),
        }
    }

    fn spell(&self, value: &Self::Out) -> String {
        match value {
            Auto::Auto => quoted("auto"),
            Auto::Set(value) => self.0.spell(value),
        }
    }

    fn accepts(&self) -> String {
        format!("{}, or `\"auto\"`", self.0.accepts())
    }
}

/// `"off"`, or a value.
pub(crate) struct OffOr<K>(K);

pub(crate) fn off_or<K: Kind>(kind: K) -> OffOr<K> {
    OffOr(kind)
}

impl<K: Kind> Kind for OffOr<K> {
    type Out = Limit<K::Out>;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Self::Out> {
        match &node.value {
            Value::Text(text) if text == "off" => Some(Limit::Off),
            _ => self.0.read(node, accepts, reader).map(Limit::At),
        }
    }

    fn spell(&self, value: &Self::Out) -> String {
        match value {
            Limit::Off => quoted("off"),
            Limit::At(value) => self.0.spell(value),
        }
    }

    fn accepts(&self) -> String {
        format!("{}, or `\"off\"`", self.0.accepts())
    }
}

/// A list with at least one item; if `single`, one value without brackets is a list of one.
pub(crate) struct List<K> {
    item: K,
    single: bool,
    may_be_empty: bool,
}

pub(crate) fn one_or_many<K: Kind>(item: K) -> List<K> {
    List { item, single: true, may_be_empty: false }
}

impl<K> List<K> {
    /// An empty list is a value like any other.
    pub(crate) fn or_none(self) -> Self {
        Self { may_be_empty: true, ..self }
    }
}

impl<K: Kind> Kind for List<K> {
    type Out = Vec<K::Out>;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Self::Out> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            _ if self.single => std::slice::from_ref(node),
            _ => {
                reader.wrong_type(node, accepts);
                return None;
            }
        };
        if items.is_empty() && !self.may_be_empty {
            let key = reader.key_name().to_owned();
            reader.report(
                Diagnostic::new(Code::EmptyList, format!("`{key}` is an empty list"))
                    .label(node.span, "at least one is needed")
                    .help(format!(
                        "each is {}; leave the key out to have its default",
                        self.item.accepts()
                    )),
            );
            return None;
        }
        // Every item is looked at, so that all of them are reported.
        let read: Vec<_> = items.iter().map(|item| self.item.read(item, accepts, reader)).collect();
        read.into_iter().collect()
    }

    fn spell(&self, value: &Self::Out) -> String {
        let items: Vec<_> = value.iter().map(|item| self.item.spell(item)).collect();
        format!("[{}]", items.join(", "))
    }

    fn accepts(&self) -> String {
        format!("{}, or a list of these", self.item.accepts())
    }

    fn table(&self) -> Vec<KeyDoc> {
        self.item.table()
    }
}

/// The string that a node should be.
pub(crate) fn text<'n>(node: &'n Node, accepts: &str, reader: &mut Reader) -> Option<&'n str> {
    if let Value::Text(text) = &node.value {
        return Some(text);
    }
    reader.wrong_type(node, accepts);
    None
}

/// A string as it stands in the file.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
