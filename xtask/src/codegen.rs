//! `cargo xtask codegen`: the pages that are made from the code, so that they cannot disagree with it.

use std::fs;

use crate::Result;
use crate::repo;

/// A page and what makes it.
struct Generated {
    file: &'static str,
    text: fn() -> String,
}

const GENERATED: [Generated; 1] =
    [Generated { file: "docs/reference/configuration.md", text: staniel_config::reference }];

/// Writes every page that differs.
///
/// # Errors
///
/// If a page cannot be written.
pub(crate) fn write() -> Result<()> {
    for Generated { file, text } in &GENERATED {
        let text = text();
        if repo::text(file).as_ref() == Some(&text) {
            println!("{file}: up to date");
            continue;
        }
        let path = repo::root().join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
        println!("{file}: written");
    }
    Ok(())
}

/// Compares every page with what would be written.
///
/// # Errors
///
/// If one is stale.
pub(crate) fn check() -> Result<()> {
    let stale: Vec<&str> = GENERATED
        .iter()
        .filter(|page| repo::text(page.file).as_ref() != Some(&(page.text)()))
        .map(|page| page.file)
        .collect();
    if stale.is_empty() {
        println!("codegen: {} up to date", GENERATED.len());
        return Ok(());
    }
    Err(format!("stale: {}; run `cargo xtask codegen` and commit what it writes", stale.join(", "))
        .into())
}
