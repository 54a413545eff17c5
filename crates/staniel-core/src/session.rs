//! The datagrams of one UDP peer.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::connection::{ConnGuard, ConnMeta};
use crate::transport::udp::{DatagramSocket, SessionEntry};

/// A session as the listener makes it.
pub struct RawSession {
    pub(crate) socket: Arc<DatagramSocket>,
    pub(crate) peer: SocketAddr,
    /// The address and port that were asked.
    pub(crate) local: SocketAddr,
    /// What answers must leave from, where the socket has several addresses.
    pub(crate) from: Option<IpAddr>,
    /// Before the queue, so that the table forgets the session before its queue closes: the next datagram of this peer
    /// then makes a new session, which nobody takes out again.
    pub(crate) _entry: SessionEntry,
    pub(crate) incoming: mpsc::Receiver<Bytes>,
}

impl fmt::Debug for RawSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSession").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The datagrams of one peer of a UDP socket.
///
/// It ends when the handler returns, after [`crate::UdpOptions::session_idle`] without a datagram either way (the handler
/// is then dropped where it stands), or with the drain. Answers leave from the address that the peer asked.
pub struct UdpSession {
    raw: RawSession,
    meta: ConnMeta,
    _guard: ConnGuard,
}

// === impl UdpSession ===

impl UdpSession {
    pub(crate) fn new(raw: RawSession, meta: ConnMeta, guard: ConnGuard) -> Self {
        Self { raw, meta, _guard: guard }
    }

    /// Who this is.
    #[must_use]
    pub fn meta(&self) -> &ConnMeta {
        &self.meta
    }

    /// The next datagram, at most 65 507 bytes on IPv4 and 65 527 on IPv6; it may be empty.
    ///
    /// `None` when the listener is gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a datagram that is not returned stays in the queue.
    pub async fn recv(&mut self) -> Option<Bytes> {
        let datagram = self.raw.incoming.recv().await?;
        self.meta.count_read(datagram.len());
        Some(datagram)
    }

    /// Sends one datagram to the peer.
    ///
    /// # Errors
    ///
    /// The system's; a datagram that is too large is refused whole (`EMSGSIZE`).
    ///
    /// # Cancel safety
    ///
    /// The datagram was either sent whole or not at all.
    pub async fn send(&self, data: &[u8]) -> io::Result<()> {
        self.raw.socket.send(data, self.raw.peer, self.raw.from).await?;
        self.meta.count_written(data.len());
        Ok(())
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        crate::addr::canonical(self.raw.peer)
    }
}

impl fmt::Debug for UdpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSession").field("meta", &self.meta).finish_non_exhaustive()
    }
}
