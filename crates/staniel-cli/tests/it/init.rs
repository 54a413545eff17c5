//! `staniel init`, `staniel version`, and the command line itself.

use staniel_test::dir::TempDir;

use crate::program::told;

#[tokio::test]
async fn what_init_writes_is_fine_and_stays_until_it_is_forced_away() {
    let dir = TempDir::new("init").unwrap();
    let init = told(dir.path(), &["init"]).await;
    assert_eq!(init.code, Some(0), "{init:?}");
    assert!(init.stdout.contains("staniel run"), "{init:?}");
    let check = told(dir.path(), &["check", "--strict"]).await;
    assert_eq!(check.code, Some(0), "{check:?}");

    dir.write("staniel.toml", "mine").unwrap();
    let again = told(dir.path(), &["init"]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("`staniel.toml` is there already"), "{again:?}");
    assert!(again.stderr.contains("--force"), "{again:?}");
    let file = || std::fs::read_to_string(dir.path().join("staniel.toml")).unwrap();
    assert_eq!(file(), "mine");

    assert_eq!(told(dir.path(), &["init", "--force"]).await.code, Some(0));
    assert!(file().contains("[listen.web]"));
}

#[tokio::test]
async fn init_says_where_it_cannot_write() {
    let dir = TempDir::new("init").unwrap();
    let absent = told(dir.path(), &["init", "no/such/place.toml"]).await;
    assert!(absent.stderr.contains("cannot write `no/such/place.toml`"), "{absent:?}");
    assert_eq!(absent.code, Some(1));
    let yaml = told(dir.path(), &["init", "x.yaml"]).await;
    assert_eq!((yaml.code, dir.path().join("x.yaml").exists()), (Some(2), false));
}

#[tokio::test]
async fn version_is_told_in_three_ways() {
    let dir = TempDir::new("version").unwrap();
    let line = concat!("staniel ", env!("CARGO_PKG_VERSION"), "\n");
    for args in [&["version"][..], &["--version"], &["-V"]] {
        let told = told(dir.path(), args).await;
        assert_eq!((told.code, told.stdout.as_str()), (Some(0), line), "{args:?}");
    }
    let build = told(dir.path(), &["version", "--build"]).await.stdout;
    for text in [line, "commit:", "target:", "profile:", "rustc 1."] {
        assert!(build.contains(text), "no `{text}` in\n{build}");
    }
}

#[tokio::test]
async fn wrong_command_line_is_two() {
    let dir = TempDir::new("usage").unwrap();
    for (args, says) in [
        (&["frobnicate"][..], "unrecognized subcommand"),
        (&["chek"], "'check'"),
        (&[], "Usage: staniel"),
        (&["run", "--quickstart", "-c", "staniel.toml"], "cannot be used with"),
        (&["check", "--format", "xml"], "full, short, json"),
        (&["check", "--why", "no-routes", "staniel.toml"], "cannot be used with"),
    ] {
        let told = told(dir.path(), args).await;
        assert_eq!(told.code, Some(2), "{args:?}: {told:?}");
        assert!(told.stderr.contains(says), "{args:?}: no `{says}` in\n{}", told.stderr);
        assert_eq!(told.stdout, "", "{args:?}");
    }
    let help = told(dir.path(), &["--help"]).await;
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("Exit codes:"), "{}", help.stdout);
}
