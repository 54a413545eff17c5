//! Who a connection is, and what keeps count of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use http::Extensions;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::addr::{Addr, ConnectionId, EndpointName};
use crate::error::BoxError;
use crate::reason::CloseReason;
use crate::{clock, sys};

/// The identity of a connection: in log records, in registries, beside every request. A clone is one count.
#[derive(Clone)]
pub struct ConnMeta(Arc<Meta>);

struct Meta {
    id: ConnectionId,
    endpoint: EndpointName,
    peer: Addr,
    local: Addr,
    since: SystemTime,
    started: Instant,
    stopping: Stopping,
    read: AtomicU64,
    written: AtomicU64,
    /// [`clock::millis`] of the last byte either way.
    active: AtomicU64,
    /// The code of the [`CloseReason`]; 0 while there is none.
    end: AtomicU8,
    over: AtomicBool,
    closed: OnceLock<CancellationToken>,
    frozen: OnceLock<Extensions>,
    kill: Mutex<Kill>,
}

/// What an abort has to reach.
struct Kill {
    socket: sys::Handle,
    task: Option<AbortHandle>,
    /// Cut off already: a socket or task that comes after that is ended at once.
    done: bool,
    error: Option<Arc<BoxError>>,
}

/// What a transport knows of a new connection.
pub(crate) struct MetaParts {
    pub(crate) endpoint: EndpointName,
    pub(crate) peer: Addr,
    pub(crate) local: Addr,
    pub(crate) stopping: Stopping,
}

/// Bytes that a connection has carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnStats {
    /// Bytes read from the peer.
    pub read: u64,
    /// Bytes that the peer's socket took.
    pub written: u64,
}

// === impl ConnMeta ===

impl ConnMeta {
    pub(crate) fn new(parts: MetaParts) -> Self {
        let MetaParts { endpoint, peer, local, stopping } = parts;
        Self(Arc::new(Meta {
            id: ConnectionId::next(),
            endpoint,
            peer,
            local,
            since: SystemTime::now(),
            started: clock::now(),
            stopping,
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            active: AtomicU64::new(clock::millis()),
            end: AtomicU8::new(0),
            over: AtomicBool::new(false),
            closed: OnceLock::new(),
            frozen: OnceLock::new(),
            kill: Mutex::new(Kill {
                socket: sys::Handle::NONE,
                task: None,
                done: false,
                error: None,
            }),
        }))
    }

    /// Unique in this process.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// The name of the endpoint that accepted it.
    #[must_use]
    pub fn endpoint(&self) -> &EndpointName {
        &self.0.endpoint
    }

    /// The socket's peer.
    #[must_use]
    pub fn peer(&self) -> &Addr {
        &self.0.peer
    }

    /// Who is behind the peer: what limits, access lists and logs use. The peer itself, as long as no trusted header
    /// says otherwise.
    #[must_use]
    pub fn client(&self) -> &Addr {
        &self.0.peer
    }

    /// The address that the peer reached.
    #[must_use]
    pub fn local(&self) -> &Addr {
        &self.0.local
    }

    /// When it was accepted, by the calendar.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.0.since
    }

    /// When it was accepted, by the clock that deadlines use.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// Bytes so far.
    #[must_use]
    pub fn stats(&self) -> ConnStats {
        ConnStats {
            read: self.0.read.load(Ordering::Relaxed),
            written: self.0.written.load(Ordering::Relaxed),
        }
    }

    /// "Please finish": set when the endpoint or the host begins to drain.
    #[must_use]
    pub fn stopping(&self) -> &Stopping {
        &self.0.stopping
    }

    /// Cancelled once the connection is over. Made on first use.
    #[must_use]
    pub fn closed(&self) -> &CancellationToken {
        let token = self.0.closed.get_or_init(CancellationToken::new);
        // Whichever of this look and the one in `over` comes later sees what the other has written.
        if self.0.over.load(Ordering::SeqCst) {
            token.cancel();
        }
        token
    }

    /// Says why the connection ends. The first reason stays; returns whether this was it.
    pub fn end(&self, why: CloseReason) -> bool {
        self.0.end.compare_exchange(0, why as u8, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Why it ends, once somebody has said it.
    #[must_use]
    pub fn ended(&self) -> Option<CloseReason> {
        CloseReason::from_code(self.0.end.load(Ordering::Relaxed))
    }

    /// Cuts the connection off now: its handler is dropped where it stands, and its socket fails for whoever holds it.
    pub fn abort(&self, why: CloseReason) {
        self.cut_off(why);
    }

    /// As [`ConnMeta::abort`]; says whether nobody had done it before.
    pub(crate) fn cut_off(&self, why: CloseReason) -> bool {
        self.end(why);
        let mut kill = self.0.kill.lock();
        // The task first, so that its next turn is its end, and not the error that its socket shows then.
        if let Some(task) = &kill.task {
            task.abort();
        }
        kill.socket.cut_off();
        !std::mem::replace(&mut kill.done, true)
    }

    /// Lays down what stages and layers found out, so that everyone who has this may read it. The first call counts.
    pub fn freeze(&self, extensions: Extensions) {
        // A second owner of the facts changes nothing: they are those of the connection's start.
        let _ = self.0.frozen.set(extensions);
    }

    /// A value from the connection's extensions, after they were frozen.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.frozen.get()?.get()
    }

    /// Tells whoever waits for [`ConnMeta::closed`].
    pub(crate) fn over(&self) {
        self.0.over.store(true, Ordering::SeqCst);
        if let Some(token) = self.0.closed.get() {
            token.cancel();
        }
    }

    pub(crate) fn last_active(&self) -> u64 {
        self.0.active.load(Ordering::Relaxed)
    }

    pub(crate) fn count_read(&self, n: usize) {
        add(&self.0.read, n);
        self.0.active.store(clock::millis(), Ordering::Relaxed);
    }

    pub(crate) fn count_written(&self, n: usize) {
        add(&self.0.written, n);
        self.0.active.store(clock::millis(), Ordering::Relaxed);
    }

    pub(crate) fn own_socket(&self, socket: sys::Handle) {
        let mut kill = self.0.kill.lock();
        kill.socket = socket;
        if kill.done {
            kill.socket.cut_off();
        }
    }

    pub(crate) fn forget_socket(&self) {
        self.0.kill.lock().socket.forget();
    }

    pub(crate) fn own_task(&self, task: AbortHandle) {
        let mut kill = self.0.kill.lock();
        if kill.done {
            task.abort();
        }
        kill.task = Some(task);
    }

    pub(crate) fn set_error(&self, error: BoxError) {
        self.0.kill.lock().error.get_or_insert_with(|| Arc::new(error));
    }

    pub(crate) fn error(&self) -> Option<Arc<BoxError>> {
        self.0.kill.lock().error.clone()
    }
}

/// One thread at a time moves the bytes of one direction, so no locked instruction is needed.
fn add(counter: &AtomicU64, n: usize) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n as u64), Ordering::Relaxed);
}

impl fmt::Debug for ConnMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnMeta")
            .field("id", &format_args!("{}", self.0.id))
            .field("endpoint", &self.0.endpoint.as_str())
            .field("peer", &format_args!("{}", self.0.peer))
            .finish_non_exhaustive()
    }
}

/// "Please finish", for all connections of one listener: a flag that is cheap to read and a token to wait for.
#[derive(Clone, Default)]
pub struct Stopping(Arc<StoppingState>);

#[derive(Default)]
struct StoppingState {
    flag: AtomicBool,
    token: CancellationToken,
}

// === impl Stopping ===

impl Stopping {
    /// Whether it has been asked for. One load: fit for every request.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }

    /// Waits until it is asked for.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: once set, it stays set.
    pub async fn wait(&self) {
        self.0.token.cancelled().await;
    }

    /// The token behind it, for code that takes one.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.0.token
    }

    pub(crate) fn set(&self) {
        self.0.flag.store(true, Ordering::Relaxed);
        self.0.token.cancel();
    }
}

impl fmt::Debug for Stopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopping").field(&self.is_set()).finish()
    }
}

/// Something that lives as long as any part of a connection does, and settles its account when the last part goes:
/// permits, registry, the observer's `closed`.
pub(crate) trait Live: Send + Sync + 'static {}

/// Keeps a connection counted: it stands in the limits and holds the drain until the last guard is gone.
#[derive(Clone)]
pub struct ConnGuard(Arc<dyn Live>);

// === impl ConnGuard ===

impl ConnGuard {
    pub(crate) fn new(live: Arc<dyn Live>) -> Self {
        Self(live)
    }
}

impl fmt::Debug for ConnGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnGuard").field(&Arc::strong_count(&self.0)).finish()
    }
}
