//! Checks of clusters.

use std::collections::{HashMap, HashSet};

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Cluster, ClusterName, ClusterTable, Destination, Listen, Route, Traffic};
use crate::source::{Span, Spanned};
use crate::validate::Checks;
use crate::value::destination::{DestinationAddress, Scheme};

/// Who sends to a cluster, and what they speak.
struct User {
    who: String,
    span: Span,
    speaks: &'static [Scheme],
}

// === impl ClusterTable ===

impl ClusterTable {
    /// The cluster of this table, under a name and with destinations.
    pub(super) fn named(
        self,
        name: Spanned<ClusterName>,
        destinations: Vec<Destination>,
    ) -> Cluster {
        let Self { destinations: _, load_balancing, host, retries, pool, timeouts } = self;
        Cluster { name, destinations, load_balancing, host, retries, pool, timeouts }
    }
}

// === impl Checks ===

impl Checks {
    pub(super) fn cluster(
        &mut self,
        name: &Spanned<String>,
        mut table: ClusterTable,
    ) -> Option<Cluster> {
        let destinations = table.destinations.take()?;
        let addresses: Vec<_> =
            destinations.iter().map(|destination| destination.address.clone()).collect();
        let path = format!("cluster.{name}.destinations");
        self.duplicate_destinations(&format!("cluster `{name}`"), &path, &addresses);
        Some(table.named(Spanned::new(name.as_str().into(), name.span), destinations))
    }

    /// Warns about destinations that stand in a list twice.
    pub(super) fn duplicate_destinations(
        &mut self,
        owner: &str,
        path: &str,
        addresses: &[Spanned<DestinationAddress>],
    ) {
        let mut seen: HashMap<_, Span> = HashMap::new();
        for address in addresses {
            let first = *seen.entry((&address.host, address.port)).or_insert(address.span);
            if first != address.span {
                self.report(
                    path,
                    Diagnostic::new(
                        Code::DuplicateDestination,
                        format!("{owner} has `{address}` twice"),
                    )
                    .label(address.span, "gets a double share")
                    .label(first, "first here"),
                );
            }
        }
    }

    /// Reports destinations that speak something else than those who send to them. Of the clusters of `to` too.
    pub(super) fn schemes<'a>(
        &mut self,
        listeners: impl Iterator<Item = &'a Listen>,
        routes: &[&Route],
        clusters: impl Iterator<Item = &'a Cluster>,
    ) {
        let mut users: HashMap<ClusterName, Vec<User>> = HashMap::new();
        for listener in listeners {
            if let Traffic::Forward { tcp, udp, cluster } = &listener.traffic {
                let speaks: &[Scheme] = match (tcp, udp) {
                    (true, true) => &[],
                    (_, true) => &[Scheme::Udp],
                    (_, false) => &[Scheme::Tcp],
                };
                let user = User {
                    who: format!("listener `{}`", listener.name),
                    span: cluster.span,
                    speaks,
                };
                users.entry(cluster.value.clone()).or_default().push(user);
            }
        }
        for route in routes {
            let user = User {
                who: format!("route `{}`", route.name),
                span: route.cluster.span,
                speaks: &[Scheme::Http],
            };
            users.entry(route.cluster.value.clone()).or_default().push(user);
        }
        for cluster in clusters {
            let mut reported = HashSet::new();
            for destination in &cluster.destinations {
                let address = &destination.address;
                if address.scheme == Scheme::Any {
                    continue;
                }
                let wrong = users.get(&cluster.name.value).into_iter().flatten();
                let wrong = wrong.filter(|user| !user.speaks.contains(&address.scheme));
                for user in wrong.filter(|_| reported.insert(address.span)) {
                    let speaks = match user.speaks {
                        [scheme] => format!("`{}`", scheme.word()),
                        _ => "`tcp` and `udp`".to_owned(),
                    };
                    self.report(
                        format!("cluster.{}.destinations", cluster.name),
                        Diagnostic::new(
                            Code::WrongScheme,
                            format!("`{}` is not for {}", address.value, user.who),
                        )
                        .label(address.span, format!("speaks `{}`", address.scheme.word()))
                        .label(user.span, format!("{} speaks {speaks}", user.who))
                        .help(format!(
                            "write `\"{}:{}\"`, or use another cluster",
                            address.host, address.port
                        )),
                    );
                }
            }
        }
    }
}
