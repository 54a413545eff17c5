//! Listeners: where connections come in.

use std::time::Duration;

use crate::code::Code;
use crate::kind::number::{size, whole};
use crate::kind::time::{DAY, HOUR, MINUTE, SECOND, duration, seconds};
use crate::kind::{auto_or, off_or, one_or_many, parsed, word};
use crate::model::{Auto, ClusterName, Limit, ListenerName};
use crate::schema::{NOWHERE, inner, optional, preset, required, table};
use crate::source::Spanned;
use crate::value::address::Address;
use crate::value::cidr::Cidr;
use crate::words::words;

/// One listener: addresses, and what is spoken on them.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Its name.
    pub name: Spanned<ListenerName>,
    /// Where it listens; at least one address, none of them twice in the config for one transport.
    pub addresses: Vec<Spanned<Address>>,
    /// What it does with what arrives.
    pub traffic: Traffic,
    /// Peers whose `X-Forwarded-*` is believed; empty for none. Only HTTP has a use for it.
    pub trusted_proxies: Vec<Cidr>,
    /// Its limits.
    pub limits: ListenLimits,
    /// Its timeouts.
    pub timeouts: ListenTimeouts,
}

/// What a listener does with what arrives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Traffic {
    /// HTTP/1.1 requests, each to the cluster of its route.
    Http,
    /// Connections and datagrams as they come, to one cluster.
    Forward {
        /// TCP connections are accepted.
        tcp: bool,
        /// UDP sessions are accepted.
        udp: bool,
        /// Where they go.
        cluster: Spanned<ClusterName>,
    },
}

words! {
    /// What a listener speaks.
    pub enum Protocol: "protocol", Code::UnknownValue, {
        /// TCP connections, forwarded byte by byte.
        Tcp = "tcp",
        /// UDP sessions, forwarded datagram by datagram.
        Udp = "udp",
        /// HTTP/1.1 (and 1.0) over TCP.
        Http1 = "http1",
    }
    later "http2", "http3", "socks5", "tls", "https", "quic";
}

table! {
    /// A listener: addresses, and what is spoken on them.
    pub(crate) struct ListenTable {
        /// Where to listen. `":8080"` (or `"*:8080"`) is every address of the machine, IPv4 and IPv6;
        /// `"localhost:8080"` is both loopback addresses; else an IP address and a port, IPv6 in brackets.
        /// Port 0 lets the kernel choose.
        pub(crate) address: Option<Vec<Spanned<Address>>> => required(one_or_many(parsed()));
        /// What is spoken. `"tcp"` and `"udp"` may stand together, `"http1"` alone.
        pub(crate) protocols: Vec<Spanned<Protocol>> => preset(one_or_many(parsed()), vec![Spanned::new(Protocol::Http1, NOWHERE)],
            "most listeners of a reverse proxy serve HTTP");
        /// The cluster that takes everything. Needed with `tcp` and `udp`; HTTP has routes instead.
        pub(crate) cluster: Option<Spanned<ClusterName>> => optional(parsed(), "HTTP goes by its routes");
        /// Peers whose `X-Forwarded-*` headers are believed and passed on: addresses, or networks such as `"10.0.0.0/8"`.
        pub(crate) trusted_proxies: Vec<Cidr> => preset(one_or_many(word()).or_none(), Vec::new(),
            "a client can write anything into these headers, so they are replaced unless the peer is known").only(&[Protocol::Http1]);
        /// How much one client, and all of them, may take.
        pub(crate) limits: ListenLimits => inner();
        /// How long a client may take.
        pub(crate) timeouts: ListenTimeouts => inner();
    }
    later "tls", "sni", "proxy_protocol", "http2", "http3";
}

table! {
    /// How much the clients of a listener may take.
    pub struct ListenLimits {
        /// The most connections open at once on this listener. At the limit accepting pauses.
        pub max_connections: Limit<usize> => preset(off_or(whole(1..=10_000_000)), Limit::Off,
            "`server.max_connections` holds for all listeners already").only(&[Protocol::Tcp, Protocol::Http1]);
        /// The longest request line in bytes; a longer one is answered with 414.
        pub request_line: usize => preset(size(64..=32 << 10), 8 << 10,
            "longer than any URL that browsers and search engines agree on").only(&[Protocol::Http1]);
        /// The most bytes of a request head in all; more is answered with 431.
        pub headers_total: usize => preset(size(256..=48 << 10), 32 << 10,
            "room for large cookies, and a bound on the memory that one connection takes before it has asked for anything").only(&[Protocol::Http1]);
        /// The most header fields of a request; more are answered with 431.
        pub header_count: usize => preset(whole(1..=1000), 100,
            "many small fields cost more than one large one").only(&[Protocol::Http1]);
        /// The fewest bytes per second that a client must send while we wait for its request, or take while it has
        /// an answer to read; a slower one is cut. It does not count while we wait for the upstream.
        pub min_rate: Limit<u64> => preset(off_or(size(1..=1 << 30)), Limit::At(240),
            "a modem of 2400 baud is faster; a client that only wants to hold the connection is not").only(&[Protocol::Http1]);
        /// How long a client may stay below `min_rate`.
        pub min_rate_grace: Duration => preset(duration(SECOND..=HOUR), seconds(5),
            "a network may stall for some seconds").only(&[Protocol::Http1]);
        /// The most UDP sessions at once. At the limit new ones are refused.
        pub max_sessions: Auto<usize> => preset(auto_or(whole(1..=10_000_000)), Auto::Auto,
            "`auto` is 10 % of the descriptors that the process may open: each session holds one").only(&[Protocol::Udp]);
        /// Datagrams of one session that may wait to be forwarded; more are dropped.
        pub session_queue: usize => preset(whole(1..=65_536), 64,
            "a burst fits, and one peer cannot take the memory of all").only(&[Protocol::Udp]);
    }
}

table! {
    /// How long the clients of a listener may take.
    pub struct ListenTimeouts {
        /// From the accept, or from the first byte of a further request, to the end of the request head.
        pub request_head: Duration => preset(duration(SECOND..=HOUR), seconds(30),
            "a client that sends its head byte by byte must not hold a connection for long").only(&[Protocol::Http1]);
        /// How long a connection may wait for its next request.
        pub keep_alive: Duration => preset(duration(SECOND..=DAY), seconds(130),
            "client pools commonly drop idle connections after 2 minutes: when they close first, no request is lost in the race").only(&[Protocol::Http1]);
        /// How long an upgraded connection (WebSocket) may be silent in both directions.
        pub tunnel_idle: Limit<Duration> => preset(off_or(duration(SECOND..=DAY)), Limit::At(HOUR),
            "applications ping more often than this; a peer that is gone without a word is found in the end").only(&[Protocol::Http1]);
        /// How long a TCP connection may be silent in both directions.
        pub idle: Limit<Duration> => preset(off_or(duration(SECOND..=DAY)), Limit::At(MINUTE.saturating_mul(10)),
            "longer than the heartbeats of most protocols, and still an end for connections that were forgotten").only(&[Protocol::Tcp]);
        /// How long a UDP session may be silent in both directions.
        pub session_idle: Duration => preset(duration(SECOND..=DAY), seconds(60),
            "UDP has no end, so silence is one; address translators on the way commonly forget after about as long").only(&[Protocol::Udp]);
    }
}

// === impl Listen ===

impl Listen {
    /// Whether routes can name it.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self.traffic, Traffic::Http)
    }
}
