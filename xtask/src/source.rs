//! A Rust file as the rules read it: what is code, what is comment or text, what is test.

use crate::repo;

/// Which rules hold for a file, by where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What users link or run.
    Product,
    /// Tests, benches beside a crate, fuzz targets.
    Test,
    /// The test-support crate.
    Support,
    /// Example programs: they stand for what a user writes.
    Example,
    /// `xtask` and `bench`.
    Tool,
}

/// One file, read once.
#[derive(Debug)]
pub(crate) struct Source {
    /// Relative to the root of the repository.
    pub(crate) file: String,
    /// By where it lies.
    pub(crate) kind: Kind,
    /// As it stands in the file.
    pub(crate) text: String,
    code: String,
    test: Vec<bool>,
}

// === impl Source ===

impl Source {
    /// Reads `file`; `None` if it is gone or not text.
    pub(crate) fn read(file: &str) -> Option<Self> {
        repo::text(file).map(|text| Self::new(file, text))
    }

    /// Takes `text` as the content of `file`.
    pub(crate) fn new(file: &str, text: String) -> Self {
        let kind = kind(file);
        let code = code_only(&text);
        let test = test_lines(&code, kind == Kind::Test);
        Self { file: file.to_owned(), kind, text, code, test }
    }

    /// The lines with everything blanked that is comment or inside quotes, numbered from 1, and whether each is test code.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        let test = self.test.iter().copied().chain(std::iter::repeat(false));
        self.code.lines().zip(test).enumerate().map(|(at, (line, test))| (at + 1, line, test))
    }

    /// Whether the nearest test attribute above `line` asks for a paused clock.
    pub(crate) fn on_paused_clock(&self, line: usize) -> bool {
        let above: Vec<&str> = self.code.lines().take(line).collect();
        above
            .iter()
            .rev()
            .find(|line| line.contains("#[test]") || line.contains("#[tokio::test"))
            .is_some_and(|attribute| attribute.contains("start_paused"))
    }
}

fn kind(file: &str) -> Kind {
    if file.starts_with("xtask/") || file.starts_with("bench/") {
        Kind::Tool
    } else if file.starts_with("fuzz/")
        || file.contains("/tests/")
        || file.contains("/benches/")
        || file.ends_with("/tests.rs")
    {
        Kind::Test
    } else if file.starts_with("crates/staniel-test/") {
        Kind::Support
    } else if file.contains("/examples/") {
        Kind::Example
    } else {
        Kind::Product
    }
}

/// Blanks comments and the inside of string and character literals; every line keeps its place.
pub(crate) fn code_only(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match at(i) {
            '/' if at(i + 1) == '/' => line_end(&chars, i),
            '/' if at(i + 1) == '*' => comment_end(&chars, i),
            '"' => string_end(&chars, i + 1),
            'r' if !is_word(at(i.wrapping_sub(1)))
                || matches!(at(i.wrapping_sub(1)), 'b' | 'c') =>
            {
                raw_string_end(&chars, i).unwrap_or(i)
            }
            '\'' => char_end(&chars, i).unwrap_or(i),
            _ => i,
        };
        if end == i {
            out.push(at(i));
            i += 1;
            continue;
        }
        // A literal leaves its quotes behind, so that a line of nothing but text still counts as code.
        let quoted = at(i) != '/';
        let blanked = chars.get(i..end).unwrap_or_default();
        for (n, &c) in blanked.iter().enumerate() {
            let edge = quoted && (n == 0 || n + 1 == blanked.len());
            out.push(match c {
                '\n' => '\n',
                _ if edge => '"',
                _ => ' ',
            });
        }
        i = end;
    }
    out
}

/// Whether `c` may stand in an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(chars: &[char], from: usize) -> usize {
    (from..chars.len()).find(|&i| chars.get(i) == Some(&'\n')).unwrap_or(chars.len())
}

fn comment_end(chars: &[char], from: usize) -> usize {
    let (mut depth, mut i) = (0_usize, from);
    while i < chars.len() {
        match (chars.get(i), chars.get(i + 1)) {
            (Some('/'), Some('*')) => (depth, i) = (depth + 1, i + 2),
            (Some('*'), Some('/')) if depth == 1 => return i + 2,
            (Some('*'), Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while let Some(&c) = chars.get(i) {
        match c {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars.get(from + 1..)?.iter().take_while(|&&c| c == '#').count();
    let open = from + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |i: usize| {
        chars.get(i) == Some(&'"')
            && chars.get(i + 1..i + 1 + hashes).is_some_and(|tail| tail.iter().all(|&c| c == '#'))
    };
    Some((open + 1..chars.len()).find(|&i| closes(i)).map_or(chars.len(), |i| i + 1 + hashes))
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(chars: &[char], from: usize) -> Option<usize> {
    if chars.get(from + 1) == Some(&'\\') {
        return (from + 3..from + 14).find(|&i| chars.get(i) == Some(&'\'')).map(|i| i + 1);
    }
    (chars.get(from + 2) == Some(&'\'')).then_some(from + 3)
}

/// Marks the lines of items under `#[cfg(test)]`.
fn test_lines(code: &str, whole: bool) -> Vec<bool> {
    let lines: Vec<&str> = code.lines().collect();
    let mut marks = vec![whole; lines.len()];
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let line = line.trim_start();
        if !(line.starts_with("#[cfg(test)") || line.starts_with("#[cfg(all(test")) {
            at += 1;
            continue;
        }
        let end = item_end(&lines, at);
        marks.iter_mut().take(end + 1).skip(at).for_each(|mark| *mark = true);
        at = end + 1;
    }
    marks
}

/// The last line of the item whose attributes begin at `from`.
fn item_end(lines: &[&str], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, line) in lines.iter().enumerate().skip(from) {
        let mut attribute = line.trim_start().starts_with("#[");
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => return at,
                '}' => depth -= 1,
                ']' => attribute = false,
                ';' if depth == 0 && !attribute => return at,
                _ => {}
            }
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(text: &str, expected: &str) {
        assert_eq!(code_only(text), expected, "of {text:?}");
    }

    #[test]
    fn words_in_comments_and_text_are_not_code() {
        blanked("a // tokio::spawn\nb", "a                \nb");
        blanked("a /* x /* y */ z */ b", "a                   b");
        blanked(r#"f("un\"safe") g"#, r#"f("        ") g"#);
        blanked("f(r#\"a\"b\"#)", "f(\"      \")");
        blanked("f(b\"ab\")", "f(b\"  \")");
        blanked("let r = rest;", "let r = rest;");
    }

    #[test]
    fn lifetimes_are_not_taken_for_text() {
        blanked("fn f<'a>(x: &'a str) -> &'a str", "fn f<'a>(x: &'a str) -> &'a str");
        blanked("['\"', 'x', '\\'', '\\u{1F}'] y", "[\" \", \" \", \"  \", \"      \"] y");
    }

    #[test]
    fn only_the_test_module_counts_as_test() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n";
        let source = Source::new("crates/x/src/a.rs", text.to_owned());
        let marks: Vec<bool> = source.lines().map(|(_, _, test)| test).collect();
        assert_eq!(marks, [false, true, true, true, true, false]);
    }

    #[test]
    fn a_test_module_in_its_own_file_marks_one_line() {
        let text = "#[cfg(test)]\nmod tests;\nfn c() {}\n";
        let source = Source::new("crates/x/src/a.rs", text.to_owned());
        let marks: Vec<bool> = source.lines().map(|(_, _, test)| test).collect();
        assert_eq!(marks, [true, true, false]);
    }
}
