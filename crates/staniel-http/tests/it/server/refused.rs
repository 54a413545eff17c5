//! Heads that are refused: the status, the close, and that no exchange sees them.

use std::time::Duration;

use staniel_core::CloseReason;
use staniel_http::h1::Limits;
use staniel_test::raw::RawClient;

use crate::support::{Bound, GET, Served, Setup};

/// What is refused, with which status, and as what. `{P}` is a POST with a Host.
const REFUSED: &[(&str, u16, &str)] = &[
    (
        "{P}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
        "length_and_encoding",
    ),
    ("{P}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400, "repeated_length"),
    ("{P}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400, "repeated_length"),
    ("{P}Content-Length: 5, 5\r\n\r\nhello", 400, "repeated_length"),
    ("{P}Content-Length: +5\r\n\r\nhello", 400, "invalid_length"),
    ("{P}Content-Length: -1\r\n\r\n", 400, "invalid_length"),
    ("{P}Content-Length: \r\n\r\n", 400, "invalid_length"),
    ("{P}Content-Length: 99999999999999999999\r\n\r\n", 400, "invalid_length"),
    ("{P}Transfer-Encoding: xchunked\r\n\r\n", 501, "unknown_encoding"),
    ("{P}Transfer-Encoding: chunked, identity\r\n\r\n", 400, "invalid_encoding"),
    (
        "{P}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "invalid_encoding",
    ),
    ("{P}Transfer-Encoding: \x0bchunked\r\n\r\n", 400, "field_value"),
    ("{P}Transfer-Encoding : chunked\r\n\r\n", 400, "space_before_colon"),
    ("{P}Transfer-Encoding:\r\n chunked\r\n\r\n", 400, "obs_fold"),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "encoding_on_http10"),
    ("{P}X: a\n\r\n", 400, "bare_lf"),
    ("GET / HTTP/1.1\nHost: a\n\n", 400, "bare_lf"),
    ("{P}X: a\rb\r\n\r\n", 400, "bare_cr"),
    ("{P}X: a\0b\r\n\r\n", 400, "field_value"),
    ("{P}: a\r\n\r\n", 400, "empty_field_name"),
    ("{P}X: a\r\n b\r\n\r\n", 400, "obs_fold"),
    ("GET / HTTP/1.1\r\n\r\n", 400, "no_host"),
    ("{P}Host: b\r\n\r\n", 400, "repeated_host"),
    ("GET / HTTP/1.1\r\nHost: a/x\r\n\r\n", 400, "invalid_host"),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "invalid_host"),
    ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /\r\n", 400, "request_line"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version_unsupported"),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "version"),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"),
    ("\x16\x03\x01\x02\x00\x01\x00", 400, "tls_on_clear_text"),
];

/// Sends `request` after `before` others and expects it to be refused.
async fn check_refused(before: usize, request: &str, status: u16, kind: &str) {
    let mut served = Served::new();
    // The state of an earlier exchange must not show: neither that it was a HEAD, nor its version.
    let first = "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..before {
        assert_eq!(served.client.exchange(first).await.status(), 200);
    }
    served.client.send(format!("{request}{GET}")).await;
    let answer = served.client.answer().await;
    assert_eq!((answer.status(), answer.says_close()), (status, true), "{request:?}");
    assert!(answer.complete && !answer.body.is_empty(), "{request:?}: {answer:?}");
    if kind == "tls_on_clear_text" {
        assert!(answer.text().contains("without TLS"), "{answer:?}");
    }
    assert_eq!(served.client.until_close().await, "", "{request:?}");
    let refused = format!("refused after {before}: {status} {kind}");
    assert_eq!(served.events()[before..], [refused], "{request:?}");
    assert_eq!(served.over().await, CloseReason::ProtocolError, "{request:?}");
}

#[tokio::test(start_paused = true)]
async fn refused_heads_are_answered_and_no_exchange_sees_them() {
    for (request, status, kind) in REFUSED {
        let request = request.replace("{P}", "POST / HTTP/1.1\r\nHost: a\r\n");
        for before in [0, 1] {
            check_refused(before, &request, *status, kind).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn heads_over_their_limits_are_refused() {
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    check_refused(0, &line, 414, "request_line_too_long").await;
    let endless = "a".repeat(60_000);
    check_refused(0, &format!("GET /{endless}"), 414, "request_line_too_long").await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(33_000));
    check_refused(1, &large, 431, "headers_too_large").await;
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(101));
    check_refused(1, &many, 431, "too_many_fields").await;
}

/// A head that is too large by `limits` and comes in pieces is refused before it fills the largest buffer.
#[tokio::test(start_paused = true)]
async fn the_largest_head_that_limits_allow_never_fills_a_block() {
    let mut limits = Limits::default();
    limits.request_line = u16::MAX;
    limits.headers_total = u16::MAX;
    limits.header_count = u16::MAX;
    for (begin, piece, status) in [
        ("GET /", "aaaaaaaaaa", 414),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "aaaaaaaaaa", 431),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "X: 34567\r\n", 431),
    ] {
        let mut served = Served::with(Setup { limits, ..Setup::default() });
        served.client.send(begin).await;
        for _ in 0..7000 {
            if served.client.try_send(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(served.client.answer().await.status(), status, "{begin:?}");
        assert!(served.event().await.starts_with("refused"), "{begin:?}");
    }
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let bound = Bound::new(Setup::default()).await;
    for _ in 0..20 {
        let mut client = RawClient::connect(bound.addr).await.unwrap();
        let rest = "x".repeat(1 << 20);
        client.send(format!("GET / HTTP/1.1\r\n\r\n{rest}")).await.unwrap();
        assert_eq!(client.answer().await.unwrap().status(), 400);
        assert_eq!(client.until_close().await.unwrap(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn who_floods_after_a_refusal_is_not_read_for_ever() {
    let mut served = Served::new();
    served.client.send("GET / HTTP/1.1\r\n\r\n").await;
    let flood = "x".repeat(64 * 1024);
    let before = tokio::time::Instant::now();
    while served.client.try_send(&flood).await.is_ok() {
        tokio::time::advance(Duration::from_millis(10)).await;
        assert!(before.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_reads_nothing_is_not_waited_for() {
    let mut served = Served::with(Setup { window: 10, ..Setup::default() });
    served.client.send("G@T").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::task::yield_now().await;
    assert_eq!(served.event().await, "refused after 0: 400 method");
    let over = tokio::time::timeout(Duration::from_secs(10), served.over()).await;
    assert_eq!(over.unwrap(), CloseReason::ProtocolError);
}
