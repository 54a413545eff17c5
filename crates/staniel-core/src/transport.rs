//! How endpoints are bound and what comes out of them.

use std::io;
use std::task::{Context, Poll};

use http::Extensions;
use tokio::runtime::Handle;

use crate::addr::Addr;
use crate::bind::{Bind, SocketOptions};
use crate::connection::Io;
use crate::endpoint::Endpoint;
use crate::error::AcceptError;
use crate::handler::BoxFuture;
use crate::session::RawSession;

pub(crate) mod memory;
pub(crate) mod tcp;
pub(crate) mod udp;

/// A way to bind endpoints of some kind.
pub trait Transport: Send + Sync + 'static {
    /// Whether this transport is the one for `at`.
    fn can_bind(&self, at: &Endpoint) -> bool;

    /// Binds `at` for `workers` workers, with the settings of `spec`. What comes back does not listen yet and belongs to
    /// no runtime, so it can be dropped without anyone having noticed.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::AddrInUse`] and [`io::ErrorKind::PermissionDenied`] are told apart for the user.
    fn bind<'a>(
        &'a self,
        at: &'a Endpoint,
        spec: &'a Bind,
        workers: usize,
    ) -> BoxFuture<'a, io::Result<Box<dyn BoundSocket>>>;
}

/// An address that is taken but does not listen yet.
pub trait BoundSocket: Send {
    /// The address, with the port that the system chose.
    fn local(&self) -> Endpoint;

    /// Begins to listen: a listener for each of the first workers, registered on its runtime.
    ///
    /// # Errors
    ///
    /// The system's.
    fn start(self: Box<Self>, workers: &[Handle]) -> io::Result<Vec<Box<dyn Listener>>>;
}

/// Gives a listening socket other options.
pub type Tuner = Box<dyn Fn(&SocketOptions) -> io::Result<()> + Send + Sync>;

/// A bound endpoint that yields connections to one worker.
pub trait Listener: Send + 'static {
    /// The next arrival. A listener of datagrams asks `admit` before it takes a new peer; one of connections is polled
    /// only while there is room.
    ///
    /// After [`Listener::close`] it yields what had arrived before, and then [`AcceptError::Closed`].
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
        admit: &dyn Fn() -> bool,
    ) -> Poll<Result<Accepted, AcceptError>>;

    /// Takes no new peers from now on.
    fn close(&mut self);

    /// Whether it has to be polled even while no new connection may be taken, because it feeds those that exist.
    fn feeds_sessions(&self) -> bool {
        false
    }

    /// What changes the options of its socket while it listens, if it has a socket. It must not keep the socket open.
    fn tuner(&self) -> Option<Tuner> {
        None
    }

    /// Datagrams dropped since this was last asked, because the queue of their session was full.
    fn take_dropped(&mut self) -> u64 {
        0
    }
}

/// What a listener yields.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accepted {
    /// A connection.
    Stream(RawStream),
    /// A peer of a UDP socket.
    Session(RawSession),
    /// A peer that was not admitted.
    Refused(Addr),
}

/// A connection as the transport knows it.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what a transport has to tell of a connection, and all of it"
)]
pub struct RawStream {
    /// Its bytes.
    pub io: Io,
    /// The other end.
    pub peer: Addr,
    /// Our end.
    pub local: Addr,
    /// Facts for handlers, by type.
    pub extensions: Extensions,
}
