//! From a configuration to what runs.

use std::collections::HashMap;
use std::sync::Arc;

use staniel_config as config;
use staniel_config::{Config, Traffic};
use staniel_http::MinRate;

use crate::cluster::Cluster;
use crate::route::RouteTable;
use crate::snapshot::{Forward, HttpListener, Route, Snapshot, endpoint_name};

/// Compiles a configuration. Clusters that `old` has in the same words are carried over as they are: pools, counts and
/// resolved names; of those that changed, the destinations that stay.
pub(crate) fn compile(config: &Config, old: &Snapshot) -> Snapshot {
    let clusters: HashMap<_, _> = config
        .clusters
        .iter()
        .map(|cluster| {
            let old = old.clusters.get(&cluster.name.value);
            let kept = old.filter(|old| old.config == *cluster).cloned();
            let compiled =
                kept.unwrap_or_else(|| Arc::new(Cluster::new(cluster, old.map(Arc::as_ref))));
            (cluster.name.value.clone(), compiled)
        })
        .collect();
    let routes: Vec<_> = config
        .routes
        .iter()
        .filter_map(|route| Some((route, compile_route(route, &clusters)?)))
        .collect();
    let mut snapshot = Snapshot {
        generation: old.generation + 1,
        http: HashMap::new(),
        forward: HashMap::new(),
        clusters,
    };
    for listen in &config.listeners {
        match &listen.traffic {
            Traffic::Http => {
                let listener = Arc::new(compile_http(listen, &routes));
                snapshot.http.insert(endpoint_name(&listen.name.value, false), listener);
            }
            Traffic::Forward { tcp, udp, cluster } => {
                let Some(cluster) = snapshot.clusters.get(&cluster.value) else { continue };
                let forward = Arc::new(Forward {
                    cluster: cluster.clone(),
                    idle: listen.timeouts.idle.get(),
                });
                if *tcp {
                    snapshot
                        .forward
                        .insert(endpoint_name(&listen.name.value, false), forward.clone());
                }
                if *udp {
                    snapshot.forward.insert(endpoint_name(&listen.name.value, *tcp), forward);
                }
            }
            // The configuration refuses what this version cannot do.
            _ => {}
        }
    }
    snapshot
}

fn compile_route(
    route: &config::Route,
    clusters: &HashMap<config::ClusterName, Arc<Cluster>>,
) -> Option<Arc<Route>> {
    let cluster = clusters.get(&route.cluster.value)?.clone();
    let timeouts = route.timeouts.over(&cluster.config.timeouts);
    Some(Arc::new(Route {
        name: route.name.value.clone(),
        max_body: route.limits.body.get(),
        min_rate: route.limits.min_rate,
        response_head: timeouts.response_head.get(),
        idle: timeouts.idle.get(),
        cluster,
    }))
}

fn compile_http(listen: &config::Listen, routes: &[(&config::Route, Arc<Route>)]) -> HttpListener {
    let mut table = RouteTable::new();
    for (config, route) in routes {
        if config.listeners.contains(&listen.name.value) {
            table.add(config, route);
        }
    }
    let rate = listen.limits.min_rate.get();
    HttpListener {
        routes: table,
        trusted: listen.trusted_proxies.clone(),
        min_rate: rate.map(|bytes_per_second| MinRate {
            bytes_per_second,
            grace: listen.limits.min_rate_grace,
        }),
        tunnel_idle: listen.timeouts.tunnel_idle.get(),
    }
}
