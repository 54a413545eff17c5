//! Enums whose values are words of the config.

use crate::code::Code;
use crate::value::ParseValueError;

/// Declares an enum, each variant with its word; gives it `ALL`, `word`, `Display` and `FromStr`.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $Enum:ident: $what:literal, $code:expr, {
            $( $(#[$variant_meta:meta])* $Variant:ident = $word:literal, )+
        }
        $(later $($later:literal),+;)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $Enum {
            $( $(#[$variant_meta])* $Variant, )+
        }

        impl $Enum {
            /// Every value, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The word in the config, in logs and in metrics.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$Variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        impl std::str::FromStr for $Enum {
            type Err = $crate::value::ParseValueError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                const LATER: &[&str] = &[$($($later),+)?];
                Self::ALL.iter().copied().find(|value| value.word() == text).ok_or_else(|| {
                    if LATER.contains(&text) {
                        return $crate::words::not_yet($what, text).help(format!("this version knows {}", $crate::words::or(&[$($word),+])));
                    }
                    let title = format!("unknown {} `{}`", $what, text.escape_debug());
                    $crate::value::ParseValueError::new($code, title, "not one of the known words")
                        .none_of(text, &[$($word),+])
                })
            }
        }

        impl $crate::kind::Syntax for $Enum {
            fn accepts() -> String {
                $crate::words::or(&[$($word),+])
            }
        }
    };
}
pub(crate) use words;

/// The word is known, but not to this version.
pub(crate) fn not_yet(what: &str, word: &str) -> ParseValueError {
    let title = format!("the {what} `{word}` is for a later version");
    ParseValueError::new(Code::NotYet, title, "this version cannot do it")
}

/// `"a"`, `"b"` or `"c"`.
pub(crate) fn or(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
