//! What an endpoint serves.

use crate::connection::Connection;
use crate::handler::{BoxHandler, Handler};
use crate::session::UdpSession;

/// What an endpoint serves: connections, or the sessions of a UDP socket.
///
/// A [`Handler`] of connections stands for itself; every other kind is named by a word: [`sessions`].
#[derive(Clone, Debug)]
pub struct Served(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Connections(BoxHandler<Connection>),
    Sessions(BoxHandler<UdpSession>),
}

/// What can be served: a handler of connections, or a [`Served`]. `K` only keeps the two apart; it is inferred.
pub trait IntoServed<K> {
    /// As what is served.
    fn into_served(self) -> Served;
}

/// Marks a [`Handler`] of connections in [`IntoServed`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a mark that has no values")]
pub enum ViaHandler {}

/// Marks a [`Served`] in [`IntoServed`].
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a mark that has no values")]
pub enum ViaServed {}

impl<H: Handler<Connection>> IntoServed<ViaHandler> for H {
    fn into_served(self) -> Served {
        Served(Kind::Connections(BoxHandler::new(self)))
    }
}

impl IntoServed<ViaServed> for Served {
    fn into_served(self) -> Served {
        self
    }
}

/// Serves the sessions of a UDP endpoint: one call for each peer, ended by silence.
///
/// ```
/// use staniel_core::{Host, UdpSession, sessions};
///
/// async fn echo(mut session: UdpSession) -> std::io::Result<()> {
///     while let Some(datagram) = session.recv().await {
///         session.send(&datagram).await?;
///     }
///     Ok(())
/// }
///
/// let host = Host::new().bind("udp://127.0.0.1:0", sessions(echo));
/// # drop(host);
/// ```
pub fn sessions(handler: impl Handler<UdpSession>) -> Served {
    Served(Kind::Sessions(BoxHandler::new(handler)))
}
