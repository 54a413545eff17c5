//! The reverse proxy: routes, clusters, and the handlers that carry connections, sessions and requests to them.
//!
//! [`Proxy`] is a listen handler: give it a configuration and add it to a host. In the order of a request's way:
//! [`handler`] (configuration to endpoints), `snapshot` (what is running), `http` or `tcp` or `udp` (one exchange,
//! connection, session), `route`, `cluster`, and [`outcome`] (how it ended), which goes to the access `log` and the
//! [`stats`].

pub mod handler;
pub mod outcome;
pub mod stats;

mod cluster;
mod compile;
mod http;
mod log;
mod random;
mod route;
mod snapshot;
mod tcp;
mod udp;

pub use crate::handler::{Proxy, Rejected};
pub use crate::outcome::RequestEnd;
pub use crate::stats::Stats;
