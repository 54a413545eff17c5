//! Clusters: destinations that serve the same thing.

use std::time::Duration;

use crate::code::Code;
use crate::kind::number::whole;
use crate::kind::time::{DAY, HOUR, MILLISECOND, duration, seconds};
use crate::kind::{Kind, off_or, one_or_many, parsed, word};
use crate::model::{ClusterName, Limit};
use crate::node::{Node, Value};
use crate::reader::Reader;
use crate::schema::{KeyDoc, Section, inner, optional, preset, required, table};
use crate::source::Spanned;
use crate::value::destination::{Authority, DestinationAddress};
use crate::words::words;

/// One cluster: destinations that serve the same thing, and the policies towards them.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its name. That of a route's `to` is `route:NAME` and points at the key `to`.
    pub name: Spanned<ClusterName>,
    /// Where it sends; at least one.
    pub destinations: Vec<Destination>,
    /// How one of them is picked.
    pub load_balancing: LoadBalancing,
    /// The `Host` header that destinations see.
    pub host: HostRule,
    /// How often a request or connection is tried again on another destination.
    pub retries: u32,
    /// The idle connections that are kept for the next request.
    pub pool: ClusterPool,
    /// Its timeouts.
    pub timeouts: ClusterTimeouts,
}

/// One address of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Where it is.
    pub address: Spanned<DestinationAddress>,
    /// The `Host` header for this destination alone, in place of the cluster's rule.
    pub host: Option<Authority>,
}

words! {
    /// How a destination is picked.
    pub enum LoadBalancing: "load-balancing policy", Code::UnknownPolicy, {
        /// One after the other.
        RoundRobin = "round-robin",
        /// By chance.
        Random = "random",
        /// The one with the fewest requests in flight.
        LeastRequests = "least-requests",
        /// Of two chosen by chance, the one with fewer requests in flight.
        PowerOfTwo = "power-of-two",
    }
    later "ewma", "ring-hash", "maglev", "first";
}

words! {
    /// Which `Host` header destinations see.
    pub enum HostRule: "host rule", Code::UnknownValue, {
        /// What the client asked for.
        Client = "client",
        /// The destination's own address.
        Destination = "destination",
    }
}

table! {
    /// A cluster: destinations that serve the same thing, and the policies towards them.
    pub(crate) struct ClusterTable {
        /// Where it sends: for HTTP `"http://host:port"`, the port 80 if absent; for TCP and UDP `"host:port"`,
        /// `"tcp://host:port"`, `"udp://host:port"`. A table `{ address, host }` gives one destination its own `Host` header.
        pub(crate) destinations: Option<Vec<Destination>> => required(one_or_many(DestinationKind));
        /// How a destination is picked.
        pub(crate) load_balancing: LoadBalancing => preset(word(), LoadBalancing::PowerOfTwo,
            "nearly as even as asking every destination, at the price of asking two, and no herd runs to the idlest one");
        /// The `Host` header that destinations see: what the client asked for, or the destination's own address.
        pub(crate) host: HostRule => preset(word(), HostRule::Client,
            "applications build links and cookies from it");
        /// How often a request or connection that certainly had no effect is tried again on another destination.
        pub(crate) retries: u32 => preset(whole(0..=10), 1,
            "one covers a destination that just went away; more multiply the load when all of them are in trouble");
        /// The idle connections that are kept for the next request.
        pub(crate) pool: ClusterPool => inner();
        /// How long a destination may take.
        pub(crate) timeouts: ClusterTimeouts => inner();
    }
    later "health", "affinity", "tls", "dns", "weight";
}

table! {
    /// The idle connections that are kept for the next request.
    pub struct ClusterPool {
        /// The most idle connections per destination and worker; 0 opens a new one for every request.
        pub max_idle: usize => preset(whole(0..=65_536), 128,
            "a busy destination finds one; a quiet one does not pile them up");
        /// How long an idle connection is kept.
        pub idle: Duration => preset(duration(MILLISECOND..=HOUR), seconds(60),
            "most servers keep theirs for 60 s or more: we let go first and lose no request in the race");
    }
}

table! {
    /// How long a destination may take.
    pub struct ClusterTimeouts {
        /// Until the connection stands, name lookup included.
        pub connect: Duration => preset(duration(MILLISECOND..=HOUR), seconds(10),
            "three lost handshake packets fit; a destination that is gone is noticed while the client still waits");
        /// From the end of the request to the head of the answer; 504 after that.
        pub response_head: Limit<Duration> => preset(off_or(duration(MILLISECOND..=DAY)), Limit::At(seconds(60)),
            "slow reports fit; one that takes longer should say so");
        /// How long no byte of a body may move, in either direction.
        pub idle: Limit<Duration> => preset(off_or(duration(MILLISECOND..=DAY)), Limit::At(seconds(60)),
            "a body may take hours as long as it moves");
    }
}

table! {
    /// One destination with settings of its own.
    pub(crate) struct DestinationTable {
        /// Where it is.
        pub(crate) address: Option<Spanned<DestinationAddress>> => required(parsed());
        /// The `Host` header it sees: a host, and a port if it is to be seen.
        pub(crate) host: Option<Authority> => optional(word(), "the cluster's `host`");
    }
    later "weight", "name", "tls", "health";
}

/// A destination: its address, or a table with more.
pub(crate) struct DestinationKind;

// === impl DestinationKind ===

impl Kind for DestinationKind {
    type Out = Destination;

    fn read(&self, node: &Node, accepts: &str, reader: &mut Reader) -> Option<Destination> {
        if let Value::Table(table) = &node.value {
            let read = reader.marking(node.span, |reader| DestinationTable::read(table, reader));
            return Some(Destination { address: read.address?, host: read.host });
        }
        parsed().read(node, accepts, reader).map(|address| Destination { address, host: None })
    }

    fn spell(&self, value: &Destination) -> String {
        parsed().spell(&value.address)
    }

    fn accepts(&self) -> String {
        format!("{}, or a table `{{ address, host }}`", parsed::<DestinationAddress>().accepts())
    }

    fn table(&self) -> Vec<KeyDoc> {
        DestinationTable::document()
    }
}
