//! HTTP as something that an endpoint serves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use staniel_core::{Connection, Handler, Result};

use crate::exchange::Exchanges;
use crate::h1;

/// Deadlines of a server connection. What belongs to one exchange is in [`crate::BodyRules`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// Time for the head of a request, from its first byte (of the first request: from the accept): 30 s. More bytes do not
    /// extend it, so that a client cannot hold a connection by sending one now and then.
    pub head: Duration,
    /// How long a connection is kept for the next request: 130 s. It is longer than the 2 min that clients usually keep
    /// theirs, so that the client closes first and no request meets a closing connection.
    pub keep_alive: Duration,
    /// How long an idle connection stays while the endpoint drains: 1 s. A request that is on its way gets its answer.
    pub drain_idle: Duration,
    /// Time to read what a client still sends after it was refused, so that the refusal is not lost to a reset: 2 s.
    pub linger: Duration,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(30),
            keep_alive: Duration::from_secs(130),
            drain_idle: Duration::from_secs(1),
            linger: Duration::from_secs(2),
        }
    }
}

/// Everything that is set on a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) limits: h1::Limits,
    pub(crate) timeouts: HttpTimeouts,
}

/// Serves HTTP on connections: HTTP/1.0 and 1.1 in this version.
pub struct Http<E> {
    exchanges: Arc<E>,
    settings: Arc<Settings>,
}

/// Answers HTTP requests with `exchanges`; bind it like any handler.
pub fn http<E: Exchanges>(exchanges: E) -> Http<E> {
    Http { exchanges: Arc::new(exchanges), settings: Arc::default() }
}

// === impl Http ===

impl<E: Exchanges> Http<E> {
    /// Limits on heads and framing.
    #[must_use]
    pub fn limits(mut self, limits: h1::Limits) -> Self {
        Arc::make_mut(&mut self.settings).limits = limits;
        self
    }

    /// Deadlines of the connection.
    #[must_use]
    pub fn timeouts(mut self, timeouts: HttpTimeouts) -> Self {
        Arc::make_mut(&mut self.settings).timeouts = timeouts;
        self
    }
}

impl<E: Exchanges> Handler<Connection> for Http<E> {
    async fn call(&self, conn: Connection) -> Result {
        h1::serve(&*self.exchanges, self.settings.clone(), conn).await;
        Ok(())
    }
}

impl<E> Clone for Http<E> {
    fn clone(&self) -> Self {
        Self { exchanges: self.exchanges.clone(), settings: self.settings.clone() }
    }
}

impl<E> fmt::Debug for Http<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("settings", &self.settings).finish_non_exhaustive()
    }
}
