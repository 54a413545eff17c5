//! UDP.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use staniel_test::foreign::{Child, require};
use staniel_test::port;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::support::{Rig, eventually, not_now, soon};

fn udp(to: SocketAddr, listen: &str) -> String {
    format!(
        "[listen.dns]\naddress = \"127.0.0.1:0\"\nprotocols = \"udp\"\ncluster = \"c\"\n{listen}\n\
         [cluster.c]\ndestinations = [\"{to}\"]\n"
    )
}

/// Answers each datagram with the sender's port and what was said.
async fn echo() -> (SocketAddr, JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = vec![0; 70_000];
        loop {
            let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut answer = from.port().to_string().into_bytes();
            answer.push(b' ');
            answer.extend_from_slice(&buffer[..n]);
            answer.truncate(65_507);
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (addr, tasks)
}

struct Peer(UdpSocket);

impl Peer {
    async fn new(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(to).await.unwrap();
        Self(socket)
    }

    async fn ask(&self, text: &str) -> String {
        self.0.send(text.as_bytes()).await.unwrap();
        self.hear().await
    }

    async fn hear(&self) -> String {
        let mut buffer = vec![0; 70_000];
        let n = soon("an answer", self.0.recv(&mut buffer)).await.unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    }

    async fn hears_nothing(&self) -> bool {
        let mut buffer = [0; 10];
        not_now(async { while self.0.recv(&mut buffer).await.is_err() {} }).await
    }
}

#[tokio::test]
async fn each_peer_has_its_session_and_its_answers() {
    let (addr, _tasks) = echo().await;
    let rig = Rig::start(&udp(addr, "timeouts = { session_idle = \"1s\" }")).await;
    let mut peers = Vec::new();
    for _ in 0..20 {
        peers.push(Peer::new(rig.addr("dns")).await);
    }
    let mut ports = Vec::new();
    for round in 0..5 {
        for (n, peer) in peers.iter().enumerate() {
            let text = format!("{n}/{round}");
            let answer = peer.ask(&text).await;
            let (port, said) = answer.split_once(' ').unwrap();
            assert_eq!(said, text, "the answer of another peer");
            ports.push(port.to_owned());
        }
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), peers.len(), "one socket for each peer, and it stays");
    let large = "x".repeat(60_000);
    assert!(peers[0].ask(&large).await.ends_with(&large));
    peers[1].0.send(b"").await.unwrap();
    assert!(peers[1].hear().await.ends_with(' '));
    // Silence ends them, and is written down.
    let records = rig.wait_for_records(20).await;
    assert_eq!(records.len(), 20);
    assert!(
        records.iter().all(|it| it["end"] == "idle_timeout" && it["kind"] == "udp"),
        "{records:?}"
    );
    assert!(
        records.iter().all(|it| it["listener"] == "dns" && it["cluster"] == "c"),
        "{records:?}"
    );
    assert!(records.iter().all(|it| it["bytes_in"].as_u64() >= Some(15)), "{records:?}");
    assert!(peers[0].ask("again").await.ends_with("again"));
}

#[tokio::test]
async fn nobody_there_ends_the_session_and_the_next_datagram_begins_anew() {
    let to = port::free_udp().unwrap();
    let rig = Rig::start(&udp(to, "")).await;
    let peer = Peer::new(rig.addr("dns")).await;
    for n in 1..=3 {
        peer.0.send(b"anyone?").await.unwrap();
        let record = rig.wait_for_records(n).await[n - 1].clone();
        assert_eq!(
            (&record["end"], &record["end_by"]),
            (&"upstream_reset".into(), &"destination".into())
        );
    }
    let socket = UdpSocket::bind(to).await.unwrap();
    peer.0.send(b"now").await.unwrap();
    let mut buffer = [0; 10];
    let (n, from) = soon("the datagram", socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..n], b"now");
    socket.send_to(b"yes", from).await.unwrap();
    assert_eq!(peer.hear().await, "yes");
}

#[tokio::test]
async fn the_table_has_an_end_and_the_first_ones_stay() {
    let (addr, _tasks) = echo().await;
    let rig = Rig::start(&udp(
        addr,
        "limits = { max_sessions = 2 }\ntimeouts = { session_idle = \"1s\" }",
    ))
    .await;
    let at = rig.addr("dns");
    let (a, b, c) = (Peer::new(at).await, Peer::new(at).await, Peer::new(at).await);
    a.ask("1").await;
    b.ask("1").await;
    c.0.send(b"1").await.unwrap();
    assert!(c.hears_nothing().await);
    assert!(a.ask("2").await.ends_with("2") && b.ask("2").await.ends_with("2"));
    rig.wait_for_records(2).await;
    assert!(c.ask("3").await.ends_with("3"));
}

#[tokio::test]
async fn strangers_cannot_answer() {
    // An answer from another address than the one that was asked goes nowhere.
    let origin = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(&udp(origin.local_addr().unwrap(), "")).await;
    let peer = Peer::new(rig.addr("dns")).await;
    peer.0.send(b"hello").await.unwrap();
    let mut buffer = [0; 10];
    let (_, from) = soon("the datagram", origin.recv_from(&mut buffer)).await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(b"evil", from).await.unwrap();
    assert!(peer.hears_nothing().await);
    origin.send_to(b"good", from).await.unwrap();
    assert_eq!(peer.hear().await, "good");
}

#[tokio::test]
async fn tcp_and_udp_share_a_listener() {
    let (addr, _tasks) = echo().await;
    let rig = Rig::start(&format!(
        "[listen.dns]\naddress = \"127.0.0.1:0\"\nprotocols = [\"tcp\", \"udp\"]\ncluster = \"c\"\n\
         [cluster.c]\ndestinations = [\"{addr}\"]\n"
    ))
    .await;
    let endpoints = rig.endpoints("dns");
    assert_eq!(endpoints.len(), 2, "{endpoints:?}");
    let at = endpoints.iter().find(|one| one.is_datagram()).unwrap().socket_addr().unwrap();
    assert!(Peer::new(at).await.ask("x").await.ends_with('x'));
}

#[tokio::test]
async fn socat_echoes_through_it() {
    let Some(socat) = require("socat") else { return };
    let to = port::free_udp().unwrap();
    let mut server = Child::start(
        Command::new(&socat)
            .args(["-d", "-d"])
            .arg(format!("UDP-LISTEN:{},bind=127.0.0.1,fork", to.port()))
            .arg("EXEC:cat"),
    )
    .unwrap();
    server.prints("listening on UDP", Duration::from_secs(5)).await.unwrap();
    let rig = Rig::start(&udp(to, "")).await;
    let addr = rig.addr("dns");
    let mut client = Child::start(
        Command::new("sh")
            .arg("-c")
            .arg(format!("echo hello | '{}' -t 1 - UDP:{addr}", socat.display())),
    )
    .unwrap();
    assert!(client.ended(Duration::from_secs(10)).await.unwrap().success());
    assert_eq!(client.stdout(), "hello\n", "{}", client.said());
    eventually("it runs", || server.signal(staniel_test::foreign::Signal::Continue).is_ok()).await;
}

#[tokio::test]
async fn a_session_lives_through_reloads_and_new_ones_go_to_the_new_destination() {
    let ((old, _old), (new, _new)) = (echo().await, echo().await);
    let at = port::free_udp().unwrap();
    let text = |to| udp(to, "").replace("127.0.0.1:0", &at.to_string());
    let rig = Rig::start(&text(old)).await;
    let peer = Peer::new(at).await;
    let first = peer.ask("x").await;
    rig.reload(&text(new)).await.unwrap();
    assert_eq!(peer.ask("x").await, first, "the same session");
    assert!(Peer::new(at).await.ask("y").await.ends_with('y'));
    let mut rig = rig;
    rig.stop(staniel_core::Stop::Drain(Duration::from_millis(100))).await;
    let mut to: Vec<_> = rig.records().iter().map(|it| it["destination"].to_string()).collect();
    let mut expected = [old, new].map(|addr| format!("\"{addr}\""));
    to.sort_unstable();
    expected.sort_unstable();
    assert_eq!(to, expected);
}
