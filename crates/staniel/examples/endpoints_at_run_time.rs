//! Endpoints that come and go while the program runs, as the lines it reads say.
//!
//! ```text
//! cargo run -p staniel --example endpoints_at_run_time
//! tcp://127.0.0.1:4042
//! tcp://127.0.0.1:4042 tcp://127.0.0.1:4043
//! tcp://127.0.0.1:4043
//! ```
//!
//! Each line is the whole list that is to be. After the second, connect with `nc 127.0.0.1 4042` and `nc 127.0.0.1 4043`
//! and say something; then type the third. Nobody new gets to the first port, the connection that is open there may go on
//! for half a minute, and the one at the second port notices nothing. A line with an address that cannot be had changes
//! nothing.

#![expect(clippy::print_stdout, reason = "this is how it talks to who tries it")]

use std::io::BufRead;

use staniel::core::ReloadTrigger;
use staniel::prelude::*;
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result {
    let (lines, wanted) = watch::channel(std::env::args().skip(1).collect());
    let (trigger, _) = Reload::channel();
    let listed = Listed { wanted, trigger: trigger.clone(), echo: BoxHandler::new(echo) };
    // Reading lines blocks, so it has a thread.
    std::thread::spawn(move || read_lines(&lines, &trigger));
    Host::new().add(listed).run().await
}

fn read_lines(wanted: &watch::Sender<Vec<String>>, trigger: &ReloadTrigger) {
    for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
        wanted.send_replace(line.split_whitespace().map(str::to_owned).collect());
        trigger.fire();
    }
}

struct Listed {
    wanted: watch::Receiver<Vec<String>>,
    trigger: ReloadTrigger,
    /// One handler for all, so that an endpoint which stays is the same in every plan.
    echo: BoxHandler,
}

impl ListenHandler for Listed {
    async fn bind(&self, tm: &TransportManager) -> Result {
        self.rebind(tm).await
    }

    fn reload(&self) -> Option<Reload> {
        Some(self.trigger.reload())
    }

    async fn rebind(&self, tm: &TransportManager) -> Result {
        let wanted = self.wanted.borrow().clone();
        let plan = Plan::default();
        let plan = wanted.into_iter().fold(plan, |plan, at| plan.bind(at, self.echo.clone()));
        match tm.apply(plan).await {
            Ok(report) => println!("{report:?}"),
            Err(error) => println!("{error}"),
        }
        for bound in tm.list() {
            bound.local().iter().for_each(|at| println!("{} listens on {at}", bound.name()));
        }
        println!("ready");
        Ok(())
    }
}

async fn echo(conn: Connection) -> std::io::Result<()> {
    let (mut r, mut w) = tokio::io::split(conn);
    tokio::io::copy(&mut r, &mut w).await.map(drop)
}
