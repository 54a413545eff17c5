//! Ports that are free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// A TCP address on 127.0.0.1 that nothing listens on.
///
/// Bind port 0 wherever the program under test can tell its port; this is for those that must be told one. The kernel
/// hands such ports out in turn, so another process takes it only by bad luck.
///
/// # Errors
///
/// If the kernel has none left.
pub fn free_tcp() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A UDP address on 127.0.0.1 that nothing is bound to.
///
/// # Errors
///
/// If the kernel has none left.
pub fn free_udp() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A TCP address on 127.0.0.1, as [`free_tcp`], only its port.
///
/// # Errors
///
/// If the kernel has none left.
pub fn free_port() -> io::Result<u16> {
    Ok(free_tcp()?.port())
}
