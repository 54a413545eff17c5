//! UDP: datagrams in batches, told apart by peer and by the address that was asked.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use parking_lot::Mutex;
use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::tcp::{bind_group, set_buffers};
use super::{Accepted, BoundSocket, Listener, Transport, Tuner};
use crate::addr::{Addr, canonical};
use crate::bind::{Bind, SocketOptions, UdpOptions};
use crate::endpoint::Endpoint;
use crate::error::AcceptError;
use crate::handler::BoxFuture;
use crate::session::RawSession;
use crate::sys;

/// Messages taken in one system call. Each may hold several datagrams of one peer (GRO).
const BATCH: usize = 8;
/// Room for one message: the largest that the kernel merges, and the largest datagram.
const MESSAGE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct UdpTransport;

impl Transport for UdpTransport {
    fn can_bind(&self, at: &Endpoint) -> bool {
        matches!(at, Endpoint::Udp(_))
    }

    fn bind<'a>(
        &'a self,
        at: &'a Endpoint,
        spec: &'a Bind,
        workers: usize,
    ) -> BoxFuture<'a, io::Result<Box<dyn BoundSocket>>> {
        let bound = at.socket_addr().ok_or(io::ErrorKind::Unsupported.into()).and_then(|addr| {
            let group = bind_group(addr, workers, |addr| open(addr, &spec.socket))?;
            Ok(Box::new(UdpBound { sockets: group.all, local: group.local, udp: spec.udp.clone() })
                as Box<dyn BoundSocket>)
        });
        Box::pin(std::future::ready(bound))
    }
}

/// A UDP socket that is not bound yet. Unlike TCP's, its address must not be marked reusable: two programs would then
/// silently share the port.
fn open(addr: SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.v6_only)?;
    }
    set_buffers(&socket, options)?;
    Ok(socket)
}

struct UdpBound {
    sockets: Vec<Socket>,
    local: SocketAddr,
    udp: UdpOptions,
}

impl BoundSocket for UdpBound {
    fn local(&self) -> Endpoint {
        Endpoint::Udp(self.local)
    }

    fn start(self: Box<Self>, workers: &[Handle]) -> io::Result<Vec<Box<dyn Listener>>> {
        let Self { sockets, local, udp } = *self;
        let start = |(socket, worker): (Socket, &Handle)| {
            let _runtime = worker.enter();
            let socket = Arc::new(DatagramSocket::new(socket)?);
            Ok(Box::new(Receiving::new(socket, local, &udp)) as Box<dyn Listener>)
        };
        sockets.into_iter().zip(workers).map(start).collect()
    }
}

/// A UDP socket with what the kernel offers to make it fast.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    pub(crate) socket: UdpSocket,
    pub(crate) state: UdpSocketState,
}

// === impl DatagramSocket ===

impl DatagramSocket {
    /// Registers a socket on the current runtime.
    pub(crate) fn new(socket: Socket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // That was made for QUIC, which measures the path itself and wants no fragments. Other protocols do.
        sys::allow_fragments(&socket)?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, state })
    }

    /// Messages that came, into `buffers`; how many, each with its facts in `metas`.
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            let received = self.socket.try_io(Interest::READABLE, || {
                self.state.recv((&self.socket).into(), buffers, metas)
            });
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Sends one datagram, from `from` if the socket has several addresses.
    pub(crate) async fn send(
        &self,
        data: &[u8],
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: to,
            ecn: None,
            contents: data,
            segment_size: None,
            src_ip: from,
        };
        loop {
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                self.state.try_send((&self.socket).into(), &transmit)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.writable().await?
                }
                done => return done,
            }
        }
    }
}

/// Buffers for one batch of messages, made on first use.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        Self { bytes: Vec::new(), metas: [RecvMeta::default(); BATCH] }
    }
}

thread_local! {
    static SHARED: RefCell<Batch> = RefCell::new(Batch::default());
}

// === impl Batch ===

impl Batch {
    /// As [`Batch::poll_each`], in buffers that all sockets of the thread share.
    pub(crate) fn poll_shared(
        socket: &DatagramSocket,
        cx: &mut Context<'_>,
        each: impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
    ) -> Poll<io::Result<()>> {
        SHARED.with_borrow_mut(|batch| batch.poll_each(socket, cx, each))
    }

    /// Waits for datagrams on `socket` and hands each to `each`, with its peer and the address it came to.
    pub(crate) fn poll_each(
        &mut self,
        socket: &DatagramSocket,
        cx: &mut Context<'_>,
        mut each: impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
    ) -> Poll<io::Result<()>> {
        self.bytes.resize(BATCH * MESSAGE, 0);
        let mut chunks = self.bytes.chunks_mut(MESSAGE);
        let mut buffers: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let n = ready!(socket.poll_recv(cx, &mut buffers, &mut self.metas))?;
        for (meta, message) in self.metas.iter().zip(self.bytes.chunks(MESSAGE)).take(n) {
            let message = message.get(..meta.len).unwrap_or_default();
            if message.is_empty() {
                each(message, meta.addr, meta.dst_ip);
            }
            // The kernel may have merged datagrams of equal size; the last of them may be shorter.
            for datagram in message.chunks(meta.stride.max(1)) {
                each(datagram, meta.addr, meta.dst_ip);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Who a datagram belongs to: the peer, and the address of ours that it asked.
pub(crate) type SessionKey = (SocketAddr, Option<IpAddr>);

/// The live sessions of one socket. Keys are the peers' to choose, so the map's hash is keyed.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_key: HashMap<SessionKey, mpsc::Sender<Bytes>>,
    /// The listener that waits for the last session to go.
    closing: Option<Waker>,
}

/// Takes a session out of its table when it ends.
#[derive(Debug)]
pub(crate) struct SessionEntry {
    table: Arc<Mutex<Sessions>>,
    key: SessionKey,
}

impl Drop for SessionEntry {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        table.by_key.remove(&self.key);
        if table.by_key.is_empty()
            && let Some(waker) = table.closing.take()
        {
            waker.wake();
        }
    }
}

struct Receiving {
    socket: Arc<DatagramSocket>,
    local: SocketAddr,
    queue: usize,
    table: Arc<Mutex<Sessions>>,
    arrived: VecDeque<Accepted>,
    dropped: u64,
    closing: bool,
}

impl Receiving {
    fn new(socket: Arc<DatagramSocket>, local: SocketAddr, udp: &UdpOptions) -> Self {
        Self {
            socket,
            local,
            queue: udp.session_queue.max(1),
            table: Arc::default(),
            arrived: VecDeque::new(),
            dropped: 0,
            closing: false,
        }
    }

    /// Hands the datagrams of one batch to their sessions, and makes those that do not exist.
    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        admit: &dyn Fn() -> bool,
    ) -> Poll<io::Result<()>> {
        let Self { socket, local, queue, table, arrived, dropped, closing } = self;
        let mut sessions = None;
        Batch::poll_shared(socket, cx, |datagram, peer, to| {
            let sessions = sessions.get_or_insert_with(|| table.lock());
            let key = (peer, to);
            let datagram = Bytes::copy_from_slice(datagram);
            let datagram =
                match sessions.by_key.get(&key).map(|session| session.try_send(datagram.clone())) {
                    Some(Ok(())) => return,
                    Some(Err(TrySendError::Full(_))) => {
                        *dropped += 1;
                        return;
                    }
                    // The session has just ended: this begins the next.
                    Some(Err(TrySendError::Closed(datagram))) => datagram,
                    None => datagram,
                };
            if *closing || !admit() {
                arrived.push_back(Accepted::Refused(Addr::from(peer)));
                return;
            }
            let (sender, incoming) = mpsc::channel(*queue);
            // A new channel has room for at least one.
            let _ = sender.try_send(datagram);
            sessions.by_key.insert(key, sender);
            let local = SocketAddr::new(to.unwrap_or(local.ip()), local.port());
            arrived.push_back(Accepted::Session(RawSession {
                socket: socket.clone(),
                peer,
                local: canonical(local),
                from: to,
                _entry: SessionEntry { table: table.clone(), key },
                incoming,
            }));
        })
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Nobody feeds them any more, and their queues end.
        self.table.lock().by_key.clear();
    }
}

fn classed(error: io::Error) -> AcceptError {
    match error.kind() {
        // Of one peer, or of nobody.
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::Interrupted => AcceptError::Transient(error),
        _ => AcceptError::Exhausted(error),
    }
}

impl Listener for Receiving {
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        admit: &dyn Fn() -> bool,
    ) -> Poll<Result<Accepted, AcceptError>> {
        loop {
            if let Some(arrived) = self.arrived.pop_front() {
                return Poll::Ready(Ok(arrived));
            }
            if self.closing {
                let mut table = self.table.lock();
                if table.by_key.is_empty() {
                    return Poll::Ready(Err(AcceptError::Closed));
                }
                table.closing = Some(cx.waker().clone());
            }
            ready!(self.poll_batch(cx, admit)).map_err(classed)?;
        }
    }

    fn close(&mut self) {
        self.closing = true;
    }

    fn feeds_sessions(&self) -> bool {
        true
    }

    fn tuner(&self) -> Option<Tuner> {
        let socket = Arc::downgrade(&self.socket);
        Some(Box::new(move |options| match socket.upgrade() {
            Some(it) => set_buffers(&SockRef::from(&it.socket), options),
            None => Ok(()),
        }))
    }

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover,
    };

    use super::*;

    #[tokio::test]
    async fn a_datagram_larger_than_the_path_takes_is_cut_and_not_refused() {
        for at in ["0.0.0.0:0", "[::]:0"] {
            let at: SocketAddr = at.parse().unwrap();
            let socket = open(at, &SocketOptions::default()).unwrap();
            let socket = DatagramSocket::new(socket).unwrap().socket;
            assert_eq!(ip_mtu_discover(&socket).unwrap(), Ipv4PathMtuDiscovery::WANT);
            if at.is_ipv6() {
                assert_eq!(ipv6_mtu_discover(&socket).unwrap(), Ipv6PathMtuDiscovery::WANT);
            }
        }
    }
}
