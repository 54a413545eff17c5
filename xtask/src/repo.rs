//! Where the repository is and which files belong to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The directory of the workspace manifest.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Every file that is committed or would be, relative to the root, with `/` between the parts, sorted.
///
/// # Errors
///
/// If git is missing or this is not a checkout.
pub(crate) fn files() -> Result<Vec<String>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .map_err(|err| format!("`git ls-files` does not start: {err}"))?;
    if !listing.status.success() {
        return Err(
            format!("`git ls-files` failed: {}", String::from_utf8_lossy(&listing.stderr)).into()
        );
    }
    let mut files: Vec<String> = String::from_utf8(listing.stdout)?
        .split('\0')
        .filter(|file| !file.is_empty() && root().join(file).is_file())
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// The text of a file of the repository; `None` if it is not UTF-8 or not there.
pub(crate) fn text(file: &str) -> Option<String> {
    std::fs::read_to_string(root().join(file)).ok()
}
