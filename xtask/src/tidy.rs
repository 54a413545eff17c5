//! `cargo xtask tidy`: the repository against its own rules.
//!
//! Clippy sees one crate at a time and the compiler sees no directory; what holds between crates, manifests, files and
//! pages is checked here. The same rules run as a test of this package.

mod links;
mod manifest;
mod matrix;
mod report;
mod text;

use std::fmt;

use crate::Result;
use crate::repo;
use crate::source::Source;

pub(crate) use report::run as report;

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Relative to the root of the repository.
    pub(crate) file: String,
    /// From 1; 0 when the file as a whole is meant.
    pub(crate) line: usize,
    /// The rule's short name.
    pub(crate) rule: &'static str,
    /// The way out.
    pub(crate) advice: String,
}

// === impl Finding ===

impl Finding {
    fn new(file: &str, line: usize, rule: &'static str, advice: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, advice } = self;
        write!(f, "{file}:{}: {rule}: {advice}", (*line).max(1))
    }
}

/// Prints what breaks a rule.
///
/// # Errors
///
/// If anything does, or the repository cannot be read.
pub(crate) fn run() -> Result<()> {
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: nothing to say");
            Ok(())
        }
        n => Err(format!("tidy: {n} to put right").into()),
    }
}

fn findings() -> Result<Vec<Finding>> {
    let files = repo::files()?;
    let sources: Vec<Source> = files
        .iter()
        .filter(|file| file.ends_with(".rs"))
        .filter_map(|file| Source::read(file))
        .collect();
    let mut findings = matrix::check()?;
    findings.extend(manifest::check(&files));
    findings.extend(sources.iter().flat_map(text::check));
    findings.extend(links::check(&files));
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_keeps_its_own_rules() {
        let findings = findings().unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }

    #[test]
    fn finding_can_be_clicked() {
        let finding = Finding::new("crates/a/src/b.rs", 7, "spawn", "use task::spawn");
        assert_eq!(finding.to_string(), "crates/a/src/b.rs:7: spawn: use task::spawn");
    }
}
