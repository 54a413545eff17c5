//! The process, and its logs.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::code::Code;
use crate::kind::number::whole;
use crate::kind::time::{DAY, HOUR, SECOND, duration, seconds};
use crate::kind::{Syntax, auto_or, parsed, word};
use crate::model::Auto;
use crate::schema::{NOWHERE, preset, table};
use crate::source::Spanned;
use crate::value::ParseValueError;
use crate::words::words;

table! {
    /// The process: its workers, its size, its end.
    pub struct Server {
        /// Worker threads, each with a runtime of its own.
        pub workers: Auto<usize> => preset(auto_or(whole(1..=1024)), Auto::Auto,
            "`auto` is one per core: a worker never waits, so more of them only take turns");
        /// The most connections open at once, over all listeners. At the limit accepting pauses and the kernel's
        /// queue waits.
        pub max_connections: Auto<usize> => preset(auto_or(whole(1..=10_000_000)), Auto::Auto,
            "`auto` is 40 % of the descriptors that the process may open: a proxied connection holds two, and pipes and files come on top");
        /// How long a stop or a removed listener waits for its connections before it cuts them.
        pub shutdown_timeout: Duration => preset(duration(Duration::ZERO..=DAY), seconds(30),
            "the time that a rolling update commonly allows");
        /// How long an idle keep-alive connection stays open in a drain, for a request that is already on its way.
        pub drain_idle: Duration => preset(duration(Duration::ZERO..=HOUR), SECOND,
            "longer than a round trip, so no busy client loses a request; short enough not to hold up the stop");
    }
}

table! {
    /// What is logged, and where.
    pub struct Log {
        /// Where one line per request, TCP connection and UDP session goes: standard output, nowhere, or a file.
        pub access: Spanned<AccessLog> => preset(parsed(), Spanned::new(AccessLog::Stdout, NOWHERE),
            "what collects the logs of a service reads standard output");
        /// How the lines look.
        pub format: LogFormat => preset(word(), LogFormat::Auto,
            "people read terminals, programs read the rest");
        /// How much of everything else is said, on standard error.
        pub level: LogLevel => preset(word(), LogLevel::Info,
            "starts, reloads and trouble are said; single connections are not");
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLog {
    /// `"stdout"`: standard output.
    Stdout,
    /// `"off"`: nowhere.
    Off,
    /// A path with a `/` in it: appended to this file.
    File(PathBuf),
}

words! {
    /// How log lines look.
    pub enum LogFormat: "log format", Code::UnknownValue, {
        /// JSON, but text on a terminal.
        Auto = "auto",
        /// One JSON object per line.
        Json = "json",
        /// Text for people.
        Text = "text",
    }
}

words! {
    /// The least important thing that is still logged.
    pub enum LogLevel: "log level", Code::UnknownValue, {
        /// What needs a person.
        Error = "error",
        /// What may need one.
        Warn = "warn",
        /// What happens to the process.
        Info = "info",
        /// What happens to a connection.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }
}

// === impl AccessLog ===

impl FromStr for AccessLog {
    type Err = ParseValueError;

    fn from_str(text: &str) -> Result<Self, ParseValueError> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "off" => Ok(Self::Off),
            path if path.contains('/') && !path.ends_with('/') && !path.contains('\0') => {
                Ok(Self::File(path.into()))
            }
            other => {
                let title = format!("unknown access log `{}`", other.escape_debug());
                Err(ParseValueError::new(
                    Code::UnknownValue,
                    title,
                    "not a known word, nor a path of a file",
                )
                .none_of(other, &["stdout", "off"])
                .help("the path of a file has a `/` in it: `\"./access.log\"`"))
            }
        }
    }
}

impl fmt::Display for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Off => f.write_str("off"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Syntax for AccessLog {
    fn accepts() -> String {
        "`\"stdout\"`, `\"off\"` or the path of a file".to_owned()
    }
}
