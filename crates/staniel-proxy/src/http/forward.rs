//! One request to an upstream and its answer back, both bodies streamed at the same time.

use std::task::{Context, Poll};
use std::time::Duration;

use staniel_core::buffer::{Lease, scratch};
use staniel_core::{ConnectError, Connection, Deadline, RelayOptions, relay_with};
use staniel_http::h1::{Framing, H1Client, Limits, UpstreamError, WireHead};
use staniel_http::{DownError, Downstream, Form};

use super::policy::Upgrade;
use super::{Exchange, Tunnel};
use crate::cluster::{Cluster, Destination, InFlight, Tried};
use crate::handler::Shared;
use crate::outcome::RequestEnd;
use crate::snapshot::Route;

/// An attempt failed.
struct Fault {
    end: RequestEnd,
    /// Whether the request may be sent once more: nothing of it can have had an effect, or it is safe to repeat.
    retry: Retry,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retry {
    Never,
    /// To another destination.
    Elsewhere,
    /// On a fresh connection: the kept one was dead.
    Fresh,
}

/// Sends the request on and its answer back.
pub(super) async fn forward<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    route: &Route,
    tunnel_idle: Option<Duration>,
    deadline: &mut Deadline,
) {
    if let (Framing::Length(length), Some(max)) = (exchange.down.body_framing(), route.max_body)
        && length > max
    {
        return exchange.answer(RequestEnd::LimitBody);
    }
    // What came with the head goes out with the head, and is kept until the upstream has answered.
    let first = match exchange.down.body_at_hand() {
        Ok(first) => first,
        Err(error) => return exchange.fail(&error),
    };
    let upgrade = exchange.upgrade();
    let cluster = &*route.cluster;
    let (mut tried, mut last) = (Tried::default(), RequestEnd::NoDestination);
    // What the end of a kept connection costs is none of them: the destination was not tried before.
    let mut retries = 0;
    loop {
        let Some(picked) = cluster.pick(&mut tried) else { return exchange.answer(last) };
        exchange.destination = Some(picked.destination.clone());
        let mut fresh = false;
        let fault = loop {
            match attempt(
                exchange,
                cluster,
                &picked,
                first.as_ref(),
                upgrade,
                fresh,
                route,
                deadline,
            )
            .await
            {
                Ok(Answered::Forwarded) => return,
                Ok(Answered::Upgraded(upstream)) => {
                    return Box::pin(tunnel(exchange, upstream, tunnel_idle, picked)).await;
                }
                // Only the kept connection was at fault: the same destination once more.
                Err(Fault { retry: Retry::Fresh, .. }) if !fresh => fresh = true,
                Err(fault) => break fault,
            }
            exchange.retries = exchange.retries.saturating_add(1);
        };
        last = fault.end;
        let may_retry = fault.retry == Retry::Elsewhere && retries < cluster.config.retries;
        if !may_retry || !cluster.has_more(tried) {
            return exchange.answer(fault.end);
        }
        retries += 1;
        exchange.retries = exchange.retries.saturating_add(1);
    }
}

enum Answered {
    /// The answer has been sent, or broken off; the exchange knows how it ended.
    Forwarded,
    /// The upstream changes the protocol.
    Upgraded(Box<(H1Client, WireHead)>),
}

#[expect(
    clippy::too_many_arguments,
    reason = "the state of one attempt; a struct of it would be built and taken apart here only"
)]
async fn attempt<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    cluster: &Cluster,
    picked: &InFlight,
    first: Option<&Lease>,
    upgrade: Upgrade,
    fresh: bool,
    route: &Route,
    deadline: &mut Deadline,
) -> Result<Answered, Fault> {
    let destination = &*picked.destination;
    let kept = if fresh { None } else { destination.pool.checkout(H1Client::is_alive) };
    let mut up = match kept {
        Some(kept) => kept,
        None => Box::pin(connect(exchange, destination)).await?,
    };
    let head = exchange.head.asked();
    let host = cluster.host_for(picked);
    let begun = scratch(|out| {
        exchange.write_head(host, upgrade, exchange.down.body_framing(), out);
        up.begin(head, out, first.map(Lease::as_slice).unwrap_or_default())
    });
    let mut upload = Upload { done: exchange.down.body_done(), failed: false, taken_more: false };
    if let Err(error) = begun {
        return Err(fault(&up, &error, exchange, &upload));
    }
    let mut watch = Watch { deadline, limit: route.response_head, running: false };
    let head = loop {
        let heard =
            std::future::poll_fn(|cx| poll_answer(exchange, &mut up, &mut upload, &mut watch, cx))
                .await;
        let mut head = match heard {
            Ok(head) => head,
            Err(Heard::Client(error)) => {
                exchange.fail(&error);
                return Ok(Answered::Forwarded);
            }
            Err(Heard::Upstream(error)) => return Err(fault(&up, &error, exchange, &upload)),
            Err(Heard::Late) => {
                return Err(Fault { end: RequestEnd::DestinationTimeout, retry: Retry::Never });
            }
        };
        watch.running = false;
        match head.status() {
            101 => {
                // RFC 9110, section 7.8: a server switches only to what the client asked for.
                let asked = upgrade == Upgrade::WebSocket
                    && head
                        .upgrade()
                        .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
                if !asked {
                    let end = exchange.upstream_failed(&UpstreamError::Unasked);
                    return Err(Fault { end, retry: Retry::Never });
                }
                exchange.response = Some(exchange.begin.elapsed());
                return Ok(Answered::Upgraded(Box::new((up, head))));
            }
            100..200 => {
                head.strip_hop_by_hop();
                if let Err(error) = exchange.down.interim(&head) {
                    exchange.fail(&error);
                    return Ok(Answered::Forwarded);
                }
            }
            _ => break head,
        }
    };
    if exchange.shared.log.is_on() {
        exchange.response = Some(exchange.begin.elapsed());
    }
    if upgrade != Upgrade::None {
        // What the client sent ahead was meant for another protocol; it must not be read as a request.
        exchange.down.close_after();
    }
    let Some(form) = begin_answer(exchange, &mut up, head) else { return Ok(Answered::Forwarded) };
    watch.limit = route.idle;
    let pumped = std::future::poll_fn(|cx| {
        poll_bodies(exchange, &mut up, &mut upload, &mut watch, form, cx)
    });
    match pumped.await {
        Ok(()) => {
            exchange.down.finish();
            exchange.end = Some(RequestEnd::Ok);
            // What is still being sent goes out by the server's own care; a slow client does not hold the upstream.
            if let Some(up) = up.reuse(upload.done && !upload.failed) {
                destination.keep(up);
            }
        }
        Err(end) => {
            exchange.end = Some(end);
            exchange.down.spoil();
        }
    }
    Ok(Answered::Forwarded)
}

async fn connect<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    destination: &Destination,
) -> Result<H1Client, Fault> {
    let connected = exchange.shared.connect(destination).await;
    exchange.connect = Some(exchange.begin.elapsed());
    connected.map(H1Client::new).map_err(|error| {
        Shared::complain(destination, &error);
        if error.is_exhausted() {
            return Fault { end: RequestEnd::Exhausted, retry: Retry::Never };
        }
        let end = match error {
            ConnectError::TimedOut { .. } => RequestEnd::ConnectTimeout,
            ConnectError::Resolve { .. } => RequestEnd::DnsFailed,
            _ => RequestEnd::ConnectFailed,
        };
        // Nothing was sent.
        Fault { end, retry: Retry::Elsewhere }
    })
}

/// Whose fault it was, and whether the request may be sent once more.
///
/// RFC 9110, section 9.2.2: a proxy "MUST NOT automatically retry non-idempotent requests", unless it knows that nothing of
/// the request was applied.
fn fault<D: Downstream>(
    up: &H1Client,
    error: &UpstreamError,
    exchange: &Exchange<'_, D>,
    upload: &Upload,
) -> Fault {
    let end = exchange.upstream_failed(error);
    // A kept connection that spoke before it was asked is as dead as one that closed.
    let unasked = !up.wrote_any() && up.is_reused();
    let gone =
        unasked || matches!(error, UpstreamError::Closed | UpstreamError::Io(_)) && !up.heard_any();
    let safe = is_idempotent(exchange.head.method()) || !up.wrote_any();
    // What of the body went past us cannot be sent again.
    let whole = !upload.taken_more;
    let retry = match gone && safe && whole {
        true if up.is_reused() => Retry::Fresh,
        true if !up.wrote_any() => Retry::Elsewhere,
        _ => Retry::Never,
    };
    Fault { end, retry }
}

/// RFC 9110, section 9.2.2: safe methods, PUT and DELETE.
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE")
}

/// The request's body on its way up.
struct Upload {
    /// All of it has been handed to the upstream's connection.
    done: bool,
    /// The upstream takes no more; its answer may still come.
    failed: bool,
    /// More of it was read than what came with the head.
    taken_more: bool,
}

/// How long the upstream may take; the clock runs only while it is its turn.
struct Watch<'a> {
    deadline: &'a mut Deadline,
    limit: Option<Duration>,
    running: bool,
}

// === impl Watch ===

impl Watch<'_> {
    /// It is the upstream's turn: ready when it has taken too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        if !self.running {
            self.deadline.arm(limit);
            self.running = true;
        }
        self.deadline.poll_expired(cx)
    }
}

/// Why no head came.
enum Heard {
    Client(DownError),
    Upstream(UpstreamError),
    Late,
}

/// Sends the body up and waits for the head of the answer, both at once.
fn poll_answer<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    up: &mut H1Client,
    upload: &mut Upload,
    watch: &mut Watch<'_>,
    cx: &mut Context<'_>,
) -> Poll<Result<WireHead, Heard>> {
    let progress = poll_upload(exchange.down, up, upload, cx).map_err(Heard::Client)?;
    if let Poll::Ready(head) = up.poll_head(cx, &Limits::default()) {
        return Poll::Ready(head.map_err(Heard::Upstream));
    }
    if (upload.done || upload.failed)
        && let Poll::Ready(error) = exchange.down.poll_gone(cx)
    {
        return Poll::Ready(Err(Heard::Client(error)));
    }
    // While we wait for the client's body, the upstream is not late.
    if progress == Progress::Client {
        watch.running = false;
        return Poll::Pending;
    }
    if progress == Progress::Moved {
        watch.running = false;
    }
    watch.poll(cx).map(|()| Err(Heard::Late))
}

/// What the upload waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The client.
    Client,
    /// The upstream, which has not moved.
    Upstream,
    /// The upstream, which has taken something.
    Moved,
}

/// Moves as much of the request's body as both sides allow.
fn poll_upload<D: Downstream>(
    down: &mut D,
    up: &mut H1Client,
    upload: &mut Upload,
    cx: &mut Context<'_>,
) -> Result<Progress, DownError> {
    let mut progress = Progress::Upstream;
    if upload.failed {
        return Ok(progress);
    }
    let written = up.meta().stats().written;
    loop {
        match up.poll_sent(cx) {
            // A part of a piece is progress, too.
            Poll::Pending if up.meta().stats().written > written => return Ok(Progress::Moved),
            Poll::Pending => return Ok(progress),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => {
                // It may have answered before it closed: the answer, or its absence, tells what happened.
                upload.failed = true;
                return Ok(progress);
            }
        }
        if upload.done {
            return Ok(progress);
        }
        match down.poll_body(cx) {
            // The word to go on has to come from the upstream.
            Poll::Pending if down.waits_for_continue() => return Ok(Progress::Upstream),
            Poll::Pending => return Ok(Progress::Client),
            Poll::Ready(Err(error)) => {
                // What comes behind is no body any more.
                upload.failed = true;
                return Err(error);
            }
            Poll::Ready(Ok(None)) => upload.done = true,
            Poll::Ready(Ok(Some(piece))) => {
                upload.taken_more = true;
                progress = Progress::Moved;
                if up.send(piece).is_err() {
                    upload.failed = true;
                    return Ok(progress);
                }
            }
        }
    }
}

/// Begins the answer with the upstream's head and what came with it. `None` if that already was its end, which then is
/// written down.
fn begin_answer<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    up: &mut H1Client,
    mut head: WireHead,
) -> Option<Form> {
    exchange.status = head.status();
    head.strip_hop_by_hop();
    let framing = head.framing();
    let form = exchange.down.form(framing);
    let responded = match up.first(&head, form) {
        Ok(first) => exchange.down.respond(&head, framing, &first),
        Err(error) => {
            let end = exchange.upstream_failed(&error);
            exchange.answer(end);
            return None;
        }
    };
    if let Err(error) = responded {
        exchange.fail(&error);
        return None;
    }
    Some(form)
}

/// Moves the answer's body down, while what is left of the request still goes up.
fn poll_bodies<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    up: &mut H1Client,
    upload: &mut Upload,
    watch: &mut Watch<'_>,
    form: Form,
    cx: &mut Context<'_>,
) -> Poll<Result<(), RequestEnd>> {
    let broke = |error: &DownError| Poll::Ready(Err(RequestEnd::of_client(error)));
    let uploading = poll_upload(exchange.down, up, upload, cx);
    match &uploading {
        // A body that moves the other way is no silence, nor is waiting for the client.
        Ok(Progress::Moved | Progress::Client) => watch.running = false,
        Ok(Progress::Upstream) => {}
        Err(error @ DownError::Gone(_)) => return broke(error),
        // A client that breaks its request off still gets what it was promised, as long as it takes it.
        Err(_) => {}
    }
    loop {
        match exchange.down.poll_sent(cx) {
            Poll::Pending => {
                watch.running = false;
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return broke(&error),
        }
        if up.body_done() {
            return Poll::Ready(Ok(()));
        }
        match up.poll_body(cx, form) {
            Poll::Pending => {
                // Of an answer that comes now and then (events), the client may have had enough.
                if (upload.done || upload.failed)
                    && let Poll::Ready(error) = exchange.down.poll_gone(cx)
                {
                    return broke(&error);
                }
                if matches!(uploading, Ok(Progress::Client)) {
                    return Poll::Pending;
                }
                return watch.poll(cx).map(|()| Err(RequestEnd::DestinationTimeout));
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(exchange.upstream_failed(&error))),
            Poll::Ready(Ok(Some(piece))) => {
                watch.running = false;
                if let Err(error) = exchange.down.send(piece) {
                    return broke(&error);
                }
            }
            Poll::Ready(Ok(None)) => {
                // Where the end was the upstream's close, the client has to be told of it.
                let end = form.end();
                if !end.is_empty()
                    && let Err(error) = exchange.down.send(Lease::copy_of(end))
                {
                    return broke(&error);
                }
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Carries the upgraded connection until either side ends it.
async fn tunnel<D: Downstream>(
    exchange: &mut Exchange<'_, D>,
    upgraded: Box<(H1Client, WireHead)>,
    idle: Option<Duration>,
    _in_flight: InFlight,
) {
    exchange.status = 101;
    let (up, mut head) = *upgraded;
    let upstream: Connection = up.upgrade(&mut head);
    head.strip_hop_by_hop();
    if let Err(error) = exchange.down.respond(&head, Framing::None, b"") {
        return exchange.fail(&error);
    }
    if let Err(error) = std::future::poll_fn(|cx| exchange.down.poll_sent(cx)).await {
        return exchange.fail(&error);
    }
    let Some(client) = exchange.down.upgrade() else { return };
    exchange.end = Some(RequestEnd::Upgraded);
    exchange.tunnel = Some(Tunnel::Open(client.meta().stats()));
    let options = RelayOptions { idle, ..RelayOptions::default() };
    let relayed = relay_with(client, upstream, options).await;
    exchange.tunnel = Some(Tunnel::Over { read: relayed.up, written: relayed.down });
}

impl<D: Downstream> Exchange<'_, D> {
    /// The upstream's half failed: how the request ends by that.
    fn upstream_failed(&self, error: &UpstreamError) -> RequestEnd {
        let end = RequestEnd::of_upstream(error);
        if end == RequestEnd::DestinationProtocolError {
            self.shared.stats.violated("upstream");
        }
        end
    }

    /// The client's half failed: answers if that is still possible.
    fn fail(&mut self, error: &DownError) {
        let end = RequestEnd::of_client(error);
        if let (DownError::Body(error), RequestEnd::ClientProtocolError) = (error, end) {
            self.shared.stats.violated(error.kind());
        }
        if end == RequestEnd::ClientClosed {
            self.end = Some(end);
            self.down.spoil();
        } else {
            self.answer(end);
        }
    }
}
