//! `Expect: 100-continue`, and what is not that.

use std::time::Duration;

use staniel_core::CloseReason;
use tokio::time::timeout;

use crate::support::{GET, Served, post};

const WAITS: &str = "Content-Length: 4\r\nExpect: 100-continue\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_is_told_once() {
    for target in ["/continue", "/continue?twice"] {
        let mut served = Served::new();
        served.client.send(post(target, WAITS, "")).await;
        assert_eq!(served.client.answer().await.status(), 100);
        assert_eq!(served.event().await, format!("POST {target}"));
        assert_eq!(served.event().await, "waits true");
        served.client.send("body").await;
        assert_eq!(served.client.answer().await.text(), "body");
        assert_eq!(served.client.exchange(GET).await.status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_anyway_is_not_told() {
    let mut served = Served::new();
    served.client.send(post("/continue", WAITS, "body")).await;
    assert_eq!(served.client.answer().await.text(), "body");
    assert!(served.events().contains(&"waits false".to_owned()));
    assert_eq!(served.client.exchange(GET).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_while_it_waits_is_heard() {
    let mut served = Served::new();
    served.client.send(post("/echo", WAITS, "")).await;
    assert_eq!(served.event().await, "POST /echo");
    served.client.send("body").await;
    assert_eq!(served.client.answer().await.text(), "body");
    assert_eq!(served.client.exchange(GET).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_came_without_a_word_is_the_body_also_if_nobody_reads_it() {
    let mut served = Served::new();
    served.client.send(post("/think?5", WAITS, "")).await;
    assert_eq!(served.event().await, "POST /think?5");
    served.client.send("body").await;
    let answer = served.client.answer().await;
    assert_eq!((answer.text().as_ref(), answer.says_close()), ("thought", false));
    assert_eq!(served.client.exchange(GET).await.text(), "2");
}

#[tokio::test(start_paused = true)]
async fn without_an_expectation_nobody_is_told() {
    let mut served = Served::new();
    for (minor, fields) in [(1, ""), (0, "Expect: 100-continue\r\nConnection: keep-alive\r\n")] {
        let request = format!(
            "POST /continue HTTP/1.{minor}\r\nHost: a\r\n{fields}Content-Length: 4\r\n\r\n"
        );
        served.client.send(request).await;
        assert!(timeout(Duration::from_secs(1), served.client.answer()).await.is_err());
        served.client.send("body").await;
        assert_eq!(served.client.answer().await.text(), "body");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_not_told_may_send_or_not_so_the_connection_closes() {
    for ahead in ["", "body"] {
        let mut served = Served::new();
        served.client.send(post("/quick?early", WAITS, "")).await;
        let answer = served.client.answer().await;
        assert_eq!((answer.text().as_ref(), answer.says_close()), ("early", true));
        served.client.send(format!("{ahead}{GET}")).await;
        assert_eq!(served.client.until_close().await, "");
        assert_eq!(served.events(), ["POST /quick?early"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_needs_no_word() {
    let mut served = Served::new();
    served
        .client
        .send(post("/continue", "Content-Length: 0\r\nExpect: 100-continue\r\n", ""))
        .await;
    assert_eq!(served.client.answer().await.status(), 200);
    assert!(served.events().contains(&"waits false".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_expectation_is_417_before_anybody_sees_it() {
    let mut served = Served::new();
    let fields = "Content-Length: 4\r\nExpect: a-miracle\r\n";
    let answer = served.client.exchange(post("/echo", fields, "body")).await;
    assert_eq!((answer.status(), answer.says_close()), (417, true));
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.events(), ["refused after 0: 417 unknown_expectation"]);
    assert_eq!(served.over().await, CloseReason::ProtocolError);
    // HTTP/1.0 does not know the field.
    let mut served = Served::new();
    let answer = served.client.exchange("GET / HTTP/1.0\r\nExpect: a-miracle\r\n\r\n").await;
    assert_eq!(answer.status(), 200);
}
