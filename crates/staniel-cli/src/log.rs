//! The log: what happens to the program, on standard error. What happens to requests is the access log, and the proxy's.

use std::io;

use staniel_config::LogLevel;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::say;

/// The variable that says what is logged, in place of `log.level`.
const VARIABLE: &str = "STANIEL_LOG";

/// Begins to log. The environment wins over the configuration, since it is nearer to whoever looks for something.
///
/// # Errors
///
/// A line that says what is wrong with the variable.
pub(crate) fn start(level: LogLevel) -> Result<(), String> {
    let filter = match std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(value) => parse(&value.to_string_lossy())
            .map_err(|error| format!("{VARIABLE} is `{}`: {error}", value.to_string_lossy()))?,
        None => EnvFilter::default().add_directive(filter(level).into()),
    };
    tracing_subscriber::fmt()
        .with_writer(say::Deaf::default)
        // It would be told by `eprintln!`, which panics where standard error cannot be written.
        .log_internal_errors(false)
        .with_ansi(say::has_color(&io::stderr()))
        .with_target(false)
        .with_env_filter(filter)
        .init();
    Ok(())
}

fn parse(directives: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(directives)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    }
}
