//! However a connection ends, its end is told exactly once, with the right reason, and its place is free again.

use std::io;
use std::time::Duration;

use staniel_core::{Bind, CloseReason, ConnLimits, Connection, Host, Running, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Recorder, addr_of, dial, eventually, reset};

/// Does as the first byte says.
async fn obeys(mut conn: Connection) -> io::Result<()> {
    match conn.read_u8().await? {
        b'd' => Ok(()),
        b'e' => Err(io::Error::other("told to fail")),
        b'p' => panic!("told to panic"),
        b'D' => {
            let _bomb = Bomb;
            std::future::pending().await
        }
        _ => loop {
            conn.read_u8().await?;
        },
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

struct Case {
    running: Option<Running>,
    recorder: Recorder,
}

impl Case {
    async fn new() -> Self {
        let limits = ConnLimits { idle: Some(Duration::from_millis(300)), ..ConnLimits::default() };
        let recorder = Recorder::default();
        let bind = Bind::at("tcp://127.0.0.1:0").name("e").limits(limits);
        let host = Host::new().bind(bind, obeys).observe(recorder.clone()).max_connections(1);
        Self { running: Some(host.start().await.unwrap()), recorder }
    }

    async fn client(&self, says: &[u8]) -> TcpStream {
        let mut client = dial(addr_of(self.running.as_ref().unwrap(), "e")).await;
        client.write_all(says).await.unwrap();
        let read = || self.recorder.accepted.lock().last().is_some_and(|it| it.stats().read > 0);
        eventually("the handler has read", read).await;
        client
    }

    async fn ends(mut self, why: CloseReason) {
        eventually("it is over", || !self.recorder.closed.lock().is_empty()).await;
        if let Some(running) = self.running.take() {
            let meta = self.recorder.accepted.lock()[0].clone();
            assert!(meta.closed().is_cancelled(), "{why}");
            // The only place is free again.
            let bound = running.manager().get("e").unwrap();
            assert_eq!((bound.live(), bound.connections().len()), (0, 0), "{why}");
            self.recorder.accepted.lock().clear();
            self.recorder.closed.lock().clear();
            let mut next = dial(addr_of(&running, "e")).await;
            next.write_all(b"d").await.unwrap();
            eventually("the next is served", || !self.recorder.closed.lock().is_empty()).await;
            running.stop(Stop::Now).await;
            assert_eq!(self.recorder.reasons(), [CloseReason::Done], "after {why}");
            assert!(self.recorder.is_settled(), "{why}");
            assert_eq!(meta.ended(), Some(why));
        } else {
            assert_eq!(self.recorder.reasons(), [why]);
            assert!(self.recorder.is_settled(), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ending_is_told_once() {
    let case = Case::new().await;
    let _client = case.client(b"d").await;
    case.ends(CloseReason::Done).await;

    let case = Case::new().await;
    let _client = case.client(b"e").await;
    eventually("told", || !case.recorder.closed.lock().is_empty()).await;
    assert_eq!(case.recorder.closed.lock()[0].2.as_deref(), Some("told to fail"));
    case.ends(CloseReason::HandlerError).await;

    let case = Case::new().await;
    let _client = case.client(b"p").await;
    case.ends(CloseReason::HandlerPanic).await;

    let case = Case::new().await;
    drop(case.client(b"r").await);
    case.ends(CloseReason::PeerClosed).await;

    let case = Case::new().await;
    reset(case.client(b"r").await);
    case.ends(CloseReason::PeerReset).await;

    let case = Case::new().await;
    let _client = case.client(b"r").await;
    case.ends(CloseReason::IdleTimeout).await;

    let case = Case::new().await;
    let _client = case.client(b"r").await;
    case.recorder.accepted.lock()[0].abort(CloseReason::Aborted);
    case.ends(CloseReason::Aborted).await;

    let case = Case::new().await;
    let _client = case.client(b"D").await;
    case.recorder.accepted.lock()[0].abort(CloseReason::Aborted);
    case.ends(CloseReason::Aborted).await;

    let mut case = Case::new().await;
    let _client = case.client(b"r").await;
    let drained = case.running.take().unwrap().stop(Stop::Drain(Duration::from_millis(50))).await;
    assert_eq!((drained[0].finished, drained[0].aborted), (0, 1));
    case.ends(CloseReason::DrainDeadline).await;

    let mut case = Case::new().await;
    let _client = case.client(b"r").await;
    let drained = case.running.take().unwrap().stop(Stop::Now).await;
    assert_eq!((drained[0].finished, drained[0].aborted), (0, 1));
    case.ends(CloseReason::Aborted).await;
}

#[tokio::test]
async fn an_abort_from_the_observer_itself_ends_the_connection() {
    struct Strict;
    impl staniel_core::Observer for Strict {
        fn accepted(&self, meta: &staniel_core::ConnMeta) {
            meta.abort(CloseReason::Aborted);
        }
    }
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), crate::support::stays);
    let running = host.observe(Strict).start().await.unwrap();
    let bound = running.manager().get("e").unwrap();
    let addr = addr_of(&running, "e");
    // It is cut off as soon as it is accepted, which the client may meet while it still connects.
    let _client = TcpStream::connect(addr).await;
    eventually("it was taken and is over", || {
        let all = bound.connections();
        all.is_empty()
    })
    .await;
    match TcpStream::connect(addr).await {
        Ok(mut client) => assert!(crate::support::is_closed(&mut client).await),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    running.stop(Stop::Now).await;
}
