//! The pages that newcomers copy from.

use std::path::Path;

use staniel_test::dir::TempDir;

use crate::program::told;

/// The blocks of one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match &mut open {
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => *block += &format!("{line}\n"),
            None if line.trim() == format!("```{language}") => open = Some(String::new()),
            None => {}
        }
    }
    blocks
}

async fn all_are_fine(page: &str, n: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = blocks(&text, "toml");
    assert!(blocks.len() >= n, "{page} has {} blocks of TOML", blocks.len());
    let dir = TempDir::new("docs").unwrap();
    for block in blocks {
        dir.write("staniel.toml", &block).unwrap();
        let told = told(dir.path(), &["check", "--strict"]).await;
        assert_eq!(told.code, Some(0), "{page}:\n{block}\n{}", told.stdout);
    }
}

#[tokio::test]
async fn slip_of_the_pen_in_the_readme_is_told_as_it_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let slip = blocks(&text, "toml").remove(0).replace("address", "adress");
    let dir = TempDir::new("slip").unwrap();
    dir.write("staniel.toml", slip).unwrap();
    let told = told(dir.path(), &["check"]).await;
    assert_eq!((told.code, told.stdout), (Some(3), blocks(&text, "text").remove(0)));
}

#[tokio::test]
async fn configurations_in_the_readme_are_fine() {
    all_are_fine("README.md", 1).await;
}

#[tokio::test]
async fn configurations_in_the_guide_are_fine() {
    all_are_fine("docs/guides/first-proxy.md", 3).await;
}
