//! What is running: everything compiled from one configuration.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use staniel_config as config;
use staniel_config::{Cidr, ListenerName};
use staniel_core::EndpointName;
use staniel_http::MinRate;

use crate::cluster::Cluster;
use crate::route::RouteTable;

/// Everything compiled from one configuration. It never changes; a reload publishes another.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    pub(crate) http: HashMap<EndpointName, Arc<HttpListener>>,
    /// The cluster of each listener of plain connections or sessions.
    pub(crate) forward: HashMap<EndpointName, Arc<Forward>>,
    pub(crate) clusters: HashMap<config::ClusterName, Arc<Cluster>>,
}

/// An HTTP listener as its requests see it.
#[derive(Debug)]
pub(crate) struct HttpListener {
    pub(crate) routes: RouteTable<Arc<Route>>,
    pub(crate) trusted: Vec<Cidr>,
    pub(crate) min_rate: Option<MinRate>,
    pub(crate) tunnel_idle: Option<Duration>,
}

/// A listener of plain connections or sessions.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) idle: Option<Duration>,
}

/// A route with its cluster and what it allows.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: config::RouteName,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) max_body: Option<u64>,
    pub(crate) min_rate: bool,
    pub(crate) response_head: Option<Duration>,
    pub(crate) idle: Option<Duration>,
}

// === impl Snapshot ===

impl Snapshot {
    pub(crate) fn empty() -> Self {
        Self {
            generation: 0,
            http: HashMap::new(),
            forward: HashMap::new(),
            clusters: HashMap::new(),
        }
    }
}

/// The name of the endpoint of a listener: its own, and with two transports the second is told apart.
pub(crate) fn endpoint_name(listener: &ListenerName, udp_beside_tcp: bool) -> EndpointName {
    if udp_beside_tcp { format!("{listener}/udp").into() } else { listener.as_str().into() }
}
