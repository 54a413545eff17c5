//! What every member's manifest has to say.

use toml::Table;
use toml::Value;

use super::Finding;
use crate::repo;

pub(super) fn check(files: &[String]) -> Vec<Finding> {
    let members =
        files.iter().filter(|file| file.ends_with("/Cargo.toml") && !file.starts_with("fuzz/"));
    members.flat_map(|file| read(file, &repo::text(file).unwrap_or_default())).collect()
}

fn read(file: &str, text: &str) -> Vec<Finding> {
    let manifest: Table = match text.parse() {
        Ok(manifest) => manifest,
        Err(err) => return vec![Finding::new(file, 0, "manifest", err.to_string())],
    };
    let mut findings = Vec::new();
    let inherits =
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    if inherits != Some(true) {
        let advice = "add `[lints]` with `workspace = true`: lints are not inherited by themselves";
        findings.push(Finding::new(file, 0, "lints", advice));
    }
    for (name, dependency) in dependencies(&manifest) {
        if dependency.get("workspace").and_then(Value::as_bool) != Some(true) {
            let line = text.lines().position(|line| line.starts_with(name)).map_or(0, |at| at + 1);
            let advice = format!(
                "put the version of `{name}` into [workspace.dependencies] and say `workspace = true`"
            );
            findings.push(Finding::new(file, line, "versions", advice));
        }
    }
    findings
}

fn dependencies(manifest: &Table) -> impl Iterator<Item = (&str, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(targets)
        .flat_map(|table| {
            ["dependencies", "dev-dependencies", "build-dependencies"]
                .into_iter()
                .filter_map(|kind| table.get(kind))
        })
        .filter_map(Value::as_table)
        .flat_map(|table| table.iter().map(|(name, dependency)| (name.as_str(), dependency)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, rules: &[&str]) {
        let found: Vec<&str> =
            read("x/Cargo.toml", text).iter().map(|finding| finding.rule).collect();
        assert_eq!(found, rules, "of {text:?}");
    }

    #[test]
    fn member_without_lints_is_found() {
        check("[lints]\nworkspace = true\n", &[]);
        check("[package]\nname = \"x\"\n", &["lints"]);
    }

    #[test]
    fn own_version_is_found_wherever_it_stands() {
        let lints = "[lints]\nworkspace = true\n";
        check(&format!("{lints}[dependencies]\na.workspace = true\n"), &[]);
        check(
            &format!("{lints}[dependencies]\na = {{ workspace = true, features = [\"x\"] }}\n"),
            &[],
        );
        check(&format!("{lints}[dependencies]\na = \"1\"\n"), &["versions"]);
        check(&format!("{lints}[dev-dependencies]\na = {{ path = \"../a\" }}\n"), &["versions"]);
        check(&format!("{lints}[target.'cfg(unix)'.dependencies]\na = \"1\"\n"), &["versions"]);
    }
}
