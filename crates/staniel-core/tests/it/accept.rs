//! The accept loop lives, whatever its clients, its filter and its observer do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use staniel_core::{
    Addr, Bind, CloseReason, ConnLimits, ConnMeta, Connection, EndpointName, Host, Observer, Stop,
    Workers,
};
use tokio::io::AsyncWriteExt;

use crate::support::{
    Recorder, addr_of, dial, echo, echoes, eventually, greeting, is_closed, not_now, reset, says,
    soon,
};

#[tokio::test]
async fn a_client_that_resets_before_it_is_accepted_harms_nobody() {
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), echo);
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    // The loop runs on this thread, so these are gone before it comes to accept them.
    for _ in 0..50 {
        let client = std::net::TcpStream::connect(addr).unwrap();
        socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    echoes(&mut dial(addr).await).await;
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_handler_that_never_ends_does_not_delay_the_next_accept() {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = move |conn: Connection| {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if first { std::future::pending().await } else { echo(conn).await } }
    };
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    let _slow = dial(addr).await;
    for _ in 0..10 {
        echoes(&mut dial(addr).await).await;
    }
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn accepting_pauses_at_the_limit_and_resumes() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let recorder = Recorder::default();
        let limits = ConnLimits { max: Some(1), ..ConnLimits::default() };
        let bind = Bind::at("tcp://127.0.0.1:0").name("e").limits(limits);
        let host = Host::new().bind(bind, says(b'a')).workers(workers).observe(recorder.clone());
        let running = host.start().await.unwrap();
        let addr = addr_of(&running, "e");
        for round in 1..=20 {
            let (_, first) = greeting(addr).await;
            let mut second = dial(addr).await;
            if round == 1 {
                let greeted = tokio::io::AsyncReadExt::read_u8(&mut second);
                assert!(not_now(greeted).await, "the second waits");
            }
            drop(first);
            let greeted = tokio::io::AsyncReadExt::read_u8(&mut second);
            assert_eq!(soon("greeting", greeted).await.unwrap(), b'a');
        }
        assert!(recorder.rejected.lock().is_empty(), "who waits is not refused");
        running.stop(Stop::Now).await;
    }
}

#[tokio::test]
async fn a_refused_peer_is_closed_and_told_of() {
    let recorder = Recorder::default();
    let bind = Bind::at("tcp://127.0.0.1:0").name("e").filter(|peer: &Addr| {
        peer.as_ip().is_some_and(|peer| peer.ip().to_string() == "127.0.0.2")
    });
    let host = Host::new().bind(bind, echo).observe(recorder.clone());
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    assert!(is_closed(&mut dial(addr).await).await);
    assert_eq!(*recorder.rejected.lock(), [CloseReason::Filtered]);

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    echoes(&mut socket.connect(addr).await.unwrap()).await;
    assert_eq!(recorder.accepted.lock().len(), 1);
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_filter_that_panics_refuses_that_peer_only() {
    let calls = AtomicUsize::new(0);
    let bind = Bind::at("tcp://127.0.0.1:0").name("e").filter(move |_: &Addr| {
        assert!(calls.fetch_add(1, Ordering::SeqCst) != 0, "the first peer");
        true
    });
    let running = Host::new().bind(bind, echo).start().await.unwrap();
    let addr = addr_of(&running, "e");
    assert!(is_closed(&mut dial(addr).await).await);
    echoes(&mut dial(addr).await).await;
    running.stop(Stop::Now).await;
}

struct Panicking;

impl Observer for Panicking {
    fn accepted(&self, _: &ConnMeta) {
        panic!("accepted");
    }

    fn rejected(&self, _: &EndpointName, _: &Addr, _: CloseReason) {
        panic!("rejected");
    }

    fn closed(&self, _: &ConnMeta, _: CloseReason, _: Option<&staniel_core::BoxError>) {
        panic!("closed");
    }
}

#[tokio::test]
async fn an_observer_that_panics_ends_no_connection_and_holds_no_drain() {
    let calls = AtomicUsize::new(0);
    let bind = Bind::at("tcp://127.0.0.1:0").name("e");
    let bind = bind.filter(move |_: &Addr| calls.fetch_add(1, Ordering::SeqCst) != 0);
    let host = Host::new().bind(bind, echo).observe(Panicking).max_connections(1);
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    assert!(is_closed(&mut dial(addr).await).await, "refused");
    for _ in 0..3 {
        echoes(&mut dial(addr).await).await;
    }
    soon("drain", running.stop(Stop::Drain(std::time::Duration::from_secs(60)))).await;
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_that_connection_only() {
    let recorder = Recorder::default();
    async fn handler(mut conn: Connection) -> std::io::Result<()> {
        let what = conn.io().peek(1).await?.first().copied();
        assert!(what != Some(b'!'), "told to");
        echo(conn).await
    }
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
    let running = host.observe(recorder.clone()).max_connections(2).start().await.unwrap();
    let addr = addr_of(&running, "e");
    let mut neighbour = dial(addr).await;
    echoes(&mut neighbour).await;
    for _ in 0..5 {
        let mut client = dial(addr).await;
        client.write_all(b"!").await.unwrap();
        assert!(is_closed(&mut client).await);
    }
    assert_eq!(recorder.reasons(), [CloseReason::HandlerPanic; 5]);
    echoes(&mut neighbour).await;
    reset(neighbour);
    eventually("the last one is over", || recorder.is_settled()).await;
    running.stop(Stop::Now).await;
}
