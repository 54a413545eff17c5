//! A client that sends what it is told to.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::{Message, Reader};

/// How long any one step may take, so that a test that would hang fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// One connection, and no opinion about what goes over it.
///
/// Every step fails with [`ErrorKind::TimedOut`] after ten seconds, or as long as [`patience`](Self::patience) says.
#[derive(Debug)]
pub struct RawClient {
    reader: Reader<TcpStream>,
    patience: Duration,
}

// === impl RawClient ===

impl RawClient {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The kernel's own; a connection that is refused has [`ErrorKind::ConnectionRefused`].
    pub async fn connect(addr: SocketAddr) -> io::Result<Self> {
        Self::connect_on(socket(addr)?, addr).await
    }

    /// Connects with a receive buffer of about `bytes`, so that the peer notices early that nobody reads.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_narrow(addr: SocketAddr, bytes: u32) -> io::Result<Self> {
        let socket = socket(addr)?;
        socket.set_recv_buffer_size(bytes)?;
        Self::connect_on(socket, addr).await
    }

    /// Connects with a socket that the test has prepared.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_on(socket: TcpSocket, addr: SocketAddr) -> io::Result<Self> {
        let stream = limited(PATIENCE, socket.connect(addr)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { reader: Reader::new(stream), patience: PATIENCE })
    }

    /// Gives every later step this much time.
    #[must_use]
    pub const fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// The client's own address.
    ///
    /// # Errors
    ///
    /// The kernel's own.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.reader.io.local_addr()
    }

    /// Sends these bytes.
    ///
    /// # Errors
    ///
    /// If the peer has reset the connection or does not read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        limited(self.patience, self.reader.io.write_all(bytes.as_ref())).await
    }

    /// Sends these bytes in pieces of `size`, with a pause behind each.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_in_pieces(
        &mut self,
        bytes: impl AsRef<[u8]>,
        size: usize,
        pause: Duration,
    ) -> io::Result<()> {
        for piece in bytes.as_ref().chunks(size.max(1)) {
            self.send(piece).await?;
            sleep(pause).await;
        }
        Ok(())
    }

    /// The next answer, to a request that was neither HEAD nor CONNECT. A 1xx is an answer of its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] if the connection ends before the answer does, [`ErrorKind::ConnectionReset`] if it
    /// is reset, [`ErrorKind::InvalidData`] if its chunks are malformed.
    pub async fn answer(&mut self) -> io::Result<Message> {
        self.answer_to("GET").await
    }

    /// The next answer, to a request with this method.
    ///
    /// # Errors
    ///
    /// As [`answer`](Self::answer).
    pub async fn answer_to(&mut self, method: &str) -> io::Result<Message> {
        let reader = &mut self.reader;
        limited(self.patience, async {
            let mut message = Message::new(reader.head().await?.ok_or(ErrorKind::UnexpectedEof)?);
            reader.body(message.answer_framing(method), &mut message).await?;
            Ok(message)
        })
        .await
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) and [`answer`](Self::answer).
    pub async fn exchange(&mut self, request: impl AsRef<[u8]>) -> io::Result<Message> {
        self.send(&request).await?;
        let method = request.as_ref().split(|&b| b == b' ').next().unwrap_or_default();
        self.answer_to(&String::from_utf8_lossy(method)).await
    }

    /// The next `n` bytes, for what is not HTTP.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] if the connection ends first.
    pub async fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        limited(self.patience, self.reader.bytes(n)).await
    }

    /// Everything until the peer ends its direction; empty if it did so at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ConnectionReset`] if the peer resets instead.
    pub async fn until_close(&mut self) -> io::Result<Vec<u8>> {
        limited(self.patience, self.reader.until_close()).await
    }

    /// Ends the client's own direction; answers can still be read.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub async fn finish(&mut self) -> io::Result<()> {
        limited(self.patience, self.reader.io.shutdown()).await
    }

    /// Resets the connection.
    ///
    /// # Errors
    ///
    /// The kernel's own.
    pub fn reset(self) -> io::Result<()> {
        self.reader.io.set_zero_linger()
    }
}

fn socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

async fn limited<T>(limit: Duration, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, step).await.unwrap_or_else(|_| {
        Err(io::Error::new(ErrorKind::TimedOut, format!("nothing happened within {limit:?}")))
    })
}
