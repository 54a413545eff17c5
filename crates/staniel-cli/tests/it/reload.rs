//! A new configuration while it runs.

use std::net::SocketAddr;

use staniel_test::foreign::Signal;
use staniel_test::load::Accounted;
use staniel_test::origin::Origin;
use staniel_test::raw::RawClient;

use crate::program::{Running, SOON, eventually};

const BAD: &str = "[listen.web]\nadress = \":8080\"\n[route.all]\nto = \"http://127.0.0.1:9\"\n";

fn web(listen: &str, origin: SocketAddr) -> String {
    format!("[listen.web]\naddress = \"{listen}\"\n[route.all]\nto = \"http://{origin}\"\n")
}

/// Who answers, on a new connection.
async fn who(addr: SocketAddr) -> String {
    let Ok(mut client) = RawClient::connect(addr).await else { return String::new() };
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: example\r\n\r\n").await;
    answer.ok().and_then(|answer| Some(answer.header("x-origin")?.into_owned())).unwrap_or_default()
}

#[tokio::test]
async fn changed_file_is_taken_within_a_moment_and_a_bad_one_changes_nothing() {
    let (old, new) = (Origin::named("old").await.unwrap(), Origin::named("new").await.unwrap());
    let mut running = Running::start(&web("127.0.0.1:0", old.addr()), "web").await;
    let addr = running.addr("web");
    assert_eq!(who(addr).await, "old");

    running.configure(BAD);
    running.child.prints("Nothing was applied.", SOON).await.unwrap();
    let said = running.child.stderr();
    assert!(said.contains("staniel.toml:2:1: error[unknown-key]: unknown key `adress`"), "{said}");
    let line = said.lines().find(|line| line.contains("unknown key `adress`")).unwrap();
    assert!(line.contains("did you mean `address`?"), "{said}");
    assert!(line.contains("allowed: address, protocols, "), "{said}");
    assert_eq!(who(addr).await, "old");

    running.configure(&web("127.0.0.1:0", new.addr()));
    eventually("the new destination", async || who(addr).await == "new").await;
}

#[tokio::test]
async fn hangup_reads_the_file_again() {
    let origin = Origin::named("here").await.unwrap();
    let config = web("127.0.0.1:0", origin.addr());
    let mut running = Running::start(&config, "web").await;
    let addr = running.addr("web");
    // The same content is no change of the file: only the signal tells.
    running.child.signal(Signal::Hangup).unwrap();
    running.child.prints("reloaded", SOON).await.unwrap();
    assert_eq!(who(addr).await, "here");

    running.configure(BAD);
    running.child.signal(Signal::Hangup).unwrap();
    running.child.prints("Nothing was applied.", SOON).await.unwrap();
    assert_eq!(who(addr).await, "here");
}

#[tokio::test]
async fn reload_that_cannot_have_its_address_or_log_changes_nothing_and_names_a_way_out() {
    let (old, new) = (Origin::named("old").await.unwrap(), Origin::named("new").await.unwrap());
    let mut running = Running::start(&web("127.0.0.1:0", old.addr()), "web").await;
    let addr = running.addr("web");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = std::net::TcpListener::bind(taken).unwrap();

    running.configure(&web(&taken.to_string(), new.addr()));

    running.child.prints("nothing was changed", SOON).await.unwrap();
    let said = running.child.stderr();
    assert!(said.contains(&taken.to_string()), "{said}");
    assert!(said.contains(&format!("`ss -ltnp 'sport = :{}'`", taken.port())), "{said}");
    assert_eq!(who(addr).await, "old");

    running.configure(&format!(
        "{}[log]\naccess = \"./no/such/log\"\n",
        web("127.0.0.1:0", new.addr())
    ));
    running.child.prints("`log.access` has to be a file", SOON).await.unwrap();
    assert_eq!(who(addr).await, "old");
    drop(holder);
}

#[tokio::test]
async fn what_holds_from_the_next_start_on_is_said() {
    let origin = Origin::start().await.unwrap();
    let config = web("127.0.0.1:0", origin.addr());
    let mut running = Running::start(&config, "web").await;
    running.configure(&format!("{config}[log]\nlevel = \"debug\"\n"));
    let text = "`log.level` and `server.shutdown_timeout` count from the next start";
    running.child.prints(text, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_and_the_stop_under_load_lose_no_request() {
    let origin = Origin::start().await.unwrap();
    let one = web("127.0.0.1:0", origin.addr());
    let two = format!("{one}[listen.more]\naddress = \"127.0.0.1:0\"\n");
    let mut running = Running::start(&one, "web").await;
    let load = Accounted::new(running.addr("web")).connections(16).start();
    load.wait_for(200).await;
    for n in 1..=20 {
        running.configure(if n % 2 == 1 { &two } else { &one });
        running.child.signal(Signal::Hangup).unwrap();
        eventually("the reload", async || {
            running.child.stderr().matches(" reloaded ").count() >= n
        })
        .await;
        load.wait_for_more(50).await;
    }
    running.child.signal(Signal::Terminate).unwrap();
    assert!(running.child.ended(SOON).await.unwrap().success());
    let report = load.stop().await;
    assert!(report.nothing_lost() && report.answered > 1000, "{report}");
}
