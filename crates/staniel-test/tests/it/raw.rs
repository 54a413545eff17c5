use std::io::ErrorKind;
use std::time::Duration;

use staniel_test::raw::{Answer, RawClient, RawOrigin};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const MS: Duration = Duration::from_millis(1);

#[tokio::test]
async fn requests_are_recorded_as_they_stood_on_the_wire() {
    let origin = RawOrigin::always(Answer::ok("hi")).await.unwrap();
    let mut client = RawClient::connect(origin.addr()).await.unwrap();
    let head = "POST /a%2F?b HTTP/1.1\r\nhOST:  odd \r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "2;x\r\nab\r\n0\r\nT: 1\r\n\r\n";

    let answer = client.exchange(format!("{head}{body}")).await.unwrap();

    assert_eq!((answer.status(), answer.text().as_ref()), (200, "hi"));
    let requests = origin.wait_for(1).await;
    let request = &requests[0].message;
    assert_eq!(request.head, head.as_bytes());
    assert_eq!(request.wire_body, body.as_bytes());
    assert_eq!(
        (request.body.as_slice(), request.trailers.as_slice()),
        (&b"ab"[..], &b"T: 1\r\n"[..])
    );
    assert!(request.complete);
}

#[tokio::test]
async fn pipelined_requests_are_told_apart() {
    let origin = RawOrigin::sequence([Answer::ok("1"), Answer::ok("2")]).await.unwrap();
    let mut client = RawClient::connect(origin.addr()).await.unwrap();

    client.send(GET.repeat(3)).await.unwrap();

    for body in ["1", "2", "2"] {
        assert_eq!(client.answer().await.unwrap().text(), body);
    }
    assert_eq!((origin.requests().len(), origin.connections()), (3, 1));
}

#[tokio::test]
async fn answer_in_pieces_arrives_whole() {
    let answer =
        Answer::nothing().in_pieces("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 7, MS);
    let origin = RawOrigin::always(answer).await.unwrap();
    let mut client = RawClient::connect_narrow(origin.addr(), 2048).await.unwrap();
    client.send_in_pieces(GET, 5, MS).await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "abc");
}

#[tokio::test]
async fn ending_midway_is_seen_for_what_it_is() {
    let begun = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    for (answer, kind) in [
        (begun.clone().close(), ErrorKind::UnexpectedEof),
        (begun.clone().finish(), ErrorKind::UnexpectedEof),
        // The pause lets the client read first: a reset throws away what it has not.
        (begun.pause(20 * MS).reset(), ErrorKind::ConnectionReset),
        (Answer::nothing().close(), ErrorKind::UnexpectedEof),
    ] {
        let origin = RawOrigin::always(answer).await.unwrap();
        let mut client = RawClient::connect(origin.addr()).await.unwrap();
        assert_eq!(client.exchange(GET).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test]
async fn silent_peer_ends_the_step_and_not_the_test_run() {
    let origin = RawOrigin::on_accept(Answer::nothing().hang()).await.unwrap();
    let mut client = RawClient::connect(origin.addr()).await.unwrap().patience(20 * MS);
    assert_eq!(client.exchange(GET).await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn early_answer_comes_before_the_body() {
    let origin = RawOrigin::start_early(|_| {
        Answer::bytes("HTTP/1.1 100 Continue\r\n\r\n").then("HTTP/1.1 204 No\r\n\r\n")
    })
    .await
    .unwrap();
    let mut client = RawClient::connect(origin.addr()).await.unwrap();

    client.send("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n").await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 100);
    assert_eq!(client.answer().await.unwrap().status(), 204);
    client.send("abc").await.unwrap();

    assert_eq!(origin.wait_for(1).await[0].message.body, b"abc");
}

#[tokio::test]
async fn client_that_goes_away_midway_leaves_an_incomplete_request() {
    let origin = RawOrigin::always(Answer::ok("")).await.unwrap();
    let mut client = RawClient::connect(origin.addr()).await.unwrap();
    client.send("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
    client.finish().await.unwrap();
    let requests = origin.wait_for(1).await;
    assert!(!requests[0].message.complete);
    assert_eq!(requests[0].message.body, b"abc");
}

#[tokio::test]
async fn dropped_origin_is_gone() {
    let origin = RawOrigin::always(Answer::ok("")).await.unwrap();
    let addr = origin.addr();
    let mut client = RawClient::connect(addr).await.unwrap();
    client.exchange(GET).await.unwrap();
    drop(origin);
    assert_eq!(client.until_close().await.unwrap(), b"");
    assert_eq!(RawClient::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
