//! Sessions of UDP sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use staniel_core::{
    Bind, CloseReason, Host, Running, Stop, Target, UdpConnector, UdpOptions, UdpSession, Workers,
    sessions,
};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::support::{Recorder, addr_of, eventually, not_now, soon};

async fn echo(mut session: UdpSession) -> std::io::Result<()> {
    while let Some(datagram) = session.recv().await {
        session.send(&datagram).await?;
    }
    Ok(())
}

async fn host(at: &str, options: UdpOptions, workers: Workers) -> (Running, Recorder, SocketAddr) {
    let recorder = Recorder::default();
    let bind = Bind::at(at).name("e").udp(options);
    let host = Host::new().bind(bind, sessions(echo)).workers(workers).observe(recorder.clone());
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    (running, recorder, addr)
}

async fn client(to: impl Into<SocketAddr>) -> UdpSocket {
    let to = to.into();
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = UdpSocket::bind(any).await.unwrap();
    // Connected: an answer from another address would not be seen.
    client.connect(to).await.unwrap();
    client
}

async fn echoes(client: &UdpSocket, datagram: &[u8]) {
    client.send(datagram).await.unwrap();
    let mut back = vec![0; 70_000];
    let n = soon("echo", client.recv(&mut back)).await.unwrap();
    assert!(back[..n] == *datagram, "{n} of {} bytes", datagram.len());
}

#[tokio::test]
async fn the_answer_leaves_from_the_address_that_was_asked() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        for at in ["udp://0.0.0.0:0", "udp://*:0"] {
            let (running, recorder, addr) = host(at, UdpOptions::default(), workers).await;
            for ip in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 3, 2, 1]] {
                let asked = SocketAddr::from((ip, addr.port()));
                let client = client(asked).await;
                echoes(&client, b"hello").await;
                let meta = recorder.accepted.lock().last().unwrap().clone();
                assert_eq!(meta.local().as_ip(), Some(asked), "{at}");
                assert_eq!(
                    meta.peer().as_ip().unwrap().port(),
                    client.local_addr().unwrap().port()
                );
                assert!(meta.peer().as_ip().unwrap().is_ipv4());
            }
            if addr.is_ipv6() {
                let v6: SocketAddr = format!("[::1]:{}", addr.port()).parse().unwrap();
                echoes(&client(v6).await, b"hello").await;
            }
            running.stop(Stop::Now).await;
        }
    }
}

#[tokio::test]
async fn the_largest_and_the_empty_datagram_arrive_whole() {
    let (running, _, addr) =
        host("udp://127.0.0.1:0", UdpOptions::default(), Workers::Ambient).await;
    let client = client(addr).await;
    let large: Vec<u8> = (0..65_507u32).map(|n| (n % 251) as u8).collect();
    echoes(&client, &large).await;
    echoes(&client, b"").await;
    echoes(&client, b"x").await;
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn datagrams_that_the_kernel_merged_come_apart_as_they_were_sent() {
    let (running, _, addr) = host("udp://127.0.0.1:0", UdpOptions::default(), Workers::N(1)).await;
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(addr).unwrap();
    client.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let state = quinn_udp::UdpSocketState::new((&client).into()).unwrap();
    client.set_nonblocking(false).unwrap();
    for round in 0..50u8 {
        // One system call; on loopback the receiver gets it in one piece, and has to cut it again. The last is shorter.
        let contents: Vec<u8> =
            (0..9 * 1000 + 10).map(|n| round ^ (n / 1000) as u8 ^ (n % 1000) as u8).collect();
        let transmit = quinn_udp::Transmit {
            destination: addr,
            ecn: None,
            contents: &contents,
            segment_size: Some(1000),
            src_ip: None,
        };
        state.try_send((&client).into(), &transmit).unwrap();
        for datagram in contents.chunks(1000) {
            let mut back = [0; 2000];
            let n = client.recv(&mut back).unwrap();
            assert_eq!(&back[..n], datagram, "round {round}");
        }
    }
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_session_that_does_not_keep_up_stalls_no_other_and_its_losses_are_counted() {
    let (started, recorder) = (Arc::new(AtomicUsize::new(0)), Recorder::default());
    let handler = {
        let started = started.clone();
        move |session: UdpSession| {
            let first = started.fetch_add(1, Ordering::SeqCst) == 0;
            async move { if first { std::future::pending().await } else { echo(session).await } }
        }
    };
    let options = UdpOptions { session_queue: 4, ..UdpOptions::default() };
    let bind = Bind::at("udp://127.0.0.1:0").name("e").udp(options);
    let host = Host::new().bind(bind, sessions(handler)).observe(recorder.clone());
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    let deaf = client(addr).await;
    deaf.send(b"first").await.unwrap();
    eventually("the deaf one runs", || started.load(Ordering::SeqCst) == 1).await;
    let lively = client(addr).await;
    echoes(&lively, b"before").await;
    for _ in 0..20 {
        deaf.send(b"more").await.unwrap();
        echoes(&lively, b"ping").await;
    }
    // The queue holds four, the first among them.
    eventually("17 are counted", || recorder.dropped.load(Ordering::SeqCst) == 17).await;
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_silent_session_ends_and_the_peer_may_begin_again() {
    let options = UdpOptions { session_idle: Duration::from_millis(200), ..UdpOptions::default() };
    let (running, recorder, addr) = host("udp://127.0.0.1:0", options, Workers::N(1)).await;
    let client = client(addr).await;
    for round in 1..=2 {
        echoes(&client, b"a").await;
        assert_eq!(recorder.accepted.lock().len(), round);
        eventually("it ends", || recorder.closed.lock().len() == round).await;
    }
    assert_eq!(recorder.reasons(), [CloseReason::IdleTimeout; 2]);
    assert!(recorder.is_settled());
    assert_eq!(running.manager().get("e").unwrap().live(), 0);
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn at_the_bound_the_new_session_is_refused_and_the_old_ones_live() {
    let options = UdpOptions { max_sessions: 2, ..UdpOptions::default() };
    let (running, recorder, addr) = host("udp://127.0.0.1:0", options, Workers::N(2)).await;
    let (one, two, three) = (client(addr).await, client(addr).await, client(addr).await);
    echoes(&one, b"1").await;
    echoes(&two, b"2").await;
    three.send(b"3").await.unwrap();
    eventually("refused", || recorder.rejected.lock().contains(&CloseReason::EndpointLimit)).await;
    echoes(&one, b"1").await;
    echoes(&two, b"2").await;
    let first = recorder.accepted.lock()[0].clone();
    first.abort(CloseReason::Aborted);
    eventually("one place is free", || recorder.closed.lock().len() == 1).await;
    echoes(&three, b"3").await;
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_session_whose_handler_is_done_begins_anew_with_the_next_datagram() {
    let once = |mut session: UdpSession| async move {
        let datagram = session.recv().await.unwrap_or_default();
        session.send(&datagram).await
    };
    let recorder = Recorder::default();
    let host = Host::new().bind(Bind::at("udp://127.0.0.1:0").name("e"), sessions(once));
    let running = host.observe(recorder.clone()).start().await.unwrap();
    let client = client(addr_of(&running, "e")).await;
    for round in 1..=100 {
        echoes(&client, b"x").await;
        eventually("it ends", || recorder.closed.lock().len() == round).await;
    }
    assert_eq!(recorder.reasons(), [CloseReason::Done; 100]);
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_drain_ends_silent_sessions_soon_and_feeds_those_that_live() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let options =
            UdpOptions { drain_idle: Duration::from_millis(400), ..UdpOptions::default() };
        let (running, recorder, addr) = host("udp://127.0.0.1:0", options, workers).await;
        let (silent, lively) = (client(addr).await, client(addr).await);
        echoes(&silent, b"x").await;
        echoes(&lively, b"x").await;
        let begin = Instant::now();
        let stop = staniel_core::task::spawn(running.stop(Stop::Drain(Duration::from_secs(3600))));
        while recorder.closed.lock().is_empty() || begin.elapsed() < Duration::from_millis(1200) {
            echoes(&lively, b"still here").await;
        }
        assert_eq!(recorder.reasons(), [CloseReason::Drained], "the silent one, and it alone");
        let stranger = client(addr).await;
        stranger.send(b"new").await.unwrap();
        assert!(not_now(stranger.recv(&mut [0; 8])).await, "nobody new is taken");
        soon("the drain ends with the last", stop).await.unwrap();
        assert_eq!(recorder.reasons(), [CloseReason::Drained; 2]);
    }
}

#[tokio::test]
async fn many_peers_are_served_by_several_workers() {
    let (running, recorder, addr) =
        host("udp://127.0.0.1:0", UdpOptions::default(), Workers::N(2)).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(client(addr).await);
    }
    for round in 0..5u8 {
        for client in &clients {
            echoes(client, &[round]).await;
        }
    }
    assert_eq!(recorder.accepted.lock().len(), 50, "a peer stays one session");
    running.stop(Stop::Now).await;
    assert!(recorder.is_settled());
}

#[tokio::test]
async fn an_upstream_socket_talks_to_its_peer_and_hears_when_nobody_is_there() {
    for at in ["udp://127.0.0.1:0", "udp://[::1]:0"] {
        let (running, _, addr) = host(at, UdpOptions::default(), Workers::N(1)).await;
        let upstream = UdpConnector::default().connect(&Target::from(addr)).await.unwrap();
        assert_eq!(upstream.peer(), addr);
        for size in [0, 1, 1500, 65_000] {
            upstream.send(&vec![7; size]).await.unwrap();
            assert_eq!(soon("echo", upstream.recv()).await.unwrap().len(), size);
        }
        for n in 0..20u8 {
            upstream.send(&[n]).await.unwrap();
        }
        for n in 0..20u8 {
            assert_eq!(&soon("echo", upstream.recv()).await.unwrap()[..], [n], "in order");
        }
        running.stop(Stop::Now).await;
        upstream.send(b"anyone?").await.unwrap();
        let error = soon("refusal", upstream.recv()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn peers_that_are_gone_do_not_disturb_the_socket() {
    let (running, recorder, addr) =
        host("udp://127.0.0.1:0", UdpOptions::default(), Workers::Ambient).await;
    let stays = client(addr).await;
    for _ in 0..50 {
        // The answer meets nobody, and the kernel says so to the socket.
        client(addr).await.send(b"bye").await.unwrap();
        echoes(&stays, b"x").await;
    }
    assert_eq!(recorder.accept_errors.load(Ordering::SeqCst), 0);
    running.stop(Stop::Now).await;
}
