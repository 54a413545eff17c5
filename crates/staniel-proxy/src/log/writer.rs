//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::FileTypeExt;
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
    /// The last write stopped within a line; the next one has to begin with a line end.
    torn: bool,
}

/// Writes all, and says whether it was stopped within it.
fn append(file: &mut File, mut lines: &[u8]) -> (io::Result<()>, bool) {
    let mut torn = false;
    while !lines.is_empty() {
        match file.write(lines) {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), torn),
            Ok(n) => {
                let (written, rest) = lines.split_at_checked(n).unwrap_or_default();
                torn = written.last() != Some(&b'\n');
                lines = rest;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (Err(error), torn),
        }
    }
    (Ok(()), torn)
}

#[derive(Debug)]
enum To {
    Off,
    Stdout,
    File { file: File, path: PathBuf },
}

// === impl Writer ===

impl Writer {
    /// Opens where lines go. A file is opened anew each time, so that one that was moved away is let go.
    ///
    /// # Errors
    ///
    /// The system's, if the file cannot be opened.
    pub(crate) fn open(to: &AccessTo, format: LogFormat) -> io::Result<Self> {
        let to = match to {
            AccessTo::Stdout => To::Stdout,
            AccessTo::File(path) => {
                let is_pipe = std::fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo());
                // A pipe that nobody reads could not be opened, or not without waiting for a reader; so we hold it open.
                let file = OpenOptions::new().create(true).append(true).read(is_pipe).open(path)?;
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
        Ok(Self { to, for_people, lines: String::new(), torn: false })
    }

    pub(super) const fn is_off(&self) -> bool {
        matches!(self.to, To::Off)
    }

    /// Writes records; `false` if they are lost.
    pub(super) fn write(&mut self, records: &Buffer) -> bool {
        self.lines.clear();
        if self.torn {
            self.lines.push('\n');
        }
        let format = if self.for_people { format::text } else { format::json };
        records.iter().for_each(|(facts, texts)| format(facts, &texts, &mut self.lines));
        if records.len() == 0 {
            return true;
        }
        let lines = self.lines.as_bytes();
        let (written, name) = match &mut self.to {
            To::Off => return true,
            To::Stdout => (
                io::stdout().lock().write_all(lines).and_then(|()| io::stdout().flush()),
                "stdout".into(),
            ),
            To::File { file, path } => {
                let (written, torn) = append(file, lines);
                self.torn = torn;
                (written, path.display().to_string())
            }
        };
        static FAILED: Sometimes = Sometimes::new();
        let kept = written.is_ok();
        if let Err(error) = written
            && let Some(more) = FAILED.due()
        {
            tracing::error!(to = name, %error, more, "the access log cannot be written; traffic goes on without it");
        }
        if self.lines.capacity() > 1024 * 1024 {
            self.lines = String::new();
        }
        kept
    }
}
