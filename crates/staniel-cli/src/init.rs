//! `staniel init`: a configuration to start from.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::args::Init;
use crate::exit::Exit;
use crate::{file, quickstart, say};

pub(crate) fn init(args: &Init) -> Exit {
    let path = file::path(args.file.as_deref());
    let shown = path.display();
    if let Some(format) = file::other_format(&path) {
        say::err(&format!(
            "error: `{shown}` would be {format} by its name, and this writes TOML\n  help: give it a name that ends in `.toml`\n"
        ));
        return Exit::Usage;
    }
    match write(&path, args.force) {
        Ok(()) => {
            let (run, check) = match args.file {
                None => ("staniel run".to_owned(), "staniel check".to_owned()),
                Some(_) => (format!("staniel run -c {shown}"), format!("staniel check {shown}")),
            };
            say::out(&format!(
                "Wrote `{shown}`. Put your own destinations into it, then:\n  {check}\n  {run}\n"
            ));
            Exit::Fine
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            say::err(&format!(
                "error: `{shown}` is there already, and nothing was written\n  help: `--force` replaces it\n"
            ));
            Exit::Failed
        }
        Err(error) => {
            say::err(&format!("error: cannot write `{shown}`: {error}\n"));
            Exit::Failed
        }
    }
}

fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        // In one step, so that a file which appears meanwhile is not overwritten either.
        false => options.create_new(true),
    };
    options.open(path)?.write_all(quickstart::CONFIG.as_bytes())
}
