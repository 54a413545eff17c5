//! How often a connection's task runs: often enough, and not more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use staniel_core::Io;
use staniel_http::{BodyRules, MinRate};
use staniel_test::raw::RawClient;
use tokio::io::BufStream;
use tokio::time::timeout;

use crate::support::{Bound, GET, Served, Setup, get, pattern, post};

const SECOND: Duration = Duration::from_secs(1);

fn route() -> Setup {
    let rules = BodyRules {
        max: None,
        min_rate: Some(MinRate::default()),
        idle: Some(Duration::from_secs(60)),
    };
    Setup { rules, ..Setup::default() }
}

/// Lets time pass.
async fn pass(time: Duration) {
    assert!(timeout(time, std::future::pending::<()>()).await.is_err());
}

/// Lets time pass in which nothing happens, so that the task has no business to run, but for a timer that fires early.
async fn quiet(served: &Served, seconds: u32, what: &str) {
    pass(SECOND / 10).await;
    served.polls();
    pass(seconds * SECOND).await;
    let polls = served.polls();
    assert!(polls <= 3, "{what}: {polls} polls in {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn who_waits_does_not_run() {
    let mut served = Served::with(route());
    quiet(&served, 25, "before the first byte").await;
    served.client.send("GET / HTT").await;
    quiet(&served, 3, "within a head").await;
    served.client.send("P/1.1\r\nHost: a\r\n\r\n").await;
    served.client.answer().await;
    quiet(&served, 100, "between two requests").await;
    served.client.send(post("/echo", "Content-Length: 10000\r\n", "")).await;
    quiet(&served, 3, "within a body").await;
    served.client.send(pattern(10_000)).await;
    served.client.answer().await;
    served.client.send(post("/echo", "Content-Length: 4\r\nExpect: 100-continue\r\n", "")).await;
    quiet(&served, 600, "while the client waits for a word").await;
    served.client.send("body").await;
    served.client.answer().await;
    served.client.send(get("/large?200000")).await;
    quiet(&served, 50, "while the client does not read").await;
    served.client.answer().await;
    // A client that has finished sending stays readable for ever.
    served.client.send(get("/wait")).await;
    served.client.finish().await;
    quiet(&served, 3600, "while a half-closed client waits").await;
}

#[tokio::test(start_paused = true)]
async fn who_lingers_does_not_spin() {
    let mut served = Served::new();
    served.client.send("G@T").await;
    assert_eq!(served.client.answer().await.status(), 400);
    quiet(&served, 1, "lingering").await;
    let mut served = Served::with(Setup { window: 100, ..Setup::default() });
    served.client.send(get("/whole?10000")).await;
    quiet(&served, 3600, "with an answer that nobody takes").await;
    served.client.finish().await;
    assert_eq!(served.client.answer().await.body, pattern(10_000));
}

#[tokio::test]
async fn a_pipelining_client_lets_others_run() {
    const N: usize = 10_000;
    let mut bound = Bound::new(Setup::default()).await;
    let mut client = RawClient::connect(bound.addr).await.unwrap();
    client.exchange(get("/quick?x")).await.unwrap();
    bound.event().await;
    let ticks = Arc::new(AtomicUsize::new(0));
    let counted = ticks.clone();
    let ticker = staniel_core::task::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let requests: String = (0..N).map(|_| get("/quick?x")).collect();
    client.send(requests).await.unwrap();
    // The most that were answered between two runs of another task.
    let (mut most, mut run, mut last) = (0, 0, 0);
    for _ in 0..N {
        let told = bound.events.try_recv();
        if told.is_err() {
            let now = ticks.load(Ordering::Relaxed);
            if now != last {
                (run, last) = (0, now);
            }
            bound.event().await;
        }
        run += 1;
        most = most.max(run);
    }
    assert!(most <= 1000, "{most} requests without a pause");
    ticker.abort();
}

#[tokio::test(start_paused = true)]
async fn requests_of_all_kinds_survive_every_split() {
    let mut wire = Vec::new();
    let mut texts = Vec::new();
    for (request, text) in [
        (get("/quick?a"), "a"),
        (post("/echo", "Content-Length: 4\r\n", "body"), "body"),
        (
            post("/stream", "Transfer-Encoding: chunked\r\n", "3;x\r\nabc\r\n0\r\nA: b\r\n\r\n"),
            "abc",
        ),
        (post("/quick?early", "Content-Length: 7\r\n", "ignored"), "early"),
        (post("/quick?early", "Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n"), "early"),
        (post("/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"), "hello"),
        (format!("\r\n{}", get("/quick?b")), "b"),
    ] {
        wire.extend_from_slice(request.as_bytes());
        texts.push(text);
    }
    wire.extend_from_slice(GET.as_bytes());
    let mut seed = 1_u64;
    let mut random = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % n
    };
    for round in 0..200 {
        let setup = Setup { window: 1 + random(300), ..route() };
        let mut served = match round % 2 {
            0 => Served::with(setup),
            _ => Served::around(setup, |io| Io::from_stream(BufStream::with_capacity(50, 70, io))),
        };
        let mut rest = wire.as_slice();
        let largest = 1 + random(400);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(1 + random(largest)));
            served.client.pump(piece).await;
            rest = behind;
            if random(4) == 0 {
                tokio::task::yield_now().await;
            }
        }
        for text in &texts {
            let answer = timeout(SECOND, served.client.answer()).await.unwrap();
            assert_eq!((answer.text().as_ref(), answer.complete), (*text, true), "round {round}");
        }
        assert_eq!(served.client.answer().await.text(), "8");
    }
}
