//! Opening UDP "connections": a socket of one's own that talks to one peer.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;

use crate::connect::{ConnectError, Target};
use crate::transport::udp::{Batch, DatagramSocket};

/// Opens UDP sockets that are connected to one peer: they take datagrams from it alone.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UdpConnector {}

/// A UDP socket connected to one peer.
#[derive(Debug)]
pub struct UdpUpstream {
    socket: DatagramSocket,
    peer: SocketAddr,
    received: Mutex<Received>,
}

#[derive(Debug, Default)]
struct Received {
    /// Datagrams of the last batch, the next at the end.
    waiting: Vec<Bytes>,
}

// === impl UdpConnector ===

impl UdpConnector {
    /// Opens a socket that talks to the first address of `target`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Resolve`]; [`ConnectError::Failed`] if there is no route or no descriptor.
    pub async fn connect(&self, target: &Target) -> Result<UdpUpstream, ConnectError> {
        let failed = |source| ConnectError::Failed { target: target.clone(), source };
        let addrs = target.resolve().await?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for peer in addrs {
            match open(peer) {
                Ok(socket) => return Ok(UdpUpstream { socket, peer, received: Mutex::default() }),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }
}

fn open(peer: SocketAddr) -> io::Result<DatagramSocket> {
    let socket = Socket::new(Domain::for_address(peer), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.connect(&peer.into())?;
    DatagramSocket::new(socket)
}

// === impl UdpUpstream ===

impl UdpUpstream {
    /// Who it talks to.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::ConnectionRefused`] tells that nobody took an earlier one.
    ///
    /// # Cancel safety
    ///
    /// The datagram was either sent whole or not at all.
    pub async fn send(&self, data: &[u8]) -> io::Result<()> {
        self.socket.send(data, self.peer, None).await
    }

    /// The next datagram from the peer. One task at a time may wait for it: of several, the last would be woken.
    ///
    /// # Errors
    ///
    /// As for [`UdpUpstream::send`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&self) -> io::Result<Bytes> {
        let datagram = std::future::poll_fn(|cx| {
            let mut received = self.received.lock();
            loop {
                if let Some(datagram) = received.waiting.pop() {
                    return std::task::Poll::Ready(Ok(datagram));
                }
                let waiting = &mut received.waiting;
                std::task::ready!(Batch::poll_shared(&self.socket, cx, |datagram, _, _| {
                    waiting.push(Bytes::copy_from_slice(datagram));
                }))?;
                waiting.reverse();
            }
        });
        // That nobody is there is no datagram: the kernel tells of it as an error of the socket alone.
        let broken = self.socket.socket.async_io(Interest::ERROR, || {
            let error = self.socket.socket.take_error()?;
            Err(error.unwrap_or_else(|| io::ErrorKind::WouldBlock.into()))
        });
        tokio::select! {
            biased;
            datagram = datagram => datagram,
            error = broken => error,
        }
    }
}
