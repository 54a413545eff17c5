//! Routes: which request goes to which cluster.

use std::time::Duration;

use crate::kind::number::{size, whole};
use crate::kind::time::{DAY, MILLISECOND, duration};
use crate::kind::{off_or, one_or_many, parsed, truth};
use crate::model::{ClusterName, ClusterTimeouts, Limit, ListenerName, RouteName};
use crate::schema::{inner, optional, preset, table};
use crate::source::Spanned;
use crate::value::destination::DestinationAddress;
use crate::value::host::HostPattern;
use crate::value::method::Method;
use crate::value::path::PathPattern;

/// One route: which requests, and where they go.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Its name.
    pub name: Spanned<RouteName>,
    /// The HTTP listeners it serves: those the user named, or all of them. May be empty (a warning said so).
    pub listeners: Vec<ListenerName>,
    /// The hosts it takes; never empty, [`HostPattern::Any`] stands alone.
    pub hosts: Vec<HostPattern>,
    /// The paths it takes; never empty, [`PathPattern::Any`] stands alone.
    pub paths: Vec<PathPattern>,
    /// The methods it takes; empty for all.
    pub methods: Vec<Method>,
    /// Among routes of the same host and path the lowest is tried first.
    pub order: i32,
    /// Where its requests go; always a cluster of [`Config::clusters`](crate::Config::clusters).
    pub cluster: Spanned<ClusterName>,
    /// Its limits.
    pub limits: RouteLimits,
    /// Its timeouts, where they differ from the cluster's.
    pub timeouts: RouteTimeouts,
}

table! {
    /// A route: which requests of the HTTP listeners, and the cluster they go to.
    pub(crate) struct RouteTable {
        /// The listeners whose requests it takes.
        pub(crate) listen: Option<Vec<Spanned<ListenerName>>> => optional(one_or_many(parsed()), "every HTTP listener");
        /// The hosts it takes, without a port: `"api.example.com"`, `"*.example.com"` for every name below, `"*"` for any.
        pub(crate) host: Option<Vec<Spanned<HostPattern>>> => optional(one_or_many(parsed()), "any host");
        /// The paths it takes: `"/api"` is that path alone, `"/api/*"` is `/api` and everything below it.
        pub(crate) path: Option<Vec<Spanned<PathPattern>>> => optional(one_or_many(parsed()), "any path");
        /// The methods it takes, in capitals as on the wire.
        pub(crate) method: Option<Vec<Spanned<Method>>> => optional(one_or_many(parsed()), "any method");
        /// Decides between routes of the same host and path: the lowest is tried first. Between others the more specific host
        /// wins, then the more specific path.
        pub(crate) order: i32 => preset(whole(i32::MIN..=i32::MAX), 0,
            "specific before general is what most people mean");
        /// The cluster that its requests go to. Either this or `to`.
        pub(crate) cluster: Option<Spanned<ClusterName>> => optional(parsed(), "`to` says where");
        /// Destinations written in place: short for a cluster of its own with nothing but these.
        pub(crate) to: Option<Vec<Spanned<DestinationAddress>>> => optional(one_or_many(parsed()), "`cluster` says where");
        /// How much its requests may take.
        pub(crate) limits: RouteLimits => inner();
        /// How long the upstream may take, where it differs from the cluster's timeouts.
        pub(crate) timeouts: RouteTimeouts => inner();
    }
    later "match", "transform", "rewrite", "headers", "cache", "retry", "redirect";
}

table! {
    /// How much the requests of a route may take.
    pub struct RouteLimits {
        /// The largest request body; a larger one is answered with 413.
        pub body: Limit<u64> => preset(off_or(size(0..=1 << 50)), Limit::Off,
            "bodies stream through and take no memory here; what is too much only the application knows");
        /// Whether the listener's `min_rate` holds for this route.
        pub min_rate: bool => preset(truth(), true,
            "only a route with rare events on an open answer needs it off");
    }
}

table! {
    /// The timeouts of a route that differ from its cluster's.
    pub struct RouteTimeouts {
        /// As in the cluster.
        pub response_head: Option<Limit<Duration>> => optional(off_or(duration(MILLISECOND..=DAY)), "as in the cluster");
        /// As in the cluster.
        pub idle: Option<Limit<Duration>> => optional(off_or(duration(MILLISECOND..=DAY)), "as in the cluster");
    }
}

// === impl RouteTimeouts ===

impl RouteTimeouts {
    /// The cluster's timeouts with those of the route in their place.
    #[must_use]
    pub fn over(&self, cluster: &ClusterTimeouts) -> ClusterTimeouts {
        ClusterTimeouts {
            response_head: self.response_head.unwrap_or(cluster.response_head),
            idle: self.idle.unwrap_or(cluster.idle),
            ..cluster.clone()
        }
    }
}
