//! What becomes of connections when their endpoint drains.

use std::time::Duration;

use staniel_core::{CloseReason, Endpoint, Host, Running, Stop};
use staniel_http::{BodyRules, http};
use staniel_test::load::Accounted;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Answers, Bound, Client, GET, Setup, get};

const SECOND: Duration = Duration::from_secs(1);

/// A host with one endpoint in memory, and a client of it.
struct Site {
    running: Running,
    client: Client,
    events: UnboundedReceiver<String>,
}

impl Site {
    async fn new() -> Self {
        let (exchanges, events) = Answers::new(BodyRules::default());
        let at = Endpoint::Memory("site".to_owned());
        let running = Host::new().bind(at, http(exchanges)).start().await.unwrap();
        let client = Client::new(running.manager().dial("site").await.unwrap());
        Self { running, client, events }
    }

    /// Begins to drain, and gives back what is left: the client, and when all is over.
    fn drain(self) -> (Client, JoinHandle<(usize, Duration)>, UnboundedReceiver<String>) {
        let Self { running, client, events } = self;
        let since = Instant::now();
        let meta = running.manager().list()[0].connections();
        let over = staniel_core::task::spawn(async move {
            let drained = running.stop(Stop::Drain(60 * SECOND)).await;
            let why: Vec<_> = meta.iter().map(|meta| meta.ended().unwrap()).collect();
            assert!(why.iter().all(|why| *why == CloseReason::Drained), "{why:?}");
            (drained.iter().map(|drained| drained.aborted).sum(), since.elapsed())
        });
        (client, over, events)
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_goes_after_a_second_without_any_traffic() {
    for requests in [0, 1] {
        let mut site = Site::new().await;
        for _ in 0..requests {
            site.client.exchange(GET).await;
        }
        sleep(10 * SECOND).await;
        let (mut client, over, _) = site.drain();
        assert_eq!(client.until_close().await, "");
        drop(client);
        let (aborted, took) = over.await.unwrap();
        assert_eq!((aborted, took.as_secs()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_while_it_drains_is_answered() {
    for requests in [0, 1] {
        let mut site = Site::new().await;
        for _ in 0..requests {
            site.client.exchange(GET).await;
        }
        sleep(SECOND).await;
        let (mut client, over, _) = site.drain();
        sleep(SECOND / 2).await;
        let answer = client.exchange(GET).await;
        assert_eq!((answer.status(), answer.says_close()), (200, true));
        assert_eq!(client.until_close().await, "");
        drop(client);
        assert_eq!(over.await.unwrap().0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_has_begun_gets_its_time() {
    for requests in [0, 1] {
        let mut site = Site::new().await;
        for _ in 0..requests {
            site.client.exchange(GET).await;
        }
        sleep(SECOND).await;
        let (mut client, over, _) = site.drain();
        sleep(SECOND / 2).await;
        client.send("GET / HTTP/1.1\r\nHo").await;
        sleep(5 * SECOND).await;
        client.send("st: a\r\n\r\n").await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.says_close()), (200, true));
        drop(client);
        assert_eq!(over.await.unwrap().0, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_finishes_and_closes() {
    let mut site = Site::new().await;
    site.client.exchange(GET).await;
    site.client.send(get("/slow?20")).await;
    sleep(SECOND).await;
    let (mut client, over, _) = site.drain();
    let answer = client.answer().await;
    assert_eq!((answer.text().as_ref(), answer.says_close()), ("slow", true));
    assert_eq!(client.until_close().await, "");
    drop(client);
    let (aborted, took) = over.await.unwrap();
    assert_eq!((aborted, took.as_secs()), (0, 19));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_had_begun_when_the_drain_did_is_followed_by_the_close() {
    let mut site = Site::new().await;
    site.client.send(get("/large?1000000")).await;
    sleep(SECOND).await;
    let (mut client, over, mut events) = site.drain();
    let answer = client.answer().await;
    assert_eq!((answer.body.len(), answer.says_close()), (1_000_000, false));
    // It said nothing of a close, so it keeps the promise for a second.
    assert!(client.exchange(GET).await.says_close());
    assert_eq!(client.until_close().await, "");
    drop(client);
    assert_eq!(over.await.unwrap().0, 0);
    assert_eq!(events.recv().await.unwrap(), "GET /large?1000000");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_does_not_hold_up_the_drain() {
    let mut site = Site::new().await;
    site.client.exchange(GET).await;
    sleep(SECOND).await;
    let (client, over, _) = site.drain();
    let (aborted, took) = timeout(10 * SECOND, over).await.unwrap().unwrap();
    assert_eq!((aborted, took.as_secs()), (0, 1));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn what_outlives_the_drain_is_cut_off_and_does_not_look_whole() {
    let mut site = Site::new().await;
    site.client.send(get("/abandon")).await;
    assert_eq!(site.events.recv().await.unwrap(), "GET /abandon");
    sleep(SECOND).await;
    let meta = site.running.manager().list()[0].connections()[0].clone();
    let drained = site.running.stop(Stop::Drain(5 * SECOND)).await;
    assert_eq!(drained.iter().map(|drained| drained.aborted).sum::<usize>(), 1);
    assert_eq!(meta.ended(), Some(CloseReason::DrainDeadline));
    let answer = site.client.answer().await;
    assert!(!answer.complete);
}

#[tokio::test]
async fn a_drain_loses_no_request() {
    for (body, pause) in [(0, 0), (0, 20), (2000, 1)] {
        let bound = Bound::new(Setup::default()).await;
        let load = Accounted::new(bound.addr)
            .connections(16)
            .path("/id")
            .body(body)
            .pause(Duration::from_millis(pause))
            .start();
        load.wait_for(500).await;
        let drained = bound.running.stop(Stop::Drain(20 * SECOND)).await;
        let report = load.stop().await;
        assert_eq!((report.lost, report.wrong, report.raced), (0, 0, 0), "{report}");
        assert_eq!(drained[0].aborted, 0, "{drained:?}");
    }
}
