//! A TCP relay as a listen handler: `init` reads which endpoints there are, `bind` binds them.
//!
//! ```text
//! cargo run -p staniel --example echo_tcp
//! cargo run -p staniel --example tcp_relay -- 127.0.0.1:4041=127.0.0.1:4040
//! nc 127.0.0.1 4041
//! ```
//!
//! Each argument is an endpoint: where to listen, and where to connect to. With `nc -N` the client says that it has
//! finished, and still gets the rest of its answer. Give an address that is taken, or two: the program tells every
//! failure at once and does not start.

#![expect(clippy::print_stdout, reason = "this is how it talks to who tries it")]

use std::sync::OnceLock;

use staniel::prelude::*;

#[tokio::main]
async fn main() -> Result {
    Host::new().add(TcpRelay::default()).run().await
}

#[derive(Default)]
struct TcpRelay {
    routes: OnceLock<Vec<(String, Target)>>,
}

impl ListenHandler for TcpRelay {
    async fn init(&self, _host: &HostContext) -> Result {
        let mut words: Vec<String> = std::env::args().skip(1).collect();
        if words.is_empty() {
            words.push("127.0.0.1:4041=127.0.0.1:4040".to_owned());
        }
        let routes = words.iter().map(|word| route(word)).collect::<Result<_>>()?;
        self.routes.get_or_init(|| routes);
        Ok(())
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        let mut plan = Plan::default();
        for (from, to) in self.routes.get().into_iter().flatten() {
            let to = to.clone();
            let forward = move |conn: Connection| forward(conn, to.clone());
            plan = plan.bind(format!("tcp://{from}"), forward);
        }
        tm.apply(plan).await?;
        for bound in tm.list() {
            bound.local().iter().for_each(|at| println!("{} listens on {at}", bound.name()));
        }
        Ok(())
    }
}

fn route(word: &str) -> Result<(String, Target)> {
    let (from, to) = word.split_once('=').ok_or_else(|| format!("`{word}` is no `from=to`"))?;
    Ok((from.to_owned(), to.parse()?))
}

async fn forward(conn: Connection, to: Target) -> Result {
    let up = TcpConnector::default().connect(to).await?;
    relay(conn, up).await;
    Ok(())
}
