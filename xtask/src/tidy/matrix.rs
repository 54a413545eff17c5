//! Which crate may import which.

use std::path::Path;

use serde_json::Value;

use super::Finding;
use crate::Result;
use crate::repo;
use crate::run;

/// A crate and the siblings it may build on. What is not here is not allowed; dev-dependencies are free, since tests may
/// see everything.
const MAY_IMPORT: [(&str, &[&str]); 7] = [
    ("staniel-core", &[]),
    ("staniel-config", &[]),
    ("staniel-http", &["staniel-core"]),
    ("staniel-proxy", &["staniel-core", "staniel-http", "staniel-config"]),
    ("staniel", &["staniel-core", "staniel-http"]),
    ("staniel-cli", &["staniel-core", "staniel-http", "staniel-config", "staniel-proxy"]),
    ("staniel-test", &["staniel-core"]),
];

/// These serve the repository and may import anything.
const FREE: [&str; 2] = ["xtask", "staniel-bench"];

const RULE: &str = "imports";

pub(super) fn check() -> Result<Vec<Finding>> {
    let metadata = run::metadata()?;
    Ok(compare(&metadata))
}

fn compare(metadata: &Value) -> Vec<Finding> {
    let packages =
        metadata.get("packages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    packages.iter().flat_map(imports).collect()
}

fn imports(package: &Value) -> Vec<Finding> {
    let name = word(package, "name");
    if FREE.contains(&name) {
        return Vec::new();
    }
    let manifest = Path::new(word(package, "manifest_path"));
    let manifest = manifest.strip_prefix(repo::root()).unwrap_or(manifest).display().to_string();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(member, _)| *member == name) else {
        let advice =
            format!("give `{name}` a row in xtask/src/tidy/matrix.rs and in ARCHITECTURE.md");
        return vec![Finding::new(&manifest, 0, RULE, advice)];
    };
    let dependencies = package
        .get("dependencies")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    dependencies
        .iter()
        .filter(|dependency| word(dependency, "kind") != "dev")
        .map(|dependency| word(dependency, "name"))
        .filter(|sibling| is_ours(sibling) && !allowed.contains(sibling))
        .map(|sibling| {
            let advice = format!(
                "`{name}` must not import `{sibling}`: move what it needs to the side that may"
            );
            Finding::new(&manifest, line_of(&manifest, sibling), RULE, advice)
        })
        .collect()
}

fn is_ours(name: &str) -> bool {
    FREE.contains(&name) || MAY_IMPORT.iter().any(|(member, _)| *member == name)
}

fn line_of(manifest: &str, dependency: &str) -> usize {
    let text = repo::text(manifest).unwrap_or_default();
    text.lines().position(|line| line.starts_with(dependency)).map_or(0, |at| at + 1)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, kind: Value, dependency: &str, expected: usize) {
        let metadata = serde_json::json!({"packages": [{
            "name": name,
            "manifest_path": "Cargo.toml",
            "dependencies": [{"name": dependency, "kind": kind}],
        }]});
        assert_eq!(compare(&metadata).len(), expected, "{name} -> {dependency}");
    }

    #[test]
    fn core_with_a_sibling_is_found() {
        check("staniel-core", Value::Null, "staniel-http", 1);
        check("staniel-core", Value::Null, "tokio", 0);
    }

    #[test]
    fn runtime_and_configuration_meet_only_in_proxy_and_cli() {
        check("staniel-http", Value::Null, "staniel-config", 1);
        check("staniel-config", Value::Null, "staniel-core", 1);
        check("staniel-proxy", Value::Null, "staniel-config", 0);
    }

    #[test]
    fn tests_may_see_everything() {
        check("staniel-core", Value::from("dev"), "staniel-test", 0);
        check("staniel-core", Value::from("build"), "staniel-test", 1);
    }

    #[test]
    fn crate_without_a_row_is_found() {
        check("staniel-new", Value::Null, "tokio", 1);
    }
}
