//! The system calls that no crate of ours offers, and the only `unsafe` of the workspace.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Whether this machine has IPv6: where it is switched off, the kernel may still make such sockets, but has no loopback
/// address for them.
pub(crate) fn has_ipv6() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    let probe = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into())
    };
    *HAS.get_or_init(|| probe().is_ok())
}

/// How many descriptors this process may have open (`RLIMIT_NOFILE`, soft).
#[must_use]
pub fn descriptor_limit() -> usize {
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// Raises the soft limit of descriptors to the hard one and says what it is then.
pub fn raise_descriptor_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Not being allowed to leaves the limit as it was, which the return value tells.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    descriptor_limit()
}

/// Makes a listening TCP socket drop new connects (SYN without ACK) and nothing else, so that its queue can be emptied
/// before it is closed. The kernel of a client that meets it tries again.
///
/// # Errors
///
/// The system's, when it does not take the filter.
pub(crate) fn refuse_new_connects(socket: impl AsFd) -> io::Result<()> {
    // Classic BPF; the kernel shows a TCP filter the segment from its TCP header on: byte 13 holds the flags.
    const SYN: u32 = 0x02;
    const SYN_AND_ACK: u32 = 0x12;
    let op = |code: u32, jt: u8, jf: u8, k: u32| socket2::SockFilter::new(code as u16, jt, jf, k);
    let program = [
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 13),
        op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN_AND_ACK),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    socket2::SockRef::from(&socket.as_fd()).attach_filter(&program)
}

/// Lets datagrams larger than the path takes go in fragments, as the kernel does unless told otherwise.
///
/// # Errors
///
/// The system's.
pub(crate) fn allow_fragments(socket: &socket2::Socket) -> io::Result<()> {
    use rustix::net::sockopt::{
        Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
    };
    // On an IPv6 socket this is for its IPv4 peers.
    set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    if socket.domain()? == socket2::Domain::IPV6 {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::WANT)?;
        set_ipv6_dontfrag(socket, false)?;
    }
    Ok(())
}

#[expect(unsafe_code, reason = "no crate of ours offers IPV6_DONTFRAG")]
fn set_ipv6_dontfrag(socket: &socket2::Socket, on: bool) -> io::Result<()> {
    let on = libc::c_int::from(on);
    // SAFETY: the descriptor is borrowed from its owner for the call, and the pointer is to an int of the size given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_DONTFRAG,
            std::ptr::from_ref(&on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The descriptor of a live socket, by which an abort reaches it from another task.
///
/// It does not own the descriptor; whoever holds the socket takes this away ([`Handle::forget`]) before it closes.
#[derive(Debug)]
pub(crate) struct Handle(Option<RawFd>);

// === impl Handle ===

impl Handle {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn of(socket: &impl AsRawFd) -> Self {
        Self(Some(socket.as_raw_fd()))
    }

    /// Breaks the connection now: the peer gets a reset, so that it cannot take what it got for all of it, and pending reads
    /// and writes of ours fail.
    #[expect(
        unsafe_code,
        reason = "the socket is owned elsewhere; rustix wants a borrow of the owner"
    )]
    pub(crate) fn cut_off(&self) {
        let Some(fd) = self.0 else { return };
        // connect(2): "Some protocol sockets (e.g., TCP sockets …) may dissolve the association by connecting to an address
        // with the sa_family member of sockaddr set to AF_UNSPEC".
        let nowhere =
            libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
        let len = size_of::<libc::sockaddr>() as libc::socklen_t;
        // SAFETY: `connect` reads `len` bytes of a `sockaddr` that lives as long as the call, and takes any number as the
        // descriptor; that it is still ours holds because the owner calls `forget` under the lock around this handle
        // before it closes.
        unsafe {
            libc::connect(fd, &raw const nowhere, len);
        }
    }

    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

/// A descriptor kept back, to be given up when the process has none left to accept with.
#[derive(Debug)]
pub(crate) struct SpareDescriptor(Option<OwnedFd>);

// === impl SpareDescriptor ===

impl SpareDescriptor {
    pub(crate) fn reserve() -> Self {
        Self(std::fs::File::open("/dev/null").ok().map(OwnedFd::from))
    }

    /// Runs `with_room` while one descriptor more is free. Does nothing if there was no spare.
    pub(crate) fn lend(&mut self, with_room: impl FnOnce()) {
        if self.0.take().is_some() {
            with_room();
        }
        *self = Self::reserve();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_filtered_listener_keeps_its_queue_and_takes_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let _queued = TcpStream::connect(addr).unwrap();
        refuse_new_connects(&listener).unwrap();
        assert!(
            TcpStream::connect_timeout(&addr, Duration::from_millis(50)).is_err(),
            "the SYN is dropped"
        );
        assert!(listener.accept().is_ok(), "what waited is still there");
    }

    #[test]
    fn cutting_a_connection_off_resets_both_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let handle = Handle::of(&client);
        let (mut peer, _) = listener.accept().unwrap();
        handle.cut_off();
        let ours = io::Read::read(&mut client, &mut [0; 8]).map_err(|e| e.kind());
        assert_eq!(ours, Err(io::ErrorKind::ConnectionReset));
        let heard = io::Read::read(&mut peer, &mut [0; 8]).map_err(|e| e.kind());
        assert_eq!(heard, Err(io::ErrorKind::ConnectionReset));
    }
}
