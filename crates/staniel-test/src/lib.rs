//! Test support: peers that misbehave on purpose, a load that accounts for every request, foreign programs.
//!
//! Everything here speaks over real sockets on loopback and on the real clock: a paused clock would jump to every
//! deadline while the kernel still carries the bytes.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use staniel_test::raw::{Answer, RawClient, RawOrigin};
//!
//! // An origin that promises ten bytes, sends three and cuts the connection.
//! let cut = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").reset();
//! let origin = RawOrigin::always(cut).await?;
//!
//! // In a test of a proxy its address would stand here.
//! let mut client = RawClient::connect(origin.addr()).await?;
//! client.send("GET / HTTP/1.1\r\nHost: example\r\n\r\n").await?;
//! assert!(client.answer().await.is_err());
//! assert_eq!(origin.requests()[0].message.target(), "/");
//! # Ok(())
//! # }
//! ```
//!
//! | Module | What it has |
//! |---|---|
//! | [`raw`] | a client and an origin that send exactly the bytes they are told to, and record what they got |
//! | [`origin`] | an origin that behaves, counts, and says whose request it answered |
//! | [`load`] | keep-alive clients that know of every request what became of it |
//! | [`foreign`] | curl, nginx and the like: found, started, waited for, ended |
//! | [`port`] | ports that are free |
//! | [`dir`] | directories that go away |

pub mod dir;
pub mod foreign;
pub mod load;
pub mod origin;
pub mod port;
pub mod raw;
