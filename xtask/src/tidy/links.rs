//! What the pages point at, and what must not stand in any file.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use crate::repo;
use crate::source::is_word;

/// The page that follows a connection from accept to its end, and words it cannot do without.
const LIFE: &str = "docs/life-of-a-connection.md";
const LIFE_WORDS: [&str; 10] = [
    "accept", "limit", "layer", "handler", "route", "cluster", "forward", "relay", "drain",
    "outcome",
];

/// Where people's own files lie; in two halves, so that this line is not one of them.
const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];

pub(super) fn check(files: &[String]) -> Vec<Finding> {
    let mut findings = repo::text(LIFE).map(|page| unmentioned(&page)).unwrap_or_default();
    let root = repo::root().display().to_string();
    for file in files.iter().filter(|file| *file != "Cargo.lock") {
        let Some(text) = repo::text(file) else { continue };
        findings.extend(paths(file, &text, &root));
        if file.ends_with(".md") {
            findings.extend(broken(file, &text, |target| repo::root().join(target).exists()));
        }
    }
    findings
}

/// What the page about a connection's life forgets.
fn unmentioned(page: &str) -> Vec<Finding> {
    let page = page.to_lowercase().replace(['_', '-'], " ");
    let missing = LIFE_WORDS.into_iter().filter(|word| !page.contains(word));
    missing
        .map(|word| Finding::new(LIFE, 0, "life", format!("say what happens at `{word}`")))
        .collect()
}

/// Lines that name a directory of one machine.
fn paths(file: &str, text: &str, root: &str) -> Vec<Finding> {
    let rooted = |line: &str, path: &str| {
        line.match_indices(path).any(|(at, _)| {
            let before = line.get(..at).and_then(|head| head.chars().next_back());
            !before.is_some_and(|c| is_word(c) || matches!(c, '.' | '-' | '/' | '}' | ')'))
        })
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| HOMES.into_iter().chain([root]).any(|path| rooted(line, path)))
        .map(|(at, _)| {
            Finding::new(
                file,
                at + 1,
                "machine",
                "a path of one machine: write it relative to the repository",
            )
        })
        .collect()
}

/// Relative links whose target `exists` denies.
fn broken(file: &str, text: &str, exists: impl Fn(&Path) -> bool) -> Vec<Finding> {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut fenced = false;
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for target in targets(line) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            if !path.is_empty() && !path.contains(':') && !exists(&flat(&folder.join(path))) {
                findings.push(Finding::new(
                    file,
                    at + 1,
                    "links",
                    format!("`{target}` is not there"),
                ));
            }
        }
    }
    findings
}

fn targets(line: &str) -> impl Iterator<Item = &str> {
    // What stands between backticks is shown, not linked.
    let prose = line.split('`').step_by(2);
    prose
        .flat_map(|prose| prose.split("](").skip(1))
        .filter_map(|rest| rest.split([')', ' ']).next())
        .map(|target| target.trim_matches(['<', '>']))
}

/// Resolves `..` by the text alone.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                flat.pop();
            }
            Component::CurDir => {}
            part => flat.push(part),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(text: &str, expected: &[usize]) {
        let there = |path: &Path| path == Path::new("docs/style.md");
        let lines: Vec<usize> =
            broken("docs/guides/a.md", text, there).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "of {text:?}");
    }

    #[test]
    fn dead_links_are_found() {
        dead("see [style](../style.md) and [part](../style.md#names)", &[]);
        dead("see [style](style.md)\n[b](../other.md)", &[1, 2]);
        dead("[web](https://example.com) [here](#below)", &[]);
        dead("`[shown](x.md)`\n```\n[shown](y.md)\n```\n", &[]);
        dead("| `a` | [x](gone.md) |", &[1]);
    }

    #[test]
    fn path_of_one_machine_is_found() {
        let lines = |text: &str| paths("a.md", text, "/checkout/staniel").len();
        assert_eq!(lines("cd /checkout/staniel && make"), 1);
        assert_eq!(lines(concat!("in `/ho", "me/me/x`")), 1);
        assert_eq!(lines(concat!("https://example.com/ho", "me/")), 0);
        assert_eq!(lines("crates/staniel"), 0);
    }

    #[test]
    fn page_that_forgets_a_stage_is_found() {
        assert_eq!(unmentioned(&LIFE_WORDS.join(", ")), []);
        assert_eq!(
            unmentioned("Accept, limit, layer, handler, route, cluster, forward, relay").len(),
            2
        );
    }
}
