//! Stopping: what is open finishes or is cut off, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use staniel_core::{
    Bind, CloseReason, ConnLimits, Connection, Host, HostContext, ListenHandler, Phase, Plan,
    Result, Stop, TransportManager, Workers,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::support::{
    PATIENCE, Recorder, addr_of, dial, echoes, eventually, greeting, is_closed, says, soon, stays,
};

const LONG: Stop = Stop::Drain(Duration::from_secs(3600));

#[tokio::test]
async fn an_idle_host_stops_at_once() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let host = Host::new()
            .bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'a'))
            .bind(
                "udp://127.0.0.1:0",
                staniel_core::sessions(|_: staniel_core::UdpSession| async {}),
            )
            .workers(workers);
        let running = host.start().await.unwrap();
        let (phase, begin) = (running.phase(), Instant::now());
        assert_eq!(*phase.borrow(), Phase::Ready);
        drop(greeting(addr_of(&running, "e")).await);
        running.stop(LONG).await;
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        assert_eq!(*phase.borrow(), Phase::Stopped);
    }
}

#[tokio::test]
async fn the_drain_waits_for_what_runs_and_ends_with_it() {
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'a'));
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    let (_, client) = greeting(addr).await;
    let stop = running.stop(LONG);
    tokio::pin!(stop);
    assert!(crate::support::not_now(&mut stop).await);
    assert!(TcpStream::connect(addr).await.is_err(), "nothing new is taken");
    drop(client);
    let drained = soon("drain", stop).await;
    assert_eq!((drained[0].finished, drained[0].aborted), (1, 0));
}

#[tokio::test]
async fn a_handler_that_heeds_stopping_says_goodbye() {
    async fn polite(mut conn: Connection) -> std::io::Result<()> {
        conn.write_all(b"a").await?;
        conn.meta().stopping().clone().wait().await;
        conn.meta().end(CloseReason::Drained);
        conn.write_all(b"bye").await
    }
    let recorder = Recorder::default();
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), polite);
    let running = host.observe(recorder.clone()).start().await.unwrap();
    let (_, mut client) = greeting(addr_of(&running, "e")).await;
    soon("drain", running.stop(LONG)).await;
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "bye");
    assert_eq!(recorder.reasons(), [CloseReason::Drained]);
}

#[tokio::test]
async fn bytes_that_moved_to_another_task_hold_the_drain() {
    let tracker = TaskTracker::new();
    let handler = {
        let tracker = tracker.clone();
        move |conn: Connection| {
            tracker.spawn(crate::support::echo(conn));
            async {}
        }
    };
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
    let running = host.start().await.unwrap();
    let mut client = dial(addr_of(&running, "e")).await;
    echoes(&mut client).await;
    let stop = running.stop(LONG);
    tokio::pin!(stop);
    assert!(crate::support::not_now(&mut stop).await);
    echoes(&mut client).await;
    drop(client);
    soon("drain", stop).await;
}

/// Writes until it is stopped. The peer never reads.
async fn floods(mut conn: Connection) -> std::io::Result<()> {
    loop {
        conn.write_all(&[7; 64 * 1024]).await?;
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_cannot_hold_the_drain() {
    for moved in [false, true] {
        for workers in [Workers::Ambient, Workers::N(2)] {
            let (recorder, tracker) = (Recorder::default(), TaskTracker::new());
            let handler = {
                let tracker = tracker.clone();
                move |conn: Connection| {
                    let tracker = tracker.clone();
                    async move {
                        if moved {
                            tracker.spawn(floods(conn));
                            Ok(())
                        } else {
                            floods(conn).await
                        }
                    }
                }
            };
            let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
            let running = host.observe(recorder.clone()).workers(workers).start().await.unwrap();
            let _client = dial(addr_of(&running, "e")).await;
            eventually("it writes", || recorder.accepted.lock().len() == 1).await;
            let begin = Instant::now();
            let drained = running.stop(Stop::Drain(Duration::from_millis(100))).await;
            assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
            assert_eq!(drained[0].aborted, 1);
            assert_eq!(recorder.reasons(), [CloseReason::DrainDeadline]);
        }
    }
}

#[tokio::test]
async fn stopping_one_endpoint_counts_right_and_leaves_the_other() {
    let recorder = Recorder::default();
    let host = Host::new()
        .bind(Bind::at("tcp://127.0.0.1:0").name("a"), says(b'a'))
        .bind(Bind::at("tcp://127.0.0.1:0").name("b"), says(b'b'));
    let running = host.observe(recorder.clone()).start().await.unwrap();
    let (a, b) = (addr_of(&running, "a"), addr_of(&running, "b"));
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(greeting(a).await.1);
    }
    let (_, mut other) = greeting(b).await;
    let drained = running.manager().stop(&["a", "unknown"], Stop::Now).await;
    assert_eq!(drained.len(), 1);
    assert_eq!((drained[0].finished, drained[0].aborted), (0, 3));
    assert_eq!(recorder.reasons(), [CloseReason::Aborted; 3]);
    for mut client in clients {
        assert!(is_closed(&mut client).await);
    }
    assert!(running.manager().get("a").is_none());
    other.write_all(b"x").await.unwrap();
    assert_eq!(greeting(b).await.0, b'b');
    let taken = std::net::TcpListener::bind(a);
    assert!(taken.is_ok(), "the address is free when `stop` returns");
    running.stop(Stop::Now).await;
}

/// An endpoint that is at its limit while others wait in the kernel's queue.
#[tokio::test]
async fn who_waits_in_the_queue_is_cut_off_at_the_deadline_and_not_served_after_it() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let handler = {
            let calls = calls.clone();
            move |conn: Connection| {
                calls.fetch_add(1, Ordering::SeqCst);
                stays(conn)
            }
        };
        let limits = ConnLimits { max: Some(1), ..ConnLimits::default() };
        let bind = Bind::at("tcp://127.0.0.1:0").name("e").limits(limits);
        let recorder = Recorder::default();
        let host = Host::new().bind(bind, handler).workers(workers).observe(recorder.clone());
        let running = host.start().await.unwrap();
        let addr = addr_of(&running, "e");
        let _first = dial(addr).await;
        eventually("one is served", || calls.load(Ordering::SeqCst) == 1).await;
        let mut waiting = vec![dial(addr).await, dial(addr).await];
        running.stop(Stop::Drain(Duration::from_millis(100))).await;
        let served = calls.load(Ordering::SeqCst);
        for client in &mut waiting {
            assert!(is_closed(client).await);
        }
        assert!(recorder.is_settled(), "nobody is left behind");
        assert_eq!(calls.load(Ordering::SeqCst), served, "nobody was served after the stop");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_that_got_through_is_reset_when_its_listener_closes() {
    const ROUNDS: usize = 30;
    for workers in [Workers::Ambient, Workers::N(2)] {
        let running = Host::new().workers(workers).start().await.unwrap();
        let mut rounds = JoinSet::new();
        let served = Arc::new(AtomicUsize::new(0));
        for round in 0..ROUNDS {
            let (tm, served) = (running.manager().clone(), served.clone());
            let name = format!("e{round}");
            let bound = tm
                .bind(Bind::at("tcp://127.0.0.1:0").name(name.clone()), says(b'a'))
                .await
                .unwrap();
            let addr = bound.local()[0].socket_addr().unwrap();
            let mut clients = JoinSet::new();
            for n in 0..50 {
                let served = served.clone();
                clients.spawn(async move {
                    for _ in 0..n % 7 {
                        tokio::task::yield_now().await;
                    }
                    // Not let in any more is no loss; what counts is what happens to those who were.
                    let Ok(mut client) = TcpStream::connect(addr).await else { return };
                    let greeted = soon("greeting", client.read_u8()).await;
                    assert_eq!(greeted.expect("it was let in and then reset"), b'a');
                    served.fetch_add(1, Ordering::SeqCst);
                });
            }
            rounds.spawn(async move {
                tokio::task::yield_now().await;
                bound.stop(LONG).await;
                while let Some(done) = clients.join_next().await {
                    done.unwrap();
                }
            });
        }
        while let Some(done) = rounds.join_next().await {
            done.unwrap();
        }
        assert!(served.load(Ordering::SeqCst) > 0);
        running.stop(LONG).await;
    }
}

#[tokio::test]
async fn a_dropped_host_closes_everything() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let recorder = Recorder::default();
        let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'a'));
        let running = host.workers(workers).observe(recorder.clone()).start().await.unwrap();
        let addr = addr_of(&running, "e");
        let (_, mut client) = greeting(addr).await;
        drop(running);
        assert!(is_closed(&mut client).await);
        eventually("told", || recorder.is_settled()).await;
        eventually("the address is free", || std::net::TcpListener::bind(addr).is_ok()).await;
    }
}

#[tokio::test]
async fn nothing_is_bound_once_the_host_stops() {
    struct Late(Arc<Mutex<Option<TransportManager>>>, Arc<AtomicBool>);
    impl ListenHandler for Late {
        async fn bind(&self, tm: &TransportManager) -> Result {
            *self.0.lock() = Some(tm.clone());
            Ok(())
        }

        async fn stop(&self, tm: &TransportManager) -> Result {
            let refused = tm.bind("tcp://127.0.0.1:0", says(b'x')).await.is_err();
            self.1.store(refused, Ordering::SeqCst);
            Ok(())
        }
    }
    let (tm, refused) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let host = Host::new().add(Late(Arc::clone(&tm), refused.clone()));
    let running = host.start().await.unwrap();
    running.stop(Stop::Now).await;
    assert!(refused.load(Ordering::SeqCst));
    let tm = tm.lock().take().unwrap();
    let late = Plan::default().bind("tcp://127.0.0.1:0", says(b'x'));
    assert!(tm.apply(late).await.is_err());
}

#[tokio::test]
async fn a_task_of_the_host_holds_the_drain_and_is_ended_at_the_deadline() {
    struct Tasks(Arc<AtomicUsize>);
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    impl ListenHandler for Tasks {
        async fn init(&self, host: &HostContext) -> Result {
            let (stopping, gone) = (host.stopping().clone(), Gone(self.0.clone()));
            host.spawn("polite", async move {
                stopping.cancelled().await;
                drop(gone);
                Ok(())
            });
            let gone = Gone(self.0.clone());
            host.spawn("deaf", async move {
                std::future::pending::<()>().await;
                drop(gone);
                Ok(())
            });
            Ok(())
        }

        async fn bind(&self, _: &TransportManager) -> Result {
            Ok(())
        }
    }
    let gone = Arc::new(AtomicUsize::new(0));
    let running = Host::new().add(Tasks(gone.clone())).start().await.unwrap();
    soon("drain", running.stop(Stop::Drain(Duration::from_millis(200)))).await;
    eventually("both are gone", || gone.load(Ordering::SeqCst) == 2).await;
}

#[tokio::test]
async fn a_handler_whose_stop_hangs_does_not_hold_the_host_for_ever() {
    struct Hangs;
    impl ListenHandler for Hangs {
        async fn bind(&self, _: &TransportManager) -> Result {
            Ok(())
        }

        async fn stop(&self, _: &TransportManager) -> Result {
            std::future::pending().await
        }
    }
    let running = Host::new().add(Hangs).start().await.unwrap();
    tokio::time::timeout(PATIENCE, running.stop(Stop::Now)).await.unwrap();
}

#[tokio::test]
async fn a_worker_that_is_blocked_does_not_hold_the_host_for_ever() {
    let release = Arc::new(AtomicBool::new(false));
    let handler = {
        let release = release.clone();
        move |_: Connection| {
            let release = release.clone();
            async move {
                // A handler that must not be: it never yields.
                while !release.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
        }
    };
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
    let running = host.workers(Workers::N(1)).start().await.unwrap();
    let bound = running.manager().get("e").unwrap();
    let _client = dial(addr_of(&running, "e")).await;
    eventually("it blocks", || bound.live() == 1).await;
    soon("stop", running.stop(Stop::Now)).await;
    release.store(true, Ordering::SeqCst);
}
