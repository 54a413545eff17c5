//! `cargo xtask tidy --report`: how large things are. Figures to watch, not limits.

use std::collections::BTreeMap;

use crate::Result;
use crate::repo;
use crate::source::{Kind, Source};

/// The lines of one crate.
#[derive(Debug, Default)]
struct Size {
    /// Lines of code per file, tests left out.
    files: Vec<(usize, String)>,
    docs: usize,
    tests: usize,
}

// === impl Size ===

impl Size {
    fn add(&mut self, source: &Source) {
        let is_code = |line: &str| !line.trim().is_empty();
        let tests = source.lines().filter(|(_, line, test)| *test && is_code(line)).count();
        let code = source.lines().filter(|(_, line, test)| !*test && is_code(line)).count();
        self.tests += tests;
        self.docs += source.text.lines().map(str::trim_start).filter(|line| is_doc(line)).count();
        if source.kind != Kind::Test {
            self.files.push((code, source.file.clone()));
        }
    }

    fn code(&self) -> usize {
        self.files.iter().map(|(code, _)| code).sum()
    }

    /// The size below which `percent` of the files stay.
    fn quantile(&self, percent: usize) -> usize {
        let mut sizes: Vec<usize> = self.files.iter().map(|(code, _)| *code).collect();
        sizes.sort_unstable();
        sizes
            .get((sizes.len().saturating_sub(1) * percent).div_ceil(100))
            .copied()
            .unwrap_or_default()
    }

    fn largest(&self) -> (usize, &str) {
        self.files.iter().max().map(|(code, file)| (*code, file.as_str())).unwrap_or_default()
    }
}

fn is_doc(line: &str) -> bool {
    line.starts_with("///") || line.starts_with("//!")
}

/// Prints the figures, one line per crate.
///
/// # Errors
///
/// If the repository cannot be read.
pub(crate) fn run() -> Result<()> {
    let mut crates: BTreeMap<String, Size> = BTreeMap::new();
    for file in repo::files()?.iter().filter(|file| file.ends_with(".rs")) {
        if let Some(source) = Source::read(file) {
            crates.entry(owner(file)).or_default().add(&source);
        }
    }
    println!(
        "{:<16} {:>6} {:>6} {:>7} {:>5} {:>9} {:>9}  largest",
        "crate", "files", "code", "median", "p90", "doc/code", "test/code"
    );
    for (name, size) in &crates {
        let (lines, file) = size.largest();
        println!(
            "{name:<16} {:>6} {:>6} {:>7} {:>5} {:>9} {:>9}  {lines} {file}",
            size.files.len(),
            size.code(),
            size.quantile(50),
            size.quantile(90),
            ratio(size.docs, size.code()),
            ratio(size.tests, size.code()),
        );
    }
    Ok(())
}

/// `crates/staniel-core/src/a.rs` belongs to `staniel-core`.
fn owner(file: &str) -> String {
    let file = file.strip_prefix("crates/").unwrap_or(file);
    file.split('/').next().unwrap_or_default().to_owned()
}

/// A ratio with two digits, without floating point.
fn ratio(part: usize, whole: usize) -> String {
    let hundredths = (part * 100).checked_div(whole).unwrap_or_default();
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_tests_are_not_counted_as_code() {
        let text = "//! Doc.\n\n// why\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        let mut size = Size::default();
        size.add(&Source::new("crates/a/src/b.rs", text.to_owned()));
        assert_eq!((size.code(), size.docs, size.tests), (1, 1, 4));
    }

    #[test]
    fn quantiles_of_few_files_are_files() {
        let size =
            Size { files: [5, 1, 3].map(|code| (code, String::new())).to_vec(), ..Size::default() };
        assert_eq!((size.quantile(50), size.quantile(90)), (3, 5));
    }

    #[test]
    fn crate_is_known_by_its_folder() {
        assert_eq!(owner("crates/staniel-core/src/a.rs"), "staniel-core");
        assert_eq!(owner("xtask/src/main.rs"), "xtask");
    }
}
