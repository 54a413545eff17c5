//! Deadlines, on a paused clock.

use std::time::Duration;

use staniel_core::{CloseReason, Io};
use staniel_http::{BodyRules, MinRate};
use tokio::io::BufStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{GET, Served, Setup, get, post};

const SECOND: Duration = Duration::from_secs(1);

/// The rules of a proxied route.
fn route() -> Setup {
    let rules = BodyRules {
        max: None,
        min_rate: Some(MinRate::default()),
        idle: Some(Duration::from_secs(60)),
    };
    Setup { rules, ..Setup::default() }
}

/// What comes until the end, after how many seconds, and why it ended.
async fn end(served: &mut Served, since: Instant) -> (String, u64, CloseReason) {
    let came = served.client.until_close().await;
    let seconds = since.elapsed().as_secs();
    (came, seconds, served.over().await)
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_without_a_word() {
    let (since, mut served) = (Instant::now(), Served::new());
    let (came, seconds, why) = end(&mut served, since).await;
    assert_eq!((came.as_str(), seconds, why), ("", 30, CloseReason::HeadTimeout));
    assert!(served.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_for_longer_than_a_head_may_take() {
    let mut served = Served::new();
    served.client.exchange(GET).await;
    let since = Instant::now();
    sleep(125 * SECOND).await;
    assert_eq!(served.client.exchange(GET).await.status(), 200);
    let (came, seconds, why) = end(&mut served, since).await;
    assert_eq!((came.as_str(), seconds, why), ("", 125 + 130, CloseReason::KeepAliveTimeout));
}

#[tokio::test(start_paused = true)]
async fn a_drip_does_not_extend_the_time_of_a_head() {
    for first in [true, false] {
        let mut served = Served::new();
        let mut since = Instant::now();
        if !first {
            served.client.exchange(GET).await;
            sleep(100 * SECOND).await;
            since = Instant::now();
        }
        served.client.send("GET / HTTP/1.1\r\nX: ").await;
        for _ in 0..29 {
            sleep(SECOND).await;
            served.client.send("x").await;
        }
        assert!(!served.is_over());
        let answer = served.client.answer().await;
        assert_eq!((answer.status(), answer.says_close()), (408, true));
        assert_eq!(since.elapsed().as_secs(), 30);
        served.client.finish().await;
        assert_eq!(served.client.until_close().await, "");
        assert!(
            served
                .events()
                .contains(&format!("refused after {}: 408 head_timeout", u8::from(!first)))
        );
        assert_eq!(served.over().await, CloseReason::HeadTimeout);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_first_head_begins_with_the_connection() {
    let (since, mut served) = (Instant::now(), Served::new());
    sleep(20 * SECOND).await;
    served.client.send("GET / HT").await;
    assert_eq!(served.client.answer().await.status(), 408);
    assert_eq!(since.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_head_ends_with_it() {
    let mut served = Served::with(route());
    sleep(29 * SECOND).await;
    served.client.send(post("/slow?100", "Content-Length: 4\r\n", "body")).await;
    assert_eq!(served.client.answer().await.text(), "slow");
    // Nor does what was armed for one body end another.
    served.client.send(post("/echo", "Content-Length: 2\r\n", "a")).await;
    sleep(4 * SECOND).await;
    served.client.send("b").await;
    assert_eq!(served.client.answer().await.text(), "ab");
    sleep(20 * SECOND).await;
    served.client.send(post("/echo", "Content-Length: 2\r\n", "a")).await;
    sleep(4 * SECOND).await;
    served.client.send("b").await;
    assert_eq!(served.client.answer().await.text(), "ab");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_408() {
    let mut served = Served::with(route());
    served.client.send(post("/echo", "Content-Length: 10000\r\n", "")).await;
    let since = Instant::now();
    for _ in 0..4 {
        sleep(SECOND).await;
        served.client.send("xxxxxxxxxx").await;
    }
    let answer = served.client.answer().await;
    assert_eq!((answer.status(), answer.says_close()), (408, true));
    assert_eq!(since.elapsed().as_secs(), 5);
    served.client.finish().await;
    assert_eq!(served.client.until_close().await, "");
    assert_eq!(served.over().await, CloseReason::BodyTooSlow);
}

#[tokio::test(start_paused = true)]
async fn a_legal_slow_upload_lives() {
    let mut served = Served::with(route());
    served.client.send(post("/echo", "Content-Length: 204800\r\n", "")).await;
    for _ in 0..200 {
        sleep(SECOND).await;
        served.client.send([b'x'; 1024]).await;
    }
    assert_eq!(served.client.answer().await.body.len(), 204_800);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_408_after_the_idle_time() {
    let mut served = Served::with(route());
    served.client.send(post("/echo", "Content-Length: 100000\r\n", &"x".repeat(60_000))).await;
    let since = Instant::now();
    assert_eq!(served.client.answer().await.status(), 408);
    assert_eq!(since.elapsed().as_secs(), 60, "it has earned more, but nothing moves");
}

#[tokio::test(start_paused = true)]
async fn the_clock_stands_while_we_are_slow() {
    let mut served = Served::with(route());
    served.client.send(post("/slow-echo?600", "Content-Length: 3000\r\n", "x")).await;
    sleep(500 * SECOND).await;
    served.client.send("x".repeat(2000)).await;
    sleep(102 * SECOND).await;
    served.client.send("x".repeat(999)).await;
    let answer = served.client.answer().await;
    assert_eq!((answer.status(), answer.body.len()), (200, 2999));
}

#[tokio::test(start_paused = true)]
async fn the_clock_stands_while_nobody_asks() {
    let mut served = Served::with(route());
    // What came meanwhile came in time.
    served.client.send(post("/think-echo?600", "Content-Length: 4\r\n", "")).await;
    sleep(SECOND).await;
    served.client.send("bo").await;
    sleep(601 * SECOND).await;
    served.client.send("dy").await;
    assert_eq!(served.client.answer().await.text(), "body");
    // What nobody wanted is thrown away, however long that took to find out.
    served.client.send(post("/think?600", "Content-Length: 4\r\n", "")).await;
    assert_eq!(served.client.answer().await.text(), "thought");
    served.client.send("bo").await;
    sleep(SECOND).await;
    served.client.send("dy").await;
    assert_eq!(served.client.exchange(GET).await.text(), "3");
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_an_answer_stands_while_there_is_nothing_to_take() {
    let setup = Setup { window: 1000, ..route() };
    let mut served =
        Served::around(setup, |io| Io::from_stream(BufStream::with_capacity(100, 1 << 20, io)));
    served.client.send(get("/halves?2000")).await;
    sleep(3 * SECOND).await;
    let answer = served.client.answer().await;
    assert_eq!((answer.body.len(), answer.complete), (200_000, true));
    assert_eq!(served.client.exchange(GET).await.text(), "2");
}

#[tokio::test(start_paused = true)]
async fn the_clock_stands_while_the_client_waits_for_a_word() {
    let mut served = Served::with(route());
    served.client.send(post("/echo", "Content-Length: 4\r\nExpect: 100-continue\r\n", "")).await;
    assert!(timeout(600 * SECOND, served.client.answer()).await.is_err());
    served.client.send("body").await;
    assert_eq!(served.client.answer().await.text(), "body");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_too_slow_is_cut_off() {
    for buffered in [false, true] {
        let setup = Setup { window: 1000, ..route() };
        let mut served = match buffered {
            false => Served::with(setup),
            // A cipher may take everything and then not get rid of it.
            true => Served::around(setup, |io| {
                Io::from_stream(BufStream::with_capacity(100, 1 << 20, io))
            }),
        };
        let since = Instant::now();
        served.client.send(get("/large?100000")).await;
        assert_eq!(served.event().await, "GET /large?100000");
        assert_eq!(served.event().await, "the client reads too slowly");
        let seconds = since.elapsed().as_secs();
        assert!((4..=60).contains(&seconds), "{seconds}");
        assert_eq!(served.over().await, CloseReason::ReadTooSlow);
        let came = served.client.until_close().await;
        assert!(came.len() < 10_000 && came.starts_with("HTTP/1.1 200"), "{}", came.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_but_legal_gets_all() {
    let mut served = Served::with(Setup { window: 500, ..route() });
    served.client.send(get("/large?20000")).await;
    let mut came = 0;
    while came < 20_000 {
        sleep(SECOND).await;
        came += served.client.read_some(400).await;
    }
    assert!(!served.is_over());
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_has_no_deadline_of_ours() {
    let mut served = Served::with(route());
    let ask = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    assert_eq!(served.client.exchange(ask).await.status(), 101);
    sleep(3600 * SECOND).await;
    served.client.send("hello").await;
    served.client.finish().await;
    assert_eq!(served.client.until_close().await, "hello");
}
