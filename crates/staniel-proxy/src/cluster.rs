//! Destinations that serve the same thing, and which of them is picked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use staniel_config as config;
use staniel_config::LoadBalancing;
use staniel_core::{ConnectError, Connection, PerWorker, Pool, Target, TcpConnector, clock};
use staniel_http::h1::H1Client;
use tokio::time::Instant;

use crate::random;

/// How long the addresses of a name are used before it is looked up again. The system's resolver does not tell how long
/// they hold; this follows a change within the time that such changes usually take.
const RESOLVED_FOR: Duration = Duration::from_secs(30);

/// So long a destination that did not accept a connection is asked only if no other is left: long enough to spare most
/// requests the attempt, short enough to find it as soon as it is back.
const AVOIDED: Duration = Duration::from_secs(1);

/// A cluster that runs. One that a reload does not change is carried over with everything it holds.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) config: config::Cluster,
    pub(crate) destinations: Vec<Arc<Destination>>,
    /// For each destination the `Host` that it is asked with, where it is not the client's.
    hosts: Vec<Option<String>>,
    next: PerWorker<usize>,
}

/// One address of a cluster.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) address: config::DestinationAddress,
    /// The address as text: in logs, and as `Host` where the configuration says so.
    pub(crate) authority: String,
    pub(crate) target: Target,
    pub(crate) pool: Pool<H1Client>,
    connector: TcpConnector,
    in_flight: AtomicUsize,
    /// [`clock::millis`] plus one of the last connect that failed; 0 if the last one worked.
    failed: AtomicU64,
    /// No configuration that runs has it any more; what is under way on it finishes.
    retired: AtomicBool,
    resolved: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
}

/// A request or connection that is on its way to a destination; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) destination: Arc<Destination>,
    /// Its place in the cluster that it was picked from.
    place: usize,
}

/// Which destinations of a cluster have been tried, by place; of a cluster with more than 64 the later ones may be tried
/// again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried(u64);

// === impl Cluster ===

impl Cluster {
    /// Compiles a cluster. Destinations that `old` has, too, are carried over.
    pub(crate) fn new(config: &config::Cluster, old: Option<&Self>) -> Self {
        let same_settings = |old: &&Self| {
            old.config.pool == config.pool && old.config.timeouts.connect == config.timeouts.connect
        };
        let mut known: HashMap<&config::DestinationAddress, &Arc<Destination>> = HashMap::new();
        if let Some(old) = old.filter(same_settings) {
            known.extend(
                old.destinations.iter().map(|destination| (&destination.address, destination)),
            );
        }
        let destinations = config.destinations.iter().map(|destination| {
            let address = &destination.address.value;
            known.get(address).map_or_else(
                || Arc::new(Destination::new(address, config)),
                |known| Arc::clone(known),
            )
        });
        let hosts =
            config.destinations.iter().map(|destination| match (&destination.host, config.host) {
                (Some(host), _) => Some(host.as_str().to_owned()),
                (None, config::HostRule::Destination) => {
                    Some(destination.address.value.authority())
                }
                (None, _) => None,
            });
        Self {
            destinations: destinations.collect(),
            hosts: hosts.collect(),
            config: config.clone(),
            next: PerWorker::default(),
        }
    }

    /// Picks one that was not tried yet.
    pub(crate) fn pick(&self, tried: &mut Tried) -> Option<InFlight> {
        let n = self.destinations.len();
        let all_tried = &mut *tried;
        let tried = self.with_failing(*all_tried);
        let left = (0..n).filter(|place| !tried.has(*place)).count();
        let place = match (self.config.load_balancing, left) {
            (_, 0) => return None,
            (_, 1) => tried.nth_left(n, 0)?,
            (LoadBalancing::RoundRobin, _) => {
                let turn = {
                    let mut next = self.next.here();
                    *next = next.wrapping_add(1);
                    next.wrapping_sub(1)
                };
                (0..n).map(|step| turn.wrapping_add(step) % n).find(|place| !tried.has(*place))?
            }
            (LoadBalancing::LeastRequests, _) => {
                // From a place of its own each time, so that equals share.
                let start = random::below(n);
                let places =
                    (0..n).map(|step| (start + step) % n).filter(|place| !tried.has(*place));
                places.min_by_key(|place| self.load(*place))?
            }
            (LoadBalancing::PowerOfTwo, _) => {
                let first = random::below(left);
                let second = (first + 1 + random::below(left - 1)) % left;
                let (first, second) = (tried.nth_left(n, first)?, tried.nth_left(n, second)?);
                if self.load(second) < self.load(first) { second } else { first }
            }
            // `Random`, and what a later version may add.
            _ => tried.nth_left(n, random::below(left))?,
        };
        all_tried.add(place);
        let destination = self.destinations.get(place)?.clone();
        destination.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(InFlight { destination, place })
    }

    /// Those that were tried, and those that just refused a connection, unless nobody else is left. (A destination that is
    /// down always has the fewest requests in flight: without this it would be everybody's first choice.)
    fn with_failing(&self, tried: Tried) -> Tried {
        let mut avoided = tried;
        for (place, _) in self.destinations.iter().enumerate().filter(|(_, it)| it.is_failing()) {
            avoided.add(place);
        }
        if avoided.nth_left(self.destinations.len(), 0).is_some() { avoided } else { tried }
    }

    /// Whether there is a destination that was not tried.
    pub(crate) fn has_more(&self, tried: Tried) -> bool {
        tried.nth_left(self.destinations.len(), 0).is_some()
    }

    fn load(&self, place: usize) -> usize {
        self.destinations.get(place).map_or(usize::MAX, |it| it.in_flight.load(Ordering::Relaxed))
    }

    /// The `Host` that a destination is asked with, where it is not the client's.
    pub(crate) fn host_for(&self, picked: &InFlight) -> Option<&str> {
        self.hosts.get(picked.place)?.as_deref()
    }
}

// === impl Tried ===

impl Tried {
    fn has(self, place: usize) -> bool {
        place < 64 && self.0 & (1 << place) != 0
    }

    fn add(&mut self, place: usize) {
        if place < 64 {
            self.0 |= 1 << place;
        }
    }

    fn nth_left(self, n: usize, nth: usize) -> Option<usize> {
        (0..n).filter(|place| !self.has(*place)).nth(nth)
    }
}

// === impl Destination ===

impl Destination {
    fn new(address: &config::DestinationAddress, cluster: &config::Cluster) -> Self {
        let host = address.host.to_string();
        Self {
            authority: address.authority(),
            target: Target::new(&host, address.port),
            address: address.clone(),
            pool: Pool::new(cluster.pool.max_idle, cluster.pool.idle),
            connector: TcpConnector {
                timeout: cluster.timeouts.connect,
                ..TcpConnector::default()
            },
            in_flight: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            resolved: Mutex::new(None),
        }
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, up: H1Client) {
        self.pool.put(up);
        // Behind the put, so that of two threads here and in `retire` one sees the other.
        if self.retired.load(Ordering::SeqCst) {
            self.pool.clear();
        }
    }

    /// Keeps no connection from now on.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
        self.pool.clear();
    }

    /// Opens a connection. A name is looked up only when what is known of it is old; if it then does not resolve any more,
    /// the old addresses are used.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectError> {
        let connected = self.open().await;
        let failed = match &connected {
            Ok(_) => 0,
            // That is our trouble, not its.
            Err(error) if error.is_exhausted() => return connected,
            Err(_) => clock::millis() + 1,
        };
        self.failed.store(failed, Ordering::Relaxed);
        connected
    }

    fn is_failing(&self) -> bool {
        let failed = self.failed.load(Ordering::Relaxed);
        failed != 0 && clock::millis() + 1 < failed + AVOIDED.as_millis() as u64
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        let limit = self.connector.timeout;
        let begin = Instant::now();
        let addrs = tokio::time::timeout(limit, self.addrs()).await.unwrap_or_else(|_| {
            Err(ConnectError::TimedOut { target: self.target.clone(), limit })
        })?;
        let connector = TcpConnector {
            timeout: limit.saturating_sub(begin.elapsed()),
            ..self.connector.clone()
        };
        connector.connect_any(&self.target, addrs).await.map_err(|error| match error {
            ConnectError::TimedOut { target, .. } => ConnectError::TimedOut { target, limit },
            other => other,
        })
    }

    async fn addrs(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let known = self.resolved.lock().clone();
        if let Some((since, addrs)) = &known
            && since.elapsed() < RESOLVED_FOR
        {
            return Ok(addrs.clone());
        }
        match (self.target.resolve().await, known) {
            (Ok(addrs), _) => {
                *self.resolved.lock() = Some((Instant::now(), addrs.clone()));
                Ok(addrs)
            }
            (Err(error), Some((_, addrs))) => {
                tracing::warn!(destination = %self.authority, %error, "the name does not resolve; its last addresses are used");
                *self.resolved.lock() = Some((Instant::now(), addrs.clone()));
                Ok(addrs)
            }
            (Err(error), None) => Err(error),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.destination.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(policy: &str, n: usize) -> Cluster {
        let destinations: Vec<_> =
            (1..=n).map(|port| format!("\"http://127.0.0.1:{port}\"")).collect();
        let text = format!(
            "[listen.web]\naddress = \":0\"\n[route.r]\ncluster = \"c\"\n\
             [cluster.c]\nload_balancing = \"{policy}\"\ndestinations = [{}]\n",
            destinations.join(", ")
        );
        let loaded = config::read(&config::Source::new("test", text));
        Cluster::new(&loaded.config.unwrap().clusters[0], None)
    }

    fn ports(cluster: &Cluster, picks: usize) -> Vec<u16> {
        (0..picks)
            .map(|_| cluster.pick(&mut Tried::default()).unwrap().destination.target.port())
            .collect()
    }

    #[test]
    fn every_policy_reaches_everyone_and_tries_nobody_twice() {
        for policy in ["round-robin", "random", "least-requests", "power-of-two"] {
            let cluster = cluster(policy, 5);
            let seen = ports(&cluster, 500);
            for port in 1..=5 {
                let n = seen.iter().filter(|seen| **seen == port).count();
                assert!((60..=140).contains(&n), "{policy}: {port} was picked {n} times of 500");
            }
            let mut tried = Tried::default();
            let mut all: Vec<_> = std::iter::from_fn(|| cluster.pick(&mut tried))
                .map(|it| it.destination.target.port())
                .collect();
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4, 5], "{policy}");
        }
    }

    #[test]
    fn those_with_less_to_do_are_preferred() {
        let cluster = cluster("least-requests", 3);
        let busy = [
            cluster.pick(&mut Tried::default()).unwrap(),
            cluster.pick(&mut Tried::default()).unwrap(),
        ];
        let third = cluster.pick(&mut Tried::default()).unwrap().destination.target.port();
        assert!(busy.iter().all(|busy| busy.destination.target.port() != third));
        drop(busy);
        assert!(cluster.destinations.iter().all(|it| it.in_flight.load(Ordering::Relaxed) == 0));
    }

    #[tokio::test(start_paused = true)]
    async fn who_just_refused_is_asked_only_if_nobody_else_is_left() {
        for policy in ["round-robin", "random", "least-requests", "power-of-two"] {
            let cluster = cluster(policy, 3);
            for destination in &cluster.destinations[..2] {
                destination.failed.store(clock::millis() + 1, Ordering::Relaxed);
            }
            assert!(ports(&cluster, 50).iter().all(|port| *port == 3), "{policy}");
            let mut tried = Tried::default();
            let all = std::iter::from_fn(|| cluster.pick(&mut tried)).count();
            assert_eq!(all, 3, "{policy}: the others are still tried in the end");
            tokio::time::advance(AVOIDED).await;
            assert!(ports(&cluster, 200).contains(&1), "{policy}: and again after a while");
        }
    }

    #[test]
    fn round_robin_takes_turns() {
        assert_eq!(ports(&cluster("round-robin", 3), 6), [1, 2, 3, 1, 2, 3]);
    }
}
