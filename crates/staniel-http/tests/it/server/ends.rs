//! How exchanges and connections end: half-closes, resets, answers that are broken off.

use std::io::ErrorKind;
use std::time::Duration;

use staniel_core::CloseReason;
use staniel_test::raw::RawClient;
use tokio::time::timeout;

use crate::support::{Bound, GET, Served, Setup, get, post};

#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_its_answer() {
    for (target, text) in [("/slow?20", "slow"), ("/", "1")] {
        let mut served = Served::new();
        served.client.send(get(target)).await;
        served.client.finish().await;
        assert_eq!(served.client.answer().await.text(), text);
        assert_eq!(served.client.until_close().await, "");
        assert_eq!(served.over().await, CloseReason::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_all_its_answers() {
    let mut served = Served::new();
    served.client.send(format!("{}{GET}{GET}", get("/slow?5"))).await;
    served.client.finish().await;
    for text in ["slow", "2", "3"] {
        assert_eq!(served.client.answer().await.text(), text);
    }
    assert_eq!(served.client.until_close().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_has_finished_sending_is_not_gone() {
    let mut served = Served::new();
    served.client.send(get("/wait")).await;
    served.client.finish().await;
    assert_eq!(served.event().await, "GET /wait");
    assert!(timeout(Duration::from_secs(3600), served.event()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_before_its_end_is_an_error() {
    for (fields, body) in
        [("Content-Length: 10\r\n", "some"), ("Transfer-Encoding: chunked\r\n", "5\r\nsome")]
    {
        let mut served = Served::new();
        served.client.send(post("/echo", fields, body)).await;
        served.client.finish().await;
        let answer = served.client.answer().await;
        assert_eq!((answer.status(), answer.says_close()), (400, true));
        assert_eq!(served.client.until_close().await, "");
        assert_eq!(served.over().await, CloseReason::PeerClosed);
    }
}

#[tokio::test]
async fn a_reset_while_the_client_waits_is_seen() {
    let mut bound = Bound::new(Setup::default()).await;
    // It may have sent ahead: the next request, or the empty line that some send behind a body.
    for ahead in ["", "\r\n", GET] {
        let mut client = RawClient::connect(bound.addr).await.unwrap();
        client.send(get("/wait") + ahead).await.unwrap();
        assert_eq!(bound.event().await, "GET /wait");
        let meta = bound.meta();
        client.reset().unwrap();
        assert_eq!(bound.event().await, "the client went away", "{ahead:?}");
        bound.idle().await;
        assert_eq!(meta.ended(), Some(CloseReason::PeerReset), "{ahead:?}");
    }
}

#[tokio::test]
async fn a_reset_within_a_body_or_an_answer_is_seen() {
    let mut bound = Bound::new(Setup::default()).await;
    for request in [post("/echo", "Content-Length: 10\r\n", "some"), get("/large?100000000")] {
        let mut client = RawClient::connect(bound.addr).await.unwrap();
        client.send(&request).await.unwrap();
        bound.event().await;
        let meta = bound.meta();
        client.reset().unwrap();
        let said = bound.event().await;
        assert!(["the client went away", "send failed"].contains(&said.as_str()), "{said}");
        bound.idle().await;
        assert_eq!(meta.ended(), Some(CloseReason::PeerReset), "{request}");
    }
}

#[tokio::test]
async fn a_reset_of_an_idle_connection_is_seen() {
    let bound = Bound::new(Setup::default()).await;
    let mut client = RawClient::connect(bound.addr).await.unwrap();
    client.exchange(GET).await.unwrap();
    let meta = bound.meta();
    client.reset().unwrap();
    bound.idle().await;
    assert_eq!(meta.ended(), Some(CloseReason::PeerReset));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_broken_off_does_not_look_whole() {
    for target in ["/spoil", "/spoil-chunked", "/unfinished", "/panic"] {
        let mut served = Served::new();
        served.client.send(get(target) + GET).await;
        let answer = served.client.answer().await;
        assert!(!answer.complete && answer.body == b"abc", "{target}: {answer:?}");
        assert_eq!(served.events(), [format!("GET {target}")], "nothing is served behind it");
    }
}

#[tokio::test]
async fn an_answer_without_a_length_that_is_broken_off_is_reset() {
    let bound = Bound::new(Setup::default()).await;
    for target in ["/spoil-chunked", "/unfinished", "/panic"] {
        let mut client = RawClient::connect(bound.addr).await.unwrap();
        client.send(format!("GET {target} HTTP/1.0\r\n\r\n")).await.unwrap();
        let error = client.answer().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{target}");
        bound.idle().await;
    }
}

#[tokio::test]
async fn a_connection_that_is_aborted_does_not_look_whole() {
    let mut bound = Bound::new(Setup::default()).await;
    let mut client = RawClient::connect(bound.addr).await.unwrap();
    client.send(get("/abandon")).await.unwrap();
    assert_eq!(bound.event().await, "GET /abandon");
    assert!(client.bytes(15).await.unwrap().starts_with(b"HTTP/1.1 200"));
    let meta = bound.meta();
    meta.abort(CloseReason::Aborted);
    let rest = client.until_close().await.unwrap_or_default();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    bound.idle().await;
    assert_eq!(meta.ended(), Some(CloseReason::Aborted));
}

#[tokio::test(start_paused = true)]
async fn an_exchange_without_an_answer_closes() {
    let mut served = Served::new();
    served.client.send(get("/none") + GET).await;
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.events(), ["GET /none"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_what_it_promised_is_the_last() {
    for (target, whole) in [("/less", false), ("/more", true), ("/twice", true)] {
        let mut served = Served::new();
        served.client.send(get(target) + GET).await;
        let answer = served.client.answer().await;
        assert_eq!((answer.text().as_ref(), answer.complete), ("abc", whole), "{target}");
        assert_eq!(served.client.until_close().await, "", "{target}");
        assert_eq!(served.events(), [format!("GET {target}")]);
    }
}
