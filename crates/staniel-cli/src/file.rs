//! The configuration as a file: found, read, or refused with a reason and a way out.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use staniel_config::{Code, Diagnostic, Loaded, Source};

/// What is read when no file is named.
const DEFAULT: &str = "staniel.toml";
/// Names under which a configuration may lie here that this version does not read.
const OTHERS: [&str; 4] = ["staniel.yaml", "staniel.yml", "staniel.json", "appsettings.json"];
/// Far more than anybody writes; a larger file is a mistake, such as the path of a log.
const MAX: u64 = 16 * 1024 * 1024;

/// A text, and what it says.
pub(crate) struct Checked {
    pub(crate) source: Source,
    pub(crate) loaded: Loaded,
}

/// The file that was named, or the default one.
pub(crate) fn path(named: Option<&Path>) -> PathBuf {
    named.unwrap_or(Path::new(DEFAULT)).to_owned()
}

/// Reads and checks a configuration. A file that cannot be read is one problem.
pub(crate) fn check(named: Option<&Path>) -> Checked {
    let path = path(named);
    match text(&path) {
        Ok(text) => {
            let source = Source::new(path.display().to_string(), text);
            let loaded = staniel_config::read(&source);
            Checked { source, loaded }
        }
        Err(Unread::Missing) if named.is_none() => refused(&path, no_configuration()),
        Err(unread) => refused(&path, unread.diagnostic(&path)),
    }
}

/// The format of a file that is no TOML by its name.
pub(crate) fn other_format(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "json" | "jsonc" => Some("JSON"),
        "yaml" | "yml" => Some("YAML"),
        _ => None,
    }
}

fn refused(path: &Path, diagnostic: Diagnostic) -> Checked {
    let source = Source::new(path.display().to_string(), "");
    Checked { source, loaded: Loaded { config: None, diagnostics: vec![diagnostic] } }
}

/// Why there is no text.
enum Unread {
    Missing,
    Directory,
    TooLarge,
    OtherFormat(&'static str),
    NotText { line: usize, column: usize },
    Io(io::Error),
}

/// The text of a file.
fn text(path: &Path) -> Result<String, Unread> {
    // By its name, before it is opened: what is wrong then is the format, whatever else is.
    if let Some(format) = other_format(path) {
        return Err(Unread::OtherFormat(format));
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(n) if n as u64 > MAX => Err(Unread::TooLarge),
        Ok(_) => String::from_utf8(bytes).map_err(|error| not_text(&error)),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::NotFound => Unread::Missing,
            io::ErrorKind::IsADirectory => Unread::Directory,
            _ => Unread::Io(error),
        }),
    }
}

fn not_text(error: &std::string::FromUtf8Error) -> Unread {
    let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let before = String::from_utf8_lossy(valid);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Unread::NotText { line, column }
}

fn no_configuration() -> Diagnostic {
    let here = std::env::current_dir().unwrap_or_default();
    let looked = here.join(DEFAULT).display().to_string();
    let title = format!("there is no configuration: looked for `{looked}`");
    let diagnostic = match OTHERS.into_iter().find(|name| here.join(name).exists()) {
        Some(other) => Diagnostic::new(Code::CannotOpen, title)
            .help(format!("`{other}` is here, but this version reads TOML only")),
        None => Diagnostic::new(Code::CannotOpen, title),
    };
    diagnostic
        .help("`staniel init` writes one to start from")
        .help("`staniel run --quickstart` runs a demonstration that needs none")
        .help("`staniel run -c FILE` and `staniel check -c FILE` take one from another place")
}

// === impl Unread ===

impl Unread {
    fn diagnostic(&self, path: &Path) -> Diagnostic {
        let path = path.display();
        match self {
            Self::Missing => {
                Diagnostic::new(Code::CannotOpen, format!("there is no file `{path}`"))
                    .help("`staniel init FILE` writes a configuration to start from")
            }
            Self::Directory => {
                Diagnostic::new(Code::CannotOpen, format!("`{path}` is a directory"))
                    .help(format!("name the file in it, such as `{path}/{DEFAULT}`"))
            }
            Self::TooLarge => {
                let title = format!("`{path}` is larger than {} MiB", MAX / 1024 / 1024);
                Diagnostic::new(Code::CannotOpen, title)
                    .help("no configuration is that large: is it the right file?")
            }
            Self::OtherFormat(format) => {
                let title =
                    format!("`{path}` is {format} by its name, and this version reads TOML");
                Diagnostic::new(Code::NotYet, title)
                    .help("`staniel init` writes a configuration in TOML to start from")
                    .help("if it holds TOML already, give it a name that ends in `.toml`")
            }
            Self::NotText { line, column } => {
                let title = format!("`{path}` is not UTF-8 at line {line}, column {column}");
                Diagnostic::new(Code::Syntax, title)
                    .help("a configuration is text: save it as UTF-8, or see whether it is the right file")
            }
            Self::Io(error) => {
                let diagnostic =
                    Diagnostic::new(Code::CannotOpen, format!("cannot read `{path}`: {error}"));
                match error.kind() {
                    io::ErrorKind::PermissionDenied => diagnostic
                        .help("the user that runs `staniel` needs to read the file and to enter its directories"),
                    _ => diagnostic,
                }
            }
        }
    }
}
