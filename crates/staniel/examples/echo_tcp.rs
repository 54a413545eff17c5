//! A TCP server that sends back what it gets.
//!
//! ```text
//! cargo run -p staniel --example echo_tcp
//! nc 127.0.0.1 4040
//! ```
//!
//! Type a line, and it comes back. Ctrl-C in the first terminal lets the open connection finish, and Ctrl-C once more
//! cuts it off. Another address goes behind `--`: `cargo run -p staniel --example echo_tcp -- tcp://localhost:5050`.

use std::env::args;

use staniel::prelude::*;

#[tokio::main]
async fn main() -> Result {
    Host::new().bind(args().nth(1).unwrap_or("tcp://127.0.0.1:4040".into()), echo).run().await
}

async fn echo(conn: Connection) -> std::io::Result<()> {
    let (mut r, mut w) = tokio::io::split(conn);
    tokio::io::copy(&mut r, &mut w).await.map(drop)
}
