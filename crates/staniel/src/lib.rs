//! Socket applications: TCP and UDP servers and relays that bind, change and drain while they run.
//!
//! This crate is the one to depend on; it has nothing of its own. What programs use most is in the [`prelude`], the rest
//! is in the crates behind it:
//!
//! | Module | What it has |
//! |---|---|
//! | [`core`] | endpoints, listeners, connections, sessions, handlers, layers, relay, the host |
//! | `http` (feature, on by default) | HTTP/1.1: heads and bodies without I/O, server and client connections |
//!
//! # A server
//!
//! A [`Host`] binds endpoints and serves something on each. What is served is a function of a [`Connection`]:
//!
//! ```no_run
//! use staniel::prelude::*;
//!
//! #[tokio::main]
//! async fn main() -> Result {
//!     Host::new().bind("tcp://127.0.0.1:4040", echo).run().await
//! }
//!
//! async fn echo(conn: Connection) -> std::io::Result<()> {
//!     let (mut r, mut w) = tokio::io::split(conn);
//!     tokio::io::copy(&mut r, &mut w).await.map(drop)
//! }
//! ```
//!
//! [`Host::run`] serves until SIGTERM or SIGINT and then lets what is open finish; a second signal cuts it off.
//! To run a host beside other things, [`Host::start`] it.
//!
//! # Datagrams
//!
//! A UDP endpoint serves [`sessions`]: one call for each peer.
//!
//! ```no_run
//! use staniel::prelude::*;
//!
//! # async fn run() -> Result {
//! Host::new().bind("udp://127.0.0.1:5000", sessions(echo)).run().await
//! # }
//!
//! async fn echo(mut session: UdpSession) -> std::io::Result<()> {
//!     while let Some(datagram) = session.recv().await {
//!         session.send(&datagram).await?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Settings
//!
//! Where an address stands as text, a [`Bind`] can stand, with a name, limits, socket options, a filter and layers:
//!
//! ```no_run
//! use staniel::prelude::*;
//!
//! # async fn run(echo: impl Handler) -> Result {
//! let limits = ConnLimits { max: Some(1000), ..ConnLimits::default() };
//! let at = Bind::at("tcp://*:4040").name("echo").limits(limits);
//! Host::new().bind(at, echo).workers(Workers::PerCore).run().await
//! # }
//! ```
//!
//! # Endpoints that change
//!
//! A [`ListenHandler`] binds endpoints and binds them anew when its [`Reload`] token fires: a changed file, a signal, a
//! call. It says which endpoints there are to be ([`Plan`]); what is the same stays untouched, connections included.
//!
//! # Programs to begin with
//!
//! In `crates/staniel/examples`: `echo_tcp`, `tcp_relay`, `endpoints_at_run_time`. Each says at its top what to try.
//!
//! [`Host`]: prelude::Host
//! [`Host::run`]: prelude::Host::run
//! [`Host::start`]: prelude::Host::start
//! [`Connection`]: prelude::Connection
//! [`sessions`]: prelude::sessions
//! [`Bind`]: prelude::Bind
//! [`ListenHandler`]: prelude::ListenHandler
//! [`Reload`]: prelude::Reload
//! [`Plan`]: prelude::Plan

pub use staniel_core as core;
#[cfg(feature = "http")]
pub use staniel_http as http;

pub mod prelude;

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
