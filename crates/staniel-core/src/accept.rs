//! The accept loop and the life of a connection's task.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::addr::Addr;
use crate::connection::{ConnGuard, ConnMeta, Connection, Live, MetaParts, Stopping};
use crate::error::{AcceptError, Result};
use crate::gate::Pass;
use crate::group::{Group, Open, Settings, Site};
use crate::handler::BoxFuture;
use crate::reason::CloseReason;
use crate::served::Kind;
use crate::session::{RawSession, UdpSession};
use crate::sometimes::Sometimes;
use crate::transport::{Accepted, Listener, RawStream};
use crate::{clock, task};

/// The first pause after the system had no descriptors left; it doubles up to [`LONGEST_PAUSE`] and a success resets it.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until the listener is closed and empty. Nothing that one connection does delays the next.
pub(crate) async fn run(
    group: Arc<Group>,
    worker: usize,
    mut listener: Box<dyn Listener>,
    stopping: Stopping,
) {
    let mut pause = FIRST_PAUSE;
    let stop = stopping.wait();
    tokio::pin!(stop);
    let mut closing = false;
    loop {
        let next = std::future::poll_fn(|cx| {
            if !closing && stop.as_mut().poll(cx).is_ready() {
                closing = true;
                listener.close();
            }
            let site = group.site.load();
            let admit = || site.gate.has_room() && group.host.gate.has_room();
            if !closing && !listener.feeds_sessions() && !admit() {
                return Poll::Ready(None);
            }
            let polled = listener.poll_accept(cx, &admit);
            // Here and not behind it: datagrams of sessions that exist are no arrival.
            count_dropped(&group, &mut *listener);
            polled.map(Some)
        });
        match next.await {
            None => {
                tell_full(&group);
                tokio::select! {
                    () = room(&group) => {}
                    () = &mut stop, if !closing => {
                        closing = true;
                        listener.close();
                    }
                }
            }
            Some(Ok(Accepted::Stream(raw))) => {
                pause = FIRST_PAUSE;
                open_stream(&group, worker, &stopping, raw).await;
            }
            Some(Ok(Accepted::Session(raw))) => open_session(&group, worker, &stopping, raw),
            Some(Ok(Accepted::Refused(peer))) => refuse(&group, &peer, CloseReason::EndpointLimit),
            Some(Err(AcceptError::Transient(error))) => report(&group, &error),
            Some(Err(AcceptError::Exhausted(error))) => {
                report(&group, &error);
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    () = &mut stop, if !closing => {
                        closing = true;
                        listener.close();
                    }
                }
            }
            Some(Err(AcceptError::Closed)) => return,
        }
    }
}

async fn open_stream(group: &Arc<Group>, worker: usize, stopping: &Stopping, raw: RawStream) {
    // Another worker may have taken the last place in between; this connection then waits, and is not refused.
    let (site, settings, passes) = loop {
        let site = group.site.load_full();
        let settings = site.settings.load_full();
        if !settings.lets_in(&raw.peer) {
            return refuse(group, &raw.peer, CloseReason::Filtered);
        }
        match enter(group, &site) {
            Some(passes) => break (site, settings, passes),
            None => room(group).await,
        }
    };
    let Kind::Connections(handler) = &settings.served else {
        // The manager binds no handler of sessions to a stream endpoint.
        return refuse(group, &raw.peer, CloseReason::Filtered);
    };
    let RawStream { mut io, peer, local, extensions } = raw;
    let meta = new_meta(&site, peer, local, stopping);
    let open = group.admit(worker, meta.clone(), passes);
    let live: Arc<dyn Live> = open.clone();
    io.account_to(&meta, Some(ConnGuard::new(live)));
    let call = handler.clone().call_owned(Connection::from_parts(io, meta, extensions));
    start(group, worker, open, call, Clock::for_connection(&settings));
}

fn open_session(group: &Arc<Group>, worker: usize, stopping: &Stopping, raw: RawSession) {
    let site = group.site.load_full();
    let settings = site.settings.load_full();
    let peer = Addr::from(raw.peer);
    let Kind::Sessions(handler) = &settings.served else {
        return refuse(group, &peer, CloseReason::Filtered);
    };
    if !settings.lets_in(&peer) {
        return refuse(group, &peer, CloseReason::Filtered);
    }
    let Some(passes) = enter(group, &site) else {
        return refuse(group, &peer, CloseReason::EndpointLimit);
    };
    let meta = new_meta(&site, peer, Addr::from(raw.local), stopping);
    let open = group.admit(worker, meta.clone(), passes);
    let live: Arc<dyn Live> = open.clone();
    let call = handler.clone().call_owned(UdpSession::new(raw, meta, ConnGuard::new(live)));
    start(group, worker, open, call, Clock::for_session(&settings, stopping));
}

/// Waits until there is room in the endpoint and the host, or until the group belongs to another endpoint.
async fn room(group: &Group) {
    let moved = group.moved.notified();
    tokio::pin!(moved);
    // Registered before the look at the endpoint, so that a move in between is not missed.
    moved.as_mut().enable();
    let site = group.site.load_full();
    tokio::select! {
        () = async { tokio::join!(site.gate.room(), group.host.gate.room()); } => {}
        () = moved => {}
    }
}

fn enter(group: &Group, site: &Site) -> Option<(Pass, Pass)> {
    Some((group.host.gate.try_enter()?, site.gate.try_enter()?))
}

fn new_meta(site: &Site, peer: Addr, local: Addr, stopping: &Stopping) -> ConnMeta {
    ConnMeta::new(MetaParts {
        endpoint: site.name.clone(),
        peer,
        local,
        stopping: stopping.clone(),
    })
}

fn start(
    group: &Group,
    worker: usize,
    open: Arc<Open>,
    call: BoxFuture<'static, Result>,
    clock: Option<Box<Clock>>,
) {
    let Some(handle) = group.host.crew.handles().get(worker) else { return };
    let meta = open.meta.clone();
    let task = task::spawn_on(handle, Serving { call: Some(call), clock, open });
    meta.own_task(task.abort_handle());
}

/// Says that accepting pauses; whoever connects now waits in the kernel's queue, and would otherwise look for the fault
/// elsewhere.
fn tell_full(group: &Group) {
    let site = group.site.load();
    let (whose, limit) = if site.gate.has_room() {
        ("the host", group.host.gate.max())
    } else {
        ("the listener", site.gate.max())
    };
    static FULL: Sometimes = Sometimes::new();
    if let Some(more) = FULL.due() {
        tracing::warn!(listener = %site.name, limit, more, "accepting pauses: {whose} has as many connections as it may");
    }
}

fn refuse(group: &Group, peer: &Addr, why: CloseReason) {
    let site = group.site.load();
    group.host.observer.rejected(&site.name, peer, why);
    static REFUSED: Sometimes = Sometimes::new();
    if let Some(more) = REFUSED.due() {
        tracing::warn!(listener = %site.name, %peer, end = %why, more, "refused");
    }
}

fn report(group: &Group, error: &io::Error) {
    let site = group.site.load();
    group.host.observer.accept_error(&site.name, error);
    static FAILED: Sometimes = Sometimes::new();
    if let Some(more) = FAILED.due() {
        tracing::warn!(listener = %site.name, %error, more, "cannot accept");
    }
}

fn count_dropped(group: &Group, listener: &mut dyn Listener) {
    let n = listener.take_dropped();
    if n > 0 {
        let site = group.site.load();
        group.host.observer.datagrams_dropped(&site.name, n, CloseReason::EndpointLimit);
        static DROPPED: Sometimes = Sometimes::new();
        if let Some(more) = DROPPED.due() {
            tracing::warn!(listener = %site.name, n, more, "dropped datagrams: the session does not keep up");
        }
    }
}

/// A connection's task: the handler, its time limits, and the end that is written down.
struct Serving {
    call: Option<BoxFuture<'static, Result>>,
    clock: Option<Box<Clock>>,
    open: Arc<Open>,
}

impl Future for Serving {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        clock::catch_up();
        let this = &mut *self;
        let Some(call) = &mut this.call else { return Poll::Ready(()) };
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(Poll::Pending) => {
                let Some(clock) = &mut this.clock else { return Poll::Pending };
                let Poll::Ready(why) = clock.poll_over(cx, &this.open.meta) else {
                    return Poll::Pending;
                };
                this.open.meta.end(why);
            }
            Ok(Poll::Ready(result)) => finish(&this.open.meta, result),
            Err(panic) => died(&this.open.meta, &*panic),
        }
        // A handler that panics while it is dropped must not take the worker along either.
        let call = this.call.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(call))) {
            died(&this.open.meta, &*panic);
        }
        Poll::Ready(())
    }
}

fn finish(meta: &ConnMeta, result: Result) {
    let Err(error) = result else { return };
    let gone = error.downcast_ref::<io::Error>().and_then(|error| match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Some(CloseReason::PeerReset)
        }
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotConnected => {
            Some(CloseReason::PeerClosed)
        }
        _ => None,
    });
    if meta.end(gone.unwrap_or(CloseReason::HandlerError)) && gone.is_none() {
        static FAILED: Sometimes = Sometimes::new();
        if let Some(more) = FAILED.due() {
            let error = crate::error::Chain(&*error);
            tracing::error!(listener = %meta.endpoint(), client = %meta.client(), %error, more, "the handler failed");
        }
    }
    meta.set_error(error);
}

fn died(meta: &ConnMeta, panic: &(dyn Any + Send)) {
    meta.end(CloseReason::HandlerPanic);
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = text.unwrap_or("no message");
    tracing::error!(listener = %meta.endpoint(), client = %meta.client(), message, "the handler panicked");
}

/// The time limits of one connection, looked at when the earliest of them could have passed.
struct Clock {
    idle: Option<Duration>,
    drain_idle: Option<Duration>,
    first_byte: Option<Duration>,
    max_age: Option<Duration>,
    timer: Pin<Box<Sleep>>,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

// === impl Clock ===

impl Clock {
    fn for_connection(settings: &Settings) -> Option<Box<Self>> {
        let limits = &settings.limits;
        let any = limits.idle.or(limits.first_byte).or(limits.max_age).is_some();
        any.then(|| Self::new(limits.idle, limits.first_byte, limits.max_age))
    }

    fn for_session(settings: &Settings, stopping: &Stopping) -> Option<Box<Self>> {
        let idle = settings
            .limits
            .idle
            .unwrap_or(settings.udp.session_idle)
            .min(settings.udp.session_idle);
        let mut clock = Self::new(Some(idle), None, settings.limits.max_age);
        clock.drain_idle = Some(settings.udp.drain_idle.min(idle));
        clock.stop = Some(Box::pin(stopping.token().clone().cancelled_owned()));
        Some(clock)
    }

    fn new(
        idle: Option<Duration>,
        first_byte: Option<Duration>,
        max_age: Option<Duration>,
    ) -> Box<Self> {
        let timer = Box::pin(sleep_until(clock::now()));
        Box::new(Self { idle, drain_idle: None, first_byte, max_age, timer, stop: None })
    }

    fn poll_over(&mut self, cx: &mut Context<'_>, meta: &ConnMeta) -> Poll<CloseReason> {
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            self.stop = None;
            self.idle = self.drain_idle;
            self.timer.as_mut().reset(clock::now());
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let Some((next, why)) = self.earliest(meta, now) else { return Poll::Pending };
            if next <= now {
                return Poll::Ready(why);
            }
            self.timer.as_mut().reset(next);
        }
        Poll::Pending
    }

    /// When the first of the limits passes, if nothing more happens, and which.
    fn earliest(&self, meta: &ConnMeta, now: Instant) -> Option<(Instant, CloseReason)> {
        let quiet = Duration::from_millis(clock::millis().saturating_sub(meta.last_active()));
        let draining = self.drain_idle.is_some() && self.stop.is_none();
        let silent = if draining { CloseReason::Drained } else { CloseReason::IdleTimeout };
        let idle = self.idle.map(|idle| (now, idle.saturating_sub(quiet), silent));
        let first = self.first_byte.filter(|_| meta.stats().read == 0);
        let first = first.map(|limit| (meta.started(), limit, CloseReason::HandshakeTimeout));
        let age = self.max_age.map(|age| (meta.started(), age, CloseReason::MaxAge));
        let all = [idle, first, age].into_iter().flatten();
        // A limit beyond the end of time is none.
        all.filter_map(|(from, limit, why)| Some((from.checked_add(limit)?, why)))
            .min_by_key(|(at, _)| *at)
    }
}
