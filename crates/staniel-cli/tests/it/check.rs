//! `staniel check`.

use serde_json::Value;
use staniel_test::dir::TempDir;

use crate::program::{Told, told};

const GOOD: &str =
    "[listen.web]\naddress = \":8080\"\n[route.all]\nto = \"http://127.0.0.1:9000\"\n";
const WARNED: &str = "[listen.web]\naddress = \":8080\"\n";
const BAD: &str = r#"[listen.web]
address = ":8080"
adress = ":8081"

[route.api]
path = "api"
cluster = "backend"

[cluster.backends]
destinations = ["http://127.0.0.1:9000"]
load_balancing = "roundrobin"
"#;

async fn check(text: &str, args: &[&str]) -> Told {
    let dir = TempDir::new("check").unwrap();
    dir.write("staniel.toml", text).unwrap();
    told(dir.path(), &[&["check"], args].concat()).await
}

#[tokio::test]
async fn every_problem_is_told_at_once_with_its_place_and_a_way_out() {
    let told = check(BAD, &[]).await;
    assert_eq!(told.code, Some(3));
    for text in [
        "error[unknown-key]: unknown key `adress`\n --> staniel.toml:3:1",
        "did you mean `address`?",
        "error[bad-path]: `api` is not a path to match\n --> staniel.toml:6:8",
        "error[unknown-cluster]: route `api` names an unknown cluster\n --> staniel.toml:7:11",
        "did you mean `backends`?",
        "error[unknown-policy]: unknown load-balancing policy `roundrobin`",
        "allowed: round-robin, random, least-requests, power-of-two",
    ] {
        assert!(told.stdout.contains(text), "no `{text}` in\n{}", told.stdout);
    }
    assert!(told.stdout.ends_with("\n4 problems (4 errors).\n"), "{}", told.stdout);
    assert!(!told.stdout.contains('\x1b'), "colour although this is no terminal");
    assert_eq!(told.stderr, "");
}

#[tokio::test]
async fn short_form_is_one_line_for_each_problem() {
    let told = check(BAD, &["--format", "short"]).await;
    let lines: Vec<_> = told.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "staniel.toml:3:1: error[unknown-key]: unknown key `adress`: not a key that is known in `listen.web`"
    );
    assert_eq!((lines.len(), told.code), (5, Some(3)));
    let told = check(&format!("{GOOD}[server]\nworkers = 9999\n"), &["--format", "short"]).await;
    let range = "`workers` is out of range: expected a whole number from 1 to 1024, or `\"auto\"`";
    assert!(told.stdout.contains(range), "{}", told.stdout);
}

#[tokio::test]
async fn json_is_an_array_and_nothing_else() {
    let told = check(BAD, &["--format", "json"]).await;
    let all: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((all.as_array().unwrap().len(), told.code), (4, Some(3)));
    assert_eq!(all[2]["code"], "unknown-cluster");
    assert_eq!((&all[2]["line"], &all[2]["column"]), (&Value::from(7), &Value::from(11)));
    assert_eq!(all[2]["path"], "route.api.cluster");
    assert_eq!(check(GOOD, &["--format", "json"]).await.stdout, "[]\n");
}

#[tokio::test]
async fn good_file_is_ok_with_its_counts() {
    let told = check(GOOD, &[]).await;
    assert_eq!(told.stdout, "OK: staniel.toml has 1 listener, 1 route and 1 destination\n");
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn warnings_are_told_and_only_strict_refuses_them() {
    let told = check(WARNED, &[]).await;
    assert!(told.stdout.starts_with("warning[no-routes]:"), "{}", told.stdout);
    assert!(told.stdout.contains("\nOK: "), "{}", told.stdout);
    assert!(told.stdout.ends_with("; 1 warning\n"), "{}", told.stdout);
    assert_eq!(told.code, Some(0));
    let told = check(WARNED, &["--strict"]).await;
    assert!(!told.stdout.contains("OK"), "{}", told.stdout);
    assert!(told.stdout.contains("1 problem (1 warning). Refused"), "{}", told.stdout);
    assert_eq!(told.code, Some(3));
    assert_eq!(check(GOOD, &["--strict"]).await.code, Some(0));
}

#[tokio::test]
async fn codes_are_explained() {
    let dir = TempDir::new("why").unwrap();
    let page = told(dir.path(), &["check", "--why", "unknown-key"]).await;
    assert!(page.stdout.starts_with("unknown-key (error)\n\nThe table has no such key."));
    assert_eq!(page.code, Some(0));
    let slip = told(dir.path(), &["check", "--why", "unknown-kye"]).await;
    assert!(slip.stderr.contains("did you mean `unknown-key`?"), "{}", slip.stderr);
    assert_eq!(slip.code, Some(2));
}

#[tokio::test]
async fn file_that_cannot_be_read_says_what_it_is_and_what_to_do() {
    let dir = TempDir::new("unreadable").unwrap();
    dir.write("latin.toml", b"a = 1\nb = \"caf\xe9\"\n").unwrap();
    dir.write("large.toml", " ".repeat(16 * 1024 * 1024 + 1)).unwrap();
    dir.write("full.toml", format!("{GOOD}{}", " ".repeat(16 * 1024 * 1024 - GOOD.len()))).unwrap();
    for (file, what, way_out) in [
        ("absent.toml", "there is no file `absent.toml`", "staniel init"),
        (".", "`.` is a directory", "./staniel.toml"),
        ("latin.toml", "`latin.toml` is not UTF-8 at line 2, column 9", "save it as UTF-8"),
        ("large.toml", "`large.toml` is larger than 16 MiB", "is it the right file?"),
        ("appsettings.json", "`appsettings.json` is JSON by its name", "this version reads TOML"),
        ("staniel.YML", "`staniel.YML` is YAML by its name", "this version reads TOML"),
    ] {
        let told = told(dir.path(), &["check", file]).await;
        assert!(told.stdout.contains(what), "no `{what}` in\n{}", told.stdout);
        assert!(told.stdout.contains(way_out), "no `{way_out}` in\n{}", told.stdout);
        assert_eq!(told.code, Some(3), "{file}");
    }
    assert_eq!(
        told(dir.path(), &["check", "full.toml"]).await.code,
        Some(0),
        "as large as allowed"
    );
}

#[tokio::test]
async fn without_a_file_all_ways_to_one_are_named() {
    let dir = TempDir::new("nothing").unwrap();
    let check = told(dir.path(), &["check"]).await;
    let run = told(dir.path(), &["run"]).await;
    assert_eq!((check.code, run.code), (Some(3), Some(3)));
    for said in [&check.stdout, &run.stderr] {
        for text in ["/staniel.toml`", "staniel init", "staniel run --quickstart", "-c FILE"] {
            assert!(said.contains(text), "no `{text}` in\n{said}");
        }
    }
    assert!(run.stderr.ends_with("Nothing was started.\n"), "{}", run.stderr);
    dir.write("appsettings.json", "{}").unwrap();
    let told = told(dir.path(), &["run"]).await;
    assert!(told.stderr.contains("`appsettings.json` is here"), "{}", told.stderr);
}
