//! Bodies that are larger than any buffer, and peers that stop in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use staniel_test::raw::{Answer, RawClient, RawOrigin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Rig, not_now, settled, soon, web, web_cluster};

/// More than this in flight is memory of ours: both sockets' buffers at their largest, and some room.
const BUFFERS: u64 = 32 << 20;

/// An origin that sends for ever, and counts what was taken from it.
async fn endless() -> (std::net::SocketAddr, Arc<AtomicU64>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let (mut tasks, count) = (JoinSet::new(), taken.clone());
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let gib = 1u64 << 30;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {gib}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 64 * 1024];
        while stream.write_all(&piece).await.is_ok() {
            count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
    });
    (addr, taken, tasks)
}

#[tokio::test]
async fn a_client_that_stops_reading_stops_the_origin() {
    let (addr, taken, _tasks) = endless().await;
    let rig = Rig::start(&web(addr)).await;
    let mut client = RawClient::connect_narrow(rig.addr("web"), 64 * 1024).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    client.bytes(100).await.unwrap();
    let stood = settled(|| taken.load(Ordering::Relaxed)).await;
    assert!(
        stood < BUFFERS,
        "{stood} bytes were taken from the origin for a client that reads nothing"
    );
    // It goes on where it stopped.
    client.bytes(8 << 20).await.unwrap();
    assert!(settled(|| taken.load(Ordering::Relaxed)).await > stood);
    drop(client);
    let record = rig.record(1).await;
    assert_eq!(record["end"], "client_closed", "{record}");
}

#[tokio::test]
async fn an_origin_that_stops_reading_stops_the_client() {
    let origin = RawOrigin::start_early(|_| Answer::nothing().hang()).await.unwrap();
    let rig =
        Rig::start(&web_cluster(&[origin.addr()], "timeouts = { response_head = \"900ms\" }"))
            .await;
    let mut client = rig.client().await;
    let length = 1u64 << 30;
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"))
        .await
        .unwrap();
    let piece = vec![b'x'; 256 * 1024];
    let mut sent = 0;
    while !not_now(client.send(&piece)).await {
        sent += piece.len() as u64;
        assert!(
            sent < BUFFERS,
            "{sent} bytes were taken from the client for an origin that reads nothing"
        );
    }
    // And at last it was the origin that was too slow.
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status(), 504);
}

#[tokio::test]
async fn an_origin_that_reads_slowly_is_not_late() {
    // What lies in the sockets is read in less than the patience, all of it takes longer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let total = 24usize << 20;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let mut piece = vec![0; 400 * 1024];
        let mut got = 0;
        while got < total {
            tick.tick().await;
            match stream.read(&mut piece).await {
                Ok(n) if n > 0 => got += n,
                _ => return,
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    let rig = Rig::start(&web_cluster(&[addr], "timeouts = { response_head = \"1s\" }")).await;
    let mut client = rig.client().await;
    let body = vec![b'x'; total];
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {total}\r\n\r\n"))
        .await
        .unwrap();
    client.send(&body).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 200);
}

#[tokio::test]
async fn slow_but_legal_peers_live() {
    let answer = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n").in_pieces(
        [b'x'; 40],
        1,
        Duration::from_millis(20),
    );
    let origin = RawOrigin::always(answer).await.unwrap();
    let text =
        web_cluster(&[origin.addr()], "timeouts = { idle = \"300ms\", response_head = \"300ms\" }");
    let rig = Rig::start(&text).await;
    let mut client = rig.client().await;
    let body = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 40\r\n\r\n";
    client.send(body).await.unwrap();
    client.send_in_pieces([b'y'; 40], 1, Duration::from_millis(20)).await.unwrap();
    assert_eq!(client.answer().await.unwrap().body, [b'x'; 40]);
    assert_eq!(rig.record(1).await["end"], "ok");
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut() {
    let answer = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\nab").hang();
    let origin = RawOrigin::always(answer).await.unwrap();
    let rig = Rig::start(&web_cluster(&[origin.addr()], "timeouts = { idle = \"80ms\" }")).await;
    let mut client = rig.client().await;
    assert!(client.exchange("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.is_err());
    let record = rig.record(1).await;
    assert_eq!((&record["end"], &record["status"]), (&"destination_timeout".into(), &200.into()));
}

#[tokio::test]
async fn an_upload_that_moves_behind_a_begun_answer_is_not_idle() {
    // A stream both ways: the answer's head comes first, its body once the request is whole.
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = origin.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = origin.accept().await.unwrap();
        let mut got = Vec::new();
        stream.read_buf(&mut got).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await.unwrap();
        while !got.ends_with(&[b'y'; 30]) {
            if stream.read_buf(&mut got).await.unwrap() == 0 {
                return;
            }
        }
        stream.write_all(b"done").await.unwrap();
        let _ = stream.read_buf(&mut got).await;
    });
    let rig = Rig::start(&web_cluster(&[addr], "timeouts = { idle = \"300ms\" }")).await;
    let mut client = rig.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 30\r\n\r\n").await.unwrap();
    client.send_in_pieces([b'y'; 30], 1, Duration::from_millis(30)).await.unwrap();
    assert_eq!(soon("the answer", client.answer()).await.unwrap().text(), "done");
}

#[tokio::test]
async fn a_client_that_has_had_enough_of_events_is_noticed() {
    // Nothing comes from the origin, so that no write could fail.
    let events =
        Answer::bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n").hang();
    let origin = RawOrigin::always(events).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    client.bytes(50).await.unwrap();
    client.reset().unwrap();
    assert_eq!(rig.record(1).await["end"], "client_closed");
}
