//! Bodies in every framing, both ways, and what becomes of those that break off.

use std::io::ErrorKind;
use std::time::Duration;

use staniel_test::raw::{Answer, Message, RawClient, RawOrigin};

use crate::support::{Rig, count, eventually, field, soon, web, web_cluster};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

fn post(rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.test\r\n{rest}")
}

#[tokio::test]
async fn requests_keep_their_framing() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    let trailed = "3;ext=1\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 1\r\n\r\n";
    for (sent, pieces) in [
        ("Content-Length: 5\r\n\r\nhello".to_owned(), 1000),
        ("Content-Length: 0\r\n\r\n".to_owned(), 1000),
        ("\r\n".to_owned(), 1000),
        (format!("{CHUNKED}{trailed}"), 1000),
        (format!("{CHUNKED}{trailed}"), 1),
        ("Content-Length: 5\r\n\r\nhello".to_owned(), 1),
    ] {
        client.send_in_pieces(post(&sent), pieces, Duration::ZERO).await.unwrap();
        assert_eq!(client.answer().await.unwrap().status(), 200, "{sent:?}");
    }
    let seen: Vec<Message> = origin.requests().into_iter().map(|seen| seen.message).collect();
    assert_eq!(
        (field(&seen[0], "content-length").as_str(), seen[0].body.as_slice()),
        ("5", &b"hello"[..])
    );
    assert_eq!(field(&seen[1], "content-length"), "0");
    assert_eq!((count(&seen[2], "content-length"), count(&seen[2], "transfer-encoding")), (0, 0));
    for chunked in [&seen[3], &seen[4]] {
        assert_eq!((count(chunked, "transfer-encoding"), count(chunked, "content-length")), (1, 0));
        assert_eq!(
            (chunked.body.as_slice(), chunked.trailers.as_slice()),
            (&b"abcd"[..], &b"X-Sum: 1\r\n"[..])
        );
        assert!(
            !String::from_utf8_lossy(&chunked.wire_body).contains("ext"),
            "extensions stay here"
        );
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn answers_keep_their_framing_or_get_one_that_the_client_knows() {
    let chunked =
        format!("HTTP/1.1 200 OK\r\n{CHUNKED}3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n");
    let until_close = "HTTP/1.0 200 OK\r\n\r\nabcde";
    for pieces in [1, 7, 10_000] {
        let pause = Duration::from_millis(1);
        let origin =
            RawOrigin::always(Answer::nothing().in_pieces(&chunked, pieces, pause)).await.unwrap();
        let rig = Rig::start(&web(origin.addr())).await;
        let new = rig.ask(GET).await;
        assert_eq!(
            (new.body.as_slice(), new.trailers.as_slice()),
            (&b"abcde"[..], &b"X-Sum: 1\r\n"[..])
        );
        assert_eq!((count(&new, "transfer-encoding"), new.says_close()), (1, false));
        let old = rig.ask("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!((old.body.as_slice(), count(&old, "transfer-encoding")), (&b"abcde"[..], 0));
        assert!(old.says_close());

        let origin =
            RawOrigin::always(Answer::nothing().in_pieces(until_close, pieces, pause).close())
                .await
                .unwrap();
        let rig = Rig::start(&web(origin.addr())).await;
        let mut client = rig.client().await;
        for _ in 0..2 {
            let new = client.exchange(GET).await.unwrap();
            assert_eq!((new.body.as_slice(), count(&new, "transfer-encoding")), (&b"abcde"[..], 1));
        }
        let old = rig.ask("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!((old.body.as_slice(), count(&old, "transfer-encoding")), (&b"abcde"[..], 0));
        assert_eq!(rig.wait_for_records(3).await.iter().filter(|it| it["end"] == "ok").count(), 3);
    }
}

#[tokio::test]
async fn an_until_close_answer_to_a_slow_client_ends() {
    // Its end does not fit into the client's window when it is written, and still arrives.
    let body = "z".repeat(6 << 20);
    let origin = RawOrigin::always(Answer::bytes("HTTP/1.1 200 OK\r\n\r\n").then(&body).close())
        .await
        .unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for size in [4096, 16_384, 65_536] {
        let mut client = RawClient::connect_narrow(rig.addr("web"), size).await.unwrap();
        let answer = client.exchange(GET).await.unwrap();
        assert_eq!((answer.body.len(), count(&answer, "transfer-encoding")), (body.len(), 1));
    }
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_head() {
    for (head, method) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
        ("HTTP/1.1 200 OK\r\n\r\n", "HEAD"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "GET"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n", "GET"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
    ] {
        let origin = RawOrigin::always(head).await.unwrap();
        let rig = Rig::start(&web(origin.addr())).await;
        let mut client = rig.client().await;
        for _ in 0..2 {
            let got = client
                .exchange(format!("{method} / HTTP/1.1\r\nHost: a.test\r\n\r\n"))
                .await
                .unwrap();
            assert!(got.body.is_empty() && !got.says_close(), "{head:?}: {got:?}");
            if head.contains("Content-Length: 5") {
                assert_eq!(field(&got, "content-length"), "5");
            }
        }
        assert_eq!(origin.connections(), 1, "{head:?}");
    }
}

#[tokio::test]
async fn an_early_answer_arrives_and_its_connection_is_not_used_again() {
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let origin = RawOrigin::start_early(move |_| Answer::bytes(early)).await.unwrap();
    let closes = RawOrigin::start_early(move |_| Answer::bytes(early).finish()).await.unwrap();
    for origin in [&origin, &closes] {
        let rig = Rig::start(&web(origin.addr())).await;
        let mut client = rig.client().await;
        client.send(post("Content-Length: 100000\r\n\r\nfirst")).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status(), &*answer.text()), (413, "big"));
        eventually("the record", || !rig.records().is_empty()).await;
        assert_eq!(rig.records()[0]["end"], "ok");
        let next = rig.ask(GET).await;
        assert_eq!(next.status(), 413);
        assert_eq!(origin.connections(), 2, "never reused");
    }
    // While a large upload is under way, to an origin that answers and closes without reading.
    let rude = RawOrigin::start_early(move |_| Answer::bytes(early).close()).await.unwrap();
    let rig = Rig::start(&web(rude.addr())).await;
    let mut client = rig.client().await;
    client.send(post("Content-Length: 100000000\r\n\r\n")).await.unwrap();
    let piece = vec![b'x'; 256 * 1024];
    let mut sent = 0;
    while sent < 100_000_000 && client.send(&piece).await.is_ok() {
        sent += piece.len();
        if sent > 8 << 20 {
            break;
        }
    }
    let status = client.answer().await.map(|answer| answer.status());
    // The origin's reset may have overtaken its answer.
    assert!(matches!(status, Ok(413 | 502)), "{status:?}");
}

#[tokio::test]
async fn a_small_early_answer_keeps_the_client_in_step() {
    // The rest of the body is read and dropped, and the next request is understood.
    let origin = RawOrigin::start_early(|request| match request.method().as_str() {
        "POST" => Answer::bytes("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
        _ => Answer::ok("yes"),
    })
    .await
    .unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send(post("Content-Length: 10\r\n\r\n01234")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 403);
    client.send(format!("56789{GET}")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "yes");
}

#[tokio::test]
async fn expect_100_goes_all_the_way() {
    let ask = post("Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    // The origin says to go on; twice, of which the client hears once.
    let origin = RawOrigin::start_early(|_| {
        Answer::bytes("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
    })
    .await
    .unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send(&ask).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 100);
    client.send("abc").await.unwrap();
    let seen = soon("the body", origin.wait_for(1)).await;
    assert_eq!(
        (seen[0].message.body.as_slice(), field(&seen[0].message, "expect").as_str()),
        (&b"abc"[..], "100-continue")
    );
    assert!(crate::support::not_now(client.bytes(1)).await, "no second 100");

    // The origin never does, and the client sends all the same.
    let origin = RawOrigin::always(Answer::ok("done")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send(&ask).await.unwrap();
    soon("the connection", origin.wait_for_connections(1)).await;
    client.send("abc").await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "done");
    // With the body at once there is nothing to be told.
    client.send(format!("{ask}abc{GET}")).await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "done");
    assert_eq!(client.answer().await.unwrap().text(), "done");

    // The origin answers finally: the client need not send, and its connection cannot be used again.
    let origin = RawOrigin::start_early(|_| {
        Answer::bytes("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    })
    .await
    .unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send(&ask).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 401);
    assert!(client.until_close().await.unwrap().is_empty());
    let unknown = rig.ask(&post("Content-Length: 3\r\nExpect: 200-ok\r\n\r\nabc")).await;
    assert!(matches!(unknown.status(), 400 | 417));
}

#[tokio::test]
async fn early_hints_go_through_and_not_to_an_old_client() {
    let origin = RawOrigin::always(Answer::bytes(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    ))
    .await
    .unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    let hint = client.exchange(GET).await.unwrap();
    assert_eq!(
        (hint.status(), field(&hint, "link").as_str(), count(&hint, "connection")),
        (103, "</a>", 0)
    );
    assert_eq!(client.answer().await.unwrap().text(), "x");
    assert_eq!(rig.ask("GET / HTTP/1.0\r\n\r\n").await.status(), 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc";
    let chunked = format!("HTTP/1.1 200 OK\r\n{CHUNKED}9\r\nabc");
    let between = format!("HTTP/1.1 200 OK\r\n{CHUNKED}3\r\nabc\r\n");
    let trailers = format!("HTTP/1.1 200 OK\r\n{CHUNKED}3\r\nabc\r\n0\r\nA: ");
    let bad = format!("HTTP/1.1 200 OK\r\n{CHUNKED}3\r\nabcXX\r\n");
    let until_close = "HTTP/1.1 200 OK\r\n\r\nabc";
    let pause = Duration::from_millis(20);
    for (what, answer, end) in [
        ("length, closed", Answer::bytes(length).close(), "destination_reset"),
        ("length, reset", Answer::bytes(length).pause(pause).reset(), "destination_reset"),
        ("chunked, closed", Answer::bytes(&chunked).close(), "destination_reset"),
        ("chunked, reset", Answer::bytes(&chunked).pause(pause).reset(), "destination_reset"),
        ("between chunks", Answer::bytes(&between).close(), "destination_reset"),
        ("in trailers", Answer::bytes(&trailers).close(), "destination_reset"),
        (
            "bad chunk",
            Answer::bytes(format!("HTTP/1.1 200 OK\r\n{CHUNKED}")).pause(pause).then(&bad[47..]),
            "destination_protocol_error",
        ),
        (
            "until close, reset",
            Answer::bytes(until_close).pause(pause).reset(),
            "destination_reset",
        ),
    ] {
        let origin = RawOrigin::always(answer).await.unwrap();
        let rig = Rig::start(&web(origin.addr())).await;
        for version in ["1.1", "1.0"] {
            let mut client = rig.client().await;
            let request = format!("GET / HTTP/{version}\r\nHost: a.test\r\n\r\n");
            let got = client.exchange(&request).await;
            let kind = got.map_err(|error| error.kind());
            let broken = matches!(kind, Err(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset))
                // Nothing had been sent to the client yet.
                || kind.as_ref().is_ok_and(|answer| answer.status() == 502);
            assert!(broken, "{what} {version}: {kind:?}");
        }
        let records = rig.wait_for_records(2).await;
        assert!(records.iter().all(|record| record["end"] == end), "{what}: {records:?}");
        assert_eq!(origin.connections(), 2, "{what}");
    }
}

#[tokio::test]
async fn a_client_that_dies_in_its_upload_takes_the_upstream_connection_along() {
    for reset in [true, false] {
        for framing in
            ["Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"]
        {
            let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
            let rig = Rig::start(&web(origin.addr())).await;
            let mut client = rig.client().await;
            client.send(post(framing)).await.unwrap();
            soon("the connection", origin.wait_for_connections(1)).await;
            if reset {
                client.reset().unwrap();
            } else {
                drop(client);
            }
            let seen = soon("the end", origin.wait_for(1)).await;
            assert!(!seen[0].message.complete, "{framing:?}");
            let record = rig.record(1).await;
            assert_eq!(
                (&record["end"], &record["end_by"]),
                (&"client_closed".into(), &"client".into()),
                "{framing:?}"
            );
            assert_eq!(rig.ask(GET).await.status(), 200);
            assert_eq!(origin.connections(), 2, "never reused");
        }
    }
}

#[tokio::test]
async fn an_upload_that_breaks_its_rules_behind_an_early_answer_stops() {
    // The answer has begun, and what then comes of the request is no body: none of it may go up.
    let origin =
        RawOrigin::start_early(|_| Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"))
            .await
            .unwrap();
    let rig = Rig::start(&web_cluster(&[origin.addr()], "timeouts = { idle = \"300ms\" }")).await;
    let mut client = rig.client().await;
    client.send(post(&format!("{CHUNKED}3\r\nabc\r\n"))).await.unwrap();
    soon("the head", client.bytes(10)).await.unwrap();
    client.send("zz\r\n").await.unwrap();
    client.send("3\r\nEVIL\r\n0\r\n\r\n").await.unwrap();
    client.finish().await.unwrap();
    drop(client);
    let seen = soon("the end", origin.wait_for(1)).await;
    assert!(!String::from_utf8_lossy(&seen[0].message.wire_body).contains("EVIL"), "{seen:?}");
    assert!(!seen[0].message.complete);
}
