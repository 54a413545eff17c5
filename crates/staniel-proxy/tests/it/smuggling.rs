//! Requests that two readers could cut differently: the origin sees none of them, or exactly what the proxy saw.

use staniel_test::raw::{Answer, RawClient, RawOrigin};

use crate::support::{Rig, soon, web};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";

/// What is refused: nothing of it, and nothing behind it, reaches the origin as a request.
async fn refused(rig: &Rig, origin: &RawOrigin, request: &[u8], statuses: &[u16]) {
    let before = origin.requests().iter().filter(|seen| seen.message.complete).count();
    let mut client = rig.client().await;
    client.send(request).await.unwrap();
    let shown = String::from_utf8_lossy(request).into_owned();
    let answer = client.answer().await.unwrap_or_else(|e| panic!("{e}: {shown:?}"));
    assert!(statuses.contains(&answer.status()), "{} to {shown:?}", answer.status());
    assert!(answer.says_close(), "{shown:?}");
    let rest = client.until_close().await.unwrap_or_default();
    assert!(
        rest.is_empty(),
        "behind the refusal of {shown:?}: {:?}",
        String::from_utf8_lossy(&rest)
    );
    let whole = origin.requests().iter().filter(|seen| seen.message.complete).count();
    assert_eq!(whole, before, "the origin saw a request of {shown:?}");
}

#[tokio::test]
async fn ambiguous_framing_is_refused_whole() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let te = "Transfer-Encoding: chunked\r\n";
    let mut rows: Vec<String> = [
        format!("Content-Length: 4\r\n{te}"),
        format!("{te}Content-Length: 4\r\n"),
        "Content-Length: 4\r\nContent-Length: 5\r\n".into(),
        "Content-Length: 4\r\nContent-Length: 4\r\n".into(),
        "Content-Length: 4, 4\r\n".into(),
        "Content-Length: +4\r\n".into(),
        "Content-Length: -4\r\n".into(),
        "Content-Length: 0x4\r\n".into(),
        "Content-Length: 4 4\r\n".into(),
        "Content-Length:\r\n".into(),
        "Content-Length: 99999999999999999999\r\n".into(),
        "Transfer-Encoding: xchunked\r\n".into(),
        "Transfer-Encoding: chunked, identity\r\n".into(),
        "Transfer-Encoding: chunked, chunked\r\n".into(),
        format!("{te}{te}"),
        "Transfer-Encoding: \u{b}chunked\r\n".into(),
        "Transfer-Encoding : chunked\r\n".into(),
        "Transfer-Encoding:\r\n chunked\r\n".into(),
        "Transfer-Encoding: chunked\r\n , identity\r\n".into(),
        "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n".into(),
        " Transfer-Encoding: chunked\r\n".into(),
        "X: y\r\n folded\r\n".into(),
        "X: y\rTransfer-Encoding: chunked\r\n".into(),
        "X: a\0b\r\n".into(),
        ": empty\r\n".into(),
        "A B: c\r\n".into(),
        "Host: b.test\r\n".into(),
        "Content-Length: 4\n".into(),
        "X: y\nTransfer-Encoding: chunked\r\n".into(),
    ]
    .to_vec();
    rows.extend(
        ["TRANSFER-ENCODING", "transfer-encoding"]
            .map(|name| format!("Content-Length: 4\r\n{name}: CHUNKED\r\n")),
    );
    for row in rows {
        let request = format!("POST / HTTP/1.1\r\nHost: a.test\r\n{row}\r\n0\r\n\r\n{HIDDEN}");
        refused(&rig, &origin, request.as_bytes(), &[400, 501]).await;
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn odd_lines_and_hosts_are_refused() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for head in [
        "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\n",
        "POST / HTTP/1.1\r\nHost: a.test/x\r\n",
        "POST / HTTP/1.1\r\nHost: a.test,b.test\r\n",
        "POST / HTTP/1.1\r\nHost: a@b.test\r\n",
        "POST /#x HTTP/1.1\r\nHost: a.test\r\n",
        "POST http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n",
        "POST  / HTTP/1.1\r\nHost: a.test\r\n",
        "POST /\tx HTTP/1.1\r\nHost: a.test\r\n",
        "POST / HTTP/1.1 \r\nHost: a.test\r\n",
        "POST / HTTP/1.1\nHost: a.test\r\n",
        "P@ST / HTTP/1.1\r\nHost: a.test\r\n",
        "POST * HTTP/1.1\r\nHost: a.test\r\n",
        "POST x HTTP/1.1\r\nHost: a.test\r\n",
    ] {
        let request = format!("{head}\r\n{HIDDEN}");
        refused(&rig, &origin, request.as_bytes(), &[400, 505]).await;
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn broken_chunks_are_refused_and_their_upstream_is_never_reused() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(64 * 1024));
    for body in [
        "5\nabcde\r\n0\r\n\r\n",
        "5;a\nb\r\nabcde\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "+5\r\nabcde\r\n0\r\n\r\n",
        "-1\r\nabcde\r\n0\r\n\r\n",
        "5_0\r\nabcde\r\n0\r\n\r\n",
        "5 \r\nabcde\r\n0\r\n\r\n",
        " 5\r\nabcde\r\n0\r\n\r\n",
        "10000000000000005\r\nabcde\r\n0\r\n\r\n",
        "5\r\nabcdeXX\r\n0\r\n\r\n",
        "5\r\nabcde\n0\r\n\r\n",
        "\r\nabcde\r\n0\r\n\r\n",
        "0\r\nX: y\nZ: 1\r\n\r\n",
        "0\r\nX y: z\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        &long,
    ] {
        for split in [false, true] {
            let head = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
            if split {
                // A first chunk has gone up by then.
                let before = origin.connections();
                let mut client = rig.client().await;
                client.send(format!("{head}3\r\nabc\r\n")).await.unwrap();
                soon("the connection", origin.wait_for_connections(before + 1)).await;
                // What is left of a body that is too large for the socket may not get out any more.
                let _ = client.send(body).await;
                let answer = client.answer().await.unwrap_or_else(|e| panic!("{e}: {body:?}"));
                assert_eq!((answer.status(), answer.says_close()), (400, true), "{body:?}");
            } else {
                refused(&rig, &origin, format!("{head}{body}{HIDDEN}").as_bytes(), &[400]).await;
            }
        }
    }
    let connections = origin.connections();
    assert_eq!(rig.get("/").await.status(), 200);
    assert_eq!(origin.connections(), connections + 1, "a new connection for the next");
    assert_eq!(origin.requests().iter().filter(|seen| seen.message.complete).count(), 1);
}

#[tokio::test]
async fn requests_in_a_row_are_seen_in_order_and_each_once() {
    let origin = RawOrigin::start(|request| Answer::ok(request.target())).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    let mut all = String::new();
    for n in 0..50 {
        let body = if n % 3 == 0 {
            "Content-Length: 3\r\n\r\nabc"
        } else {
            "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
        };
        all.push_str(&format!("POST /{n} HTTP/1.1\r\nHost: a.test\r\n{body}"));
    }
    client.send(&all).await.unwrap();
    for n in 0..50 {
        assert_eq!(client.answer().await.unwrap().text(), format!("/{n}"));
    }
    let targets: Vec<_> = origin.requests().iter().map(|seen| seen.message.target()).collect();
    assert_eq!(targets, (0..50).map(|n| format!("/{n}")).collect::<Vec<_>>());
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_body_that_holds_a_request_is_a_body() {
    // Of a request that is refused early, for want of a route.
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.a]\npath = \"/a\"\nto = \"http://{}\"\n",
        origin.addr()
    ))
    .await;
    let body = "GET /a HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    let mut client = rig.client().await;
    let head =
        format!("POST /none HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send(format!("{head}{body}GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 404);
    assert_eq!(client.answer().await.unwrap().status(), 200);
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(origin.requests()[0].message.header("host").as_deref(), Some("a.test"));
}

#[tokio::test]
async fn what_an_upstream_says_too_much_is_nobodys_answer() {
    for answer in [
        // Two answers to one request; an answer's body to HEAD-like statuses.
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSTRAY",
        "HTTP/1.1 204 No Content\r\n\r\nSTRAY",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nSTRAY",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nSTRAY",
    ] {
        let origin = RawOrigin::always(answer).await.unwrap();
        let rig = Rig::start(&web(origin.addr())).await;
        let mut client: RawClient = rig.client().await;
        for n in 1..=3 {
            let got = client.exchange("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
            assert!(!got.text().contains("STRAY") && got.status() != 502, "{answer:?}: {got:?}");
            assert_eq!(origin.connections(), n, "each on a connection of its own: {answer:?}");
        }
    }
}
