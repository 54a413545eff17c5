//! Errors that cross more than one module, and how a chain of them is shown.

use std::error::Error;
use std::{fmt, io};

use crate::addr::EndpointName;
use crate::endpoint::Endpoint;

/// Any error, as handlers and services hand it on.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What handlers return. Any error becomes a [`BoxError`] by `?`.
pub type Result<T = (), E = BoxError> = std::result::Result<T, E>;

/// Shows an error and all its causes in one line: `cannot bind `web`: address already in use`.
///
/// Each error of this project tells its own level only; the edge (a log line, the terminal) prints the chain.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

/// One endpoint could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind `{name}` at {}", at.as_ref().map_or_else(|| "no address".to_owned(), ToString::to_string))]
#[non_exhaustive]
pub struct BindError {
    /// The endpoint's name.
    pub name: EndpointName,
    /// The address that failed; `None` if the endpoint's address could not even be read.
    pub at: Option<Endpoint>,
    /// What kind of failure it was.
    pub kind: BindErrorKind,
    source: Option<BoxError>,
}

/// What kept an endpoint from being bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindErrorKind {
    /// The address could not be read, or what is served does not fit it.
    BadEndpoint,
    /// Another socket has the address.
    InUse,
    /// The process may not have the address (a port below 1024, for one).
    Denied,
    /// No transport of this host binds such an endpoint.
    NoTransport,
    /// Two endpoints have this name.
    DuplicateName,
    /// The host stops, and binds nothing any more.
    Stopping,
    /// The system refused for another reason.
    Io,
}

// === impl BindError ===

impl BindError {
    pub(crate) fn new(
        name: &EndpointName,
        at: Option<&Endpoint>,
        kind: BindErrorKind,
        source: impl Into<BoxError>,
    ) -> Self {
        Self { name: name.clone(), at: at.cloned(), kind, source: Some(source.into()) }
    }

    /// The failure of a system call, classed by its code.
    #[must_use]
    pub fn io(name: &EndpointName, at: &Endpoint, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::AddrInUse => BindErrorKind::InUse,
            io::ErrorKind::PermissionDenied => BindErrorKind::Denied,
            _ => BindErrorKind::Io,
        };
        Self::new(name, Some(at), kind, error)
    }
}

/// A change of the bound endpoints failed as a whole: nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("nothing was changed: {}", list(failed))]
#[non_exhaustive]
pub struct ApplyError {
    /// Every endpoint that could not be bound.
    pub failed: Vec<BindError>,
}

/// A host could not start: what it had bound is closed again.
#[derive(Debug, thiserror::Error)]
#[error("the host did not start: {}", start_list(failed, handlers))]
#[non_exhaustive]
pub struct StartError {
    /// Every endpoint that could not be bound.
    pub failed: Vec<BindError>,
    /// Every listen handler that failed, by name.
    pub handlers: Vec<(String, BoxError)>,
}

/// What a transport tells the accept loop; only [`AcceptError::Closed`] ends the loop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// This one connection failed before it was ours (`ECONNABORTED`); the next may work at once.
    #[error("a connection was gone before it was accepted")]
    Transient(#[source] io::Error),
    /// The process or the system is out of descriptors or memory; the loop pauses before it tries again.
    #[error("no descriptors or memory left to accept with")]
    Exhausted(#[source] io::Error),
    /// The listener was closed and everything that waited in it has been handed out.
    #[error("the listener is closed")]
    Closed,
}

fn list(failed: &[BindError]) -> String {
    failed.iter().map(|error| Chain(error).to_string()).collect::<Vec<_>>().join("; ")
}

fn start_list(failed: &[BindError], handlers: &[(String, BoxError)]) -> String {
    let handlers = handlers.iter().map(|(name, error)| format!("{name}: {}", Chain(&**error)));
    failed
        .iter()
        .map(|error| Chain(error).to_string())
        .chain(handlers)
        .collect::<Vec<_>>()
        .join("; ")
}
