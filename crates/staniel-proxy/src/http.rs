//! HTTP: a request in, matched, forwarded, answered; and its end written down once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use staniel_core::{ConnMeta, ConnStats, Deadline, EndpointName};
use staniel_http::h1::{Known, TargetForm, WireHead};
use staniel_http::host;
use staniel_http::path::normalise;
use staniel_http::{Answer, BodyRules, Downstream, Exchanges, MinRate, Refusal, Refused};
use tokio::time::Instant;

use crate::handler::Shared;
use crate::log::{Facts, Kind, Text};
use crate::outcome::RequestEnd;
use crate::snapshot::{HttpListener, Route};

mod forward;
mod policy;

/// The requests of HTTP listeners, each by the routes of its own.
#[derive(Debug)]
pub(crate) struct HttpProxy {
    pub(crate) shared: Arc<Shared>,
    /// The listener as it is now. Nothing of it is held between two requests, so that an idle connection keeps no routes
    /// and clusters of yesterday alive; a listener that was removed stays here for its last connections.
    pub(crate) listener: Arc<ArcSwap<HttpListener>>,
}

/// What is kept from one request of a connection to the next.
pub(crate) struct Session {
    /// Waiting for upstreams.
    deadline: Deadline,
    /// `X-Forwarded-For` as text: made once for the connection.
    client: String,
    endpoint: EndpointName,
}

/// A request on its way: what is known of it, for the record that is written when this is dropped.
pub(crate) struct Exchange<'a, D: Downstream> {
    shared: &'a Shared,
    pub(crate) down: &'a mut D,
    pub(crate) head: &'a mut WireHead,
    listener: &'a EndpointName,
    client: &'a str,
    since: SystemTime,
    begin: Instant,
    route: Option<Arc<Route>>,
    destination: Option<Arc<crate::cluster::Destination>>,
    status: u16,
    retries: u8,
    connect: Option<Duration>,
    response: Option<Duration>,
    end: Option<RequestEnd>,
    tunnel: Option<Tunnel>,
}

/// What went through the connection after it had changed its protocol.
enum Tunnel {
    /// It goes on; so much had gone through the connection before.
    Open(ConnStats),
    Over {
        read: u64,
        written: u64,
    },
}

impl Exchanges for HttpProxy {
    type Session = Session;

    fn session(&self, meta: &ConnMeta) -> Session {
        let client = meta.client();
        Session {
            deadline: Deadline::default(),
            client: client.as_ip().map_or_else(|| client.to_string(), |addr| addr.ip().to_string()),
            endpoint: meta.endpoint().clone(),
        }
    }

    async fn exchange<D: Downstream>(
        &self,
        session: &mut Session,
        head: &mut WireHead,
        down: &mut D,
    ) {
        let Session { deadline, client, endpoint } = session;
        let mut exchange = Exchange::new(&self.shared, endpoint, client, head, down);
        let begun = {
            let listener = self.listener.load();
            exchange.begin(&listener).map(|route| (route, listener.tunnel_idle))
        };
        match begun {
            Ok((route, tunnel_idle)) => {
                forward::forward(&mut exchange, &route, tunnel_idle, deadline).await;
            }
            Err(end) => exchange.answer(end),
        }
    }

    fn refused(&self, session: &mut Session, meta: &ConnMeta, refused: Refused) {
        let Refused { why, took, bytes_in, bytes_out, .. } = refused;
        let end = match why {
            Refusal::Timeout => RequestEnd::ClientTimeout,
            _ => RequestEnd::ClientProtocolError,
        };
        self.shared.stats.ended(end);
        self.shared.stats.violated(why.kind());
        if self.shared.log.is_on() {
            let facts = Facts {
                kind: Kind::Http,
                since: SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH),
                duration: took,
                connect: None,
                response: None,
                conn: meta.id(),
                client: meta.client().clone(),
                peer: meta.peer().clone(),
                status: why.status(),
                minor: 1,
                retries: 0,
                bytes_in,
                bytes_out,
                end: end.as_str(),
                end_by: end.by().as_str(),
            };
            self.shared
                .log
                .write(&facts, &[(Text::Listener, session.endpoint.as_str().as_bytes())]);
        }
        tracing::debug!(listener = %session.endpoint, client = %meta.client(), kind = why.kind(), "refused a request");
    }
}

// === impl Exchange ===

impl<'a, D: Downstream> Exchange<'a, D> {
    fn new(
        shared: &'a Shared,
        listener: &'a EndpointName,
        client: &'a str,
        head: &'a mut WireHead,
        down: &'a mut D,
    ) -> Self {
        Self {
            shared,
            down,
            head,
            listener,
            client,
            since: SystemTime::now(),
            begin: Instant::now(),
            route: None,
            destination: None,
            status: 0,
            retries: 0,
            connect: None,
            response: None,
            end: None,
            tunnel: None,
        }
    }

    /// Everything before somebody is asked.
    fn begin(&mut self, listener: &HttpListener) -> Result<Arc<Route>, RequestEnd> {
        let route = self.route(listener)?;
        self.allow(&route, listener.min_rate);
        self.prepare(listener)?;
        self.route = Some(route.clone());
        Ok(route)
    }

    /// Finds the route, and makes the target one that means the same to everybody behind us.
    fn route(&mut self, listener: &HttpListener) -> Result<Arc<Route>, RequestEnd> {
        let malformed = |kind: &'static str, shared: &Shared| {
            shared.stats.violated(kind);
            RequestEnd::ClientProtocolError
        };
        // RFC 9110, section 9.3.6: a gateway that tunnels for anyone would be an open door. TRACE (9.3.8) shows what we add.
        if matches!(self.head.method(), b"CONNECT" | b"TRACE") {
            return Err(RequestEnd::MethodNotAllowed);
        }
        self.head.make_origin_form().map_err(|_| malformed("target", self.shared))?;
        let host = match self.head.get(Known::Host) {
            Some(host) => {
                Some(host::canonical(host).ok_or_else(|| malformed("host", self.shared))?)
            }
            None => None,
        };
        let parts = self.head.parts();
        if parts.form == TargetForm::Asterisk {
            let found = listener.routes.find(host.as_deref(), b"*", self.head.method()).cloned();
            return found.ok_or(RequestEnd::NoRoute);
        }
        let path = normalise(parts.path).map_err(|error| malformed(error.kind(), self.shared))?;
        let find = |path: &[u8]| listener.routes.find(host.as_deref(), path, self.head.method());
        let found = find(path.as_bytes()).cloned();
        // An origin that reads `%2F` as a slash must not be led past the routes.
        if let Some(read) = path.escaped_slashes_read()
            && !same(found.as_ref(), find(read))
        {
            return Err(malformed("escaped_slash", self.shared));
        }
        if path.had_dot_segments() {
            let mut target = path.as_bytes().to_vec();
            if let Some(query) = parts.query {
                target.push(b'?');
                target.extend_from_slice(query);
            }
            self.head.set_target(&target).map_err(|_| malformed("target", self.shared))?;
        }
        found.ok_or(RequestEnd::NoRoute)
    }

    /// What the client is allowed on this route.
    fn allow(&mut self, route: &Route, min_rate: Option<MinRate>) {
        // Streams of events in either direction, as gRPC has them, are slow by nature.
        let grpc =
            self.head.get(Known::ContentType).is_some_and(|it| it.starts_with(b"application/grpc"));
        let min_rate = min_rate.filter(|_| route.min_rate && !grpc);
        self.down.allow(BodyRules { max: route.max_body, min_rate, idle: route.idle });
    }

    /// Ends the request with an answer of our own, if the client can still be given one.
    fn answer(&mut self, end: RequestEnd) {
        self.end = Some(end);
        if self.down.is_answered() {
            self.down.spoil();
            return;
        }
        let Some(status) = end.status() else { return };
        self.status = status;
        // Where the next request of such a client begins is not known, or not worth waiting for.
        if matches!(
            end,
            RequestEnd::ClientProtocolError
                | RequestEnd::ClientTooSlow
                | RequestEnd::LimitBody
                // Behind a CONNECT that was refused may come what was meant for a tunnel.
                | RequestEnd::MethodNotAllowed
        ) {
            self.down.close_after();
        }
        let mut answer = Answer::status(status);
        if end == RequestEnd::MethodNotAllowed {
            answer = answer.field("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        // A client that is gone is not told.
        if self.down.answer(&answer).is_err() {
            self.end = Some(RequestEnd::ClientClosed);
        }
    }
}

fn same(a: Option<&Arc<Route>>, b: Option<&Arc<Route>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

impl<D: Downstream> Drop for Exchange<'_, D> {
    fn drop(&mut self) {
        let end = match self.end {
            // What looks like the client's doing may be an abort of ours.
            None | Some(RequestEnd::ClientClosed) => RequestEnd::of_dropped(self.down.meta()),
            Some(end) => end,
        };
        self.shared.stats.ended(end);
        if !self.shared.log.is_on() {
            return;
        }
        let (mut bytes_in, mut bytes_out) = self.down.bytes();
        let meta = self.down.meta();
        let (read, written) = match &self.tunnel {
            None => (0, 0),
            Some(Tunnel::Over { read, written }) => (*read, *written),
            Some(Tunnel::Open(before)) => {
                let now = meta.stats();
                (now.read - before.read, now.written - before.written)
            }
        };
        bytes_in += read;
        bytes_out += written;
        let facts = Facts {
            kind: Kind::Http,
            since: self.since,
            duration: self.begin.elapsed(),
            connect: self.connect,
            response: self.response,
            conn: meta.id(),
            client: meta.client().clone(),
            peer: meta.peer().clone(),
            status: self.status,
            minor: self.head.minor(),
            retries: self.retries,
            bytes_in,
            bytes_out,
            end: end.as_str(),
            end_by: end.by().as_str(),
        };
        let parts = self.head.parts();
        let route = self.route.as_ref();
        self.shared.log.write(
            &facts,
            &[
                (Text::Listener, self.listener.as_str().as_bytes()),
                (Text::Route, route.map_or("", |route| route.name.as_str()).as_bytes()),
                (
                    Text::Cluster,
                    route.map_or("", |route| route.cluster.config.name.as_str()).as_bytes(),
                ),
                (
                    Text::Destination,
                    self.destination.as_ref().map_or("", |it| it.authority.as_str()).as_bytes(),
                ),
                (Text::Method, self.head.method()),
                (Text::Host, self.head.get(Known::Host).unwrap_or_default()),
                (Text::Path, parts.path),
                (Text::Query, parts.query.unwrap_or_default()),
                (Text::UserAgent, self.head.get(Known::UserAgent).unwrap_or_default()),
                (Text::Referer, self.head.get(Known::Referer).unwrap_or_default()),
            ],
        );
    }
}
