//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use staniel_config::{AccessLog as AccessTo, LogFormat};
use staniel_core::sometimes::Sometimes;

use super::format;
use super::record::Buffer;

/// Formats records and writes them.
#[derive(Debug)]
pub(crate) struct Writer {
    to: To,
    for_people: bool,
    lines: String,
}

#[derive(Debug)]
enum To {
    Off,
    Stdout,
    File { file: File, path: PathBuf },
}

// === impl Writer ===

impl Writer {
    pub(super) fn off() -> Self {
        Self { to: To::Off, for_people: false, lines: String::new() }
    }

    /// Opens where lines go. A file is opened anew each time, so that one that was moved away is let go.
    ///
    /// # Errors
    ///
    /// The system's, if the file cannot be opened.
    pub(crate) fn open(to: &AccessTo, format: LogFormat) -> io::Result<Self> {
        let to = match to {
            AccessTo::Stdout => To::Stdout,
            AccessTo::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                To::File { file, path: path.clone() }
            }
            // `Off`, and what a later version may add.
            _ => To::Off,
        };
        let for_people = match format {
            LogFormat::Text => true,
            LogFormat::Auto => matches!(to, To::Stdout) && io::stdout().is_terminal(),
            // `Json`, and what a later version may add.
            _ => false,
        };
        Ok(Self { to, for_people, lines: String::new() })
    }

    pub(super) const fn is_off(&self) -> bool {
        matches!(self.to, To::Off)
    }

    pub(super) fn write(&mut self, records: &Buffer) {
        self.lines.clear();
        let format = if self.for_people { format::text } else { format::json };
        records.iter().for_each(|(facts, texts)| format(facts, &texts, &mut self.lines));
        if self.lines.is_empty() {
            return;
        }
        let lines = self.lines.as_bytes();
        let (written, name) = match &mut self.to {
            To::Off => return,
            To::Stdout => (
                io::stdout().lock().write_all(lines).and_then(|()| io::stdout().flush()),
                "stdout".into(),
            ),
            To::File { file, path } => (file.write_all(lines), path.display().to_string()),
        };
        static FAILED: Sometimes = Sometimes::new();
        if let Err(error) = written
            && let Some(more) = FAILED.due()
        {
            tracing::error!(to = name, %error, more, "the access log cannot be written; traffic goes on without it");
        }
        if self.lines.capacity() > 1024 * 1024 {
            self.lines = String::new();
        }
    }

    /// Tells of records that found no room.
    pub(super) fn report(&self, dropped: u64) {
        if dropped > 0 {
            tracing::warn!(dropped, "the access log does not keep up; records were dropped");
        }
    }
}
