//! Plain TCP.

use std::process::Command;
use std::time::Duration;

use staniel_core::{Stop, Workers};
use staniel_test::foreign::{Child, require};
use staniel_test::port;
use staniel_test::raw::{Answer, RawClient, RawOrigin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Rig, refuses, soon};

fn tcp(to: &[std::net::SocketAddr], listen: &str, cluster: &str) -> String {
    let to: Vec<_> = to.iter().map(|to| format!("\"{to}\"")).collect();
    format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\nprotocols = \"tcp\"\ncluster = \"c\"\n{listen}\n\
         [cluster.c]\ndestinations = [{}]\n{cluster}\n",
        to.join(", ")
    )
}

/// Reads to the end, then sends it all back.
async fn parrot() -> (std::net::SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut all = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            all.spawn(async move {
                let mut got = Vec::new();
                if stream.read_to_end(&mut got).await.is_ok() {
                    let _ = stream.write_all(&got).await;
                }
            });
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn half_closed_connections_carry_their_answer() {
    let (addr, _tasks) = parrot().await;
    let rig = Rig::start(&tcp(&[addr], "", "")).await;
    let body: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let mut client = rig.client().await;
    client.send(&body).await.unwrap();
    client.finish().await.unwrap();
    assert_eq!(client.until_close().await.unwrap(), body);
    let record = rig.record(1).await;
    assert_eq!((&record["kind"], &record["end"]), (&"tcp".into(), &"done".into()));
    assert_eq!((&record["listener"], &record["cluster"]), (&"web".into(), &"c".into()));
    assert_eq!(record["destination"], addr.to_string());
    assert_eq!(record["bytes_in"], body.len());
    assert_eq!(record["bytes_out"], body.len());
    assert!(record["t_connect"].as_f64().is_some());
}

#[tokio::test]
async fn the_server_may_finish_first() {
    let origin = RawOrigin::on_accept(Answer::bytes("hello").finish()).await.unwrap();
    let rig = Rig::start(&tcp(&[origin.addr()], "", "")).await;
    let mut client = rig.client().await;
    assert_eq!(client.until_close().await.unwrap(), b"hello");
    client.send("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(soon("the request", origin.wait_for(1)).await[0].message.target(), "/");
    client.finish().await.unwrap();
    assert_eq!(rig.record(1).await["end"], "done");
}

#[tokio::test]
async fn resets_are_passed_on_both_ways() {
    let origin = RawOrigin::on_accept(Answer::bytes("x").pause(Duration::from_millis(30)).reset())
        .await
        .unwrap();
    let rig = Rig::start(&tcp(&[origin.addr()], "", "")).await;
    let mut client = rig.client().await;
    assert!(client.until_close().await.is_err(), "a reset, no end");
    assert_eq!(rig.record(1).await["end"], "upstream_reset");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(&tcp(&[listener.local_addr().unwrap()], "", "")).await;
    let mut client: RawClient = rig.client().await;
    client.send("abc").await.unwrap();
    let (mut there, _) = soon("the connection", listener.accept()).await.unwrap();
    let mut got = [0; 3];
    there.read_exact(&mut got).await.unwrap();
    client.reset().unwrap();
    assert!(soon("the reset", there.read(&mut got)).await.is_err(), "a reset, no end");
    let record = rig.record(1).await;
    assert_eq!((&record["end"], &record["end_by"]), (&"peer_reset".into(), &"client".into()));
}

#[tokio::test]
async fn a_second_destination_takes_what_the_first_refuses() {
    let (addr, _tasks) = parrot().await;
    let rig = Rig::start(&tcp(&[refuses(), addr], "", "load_balancing = \"round-robin\"")).await;
    for _ in 0..4 {
        let mut client = rig.client().await;
        client.send("abc").await.unwrap();
        client.finish().await.unwrap();
        assert_eq!(client.until_close().await.unwrap(), b"abc");
    }
    let rig = Rig::start(&tcp(&[refuses(), refuses()], "", "")).await;
    let mut client = rig.client().await;
    assert!(client.until_close().await.unwrap_or_default().is_empty());
    let record = rig.record(1).await;
    assert_eq!(
        (&record["end"], &record["end_by"]),
        (&"connect_failed".into(), &"destination".into())
    );
    assert!(record.get("t_connect").is_none());
}

#[tokio::test]
async fn a_silent_connection_ends() {
    let origin = RawOrigin::on_accept(Answer::bytes("x").hang()).await.unwrap();
    let rig = Rig::start(&tcp(&[origin.addr()], "timeouts = { idle = \"1s\" }", "")).await;
    let mut client = rig.client().await;
    assert_eq!(client.bytes(1).await.unwrap(), b"x");
    let _ = client.until_close().await;
    assert_eq!(rig.record(1).await["end"], "idle_timeout");
}

#[tokio::test]
async fn a_drain_lets_connections_finish_and_cuts_what_stays() {
    let (addr, _tasks) = parrot().await;
    let mut rig = Rig::start_on(&tcp(&[addr], "", ""), Workers::N(2)).await;
    let (mut finishes, mut stays) = (rig.client().await, rig.client().await);
    finishes.send("abc").await.unwrap();
    stays.send("abc").await.unwrap();
    let finish = async {
        finishes.finish().await.unwrap();
        finishes.until_close().await.unwrap()
    };
    let (got, drained) = tokio::join!(finish, rig.stop(Stop::Drain(Duration::from_millis(300))));
    assert_eq!(got, b"abc");
    assert_eq!(drained.iter().map(|one| one.aborted).sum::<usize>(), 1, "{drained:?}");
    let mut ends: Vec<_> = rig.records().iter().map(|record| record["end"].to_string()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["\"done\"", "\"drain_deadline\""]);
}

#[tokio::test]
async fn socat_on_both_sides() {
    let Some(socat) = require("socat") else { return };
    let to = port::free_tcp().unwrap();
    let mut server = Child::start(
        Command::new(&socat)
            .arg(format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr,fork", to.port()))
            .arg("EXEC:cat"),
    )
    .unwrap();
    server.ready(to, Duration::from_secs(5)).await.unwrap();
    let rig = Rig::start(&tcp(&[to], "", "")).await;
    let file = rig.dir.write("body", vec![b'q'; 500_000]).unwrap();
    let addr = rig.addr("web");
    let mut client = Child::start(Command::new("sh").arg("-c").arg(format!(
        "'{}' -t 5 - TCP:{addr} < '{}' | wc -c",
        socat.display(),
        file.display()
    )))
    .unwrap();
    assert!(client.ended(Duration::from_secs(10)).await.unwrap().success(), "{}", client.said());
    assert_eq!(client.stdout().trim(), "500000");
    assert_eq!(rig.record(1).await["end"], "done");
}
