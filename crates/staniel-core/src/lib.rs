//! Endpoints, listeners, connections, handlers; the host that binds, rebinds and drains them.
//!
//! This is the bottom of Staniel: it knows sockets and their lives, and neither TLS nor HTTP. A server is a [`Host`] with
//! endpoints and what they serve:
//!
//! ```no_run
//! use staniel_core::{Connection, Host, Result, TcpConnector, relay};
//!
//! #[tokio::main]
//! async fn main() -> Result {
//!     Host::new().bind("tcp://0.0.0.0:6380", forward).run().await
//! }
//!
//! async fn forward(conn: Connection) -> Result {
//!     let up = TcpConnector::default().connect("127.0.0.1:6379").await?;
//!     relay(conn, up).await;
//!     Ok(())
//! }
//! ```
//!
//! The modules in the order of a byte's way: [`endpoint`], [`bind`], [`transport`], [`connection`], [`handler`],
//! [`relay`](mod@relay), [`connect`]; and what keeps them: [`manager`], [`listen`], [`reload`], [`host`].

#[cfg(not(target_os = "linux"))]
compile_error!("Staniel runs on Linux only");

pub mod addr;
pub mod bind;
pub mod buffer;
pub mod calendar;
pub mod clock;
pub mod connect;
pub mod connection;
pub mod deadline;
pub mod endpoint;
pub mod error;
pub mod handler;
pub mod host;
pub mod listen;
pub mod manager;
pub mod observe;
pub mod pool;
pub mod reason;
pub mod relay;
pub mod reload;
pub mod served;
pub mod session;
pub mod sometimes;
pub mod task;
pub mod transport;
pub mod upstream;
pub mod worker;

mod accept;
mod gate;
mod group;
mod sys;

pub use crate::addr::{Addr, ConnectionId, EndpointName};
pub use crate::bind::{Bind, ConnLimits, IntoBind, Keepalive, SocketOptions, UdpOptions};
pub use crate::connect::{ConnectError, Target, TcpConnector};
pub use crate::connection::{ConnGuard, ConnMeta, ConnStats, Connection, Io, Stopping, Stream};
pub use crate::deadline::Deadline;
pub use crate::endpoint::Endpoint;
pub use crate::error::{ApplyError, BindError, BindErrorKind, BoxError, Chain, Result, StartError};
pub use crate::group::Drained;
pub use crate::handler::{BoxHandler, Handler, IntoResult, Next, Tower, handler_fn, layer_fn};
pub use crate::host::{Host, HostContext, Phase, Running};
pub use crate::listen::ListenHandler;
pub use crate::manager::{ApplyReport, Bound, Plan, Stop, TransportManager};
pub use crate::observe::Observer;
pub use crate::pool::Pool;
pub use crate::reason::{CloseReason, EndBy};
pub use crate::relay::{RelayOptions, Relayed, relay, relay_with};
pub use crate::reload::{Reload, ReloadTrigger};
pub use crate::served::{IntoServed, Served, sessions};
pub use crate::session::UdpSession;
pub use crate::sys::{descriptor_limit, raise_descriptor_limit};
pub use crate::upstream::{UdpConnector, UdpUpstream};
pub use crate::worker::{PerWorker, Workers};
