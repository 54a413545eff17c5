//! Requests one after another: what keeps a connection open, what closes it, and in which order answers come.

use std::time::Duration;

use staniel_core::{CloseReason, Io};
use staniel_test::raw::RawClient;
use tokio::io::BufStream;
use tokio::time::timeout;

use crate::support::{Bound, GET, Served, Setup, get, pattern, post};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn requests_follow_one_another() {
    let mut served = Served::new();
    for n in 1..=3 {
        let answer = served.client.exchange(GET).await;
        assert_eq!((answer.status(), answer.text().as_ref()), (200, n.to_string().as_str()));
        assert_eq!(answer.header("connection"), None);
        assert!(answer.header("date").is_some());
    }
    served.client.finish().await;
    assert_eq!(served.over().await, CloseReason::Done);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_and_goes_has_closed() {
    let mut served = Served::new();
    served.client.finish().await;
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.over().await, CloseReason::PeerClosed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_within_a_head_has_closed() {
    for before in ["", GET] {
        let mut served = Served::new();
        served.client.send(format!("{before}GET / HTT")).await;
        served.client.finish().await;
        let got = served.client.until_close().await;
        assert_eq!(got.matches("HTTP/1.1").count(), usize::from(!before.is_empty()), "{got}");
        assert_eq!(served.over().await, CloseReason::PeerClosed);
    }
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let mut served = Served::new();
    served.client.send(get("/quick?a") + &post("/echo", "Content-Length: 4\r\n", "body")).await;
    served.client.send(get("/quick?b") + "GET /quick?c HTTP/1.1\r\nHo").await;
    for expected in ["a", "body", "b"] {
        assert_eq!(served.client.answer().await.text(), expected);
    }
    served.client.send("st: a\r\n\r\n").await;
    assert_eq!(served.client.answer().await.text(), "c");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_saw_to_is_sent_nevertheless() {
    let mut served = Served::with(Setup { window: 16, ..Setup::default() });
    assert_eq!(served.client.exchange(get("/whole?3000")).await.body, pattern(3000));
    // The next one, too: what is unsent of one answer does not hold up or overtake another.
    assert_eq!(served.client.exchange(get("/quick?x")).await.text(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_buffers_is_flushed() {
    let mut served = Served::around(Setup::default(), |io| Io::from_stream(BufStream::new(io)));
    assert_eq!(served.client.exchange(get("/quick?x")).await.text(), "x");
    assert_eq!(served.client.exchange(get("/hints")).await.status(), 103);
    assert_eq!(served.client.answer().await.status(), 103);
    assert_eq!(served.client.answer().await.text(), "ok");
    let waits = post("/continue", "Content-Length: 2\r\nExpect: 100-continue\r\n", "");
    assert_eq!(served.client.exchange(waits).await.status(), 100);
    served.client.send("ok").await;
    assert_eq!(served.client.answer().await.text(), "ok");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_pipelined_requests_keep_their_order_and_cost_no_memory() {
    const N: usize = 10_000;
    let mut served = Served::new();
    let requests: String = (0..N).map(|n| get(&format!("/quick?{n}"))).collect();
    let mut rest = requests.as_bytes();
    // Until the server takes no more: its answers lie unread.
    while let Ok(n) = timeout(SECOND, served.client.send_some(rest)).await {
        rest = &rest[n..];
        assert!(!rest.is_empty(), "the server took all requests and holds all answers");
    }
    let begun = served.events().len();
    assert!(begun < 1000, "{begun} answers for who reads none");
    for n in 0..N {
        while let Ok(n) = timeout(Duration::ZERO, served.client.send_some(rest)).await
            && n > 0
        {
            rest = &rest[n..];
        }
        assert_eq!(served.client.answer().await.text(), n.to_string());
    }
}

#[tokio::test]
async fn a_socket_pushes_back_when_its_answers_are_not_read() {
    let mut bound = Bound::new(Setup::default()).await;
    let mut client = RawClient::connect_narrow(bound.addr, 4096).await.unwrap().patience(SECOND);
    let requests: String = (0..1000).map(|_| get("/whole?20000")).collect();
    client.send(&requests).await.unwrap();
    assert_eq!(client.bytes(15).await.unwrap(), b"HTTP/1.1 200 OK");
    let begun = std::iter::from_fn(|| bound.events.try_recv().ok()).count();
    assert!(begun < 500, "{begun} answers for who reads none");
}

/// What a request with these lines gets, and whether the connection lives.
async fn check_keep_alive(request: &str, says: Option<&str>, lives: bool) {
    let mut served = Served::new();
    let answer = served.client.exchange(request).await;
    assert_eq!(answer.header("connection").as_deref(), says, "{request}");
    if lives {
        assert_eq!(served.client.exchange(GET).await.status(), 200, "{request}");
    } else {
        assert_eq!(served.client.until_close().await, "", "{request}");
        assert_eq!(served.over().await, CloseReason::Done);
    }
}

#[tokio::test(start_paused = true)]
async fn versions_and_options_decide_whether_it_lives() {
    check_keep_alive(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        Some("close"),
        false,
    )
    .await;
    check_keep_alive("GET / HTTP/1.0\r\n\r\n", Some("close"), false).await;
    check_keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Some("keep-alive"), true)
        .await;
    check_keep_alive(
        "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
        Some("close"),
        false,
    )
    .await;
    check_keep_alive("GET / HTTP/1.9\r\nHost: a\r\n\r\n", None, true).await;
    check_keep_alive("HEAD /whole?10 HTTP/1.1\r\nHost: a\r\n\r\n", None, true).await;
    check_keep_alive(&get("/status?204"), None, true).await;
    check_keep_alive(&get("/status?304"), None, true).await;
}

#[tokio::test(start_paused = true)]
async fn bodiless_answers_have_none() {
    let mut served = Served::new();
    let head = served.client.exchange("HEAD /whole?10 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(head.header("content-length").as_deref(), Some("10"));
    for status in ["204", "304"] {
        let answer = served.client.exchange(get(&format!("/status?{status}"))).await;
        assert_eq!(answer.header("content-length"), None);
        assert_eq!(answer.header("content-type"), None);
    }
    assert_eq!(served.client.exchange(GET).await.text(), "4");
}

#[tokio::test(start_paused = true)]
async fn nothing_behind_the_last_request_is_served() {
    let mut served = Served::new();
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    served.client.send(format!("{last}{GET}")).await;
    assert!(served.client.answer().await.says_close());
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.events(), ["GET /"]);
}

#[tokio::test(start_paused = true)]
async fn interim_answers_go_to_those_who_know_them() {
    let mut served = Served::new();
    assert_eq!(served.client.exchange(get("/hints")).await.status(), 103);
    assert_eq!(served.client.answer().await.header("link").as_deref(), Some("<a>"));
    assert_eq!(served.client.answer().await.text(), "ok");
    served.client.send("GET /hints HTTP/1.0\r\n\r\n").await;
    let all = served.client.until_close().await;
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\nok"), "{all}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_before_a_request_is_no_request() {
    let mut served = Served::new();
    served.client.send(format!("\r\n{GET}\r\n{GET}\r\n")).await;
    assert_eq!(served.client.answer().await.status(), 200);
    assert_eq!(served.client.answer().await.status(), 200);
    // An idle connection is not told that its head came too late.
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.over().await, CloseReason::KeepAliveTimeout);
}
