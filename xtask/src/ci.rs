//! `cargo xtask ci`: what has to hold before a change goes in; the same here as on any other machine.

#![expect(
    clippy::disallowed_types,
    reason = "the wall clock of a build; nothing here is a test that pauses it"
)]

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::run::{cargo, has_subcommand, metadata, shown};
use crate::{codegen, suite, tidy};

/// How a step ended.
enum Ended {
    Passed,
    Failed(String),
    Skipped(&'static str),
}

type Step = (&'static str, fn() -> Result<Option<&'static str>>);

/// Cheap ones first, the tests last, so that theirs are the lines that stay on the screen.
const STEPS: [Step; 10] = [
    ("fmt", || passed(shown(cargo().args(["fmt", "--all", "--check"])))),
    ("tidy", || passed(tidy::run())),
    ("clippy", || {
        passed(shown(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])))
    }),
    ("doc", || {
        let mut doc = cargo();
        doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]);
        passed(shown(&mut doc))
    }),
    ("codegen", || passed(codegen::check())),
    ("features", || passed(features())),
    ("crypto", || passed(one_crypto_provider())),
    ("deny", deny),
    ("bench", || {
        passed(shown(cargo().args(["run", "--release", "-p", "staniel-bench", "--", "--minimal"])))
    }),
    ("test", || passed(suite::run(&[]))),
];

/// Runs every step, also after one has failed, and gives one verdict.
///
/// # Errors
///
/// If a step failed.
pub(crate) fn run() -> Result<()> {
    let mut ended: Vec<(&str, Ended, Duration)> = Vec::new();
    for (name, step) in STEPS {
        println!("\n== {name}");
        let began = Instant::now();
        let end = match step() {
            Ok(None) => Ended::Passed,
            Ok(Some(why)) => Ended::Skipped(why),
            Err(why) => {
                println!("{why}");
                Ended::Failed(why.to_string())
            }
        };
        ended.push((name, end, began.elapsed()));
    }
    verdict(&ended)
}

fn verdict(ended: &[(&str, Ended, Duration)]) -> Result<()> {
    println!("\n== ci");
    let mut failed = Vec::new();
    for (name, end, took) in ended {
        let said = match end {
            Ended::Passed => "passed".to_owned(),
            Ended::Skipped(why) => format!("skipped: {why}"),
            Ended::Failed(why) => {
                failed.push(*name);
                format!("FAILED: {}", why.lines().next().unwrap_or_default())
            }
        };
        println!("{name:<9} {:>5}.{} s  {said}", took.as_secs(), took.subsec_millis() / 100);
    }
    if failed.is_empty() {
        println!("ci: passed");
        Ok(())
    } else {
        Err(format!("ci: failed: {}", failed.join(", ")).into())
    }
}

fn passed(step: Result<()>) -> Result<Option<&'static str>> {
    step.map(|()| None)
}

/// Checks each member without its default features and with each feature alone.
fn features() -> Result<()> {
    let metadata = metadata()?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut n_checked = 0_usize;
    for package in packages {
        let name = package.get("name").and_then(Value::as_str).unwrap_or_default();
        let features = package.get("features").and_then(Value::as_object);
        let features: Vec<&String> =
            features.into_iter().flat_map(|features| features.keys()).collect();
        if features.is_empty() {
            continue;
        }
        shown(cargo().args(["check", "--package", name, "--no-default-features"]))?;
        for feature in features {
            shown(cargo().args([
                "check",
                "--package",
                name,
                "--no-default-features",
                "--features",
                feature,
            ]))?;
        }
        n_checked += 1;
    }
    println!("{n_checked} of {} members have features", packages.len());
    Ok(())
}

/// Two crypto providers in one binary make rustls refuse to choose, at run time; `ring` is the one that slips in.
fn one_crypto_provider() -> Result<()> {
    let tree = ["tree", "--workspace", "--edges", "normal,build", "--invert", "ring"];
    println!("$ cargo {}", tree.join(" "));
    let Output { status, stdout, stderr } = cargo().args(tree).output()?;
    let (users, said) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    let absent = said.contains("did not match any packages");
    match users.trim() {
        "" if status.success() || absent => {
            println!("ring is not in the build");
            Ok(())
        }
        "" => Err(format!("`cargo tree` failed: {said}").into()),
        users => {
            Err(format!("ring is in the build; switch its users to aws-lc-rs:\n{users}").into())
        }
    }
}

fn deny() -> Result<Option<&'static str>> {
    if !has_subcommand("deny") {
        return Ok(Some("cargo-deny is not installed"));
    }
    passed(shown(cargo().args(["deny", "check", "licenses", "bans", "sources"])))
}
