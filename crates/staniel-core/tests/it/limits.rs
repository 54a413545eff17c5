//! Limits: how many, how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use staniel_core::{Bind, CloseReason, ConnLimits, Connection, Host, Running, Stop, Workers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{Recorder, addr_of, dial, echo, eventually, greeting, not_now, says, soon};

fn at_most(max: usize) -> ConnLimits {
    ConnLimits { max: Some(max), ..ConnLimits::default() }
}

#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    async fn serve(self, mut conn: Connection) -> std::io::Result<()> {
        let Self(gauge) = self;
        let now = gauge.0.fetch_add(1, Ordering::SeqCst) + 1;
        gauge.1.fetch_max(now, Ordering::SeqCst);
        let done = async {
            let byte = conn.read_u8().await?;
            conn.write_all(&[byte]).await
        };
        let done = done.await;
        gauge.0.fetch_sub(1, Ordering::SeqCst);
        done
    }

    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

/// A thousand clients at once; all are served, and never more than `max` at a time.
async fn stampede(running: Running, gauge: Gauge, addrs: Vec<std::net::SocketAddr>, max: usize) {
    let mut clients = JoinSet::new();
    for n in 0..1000 {
        let addr = addrs[n % addrs.len()];
        clients.spawn(async move {
            let mut client = dial(addr).await;
            client.write_all(&[7]).await.unwrap();
            assert_eq!(soon("answer", client.read_u8()).await.unwrap(), 7);
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    assert!(gauge.most() <= max, "{} at once", gauge.most());
    running.stop(Stop::Now).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_s_limit_is_exact_under_a_thousand_connects() {
    staniel_core::raise_descriptor_limit();
    for workers in [Workers::N(2), Workers::Ambient] {
        let gauge = Gauge::default();
        let handler = {
            let gauge = gauge.clone();
            move |conn: Connection| gauge.clone().serve(conn)
        };
        let bind = Bind::at("tcp://127.0.0.1:0").name("e").limits(at_most(20));
        let running = Host::new().bind(bind, handler).workers(workers).start().await.unwrap();
        let addrs = vec![addr_of(&running, "e")];
        stampede(running, gauge, addrs, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_s_limit_is_exact_over_all_endpoints() {
    staniel_core::raise_descriptor_limit();
    let gauge = Gauge::default();
    let handler = || {
        let gauge = gauge.clone();
        move |conn: Connection| gauge.clone().serve(conn)
    };
    let host = Host::new()
        .bind(Bind::at("tcp://127.0.0.1:0").name("a"), handler())
        .bind(Bind::at("tcp://127.0.0.1:0").name("b").limits(at_most(5)), handler())
        .workers(Workers::N(2))
        .max_connections(15);
    let running = host.start().await.unwrap();
    let addrs = vec![addr_of(&running, "a"), addr_of(&running, "b")];
    stampede(running, gauge, addrs, 15).await;
}

#[tokio::test]
async fn a_raised_limit_lets_those_in_who_wait_and_a_lowered_one_counts_for_the_next() {
    let bind = Bind::at("tcp://127.0.0.1:0").name("e").limits(at_most(1));
    let running = Host::new().bind(bind, says(b'a')).start().await.unwrap();
    let (addr, bound) = (addr_of(&running, "e"), running.manager().get("e").unwrap());
    let (_, first) = greeting(addr).await;
    let mut second = dial(addr).await;
    assert!(not_now(second.read_u8()).await);
    bound.set_limits(at_most(2));
    assert_eq!(soon("greeting", second.read_u8()).await.unwrap(), b'a');
    bound.set_limits(at_most(1));
    drop(first);
    eventually("the first is over", || bound.live() == 1).await;
    let mut third = dial(addr).await;
    assert!(not_now(third.read_u8()).await, "one is open, and one is the limit");
    drop(second);
    assert_eq!(soon("greeting", third.read_u8()).await.unwrap(), b'a');
    running.stop(Stop::Now).await;
}

/// A host on the paused clock with one endpoint in memory.
async fn timed(limits: ConnLimits) -> (Running, Recorder) {
    let recorder = Recorder::default();
    let bind = Bind::at("mem:e").name("e").limits(limits);
    let running = Host::new().bind(bind, echo).observe(recorder.clone()).start().await.unwrap();
    (running, recorder)
}

/// How long until the connection is closed, in seconds.
async fn lasts(client: &mut tokio::io::DuplexStream) -> u64 {
    let begin = Instant::now();
    assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    begin.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_closed_at_the_first_byte_budget() {
    let limits = ConnLimits { first_byte: Some(Duration::from_secs(10)), ..ConnLimits::default() };
    let (running, recorder) = timed(limits).await;
    let mut talker = running.manager().dial("e").await.unwrap();
    talker.write_all(b"x").await.unwrap();
    assert_eq!(talker.read_u8().await.unwrap(), b'x');
    let mut silent = running.manager().dial("e").await.unwrap();
    assert_eq!(lasts(&mut silent).await, 10);
    assert_eq!(recorder.reasons(), [CloseReason::HandshakeTimeout]);
    tokio::time::advance(Duration::from_secs(3600)).await;
    talker.write_all(b"y").await.unwrap();
    assert_eq!(talker.read_u8().await.unwrap(), b'y', "who has spoken is not cut off");
    running.stop(Stop::Now).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_a_byte_either_way_counts() {
    let limits = ConnLimits { idle: Some(Duration::from_secs(10)), ..ConnLimits::default() };
    let (running, recorder) = timed(limits).await;
    let mut client = running.manager().dial("e").await.unwrap();
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(9)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
    }
    assert_eq!(lasts(&mut client).await, 10);
    assert_eq!(recorder.reasons(), [CloseReason::IdleTimeout]);
    running.stop(Stop::Now).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_its_greatest_age_however_busy_it_is() {
    let limits = ConnLimits { max_age: Some(Duration::from_secs(30)), ..ConnLimits::default() };
    let (running, recorder) = timed(limits).await;
    let mut client = running.manager().dial("e").await.unwrap();
    let begin = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if client.write_all(b"x").await.is_err() || client.read_u8().await.is_err() {
            break;
        }
    }
    assert!(matches!(begin.elapsed().as_secs(), 30 | 31));
    assert_eq!(recorder.reasons(), [CloseReason::MaxAge]);
    running.stop(Stop::Now).await;
}

#[tokio::test(start_paused = true)]
async fn limits_without_end_are_no_limits() {
    let limits = ConnLimits {
        max: None,
        first_byte: Some(Duration::MAX),
        idle: Some(Duration::MAX),
        max_age: Some(Duration::MAX),
    };
    let (running, recorder) = timed(limits).await;
    let mut client = running.manager().dial("e").await.unwrap();
    client.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    tokio::time::advance(Duration::from_secs(1_000_000)).await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    drop(client);
    running.stop(Stop::Drain(Duration::MAX)).await;
    assert_eq!(recorder.reasons(), [CloseReason::Done]);
}

#[tokio::test]
async fn a_worker_that_was_held_up_does_not_cut_the_time_of_others_short() {
    use staniel_core::Deadline;
    use tokio::sync::{Notify, mpsc};

    let (go, ready) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = {
        let (go, ready) = (go.clone(), ready.clone());
        move |mut conn: Connection| {
            let (go, ready, tell) = (go.clone(), ready.clone(), tell.clone());
            async move {
                let what = conn.read_u8().await?;
                let notified = go.notified();
                ready.fetch_add(1, Ordering::SeqCst);
                notified.await;
                if what == b'b' {
                    // The fault under test: somebody blocks the thread.
                    let (_held, silent) = std::sync::mpsc::channel::<()>();
                    let _ = silent.recv_timeout(Duration::from_millis(300));
                } else {
                    let begin = Instant::now();
                    let mut deadline = Deadline::default();
                    deadline.arm(Duration::from_millis(200));
                    deadline.expired().await;
                    let _ = tell.send(begin.elapsed());
                }
                Ok::<_, std::io::Error>(())
            }
        }
    };
    let bind = Bind::at("tcp://127.0.0.1:0").name("e");
    let running = Host::new().bind(bind, handler).workers(Workers::N(1)).start().await.unwrap();
    let addr = addr_of(&running, "e");
    let (mut blocker, mut victim) = (dial(addr).await, dial(addr).await);
    blocker.write_all(b"b").await.unwrap();
    eventually("the blocker waits", || ready.load(Ordering::SeqCst) == 1).await;
    victim.write_all(b"v").await.unwrap();
    eventually("the victim waits", || ready.load(Ordering::SeqCst) == 2).await;
    go.notify_waiters();
    let took = soon("deadline", told.recv()).await.unwrap();
    assert!(took >= Duration::from_millis(150), "200 ms were over after {took:?}");
    running.stop(Stop::Now).await;
}
