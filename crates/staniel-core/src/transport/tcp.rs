//! TCP: one listening socket for each worker, on one address.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Extensions;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::{Accepted, BoundSocket, Listener, RawStream, Transport, Tuner};
use crate::addr::Addr;
use crate::bind::{Bind, Keepalive, SocketOptions};
use crate::connection::Io;
use crate::endpoint::Endpoint;
use crate::error::AcceptError;
use crate::handler::BoxFuture;
use crate::sys::{self, SpareDescriptor};

/// How long a closing listener waits for handshakes that were under way: their last segment is let through, and on any
/// network worth the name it comes within this.
const CLOSING: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct TcpTransport;

impl Transport for TcpTransport {
    fn can_bind(&self, at: &Endpoint) -> bool {
        matches!(at, Endpoint::Tcp(_))
    }

    fn bind<'a>(
        &'a self,
        at: &'a Endpoint,
        spec: &'a Bind,
        workers: usize,
    ) -> BoxFuture<'a, io::Result<Box<dyn BoundSocket>>> {
        let bound = at.socket_addr().ok_or(io::ErrorKind::Unsupported.into()).and_then(|addr| {
            let sockets = bind_group(addr, workers, |addr| open(addr, &spec.socket))?;
            let local = sockets.local;
            Ok(Box::new(TcpBound { sockets: sockets.all, local, backlog: spec.socket.backlog })
                as Box<dyn BoundSocket>)
        });
        Box::pin(std::future::ready(bound))
    }
}

/// Sockets that share one address.
pub(super) struct Group {
    pub(super) all: Vec<Socket>,
    pub(super) local: SocketAddr,
}

/// Binds `n` sockets to one address.
///
/// The first is bound alone, so that an address which somebody has is an error; only then is sharing switched on and the
/// others join. (Asked for from the start, it would silently share the port with another program of this user.)
pub(super) fn bind_group(
    addr: SocketAddr,
    n: usize,
    open: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<Group> {
    let first = open(addr)?;
    first.bind(&addr.into())?;
    let local = first.local_addr()?.as_socket().unwrap_or(addr);
    let mut all = vec![first];
    for _ in 1..n {
        if let [first] = &all[..] {
            first.set_reuse_port(true)?;
        }
        let next = open(local)?;
        next.set_reuse_port(true)?;
        next.bind(&local.into())?;
        all.push(next);
    }
    Ok(Group { all, local })
}

fn open(addr: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // An address whose old connections linger in TIME_WAIT is free all the same.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.v6_only)?;
    }
    inherited(&socket, options)?;
    Ok(socket)
}

/// What is set on the listener, its connections inherit: no system call for each of them.
fn inherited(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay)?;
    if let Some(keepalive) = options.keepalive {
        socket.set_tcp_keepalive(&probes(keepalive))?;
    }
    set_buffers(socket, options)
}

pub(super) fn set_buffers(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(size) = options.recv_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    Ok(())
}

pub(crate) fn probes(Keepalive { idle, interval, probes }: Keepalive) -> TcpKeepalive {
    TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes)
}

struct TcpBound {
    sockets: Vec<Socket>,
    local: SocketAddr,
    backlog: u32,
}

impl BoundSocket for TcpBound {
    fn local(&self) -> Endpoint {
        Endpoint::Tcp(self.local)
    }

    fn start(self: Box<Self>, workers: &[Handle]) -> io::Result<Vec<Box<dyn Listener>>> {
        let backlog = i32::try_from(self.backlog).unwrap_or(i32::MAX);
        let pairs = self.sockets.into_iter().zip(workers);
        let start = |(socket, worker): (Socket, &Handle)| {
            socket.listen(backlog)?;
            let _runtime = worker.enter();
            let listener = Arc::new(TcpListener::from_std(socket.into())?);
            Ok(Box::new(Accepting { listener, spare: SpareDescriptor::reserve(), closing: None })
                as Box<dyn Listener>)
        };
        pairs.map(start).collect()
    }
}

struct Accepting {
    listener: Arc<TcpListener>,
    spare: SpareDescriptor,
    closing: Option<Pin<Box<Sleep>>>,
}

impl Listener for Accepting {
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        _admit: &dyn Fn() -> bool,
    ) -> Poll<Result<Accepted, AcceptError>> {
        match self.listener.poll_accept(cx) {
            Poll::Ready(Ok((stream, peer))) => {
                // A peer that is gone already has no address to ask for; the read will say so.
                let local = stream.local_addr().unwrap_or(peer);
                let (peer, local) = (Addr::from(peer), Addr::from(local));
                let raw = RawStream {
                    io: Io::from_tcp(stream),
                    peer,
                    local,
                    extensions: Extensions::new(),
                };
                Poll::Ready(Ok(Accepted::Stream(raw)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(self.classed(error))),
            Poll::Pending => {
                let Some(wait) = &mut self.closing else { return Poll::Pending };
                // Everything queued has been taken, and after the wait nothing more is under way.
                ready!(wait.as_mut().poll(cx));
                Poll::Ready(Err(AcceptError::Closed))
            }
        }
    }

    fn close(&mut self) {
        if self.closing.is_none() {
            if let Err(error) = sys::refuse_new_connects(&*self.listener) {
                tracing::debug!(%error, "the closing listener still takes connects; those in its queue may be reset");
            }
            self.closing = Some(Box::pin(tokio::time::sleep(CLOSING)));
        }
    }

    fn tuner(&self) -> Option<Tuner> {
        let listener = Arc::downgrade(&self.listener);
        Some(Box::new(move |options| {
            let Some(listener) = listener.upgrade() else { return Ok(()) };
            let socket = SockRef::from(&*listener);
            inherited(&socket, options)?;
            if options.keepalive.is_none() {
                socket.set_keepalive(false)?;
            }
            // Asked again, the kernel takes the new number.
            socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))
        }))
    }
}

impl Accepting {
    fn classed(&mut self, error: io::Error) -> AcceptError {
        match error.raw_os_error() {
            // accept(2): errors of the new connection come out here, and mean it alone.
            Some(
                libc::ECONNABORTED
                | libc::EPROTO
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::EPERM
                | libc::EINTR,
            ) => AcceptError::Transient(error),
            Some(libc::EMFILE | libc::ENFILE) => {
                // One client sees a close instead of hanging until there is room again.
                let listener = SockRef::from(&*self.listener);
                self.spare.lend(|| drop(listener.accept()));
                AcceptError::Exhausted(error)
            }
            _ => AcceptError::Exhausted(error),
        }
    }
}
