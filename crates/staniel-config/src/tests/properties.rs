//! Nothing panics, and what was written can be read.

use proptest::prelude::{
    Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use crate::kind::number::{parse_size, spell_size};
use crate::kind::time::{parse_duration, spell_duration};
use crate::{Source, fuzz, read};

const CORPUS: [&str; 2] = [include_str!("../../tests/corpus/everything.toml"), super::SERVES];

#[test]
fn the_corpus_does_no_harm() {
    for text in CORPUS {
        fuzz(text.as_bytes());
        // Every prefix: what an editor saves halfway.
        for end in (0..text.len()).filter(|&end| text.is_char_boundary(end)) {
            fuzz(&text.as_bytes()[..end]);
        }
    }
}

#[test]
fn deep_nesting_does_no_harm() {
    for (open, close) in [("a = ", "["), ("", "a."), ("a = ", "{a = "), ("[", "a."), ("[[", "a.")] {
        for depth in [80, 1000, 20_000] {
            fuzz(format!("{open}{}", close.repeat(depth)).as_bytes());
            fuzz(format!("{open}{}b = 1\n", close.repeat(depth)).as_bytes());
            fuzz(format!("{open}{}b]]\n", close.repeat(depth)).as_bytes());
        }
    }
}

/// Words that mean something, and some that do not, in any order.
fn fragments() -> impl Strategy<Value = String> {
    let words: Vec<_> =
        CORPUS.iter().flat_map(|text| text.split_inclusive([' ', '\n', '.', ','])).collect();
    let odd = [
        "\u{feff}",
        "\r\n",
        "\r",
        "\t",
        "\0",
        "é",
        "\u{1f9d1}\u{200d}\u{1f680}",
        "[[",
        "]]",
        "\"\"\"",
        "'''",
        "\\u",
        "= {",
        "}",
        "1e9",
        "1979-05-27",
    ];
    let piece =
        prop_oneof![4 => prop::sample::select(words), 1 => prop::sample::select(odd.to_vec())];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A valid file with some bytes replaced, removed or added.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..3_usize, any::<u8>());
    (prop::sample::select(&CORPUS[..]), prop::collection::vec(change, 1..8)).prop_map(
        |(text, changes)| {
            let mut bytes = text.as_bytes().to_vec();
            for (index, kind, byte) in changes {
                let at = index.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte & 0x7f,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            bytes
        },
    )
}

proptest! {
    #[test]
    fn any_text_does_no_harm(text in any::<String>()) {
        fuzz(text.as_bytes());
    }

    #[test]
    fn fragments_do_no_harm(text in fragments()) {
        fuzz(text.as_bytes());
    }

    #[test]
    fn changed_files_do_no_harm(bytes in mutated()) {
        fuzz(&bytes);
    }

    #[test]
    fn places_are_inside_the_text(bytes in mutated()) {
        let source = Source::new("s.toml", String::from_utf8_lossy(&bytes));
        for diagnostic in read(&source).diagnostics {
            prop_assert!(!diagnostic.labels().is_empty());
            for label in diagnostic.labels() {
                prop_assert!(source.text.get(label.span.range()).is_some(), "{diagnostic:?}");
            }
        }
    }

    #[test]
    fn durations_round_trip(milliseconds in prop_oneof![any::<u32>().prop_map(u64::from), Just(0), Just(86_400_000)]) {
        let duration = std::time::Duration::from_millis(milliseconds);
        prop_assert_eq!(parse_duration(&spell_duration(duration)), Some(duration));
    }

    #[test]
    fn sizes_round_trip(bytes in prop_oneof![any::<u64>(), (0..64_u32).prop_map(|bits| 1 << bits), (0..19_u32).prop_map(|n| 10_u64.pow(n))]) {
        prop_assert_eq!(parse_size(&spell_size(bytes)), Some(bytes));
    }
}
