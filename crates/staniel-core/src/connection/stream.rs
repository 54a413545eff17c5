//! The bytes of a connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::meta::{ConnGuard, ConnMeta};
use crate::buffer::{Class, Lease};
use crate::sys;

/// Anything that carries bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// The bytes of one connection: a kernel socket, or a stream that was wrapped around one.
///
/// It stays the kernel socket until something wraps it, also after [`Io::peek`]. It counts its bytes, and while it
/// lives its connection counts as open.
pub struct Io {
    kind: Kind,
    /// What was peeked and not read yet.
    prefix: Option<Box<Lease>>,
    account: Option<Account>,
}

enum Kind {
    Tcp(TcpStream),
    Dyn(Box<dyn Stream>),
    /// Taken apart; reads end, writes fail.
    Gone,
}

struct Account {
    meta: ConnMeta,
    /// Held, not used: its drop is what counts.
    guard: Option<ConnGuard>,
}

/// A bare socket with what belongs to it: put bytes that were peeked first, and keep the guard as long as the socket.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unwrapped<S> {
    /// The socket.
    pub socket: S,
    /// Bytes that were peeked and come before what the socket gives.
    pub prefix: Option<Lease>,
    /// Keeps limits, counters and the drain right.
    pub guard: Option<ConnGuard>,
}

// === impl Io ===

impl Io {
    /// A TCP socket.
    #[must_use]
    pub fn from_tcp(socket: TcpStream) -> Self {
        Self { kind: Kind::Tcp(socket), prefix: None, account: None }
    }

    /// Any stream.
    #[must_use]
    pub fn from_stream(stream: impl Stream) -> Self {
        Self { kind: Kind::Dyn(Box::new(stream)), prefix: None, account: None }
    }

    /// Lets `meta` count the bytes and reach the socket, and keeps `guard` for as long as the bytes live.
    pub(crate) fn account_to(&mut self, meta: &ConnMeta, guard: Option<ConnGuard>) {
        if let Kind::Tcp(socket) = &self.kind {
            meta.own_socket(sys::Handle::of(socket));
        }
        self.account = Some(Account { meta: meta.clone(), guard });
    }

    /// Puts a stream around this one.
    #[must_use]
    pub fn wrap<S: Stream>(self, f: impl FnOnce(Self) -> S) -> Self {
        Self::from_stream(f(self))
    }

    /// The kernel socket, as long as nothing wraps it.
    #[must_use]
    pub const fn as_tcp(&self) -> Option<&TcpStream> {
        match &self.kind {
            Kind::Tcp(socket) => Some(socket),
            Kind::Dyn(_) | Kind::Gone => None,
        }
    }

    /// Takes the kernel socket out. The connection stays counted until the guard beside it is dropped; its bytes are not
    /// counted any more, and [`ConnMeta::abort`] reaches the handler but not the socket.
    ///
    /// # Errors
    ///
    /// This, unchanged, if it is no bare TCP socket.
    pub fn try_into_tcp(mut self) -> Result<Unwrapped<TcpStream>, Self> {
        match std::mem::replace(&mut self.kind, Kind::Gone) {
            Kind::Tcp(socket) => {
                let prefix = self.prefix.take().map(|prefix| *prefix);
                let account = self.account.take();
                if let Some(account) = &account {
                    account.meta.forget_socket();
                }
                let guard = account.and_then(|account| account.guard);
                Ok(Unwrapped { socket, prefix, guard })
            }
            other => {
                self.kind = other;
                Err(self)
            }
        }
    }

    /// Waits until at least `n` bytes have come (at most 64 KiB), or the end of the stream, and shows them without taking
    /// them.
    ///
    /// # Errors
    ///
    /// Those of reading.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: bytes that came stay in front.
    pub async fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        let n = n.min(Class::Block.size());
        std::future::poll_fn(|cx| {
            while self.prefix.as_ref().map_or(0, |prefix| prefix.len()) < n {
                let mut held = self.prefix.take().map(|prefix| *prefix);
                let polled = self.poll_fill_inner(cx, &mut held, Class::Block);
                // A peer that sends one byte and waits is not worth a large buffer.
                self.prefix =
                    held.filter(|lease| !lease.is_empty()).map(|lease| Box::new(lease.settle()));
                if ready!(polled)? == 0 {
                    break;
                }
            }
            Poll::Ready(Ok::<_, io::Error>(()))
        })
        .await?;
        Ok(self.prefix.as_ref().map_or(&[], |prefix| prefix.as_slice()))
    }

    /// Puts bytes that were read back in front, for whoever reads next.
    pub fn unread(&mut self, bytes: Lease) {
        let bytes = match self.prefix.take() {
            Some(behind) => joined(&bytes, &behind),
            None => bytes,
        };
        self.prefix = (!bytes.is_empty()).then(|| Box::new(bytes));
    }

    /// Reads into `into`, which is made of `class` inside the poll and kept only if bytes came. 0 is the end of the
    /// stream. What is peeked comes first.
    ///
    /// A lease without room moves into one of 64 KiB. That is the most: when it is full, it is left as it is and the
    /// answer is [`io::ErrorKind::OutOfMemory`].
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Option<Lease>,
        class: Class,
    ) -> Poll<io::Result<usize>> {
        if let Some(prefix) = &mut self.prefix {
            let Some(lease) = into else {
                *into = self.prefix.take().map(|prefix| *prefix);
                return Poll::Ready(Ok(into.as_ref().map_or(0, |lease| lease.len())));
            };
            if lease.room() < prefix.len() {
                let class = Class::holding(lease.len() + prefix.len()).unwrap_or(Class::Block);
                let mut larger = Lease::take(class);
                if lease.len() >= larger.room() {
                    return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
                }
                larger.extend(lease);
                *lease = larger;
            }
            let n = lease.extend(prefix);
            prefix.consume(n);
            if prefix.is_empty() {
                self.prefix = None;
            }
            return Poll::Ready(Ok(n));
        }
        self.poll_fill_inner(cx, into, class)
    }

    fn poll_fill_inner(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Option<Lease>,
        class: Class,
    ) -> Poll<io::Result<usize>> {
        let mut lease = match into.take() {
            None => Lease::take(class),
            Some(held) if held.room() > 0 => held,
            Some(full) if full.len() >= Class::Block.size() => {
                *into = Some(full);
                return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
            }
            Some(full) => {
                let mut larger = Lease::take(Class::Block);
                larger.extend(&full);
                larger
            }
        };
        let mut buf = ReadBuf::new(lease.spare_mut());
        let polled = self.poll_read_raw(cx, &mut buf);
        let n = buf.filled().len();
        if n > 0 {
            lease.filled(n);
            if let Some(account) = &self.account {
                account.meta.count_read(n);
            }
        }
        if !lease.is_empty() {
            *into = Some(lease);
        }
        polled.map_ok(|()| n)
    }

    /// Writes what the peer takes now; no waker is left behind.
    ///
    /// # Errors
    ///
    /// Those of the socket; [`io::ErrorKind::WouldBlock`] if it takes nothing now.
    pub fn write_now(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let n = match &mut self.kind {
            // The usual case is one part, and `send` is cheaper than `writev`.
            Kind::Tcp(socket) => match parts {
                [one] => socket.try_write(one)?,
                [one, none] if none.is_empty() => socket.try_write(one)?,
                _ => socket.try_write_vectored(parts)?,
            },
            Kind::Dyn(stream) => {
                let mut cx = Context::from_waker(Waker::noop());
                match Pin::new(stream).poll_write_vectored(&mut cx, parts) {
                    Poll::Ready(result) => result?,
                    Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
                }
            }
            Kind::Gone => return Err(io::ErrorKind::NotConnected.into()),
        };
        self.count_written(n);
        Ok(n)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of the socket; [`io::ErrorKind::WriteZero`] if it takes nothing any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped in between, an unknown part has been written: the stream is then of no more use.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        tokio::io::AsyncWriteExt::write_all(self, bytes).await
    }

    /// Whether a connection that should be silent is: nothing has come, not even its end. No system call is made unless
    /// the event loop has seen something on the socket.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        if self.prefix.is_some() {
            return false;
        }
        match &self.kind {
            Kind::Tcp(socket) => {
                let mut cx = Context::from_waker(Waker::noop());
                match socket.poll_read_ready(&mut cx) {
                    Poll::Pending => true,
                    // The attempt also clears an event that turns out to be stale.
                    Poll::Ready(_) => {
                        matches!(socket.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
                    }
                }
            }
            // Asking would take the byte; a wrapped stream says at its next use what became of it.
            Kind::Dyn(_) => true,
            Kind::Gone => false,
        }
    }

    /// Makes the close of this connection a reset, so that the peer cannot take what it got for all of it.
    pub fn reset_on_close(&mut self) {
        if let Kind::Tcp(socket) = &self.kind {
            // A socket that refuses is already broken; the peer then sees that.
            let _ = socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    fn poll_read_raw(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Kind::Dyn(stream) => Pin::new(stream).poll_read(cx, buf),
            Kind::Gone => Poll::Ready(Ok(())),
        }
    }

    fn count_written(&self, n: usize) {
        if let Some(account) = &self.account {
            account.meta.count_written(n);
        }
    }
}

/// `first` with `second` behind it.
fn joined(first: &Lease, second: &Lease) -> Lease {
    let mut bytes = Vec::with_capacity(first.len() + second.len());
    bytes.extend_from_slice(first);
    bytes.extend_from_slice(second);
    Lease::copy_of(&bytes)
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(prefix) = &mut self.prefix {
            let n = prefix.len().min(buf.remaining());
            buf.put_slice(prefix.get(..n).unwrap_or_default());
            prefix.consume(n);
            if prefix.is_empty() {
                self.prefix = None;
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(self.poll_read_raw(cx, buf))?;
        let n = buf.filled().len() - before;
        if let Some(account) = &self.account
            && n > 0
        {
            account.meta.count_read(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(match &mut self.kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Kind::Dyn(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })?;
        self.count_written(n);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(match &mut self.kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Kind::Dyn(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Kind::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        })?;
        self.count_written(n);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Tcp(_) => true,
            Kind::Dyn(stream) => stream.is_write_vectored(),
            Kind::Gone => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Kind::Dyn(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Kind::Dyn(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let (Kind::Tcp(_), Some(account)) = (&self.kind, &self.account) {
            // Before the descriptor closes, so that an abort cannot meet another socket under the same number.
            account.meta.forget_socket();
        }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Tcp(_) => "tcp",
            Kind::Dyn(_) => "wrapped",
            Kind::Gone => "gone",
        };
        f.debug_struct("Io")
            .field("kind", &kind)
            .field("peeked", &self.prefix.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use crate::connection::Connection;

    #[tokio::test]
    async fn peeked_bytes_come_first_and_only_once() {
        let (mut conn, mut client) = Connection::in_memory();
        client.write_all(b"hello").await.unwrap();
        assert_eq!(conn.io().peek(3).await.unwrap(), b"hello");
        assert_eq!(conn.io().peek(5).await.unwrap(), b"hello");
        client.write_all(b" world").await.unwrap();
        drop(client);
        let mut all = Vec::new();
        conn.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"hello world");
    }

    #[tokio::test]
    async fn peeking_ends_with_the_stream() {
        let (mut conn, mut client) = Connection::in_memory();
        client.write_all(b"short").await.unwrap();
        drop(client);
        assert_eq!(conn.io().peek(100).await.unwrap(), b"short");
    }
}
