//! Bodies both ways: framings, forms, limits, and what becomes of a body that nobody reads.

use staniel_http::BodyRules;
use staniel_test::raw::RawClient;

use crate::support::{Bound, GET, Served, Setup, get, pattern, post};

/// A body in chunks of `size`, with extensions and trailers where told.
fn chunked(body: &[u8], size: usize, extension: &str, trailers: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for part in body.chunks(size) {
        wire.extend_from_slice(format!("{:x}{extension}\r\n", part.len()).as_bytes());
        wire.extend_from_slice(part);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
    wire
}

fn with_body(target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    [post(target, fields, "").as_bytes(), body].concat()
}

#[tokio::test(start_paused = true)]
async fn chunks_reach_the_exchange_without_what_belongs_to_one_hop() {
    let wire =
        chunked(b"hello world", 4, ";x=\"y\"", "X-Sum: 1\r\nHost: evil\r\nContent-Length: 7\r\n");
    let request = with_body("/echo", "Transfer-Encoding: chunked\r\n", &wire);
    let clean = "4\r\nhell\r\n4\r\no wo\r\n3\r\nrld\r\n0\r\nX-Sum: 1\r\n\r\n";
    for window in [1, 2, 3, 7, 64, 65536] {
        let mut served = Served::with(Setup { window, ..Setup::default() });
        served.client.pump(&[request.clone(), GET.into()].concat()).await;
        let answer = served.client.answer().await;
        assert_eq!(answer.body, b"hello world");
        assert_eq!(String::from_utf8_lossy(&answer.wire_body), clean, "{window}");
        assert_eq!(served.client.answer().await.text(), "2", "the next request is in its place");
    }
}

#[tokio::test(start_paused = true)]
async fn every_boundary_of_a_write_is_survived() {
    for window in [1, 3, 50, 117, 4096, 10_000] {
        let mut served = Served::with(Setup { window, ..Setup::default() });
        for n in [0, 1, 100, 8191, 8192, 8193, 70_000] {
            let target = format!("/large?{n}");
            assert_eq!(
                served.client.exchange(get(&target)).await.body,
                pattern(n),
                "{window}: {n}"
            );
            let whole = served.client.exchange(get(&format!("/whole?{n}"))).await;
            assert_eq!(whole.body, pattern(n), "{window}: {n}");
            let chunked = served.client.exchange(get(&format!("/chunked?{n}"))).await;
            assert_eq!((chunked.body, chunked.complete), (pattern(n), true), "{window}: {n}");
        }
        let body = pattern(30_000);
        let request = with_body("/stream", "Content-Length: 30000\r\n", &body);
        served.client.pump(&request).await;
        assert_eq!(served.client.answer().await.body, body);
    }
}

#[tokio::test]
async fn large_bodies_pass_real_sockets_unharmed() {
    const N: usize = 20_000_000;
    let bound = Bound::new(Setup::default()).await;
    let body = pattern(N);
    for (fields, wire) in [
        (format!("Content-Length: {N}\r\n"), body.clone()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), chunked(&body, 70_001, ";e", "")),
    ] {
        let (head, addr) = (post("/stream", &fields, ""), bound.addr);
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let (mut r, mut w) = stream.split();
        let send = async {
            tokio::io::AsyncWriteExt::write_all(&mut w, head.as_bytes()).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut w, &wire).await.unwrap();
            tokio::io::AsyncWriteExt::shutdown(&mut w).await.unwrap();
        };
        let mut got = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(&mut r, &mut got);
        let ((), read) = tokio::join!(send, read);
        read.unwrap();
        let end = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        if fields.starts_with("Content") {
            assert!(got[end..] == body, "{} bytes", got.len());
        } else {
            assert!(got[end..] == chunked(&body, 70_001, "", ""), "{} bytes", got.len());
        }
    }
    let mut client = RawClient::connect(bound.addr).await.unwrap();
    for target in [format!("/large?{N}"), format!("/chunked?{N}"), format!("/until-close?{N}")] {
        let answer = client.exchange(get(&target)).await.unwrap();
        assert!(answer.complete && answer.body == body, "{target}: {}", answer.body.len());
    }
}

/// What a client of this version gets when the upstream's answer comes so.
async fn check_form(target: &str, minor: u8, announced: Option<&str>, lives: bool) {
    let mut served = Served::new();
    let keep = if minor == 0 { "Connection: keep-alive\r\n" } else { "" };
    let request = format!("GET {target}?50000 HTTP/1.{minor}\r\nHost: a\r\n{keep}\r\n");
    let answer = served.client.exchange(request).await;
    assert_eq!(answer.header("transfer-encoding").as_deref(), announced, "{target} {minor}");
    assert!(answer.body == pattern(50_000) && answer.complete, "{target} {minor}");
    assert_eq!(!answer.says_close(), lives, "{target} {minor}");
    if lives {
        assert_eq!(served.client.exchange(GET).await.status(), 200);
    } else {
        assert_eq!(served.client.until_close().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_take_the_form_that_the_client_knows() {
    check_form("/large", 1, None, true).await;
    check_form("/large", 0, None, true).await;
    check_form("/chunked", 1, Some("chunked"), true).await;
    check_form("/chunked", 0, None, false).await;
    check_form("/until-close", 1, Some("chunked"), true).await;
    check_form("/until-close", 0, None, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_body_that_nobody_read_is_drained() {
    let body = "x".repeat(60_000);
    let fields = format!("Content-Length: {}\r\n", body.len());
    let mut served = Served::new();
    let answer = served.client.exchange(post("/quick?early", &fields, &body)).await;
    assert_eq!(answer.text(), "early");
    let wire = chunked(body.as_bytes(), 1000, "", "");
    let request = with_body("/quick?early", "Transfer-Encoding: chunked\r\n", &wire);
    assert_eq!(served.client.exchange(request).await.text(), "early");
    assert_eq!(served.client.exchange(GET).await.text(), "3");
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_nobody_read_closes_and_the_answer_says_so() {
    for fields in ["Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut served = Served::new();
        served.client.send(post("/quick?early", fields, "")).await;
        let answer = served.client.answer().await;
        assert_eq!(answer.text(), "early");
        // What is to come of chunks is not known when the answer is written.
        assert_eq!(answer.says_close(), fields.starts_with("Content"), "{fields}");
        let body = if fields.starts_with("Content") {
            "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000)
        } else {
            String::from_utf8(chunked(&[b'x'; 100_000], 1000, "", "")).unwrap() + GET
        };
        drop(served.client.try_send(&body).await);
        assert_eq!(served.client.until_close().await, "");
        assert_eq!(served.events(), ["POST /quick?early"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_never_sent_is_not_waited_for_for_ever() {
    let mut served = Served::new();
    served.client.send(post("/quick?early", "Content-Length: 100\r\n", "some")).await;
    assert_eq!(served.client.answer().await.text(), "early");
    let before = tokio::time::Instant::now();
    assert_eq!(served.client.until_close().await, "");
    assert!(before.elapsed().as_secs() <= 10, "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_refusal_is_read_by_a_client_that_still_sends() {
    let bound = Bound::new(Setup::default()).await;
    for _ in 0..20 {
        let mut client = RawClient::connect(bound.addr).await.unwrap();
        let body = pattern(1 << 20);
        let fields = format!("Content-Length: {}\r\n", body.len());
        client.send(with_body("/refuse", &fields, &body)).await.unwrap();
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status(), answer.says_close()), (413, true));
        assert_eq!(client.until_close().await.unwrap(), b"");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_over_its_limit_is_refused_whatever_its_framing() {
    let wire = chunked(&[b'x'; 11], 4, "", "");
    for request in [
        with_body("/refuse", "Content-Length: 11\r\n", b"xxxxxxxxxxx"),
        with_body("/refuse", "Content-Length: 11\r\n", b""),
        with_body("/refuse", "Transfer-Encoding: chunked\r\n", &wire),
    ] {
        let mut served = Served::new();
        let answer = served.client.exchange(&request).await;
        assert_eq!((answer.status(), answer.says_close()), (413, true));
        served.client.finish().await;
        assert_eq!(served.client.until_close().await, "");
    }
    let mut served = Served::new();
    let wire = chunked(&[b'x'; 10], 4, ";and=more", "");
    let request = with_body("/refuse", "Transfer-Encoding: chunked\r\n", &wire);
    assert_eq!(served.client.exchange(&request).await.body, b"xxxxxxxxxx");
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_closes_and_nothing_behind_it_is_served() {
    for body in [
        "5\r\nhello!\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "1000000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: 1\n\r\n",
    ] {
        let mut served = Served::with(Setup {
            rules: BodyRules { max: Some(1000), ..BodyRules::default() },
            ..Setup::default()
        });
        let body = format!("{body}{GET}");
        served.client.send(post("/echo", "Transfer-Encoding: chunked\r\n", &body)).await;
        let answer = served.client.answer().await;
        assert_eq!((answer.status(), answer.says_close()), (400, true), "{body:?}");
        assert_eq!(served.client.until_close().await, "", "{body:?}");
        assert_eq!(served.events(), ["POST /echo", "malformed request body"]);
        assert_eq!(served.over().await, staniel_core::CloseReason::ProtocolError);
    }
}
