//! The configuration: text in, typed and validated plain data out, or every problem at once.
//!
//! A text becomes one tree of values and their places (`node`, from TOML in `toml_tree`). The tables of the model
//! are declared once, key by key (`schema`); from the declarations come the reader, the defaults, the known words for
//! "did you mean" and the [`reference()`]. What one key cannot know is checked afterwards (`validate`). Nothing here
//! opens a file, a socket, or resolves a name, and nothing panics, whatever the text.
//!
//! ```
//! use staniel_config::{Format, Source, read, render};
//!
//! let source = Source::new("staniel.toml", "[listen.web]\nadress = \":8080\"\n");
//! let loaded = read(&source);
//! assert!(loaded.config.is_none());
//! let text = render(&loaded.diagnostics, &source, Format::Short, false);
//! assert!(text.starts_with("staniel.toml:1:9: error[missing-key]: `listen.web` has no `address`"));
//! ```

mod code;
mod diagnostic;
mod kind;
mod model;
mod node;
mod reader;
mod reference;
mod render;
mod schema;
mod source;
mod suggest;
mod toml_tree;
mod validate;
mod value;
mod words;

#[cfg(test)]
mod tests;

pub use code::{Code, UnknownCode};
pub use diagnostic::{Diagnostic, Label, Severity};
pub use model::{
    AccessLog, Auto, Cluster, ClusterName, ClusterPool, ClusterTimeouts, Config, Destination,
    HostRule, Limit, Listen, ListenLimits, ListenTimeouts, ListenerName, LoadBalancing, Log,
    LogFormat, LogLevel, Protocol, Route, RouteLimits, RouteName, RouteTimeouts, Server, Traffic,
};
pub use reference::reference;
pub use render::{Format, render, summary};
pub use source::{Position, Source, Span, Spanned};
pub use value::ParseValueError;
pub use value::address::Address;
pub use value::cidr::Cidr;
pub use value::destination::{Authority, DestinationAddress, DestinationHost, Scheme};
pub use value::host::HostPattern;
pub use value::method::Method;
pub use value::path::PathPattern;

/// What came of a text.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The config; absent if there is an error among the diagnostics.
    pub config: Option<Config>,
    /// Every problem, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Does everything that text can be made to do; for fuzzing, which looks for a panic.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let source = Source::new("fuzz.toml", String::from_utf8_lossy(data));
    let loaded = read(&source);
    for format in [Format::Full, Format::Short, Format::Json] {
        let text = render(&loaded.diagnostics, &source, format, false);
        debug_assert_eq!(loaded.diagnostics.is_empty(), text.len() <= 3);
    }
}

/// Reads and validates a config in TOML.
#[must_use]
pub fn read(source: &Source) -> Loaded {
    let (root, syntax) = toml_tree::parse(&source.text);
    let (config, diagnostics) = validate::config(&root, syntax, source);
    Loaded { config, diagnostics }
}
