//! Client connections against origins that say what they should not.

use std::future::poll_fn;
use std::task::Poll;

use staniel_core::buffer::Lease;
use staniel_core::{Connection, Io, TcpConnector};
use staniel_http::Form;
use staniel_http::h1::{Asked, Framing, H1Client, Limits, UpstreamError, WireHead};
use staniel_test::raw::{Answer, RawOrigin};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream, DuplexStream};

use crate::support::pattern;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn connect(origin: &RawOrigin) -> H1Client {
    let conn = TcpConnector::default().connect(&*origin.addr().to_string()).await.unwrap();
    H1Client::new(conn)
}

/// A client in memory, and the upstream that it speaks to.
fn in_memory(window: usize, wrap: impl FnOnce(DuplexStream) -> Io) -> (H1Client, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(window);
    let (conn, _) = Connection::in_memory();
    let (_, meta, extensions) = conn.into_parts();
    (H1Client::new(Connection::from_parts(wrap(ours), meta, extensions)), theirs)
}

async fn head(client: &mut H1Client) -> Result<WireHead, UpstreamError> {
    poll_fn(|cx| client.poll_head(cx, &Limits::default())).await
}

/// The rest of the final answer's body.
async fn body(
    client: &mut H1Client,
    head: &WireHead,
    form: Form,
) -> Result<Vec<u8>, UpstreamError> {
    let mut body = client.first(head, form)?.into_owned();
    while let Some(piece) = poll_fn(|cx| client.poll_body(cx, form)).await? {
        body.extend_from_slice(&piece);
    }
    body.extend_from_slice(form.end());
    Ok(body)
}

/// Asks, and reads the statuses of all heads and the body of the last.
async fn ask(client: &mut H1Client, asked: Asked) -> Result<(Vec<u16>, Vec<u8>), UpstreamError> {
    let request: &[u8] = match asked {
        Asked::Head => b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        _ => GET,
    };
    client.begin(asked, request, b"")?;
    let mut statuses = Vec::new();
    loop {
        let (head, sent) = poll_fn(|cx| {
            let sent = client.poll_sent(cx);
            client.poll_head(cx, &Limits::default()).map(|head| (head, sent))
        })
        .await;
        let head = head?;
        assert!(sent.is_ready());
        statuses.push(head.status());
        if head.status() >= 200 {
            let form = Form::to(head.framing(), 0);
            return Ok((statuses, body(client, &head, form).await?));
        }
    }
}

fn words(error: UpstreamError) -> &'static str {
    match error {
        UpstreamError::Closed => "closed",
        UpstreamError::Truncated => "truncated",
        UpstreamError::Io(_) => "io",
        UpstreamError::Head(error) => error.kind(),
        UpstreamError::Body(error) => error.kind(),
        _ => "unasked",
    }
}

/// What an answer becomes: statuses, body, and whether the connection may be used again.
async fn check(asked: Asked, wire: &str, statuses: &[u16], content: &str, again: bool) {
    let origin = RawOrigin::always(wire).await.unwrap();
    let mut client = connect(&origin).await;
    let (got, body) = ask(&mut client, asked).await.unwrap();
    assert_eq!((got.as_slice(), String::from_utf8(body).unwrap().as_str()), (statuses, content));
    assert!(client.heard_any() && client.wrote_any() && !client.is_reused(), "{wire}");
    let reused = client.reuse(true);
    assert_eq!(reused.is_some(), again, "{wire}");
    if let Some(mut client) = reused {
        assert!(client.is_reused() && client.is_alive(), "{wire}");
        assert_eq!(ask(&mut client, asked).await.unwrap().0, statuses, "{wire}");
        assert_eq!(origin.connections(), 1);
        assert!(client.reuse(false).is_none(), "the request was not sent whole");
    }
}

#[tokio::test]
async fn whole_answers_and_whether_more_may_follow() {
    use Asked::{Connect, Head, Other};
    let ok = "HTTP/1.1 200 OK\r\n";
    check(Other, &format!("{ok}Content-Length: 2\r\n\r\nok"), &[200], "ok", true).await;
    check(Other, &format!("{ok}Content-Length: 0\r\n\r\n"), &[200], "", true).await;
    let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\nX: 1\r\n\r\n");
    check(Other, &chunked, &[200], "ok", true).await;
    check(Head, &format!("{ok}Content-Length: 20\r\n\r\n"), &[200], "", true).await;
    check(Head, &format!("{ok}Transfer-Encoding: chunked\r\n\r\n"), &[200], "", true).await;
    check(Head, "HTTP/1.1 200 OK\r\n\r\n", &[200], "", true).await;
    check(Other, "HTTP/1.1 204 No Content\r\n\r\n", &[204], "", true).await;
    check(Other, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", &[304], "", true).await;
    check(Other, "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", &[204], "", false).await;
    check(Head, &format!("{ok}Content-Length: 2\r\n\r\nok"), &[200], "", false).await;
    check(Other, "HTTP/1.1 304 Not Modified\r\n\r\nbody", &[304], "", false).await;
    check(Other, &format!("{ok}Content-Length: 2\r\n\r\nokmore"), &[200], "ok", false).await;
    let two = format!("{ok}Content-Length: 2\r\n\r\nok").repeat(2);
    check(Other, &two, &[200], "ok", false).await;
    check(Other, &format!("{chunked}{chunked}"), &[200], "ok", false).await;
    check(Connect, &format!("{ok}\r\n"), &[200], "", false).await;
    let close = format!("{ok}Connection: close\r\nContent-Length: 2\r\n\r\nok");
    check(Other, &close, &[200], "ok", false).await;
    check(Other, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", &[200], "ok", false).await;
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    let all = format!("{interim}{ok}Content-Length: 2\r\n\r\nok");
    check(Other, &all, &[103, 100, 200], "ok", true).await;
}

/// How an exchange with an origin that does this fails, and whether a byte of an answer had come.
async fn check_fault(origin: Answer, fault: &str, heard: bool) {
    let described = format!("{origin:?}");
    let origin = RawOrigin::always(origin).await.unwrap();
    let mut client = connect(&origin).await;
    let error = ask(&mut client, Asked::Other).await.unwrap_err();
    assert_eq!((words(error), client.heard_any()), (fault, heard), "{described}");
    assert!(client.reuse(true).is_none(), "{described}");
}

#[tokio::test]
async fn an_origin_that_goes_is_told_apart_by_when() {
    check_fault(Answer::nothing().close(), "closed", false).await;
    check_fault(Answer::nothing().reset(), "io", false).await;
    check_fault(Answer::bytes("HTTP/1.1 200 OK\r\nA").close(), "truncated", true).await;
    check_fault(Answer::bytes("HTTP/1.1 100 Continue\r\n\r\n").close(), "truncated", true).await;
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    check_fault(Answer::bytes(length).close(), "truncated", true).await;
    check_fault(Answer::bytes(format!("{length}some")).close(), "truncated", true).await;
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    check_fault(Answer::bytes(chunked).close(), "truncated", true).await;
    check_fault(Answer::bytes(format!("{chunked}5\r\nhello\r\n")).close(), "truncated", true).await;
    check_fault(Answer::bytes(format!("{chunked}5\r\nhello\r\n0\r\n")).close(), "truncated", true)
        .await;
    let until_close = "HTTP/1.1 200 OK\r\n\r\nsome";
    check_fault(Answer::bytes(until_close).pause(PAUSE).reset(), "io", true).await;
}

const PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

#[tokio::test]
async fn the_end_of_the_connection_is_the_end_of_the_body() {
    let origin = Answer::bytes("HTTP/1.1 200 OK\r\n\r\nso").pause(PAUSE).then("me").close();
    let origin = RawOrigin::always(origin).await.unwrap();
    let mut client = connect(&origin).await;
    let (_, body) = ask(&mut client, Asked::Other).await.unwrap();
    assert_eq!(body, b"some");
    assert!(client.body_done() && client.reuse(true).is_none());
}

#[tokio::test]
async fn malformed_answers_are_faults_and_count_as_heard() {
    for (wire, fault) in [
        ("HTTP/1.1 20 OK\r\n\r\n", "status_line"),
        ("220 mail ESMTP\r\n", "version"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "repeated_length"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "length_and_encoding",
        ),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "field_value"),
        ("HTTP/1.1 200 OK\nX: a\n\n", "bare_lf"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk_size"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n", "chunk_end"),
    ] {
        check_fault(Answer::bytes(wire), fault, true).await;
    }
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(70_000));
    check_fault(Answer::bytes(endless), "headers_too_large", true).await;
    let flood = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17);
    check_fault(Answer::bytes(flood), "unasked", true).await;
}

#[tokio::test]
async fn who_speaks_before_it_is_asked_is_not_believed() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let origin = RawOrigin::on_accept(answer).await.unwrap();
    let mut client = connect(&origin).await;
    while client.is_alive() {
        tokio::task::yield_now().await;
    }
    assert_eq!(words(ask(&mut client, Asked::Other).await.unwrap_err()), "unasked");
    assert!(!client.wrote_any() && client.reuse(true).is_none());
}

#[tokio::test]
async fn a_pooled_connection_that_dies_or_speaks_is_seen() {
    let whole = Answer::ok("ok");
    for (origin, fault) in [
        (whole.clone().pause(PAUSE).close(), "closed"),
        // The look at it has taken the error away.
        (whole.clone().pause(PAUSE).reset(), "closed"),
        (whole.clone().pause(PAUSE).then("HTTP/1.1 200 OK\r\n"), "unasked"),
    ] {
        let origin = RawOrigin::always(origin).await.unwrap();
        let mut client = connect(&origin).await;
        ask(&mut client, Asked::Other).await.unwrap();
        let mut client = client.reuse(true).unwrap();
        assert!(client.is_alive());
        while client.is_alive() {
            tokio::task::yield_now().await;
        }
        assert_eq!(words(ask(&mut client, Asked::Other).await.unwrap_err()), fault);
        assert!(!client.wrote_any(), "{fault}");
    }
}

#[tokio::test]
async fn an_early_answer_comes_while_the_body_is_still_being_sent() {
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    let origin = RawOrigin::start_early(move |_| Answer::bytes(early).hang()).await.unwrap();
    let mut client = connect(&origin).await;
    let start = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    client.begin(Asked::Other, start, b"").unwrap();
    let head = poll_fn(|cx| {
        while client.poll_sent(cx).map(Result::unwrap).is_ready() {
            client.send(Lease::copy_of(&[0; 65536])).unwrap();
            if let Poll::Ready(head) = client.poll_head(cx, &Limits::default()) {
                return Poll::Ready(head);
            }
        }
        client.poll_head(cx, &Limits::default())
    });
    assert_eq!(head.await.unwrap().status(), 413);
    assert!(client.body_done() && client.reuse(false).is_none());
}

#[tokio::test]
async fn what_comes_behind_a_101_belongs_to_the_tunnel() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhel";
    let origin = Answer::bytes(switch).pause(PAUSE).then("lo").close();
    let origin = RawOrigin::always(origin).await.unwrap();
    let mut client = connect(&origin).await;
    client.begin(Asked::Other, GET, b"").unwrap();
    let mut answer = head(&mut client).await.unwrap();
    assert_eq!((answer.status(), client.heard_any()), (101, true));
    assert!(client.first(&answer, Form::Wire).unwrap().is_empty());
    let mut all = String::new();
    client.upgrade(&mut answer).read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "hello");
}

/// Sends a request with a body, and takes an answer in chunks, through a window of this size.
async fn check_window(window: usize, wrap: impl FnOnce(DuplexStream) -> Io) {
    let (mut client, mut upstream) = in_memory(window, wrap);
    let content = pattern(20_000);
    let request =
        [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n", &*content].concat();
    let mut wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for part in content.chunks(999) {
        staniel_http::h1::ChunkedWriter::write(part, &mut wire);
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let origin = async {
        let mut got = vec![0; request.len() + content.len()];
        upstream.read_exact(&mut got).await.unwrap();
        assert!(got.starts_with(&request) && got.ends_with(&content), "{window}");
        upstream.write_all(&wire).await.unwrap();
    };
    let asked = async {
        let (start, first) = request.split_at(57);
        client.begin(Asked::Other, start, first).unwrap();
        // Behind what is unsent, not before it, though there is room again.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        client.send(Lease::copy_of(&content)).unwrap();
        poll_fn(|cx| client.poll_sent(cx)).await.unwrap();
        assert!(client.wrote_any() && client.is_sent() && !client.heard_any());
        let head = head(&mut client).await.unwrap();
        assert_eq!(head.framing(), Framing::Chunked);
        assert_eq!(body(&mut client, &head, Form::Payload).await.unwrap(), content, "{window}");
        assert!(client.reuse(true).is_some());
    };
    tokio::join!(origin, asked);
}

#[tokio::test]
async fn every_boundary_is_survived() {
    for window in [1, 2, 3, 57, 58, 1000, 20_057, 65536] {
        check_window(window, Io::from_stream).await;
        check_window(window, |io| Io::from_stream(BufStream::with_capacity(100, 5000, io))).await;
    }
}

#[tokio::test]
async fn what_comes_behind_an_answer_later_ends_the_connection_too() {
    let start = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nso";
    let origin = Answer::bytes(start).pause(PAUSE).then("meHTTP/1.1 200 OK\r\n");
    let origin = RawOrigin::always(origin).await.unwrap();
    let mut client = connect(&origin).await;
    assert_eq!(ask(&mut client, Asked::Other).await.unwrap().1, b"some");
    assert!(client.reuse(true).is_none());
    // Also if nobody looks behind a head that has no body.
    let origin = RawOrigin::always("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200").await.unwrap();
    let mut client = connect(&origin).await;
    client.begin(Asked::Other, GET, b"").unwrap();
    assert_eq!(head(&mut client).await.unwrap().status(), 204);
    assert!(client.reuse(true).is_none());
}
