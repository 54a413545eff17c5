//! Connections that go on as something else.

use staniel_core::CloseReason;
use staniel_test::raw::RawClient;

use crate::support::{Bound, GET, Served, Setup, post};

fn ask(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
}

#[tokio::test(start_paused = true)]
async fn what_came_behind_the_request_comes_first() {
    for window in [1, 16, 200, 65536] {
        let mut served = Served::with(Setup { window, ..Setup::default() });
        let early = format!("{}early {GET}", ask("/upgrade"));
        served.client.pump(early.as_bytes()).await;
        let answer = served.client.answer().await;
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.header("upgrade").as_deref(), Some("echo"));
        assert_eq!(answer.header("connection").as_deref(), Some("Upgrade"));
        served.client.finish().await;
        assert_eq!(served.client.until_close().await, format!("early {GET}"));
        assert_eq!(served.events(), ["GET /upgrade", "tunnel over"]);
        assert_eq!(served.over().await, CloseReason::Done);
    }
}

#[tokio::test]
async fn a_tunnel_over_a_real_socket() {
    let mut bound = Bound::new(Setup::default()).await;
    let mut client = RawClient::connect(bound.addr).await.unwrap();
    client.send(ask("/upgrade") + "early").await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 101);
    assert_eq!(client.bytes(5).await.unwrap(), b"early");
    for text in ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01"] {
        client.send(text).await.unwrap();
        assert_eq!(client.bytes(text.len()).await.unwrap(), text.as_bytes());
    }
    client.finish().await.unwrap();
    assert_eq!(client.until_close().await.unwrap(), b"");
    assert_eq!(bound.event().await, "GET /upgrade");
    assert_eq!(bound.event().await, "tunnel over");
}

#[tokio::test(start_paused = true)]
async fn another_answer_leaves_the_connection_as_it_was() {
    let mut served = Served::new();
    served.client.send(ask("/") + GET).await;
    assert_eq!(served.client.answer().await.text(), "1");
    assert_eq!(served.client.answer().await.text(), "2");
    // Bytes of the other protocol are no request.
    served.client.send(ask("/") + "\x01\x02").await;
    assert_eq!(served.client.answer().await.text(), "3");
    assert_eq!(served.client.answer().await.status(), 400);
    assert_eq!(served.client.until_close().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_is_granted_and_not_taken_is_no_place_for_requests() {
    let mut served = Served::new();
    served.client.send(format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n{GET}")).await;
    let all = served.client.until_close().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\n"), "{all}");
    assert!(!all.contains("Content-Length"), "{all}");
    assert_eq!(served.events(), ["CONNECT a:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_read_is_not_taken_for_the_other_protocol() {
    let mut served = Served::new();
    let fields = "Connection: Upgrade\r\nUpgrade: echo\r\nContent-Length: 4\r\n";
    let answer = served.client.exchange(post("/upgrade", fields, "body")).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.events(), ["POST /upgrade", "no upgrade"]);
}
