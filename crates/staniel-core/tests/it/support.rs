//! What the tests share: waiting on a state, an observer that remembers, handlers that are easy to see.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use staniel_core::{
    Addr, ApplyReport, BoxError, CloseReason, ConnMeta, Connection, ConnectionId, EndpointName,
    Handler, Observer, Running, handler_fn,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Long enough for a loaded machine; a test that works never waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at a state until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    let mut looks = tokio::time::interval(Duration::from_millis(1));
    while !is_so() {
        assert!(Instant::now() < end, "never came true: {what}");
        looks.tick().await;
    }
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("did not happen in time: {what}"))
}

/// Long enough to be sure that nothing comes, on the real clock.
pub(crate) async fn not_now(future: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(100), future).await.is_err()
}

pub(crate) async fn echo(conn: Connection) -> io::Result<()> {
    let (mut r, mut w) = tokio::io::split(conn);
    tokio::io::copy(&mut r, &mut w).await.map(drop)
}

/// Says one letter and stays until the peer goes.
pub(crate) fn says(letter: u8) -> impl Handler<Connection> {
    handler_fn(move |mut conn: Connection| async move {
        conn.write_all(&[letter]).await?;
        tokio::io::copy(&mut conn, &mut tokio::io::sink()).await.map(drop)
    })
}

/// Stays for ever, whatever the peer does.
pub(crate) async fn stays(conn: Connection) {
    std::future::pending::<()>().await;
    drop(conn);
}

pub(crate) fn addr_of(running: &Running, name: &str) -> SocketAddr {
    running.manager().get(name).unwrap().local()[0].socket_addr().unwrap()
}

pub(crate) async fn dial(addr: SocketAddr) -> TcpStream {
    soon("connect", TcpStream::connect(addr)).await.unwrap()
}

/// The letter with which a new connection is greeted.
pub(crate) async fn greeting(addr: SocketAddr) -> (u8, TcpStream) {
    let mut client = dial(addr).await;
    let letter = soon("greeting", client.read_u8()).await.unwrap();
    (letter, client)
}

pub(crate) async fn echoes(client: &mut TcpStream) {
    soon("write", client.write_all(b"ping")).await.unwrap();
    let mut back = [0; 4];
    soon("echo", client.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"ping");
}

/// Whether the connection is over: a read sees its end, or its reset.
pub(crate) async fn is_closed(client: &mut TcpStream) -> bool {
    matches!(soon("close", client.read(&mut [0; 16])).await, Ok(0) | Err(_))
}

/// Makes the close of this socket a reset.
pub(crate) fn reset(client: TcpStream) {
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
}

/// A port that somebody listens on, so that it cannot be had.
pub(crate) fn taken() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Remembers what it was told.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Records>);

#[derive(Default)]
pub(crate) struct Records {
    pub(crate) accepted: Mutex<Vec<ConnMeta>>,
    pub(crate) closed: Mutex<Vec<(ConnectionId, CloseReason, Option<String>)>>,
    pub(crate) rejected: Mutex<Vec<CloseReason>>,
    pub(crate) reloaded: Mutex<Vec<(String, ApplyReport)>>,
    pub(crate) accept_errors: AtomicUsize,
    pub(crate) dropped: AtomicU64,
}

impl std::ops::Deref for Recorder {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.0
    }
}

impl Recorder {
    pub(crate) fn reasons(&self) -> Vec<CloseReason> {
        self.closed.lock().iter().map(|(_, why, _)| *why).collect()
    }

    /// Every connection that was taken is over, and was said to be exactly once.
    pub(crate) fn is_settled(&self) -> bool {
        let mut accepted: Vec<_> = self.accepted.lock().iter().map(ConnMeta::id).collect();
        let mut closed: Vec<_> = self.closed.lock().iter().map(|(id, ..)| *id).collect();
        accepted.sort();
        closed.sort();
        accepted == closed
    }
}

impl Observer for Recorder {
    fn accepted(&self, meta: &ConnMeta) {
        self.accepted.lock().push(meta.clone());
    }

    fn rejected(&self, _endpoint: &EndpointName, _peer: &Addr, why: CloseReason) {
        self.rejected.lock().push(why);
    }

    fn closed(&self, meta: &ConnMeta, why: CloseReason, error: Option<&BoxError>) {
        self.closed.lock().push((meta.id(), why, error.map(ToString::to_string)));
    }

    fn accept_error(&self, _endpoint: &EndpointName, _error: &io::Error) {
        self.accept_errors.fetch_add(1, Ordering::SeqCst);
    }

    fn datagrams_dropped(&self, _endpoint: &EndpointName, n: u64, _why: CloseReason) {
        self.dropped.fetch_add(n, Ordering::SeqCst);
    }

    fn reloaded(&self, handler: &str, report: &ApplyReport) {
        self.reloaded.lock().push((handler.to_owned(), report.clone()));
    }
}
