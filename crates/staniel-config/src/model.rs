//! What a valid config says, as plain data. Comparing two configs ignores where things stand in the text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::kind::Syntax;
use crate::value::ParseValueError;

mod cluster;
mod listen;
mod route;
mod server;

pub(crate) use cluster::ClusterTable;
pub use cluster::{Cluster, ClusterPool, ClusterTimeouts, Destination, HostRule, LoadBalancing};
pub(crate) use listen::ListenTable;
pub use listen::{Listen, ListenLimits, ListenTimeouts, Protocol, Traffic};
pub(crate) use route::RouteTable;
pub use route::{Route, RouteLimits, RouteTimeouts};
pub use server::{AccessLog, Log, LogFormat, LogLevel, Server};

/// A whole config: every name in it is defined, every value in range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// What is logged, and where.
    pub log: Log,
    /// The listeners, in the order of the file; at least one.
    pub listeners: Vec<Listen>,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
    /// The clusters, in the order of the file; then one for each route that has `to`, named `route:NAME`.
    pub clusters: Vec<Cluster>,
}

/// A value that the program may choose for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "chosen by us or by the user")]
pub enum Auto<T> {
    /// Chosen when the config is applied; the key's documentation says how.
    Auto,
    /// What the user wrote.
    Set(T),
}

/// A limit that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is a limit or there is none")]
pub enum Limit<T> {
    /// There is none.
    Off,
    /// This is the most.
    At(T),
}

// === impl Config ===

impl Config {
    /// The listener of this name.
    #[must_use]
    pub fn listener(&self, name: &ListenerName) -> Option<&Listen> {
        self.listeners.iter().find(|listener| listener.name.value == *name)
    }

    /// The cluster of this name.
    #[must_use]
    pub fn cluster(&self, name: &ClusterName) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name.value == *name)
    }
}

// === impl Auto ===

impl<T> Auto<T> {
    /// What the user wrote, or else what `choose` says.
    pub fn unwrap_or_else(self, choose: impl FnOnce() -> T) -> T {
        match self {
            Self::Auto => choose(),
            Self::Set(value) => value,
        }
    }
}

// === impl Limit ===

impl<T> Limit<T> {
    /// The limit, if there is one.
    pub fn get(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(value) => Some(value),
        }
    }
}

// === the names ===

macro_rules! name {
    ($(#[doc = $doc:literal])+ $Name:ident, $accepts:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $Name(Arc<str>);

        impl $Name {
            /// The name as it stands in the config, in logs and in metrics.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name, shared.
            #[must_use]
            pub fn to_arc(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl From<&str> for $Name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl FromStr for $Name {
            type Err = ParseValueError;

            /// Takes any text: whether the name is defined shows later.
            fn from_str(name: &str) -> Result<Self, ParseValueError> {
                Ok(name.into())
            }
        }

        impl Syntax for $Name {
            fn accepts() -> String {
                $accepts.to_owned()
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// The name of a listener: `web` in `[listen.web]`.
    ListenerName, "the name of a listener"
}
name! {
    /// The name of a route: `api` in `[route.api]`.
    RouteName, "the name of a route"
}
name! {
    /// The name of a cluster: `api` in `[cluster.api]`, or `route:api` for the `to` of `[route.api]`.
    ClusterName, "the name of a cluster"
}
