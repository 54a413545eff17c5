//! The command line.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Parser, Subcommand, ValueEnum};
use staniel_config::Code;

const AFTER: &str = "\
Exit codes: 0 fine, 1 failed at run time, 2 wrong command line, 3 configuration not valid.
Signals: TERM and INT finish what is open and stop, a second one stops at once; HUP reads the configuration again.
Environment: STANIEL_LOG sets what is logged (`debug`, `info,staniel_proxy=trace`), NO_COLOR switches colour off.";

/// A reverse proxy for HTTP, TCP and UDP.
#[derive(Debug, Parser)]
#[command(name = "staniel", version, after_help = AFTER)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run in the foreground until told to stop
    Run(Run),
    /// Say everything that is wrong with a configuration, and run nothing
    Check(Check),
    /// Write a configuration to start from
    Init(Init),
    /// Say which version this is
    Version(Version),
}

/// Which file; both verbs take both spellings, since nobody remembers which takes which.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The configuration; `staniel.toml` in the current directory if not given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same, as an option
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Run a demonstration that needs no configuration: a proxy, and something behind it
    #[arg(long, conflicts_with_all = ["file", "config"])]
    pub(crate) quickstart: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Refuse warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// How problems are printed
    #[arg(long, value_enum, default_value_t = Format::Full)]
    pub(crate) format: Format,
    /// Explain a kind of problem, such as `unknown-key`, and check nothing
    #[arg(long, value_name = "CODE", value_parser = code, conflicts_with_all = ["file", "config", "strict", "format"])]
    pub(crate) why: Option<Code>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// With the lines of the file, and marks under them
    Full,
    /// One line for each problem
    Short,
    /// A JSON array, for programs
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Where to; `staniel.toml` in the current directory if not given
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Version {
    /// Also say what it was built from, and with what
    #[arg(long)]
    pub(crate) build: bool,
}

// === impl Named ===

impl Named {
    /// The file that was named, if one was.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_deref().or(self.config.as_deref())
    }
}

// === impl Format ===

impl From<Format> for staniel_config::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Full => Self::Full,
            Format::Short => Self::Short,
            Format::Json => Self::Json,
        }
    }
}

fn code(word: &str) -> Result<Code, String> {
    Code::from_str(word).map_err(|unknown| match unknown.nearest {
        Some(code) => format!("{unknown}; did you mean `{code}`?"),
        None => format!("{unknown}; docs/reference/configuration.md lists them all"),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn both_verbs_take_both_spellings_of_a_file_but_not_both_at_once() {
        let parse = |line: &str| Args::try_parse_from(line.split(' ')).map(|args| args.verb);
        for verb in ["run", "check"] {
            for file in ["a.toml", "-c a.toml", "--config=a.toml"] {
                let named = match parse(&format!("staniel {verb} {file}")).unwrap() {
                    Verb::Run(Run { named, .. }) | Verb::Check(Check { named, .. }) => named,
                    other => panic!("{other:?}"),
                };
                assert_eq!(named.path(), Some(Path::new("a.toml")), "{verb} {file}");
            }
            assert!(parse(&format!("staniel {verb} a.toml -c b.toml")).is_err());
        }
        assert!(parse("staniel run --quickstart a.toml").is_err());
        assert!(parse("staniel run --quickstart -c a.toml").is_err());
        assert!(parse("staniel check --why syntax -c a.toml").is_err());
    }

    #[test]
    fn slip_in_a_code_is_put_right() {
        assert_eq!(code("unknown-key"), Ok(Code::UnknownKey));
        let error = code("unknown-kye").unwrap_err();
        assert_eq!(error, "no diagnostic is called `unknown-kye`; did you mean `unknown-key`?");
    }
}
