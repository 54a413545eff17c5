//! Checks of routes.

use std::collections::HashSet;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{
    Cluster, ClusterName, ClusterTable, Destination, ListenerName, Route, RouteTable,
};
use crate::source::Spanned;
use crate::validate::{Checks, grouped};
use crate::value::destination::DestinationAddress;
use crate::value::host::HostPattern;
use crate::value::path::PathPattern;

/// Above this many routes each with each is too slow to compare.
const MOST_COMPARED: usize = 2000;

// === impl Checks ===

impl Checks {
    pub(super) fn route(
        &mut self,
        name: &Spanned<String>,
        table: RouteTable,
        implied: &mut Vec<Cluster>,
    ) -> Option<Route> {
        let listeners = self.route_listeners(name, table.listen.as_deref());
        let cluster = self.target(name, table.cluster, table.to, implied);
        let mut hosts = values(table.host);
        if hosts.is_empty() || hosts.contains(&HostPattern::Any) {
            hosts = vec![HostPattern::Any];
        }
        let mut paths = values(table.path);
        if paths.is_empty() || paths.contains(&PathPattern::Any) {
            paths = vec![PathPattern::Any];
        }
        if self.refused(&format!("route.{name}")) {
            return None;
        }
        Some(Route {
            name: Spanned::new(name.as_str().into(), name.span),
            listeners: listeners?,
            hosts,
            paths,
            methods: values(table.method),
            order: table.order,
            cluster: cluster?,
            limits: table.limits,
            timeouts: table.timeouts,
        })
    }

    fn route_listeners(
        &mut self,
        name: &Spanned<String>,
        named: Option<&[Spanned<ListenerName>]>,
    ) -> Option<Vec<ListenerName>> {
        let path = format!("route.{name}.listen");
        let Some(named) = named else {
            if self.reader.written.contains_key(&path) {
                return None;
            }
            let all: Vec<_> = self
                .listeners
                .iter()
                .filter(|(_, http)| *http)
                .map(|(name, _)| name.clone())
                .collect();
            if all.is_empty() && !self.listeners.is_empty() {
                self.report(
                    format!("route.{name}"),
                    Diagnostic::new(
                        Code::UnreachableRoute,
                        format!("no listener can serve route `{name}`"),
                    )
                    .label(name.span, "there is no HTTP listener")
                    .help("add one: `[listen.NAME]` with `protocols = [\"http1\"]`"),
                );
            }
            return Some(all);
        };
        let mut listeners = Vec::with_capacity(named.len());
        for listener in named {
            let known = self
                .listeners
                .iter()
                .find(|(known, _)| *known == listener.value)
                .map(|(_, http)| *http);
            let diagnostic = match known {
                Some(true) => {
                    if !listeners.contains(&listener.value) {
                        listeners.push(listener.value.clone());
                    }
                    continue;
                }
                Some(false) => Diagnostic::new(
                    Code::WrongListener,
                    format!("route `{name}` names a listener that has no requests"),
                )
                .label(listener.span, "speaks `tcp` or `udp`")
                .help("a `tcp` or `udp` listener names its cluster itself: `cluster = …`"),
                None => {
                    let known = || self.listeners.iter().map(|(name, _)| name.as_str());
                    Diagnostic::new(
                        Code::UnknownListener,
                        format!("route `{name}` names an unknown listener"),
                    )
                    .label(listener.span, "no such listener")
                    .did_you_mean(listener.as_str(), known())
                    .allowed(known())
                }
            };
            self.report(path.clone(), diagnostic);
        }
        (listeners.len() == named.iter().collect::<HashSet<_>>().len()).then_some(listeners)
    }

    /// The cluster that the route goes to; that of `to` is made here.
    fn target(
        &mut self,
        name: &Spanned<String>,
        cluster: Option<Spanned<ClusterName>>,
        to: Option<Vec<Spanned<DestinationAddress>>>,
        implied: &mut Vec<Cluster>,
    ) -> Option<Spanned<ClusterName>> {
        let (cluster_key, to_key) = (format!("route.{name}.cluster"), format!("route.{name}.to"));
        if let Some(cluster) = &cluster {
            self.known_cluster(&format!("route `{name}`"), cluster_key.clone(), cluster);
        }
        let written = |key: &str| self.reader.written.get(key).map(|written| written.span);
        match (written(&cluster_key), written(&to_key)) {
            (Some(cluster), Some(to)) => {
                self.report(
                    to_key,
                    Diagnostic::new(
                        Code::Conflict,
                        format!("route `{name}` has both `cluster` and `to`"),
                    )
                    .label(to, "destinations in place")
                    .label(cluster, "and a cluster")
                    .help("keep one of the two"),
                );
                None
            }
            (None, None) => {
                self.report(
                    format!("route.{name}"),
                    Diagnostic::new(
                        Code::MissingKey,
                        format!("`route.{name}` does not say where requests go"),
                    )
                    .label(name.span, "needs `cluster` or `to`")
                    .help("`to = \"http://127.0.0.1:9000\"` is the shortest"),
                );
                None
            }
            (Some(_), None) => cluster,
            (None, Some(span)) => {
                self.duplicate_destinations(&format!("route `{name}`"), &to_key, to.as_deref()?);
                let cluster =
                    Spanned::new(ClusterName::from(format!("route:{name}").as_str()), span);
                let destinations =
                    to?.into_iter().map(|address| Destination { address, host: None }).collect();
                implied.push(ClusterTable::default().named(cluster.clone(), destinations));
                self.used.insert(cluster.value.clone());
                Some(cluster)
            }
        }
    }

    /// Reports routes of which nobody can say which one is meant.
    pub(super) fn duplicate_routes(&mut self, routes: &[&Route]) {
        let pairs = routes.iter().enumerate().flat_map(|(index, route)| {
            let hosts = unique(&route.hosts).into_iter();
            hosts.flat_map(move |host| {
                unique(&route.paths)
                    .into_iter()
                    .map(move |path| ((host, path, route.order), (index, *route)))
            })
        });
        let mut reported = HashSet::new();
        for ((host, path, _), same) in grouped(pairs) {
            for (at, (_, first)) in same.iter().enumerate() {
                for (index, second) in same.iter().skip(at + 1) {
                    if !meet(&first.listeners, &second.listeners)
                        || !methods_meet(first, second)
                        || !reported.insert(*index)
                    {
                        continue;
                    }
                    let (one, other) = (&first.name, &second.name);
                    self.report(
                        format!("route.{other}"),
                        Diagnostic::new(
                            Code::DuplicateRoute,
                            format!("routes `{one}` and `{other}` take the same requests"),
                        )
                        .label(other.span, format!("host `{host}`, path `{path}` as well"))
                        .label(one.span, format!("takes host `{host}`, path `{path}`"))
                        .help("give one of them a lower `order`, or another host, path or method"),
                    );
                }
            }
        }
    }

    /// Warns about routes whose every request an earlier one takes.
    pub(super) fn shadowed_routes(&mut self, routes: &[&Route]) {
        let lowest = routes.iter().map(|route| route.order).max();
        if routes.len() > MOST_COMPARED || routes.iter().all(|route| Some(route.order) == lowest) {
            return;
        }
        for later in routes {
            let Some(first) =
                routes.iter().find(|first| first.order < later.order && covers(first, later))
            else {
                continue;
            };
            let (one, other) = (&first.name, &later.name);
            self.report(
                format!("route.{other}"),
                Diagnostic::new(Code::ShadowedRoute, format!("route `{other}` can never match"))
                    .label(other.span, format!("order {}", later.order))
                    .label(
                        one.span,
                        format!("order {} takes all of its requests first", first.order),
                    )
                    .help(format!(
                        "give `{other}` a lower `order` than `{one}`, or another host, path or method"
                    )),
            );
        }
    }
}

fn meet(one: &[ListenerName], other: &[ListenerName]) -> bool {
    one.iter().any(|name| other.contains(name))
}

fn methods_meet(one: &Route, other: &Route) -> bool {
    // A route with a method is more specific than one without.
    match (one.methods.is_empty(), other.methods.is_empty()) {
        (true, true) => true,
        (false, false) => one.methods.iter().any(|method| other.methods.contains(method)),
        (true, false) | (false, true) => false,
    }
}

/// Whether `first`, by its lower order, takes all of `later`'s requests. Host and path come before the order, so only the
/// same ones are taken away.
fn covers(first: &Route, later: &Route) -> bool {
    !later.listeners.is_empty()
        && later.listeners.iter().all(|name| first.listeners.contains(name))
        && later.hosts.iter().all(|host| first.hosts.contains(host))
        && later.paths.iter().all(|path| first.paths.contains(path))
        && (first.methods.is_empty()
            || !later.methods.is_empty()
                && later.methods.iter().all(|method| first.methods.contains(method)))
}

fn unique<T: std::hash::Hash + Eq>(items: &[T]) -> HashSet<&T> {
    items.iter().collect()
}

fn values<T>(list: Option<Vec<Spanned<T>>>) -> Vec<T> {
    list.unwrap_or_default().into_iter().map(|item| item.value).collect()
}
