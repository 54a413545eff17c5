//! A connection: its bytes, its identity, and what was learnt about it on the way.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

pub use self::meta::{ConnGuard, ConnMeta, ConnStats, Stopping};
pub(crate) use self::meta::{Live, MetaParts};
pub use self::stream::{Io, Stream, Unwrapped};
use crate::addr::{Addr, EndpointName};

mod meta;
mod stream;

/// One byte stream, accepted or opened, with its addresses, id, extensions and lifetime.
///
/// Read and write it as any tokio stream, or take it apart with [`Connection::into_parts`].
pub struct Connection {
    io: Io,
    meta: ConnMeta,
    extensions: Extensions,
}

// === impl Connection ===

impl Connection {
    /// Puts a connection together.
    #[must_use]
    pub fn from_parts(io: Io, meta: ConnMeta, extensions: Extensions) -> Self {
        Self { io, meta, extensions }
    }

    /// The bytes, the identity, and the extensions.
    #[must_use]
    pub fn into_parts(self) -> (Io, ConnMeta, Extensions) {
        (self.io, self.meta, self.extensions)
    }

    /// Who this is: cheap to clone, and it outlives the bytes.
    #[must_use]
    pub fn meta(&self) -> &ConnMeta {
        &self.meta
    }

    /// The bytes.
    pub fn io(&mut self) -> &mut Io {
        &mut self.io
    }

    /// What stages and layers found out, by type.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The same, to add to.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Puts `f`'s stream (a cipher, a meter) around the bytes. Identity, limits and drain stay as they are.
    #[must_use]
    pub fn wrap<S: Stream>(self, f: impl FnOnce(Io) -> S) -> Self {
        Self { io: self.io.wrap(f), ..self }
    }

    /// Two ends in memory, for tests: a connection as a handler gets it from `192.0.2.7:4321`, and its client.
    #[must_use]
    pub fn in_memory() -> (Self, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let meta = ConnMeta::new(MetaParts {
            endpoint: EndpointName::from("memory"),
            peer: Addr::Ip(([192, 0, 2, 7], 4321).into()),
            local: Addr::Ip(([192, 0, 2, 1], 80).into()),
            stopping: Stopping::default(),
        });
        (Self::from_parts(Io::from_stream(ours), meta, Extensions::new()), theirs)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("meta", &self.meta)
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}
