//! The bytes of a connection: peeking, filling, taking it apart.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::time::Duration;

use staniel_core::buffer::{Class, Lease};
use staniel_core::{Bind, Connection, Host, Stop, handler_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Recorder, addr_of, dial, eventually, soon};

fn noise(n: usize) -> Vec<u8> {
    (0..n).map(|n| (n * 31 % 251) as u8).collect()
}

/// A connection whose client has sent `n` bytes, all of them peeked.
async fn peeked(n: usize) -> (Connection, tokio::io::DuplexStream, Vec<u8>) {
    let (mut conn, mut client) = Connection::in_memory();
    let sent = noise(n);
    client.write_all(&sent).await.unwrap();
    assert_eq!(conn.io().peek(n).await.unwrap(), sent);
    (conn, client, sent)
}

async fn fill(conn: &mut Connection, into: &mut Option<Lease>) -> std::io::Result<usize> {
    poll_fn(|cx| conn.io().poll_fill(cx, into, Class::Two)).await
}

#[tokio::test]
async fn what_was_peeked_joins_what_is_held_and_never_exceeds_a_block() {
    for (held, peek) in [(0, 10), (10, 10), (500, 5000), (65_536, 1), (60_000, 60_000), (65_535, 2)]
    {
        let (mut conn, mut client, sent) = peeked(peek).await;
        let before = noise(held);
        let mut lease = (held > 0).then(|| Lease::copy_of(&before));
        let mut got = Vec::new();
        let first = fill(&mut conn, &mut lease).await;
        if held == Class::Block.size() {
            assert_eq!(first.unwrap_err().kind(), ErrorKind::OutOfMemory);
            assert_eq!(lease.as_deref().unwrap(), before, "left as it was");
            lease = None;
        } else {
            let lease = lease.take().unwrap();
            assert!(lease.len() <= Class::Block.size(), "{} bytes", lease.len());
            assert_eq!(lease.len(), held + first.unwrap());
            assert_eq!(lease[..held], before);
            got.extend_from_slice(&lease[held..]);
        }
        drop(lease);
        client.write_all(b"end").await.unwrap();
        drop(client);
        conn.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, [&sent[..], b"end"].concat(), "{held} held, {peek} peeked");
        assert_eq!(conn.meta().stats().read, 0, "a connection in memory counts nothing");
    }
}

#[tokio::test]
async fn a_full_lease_grows_and_a_full_block_is_refused() {
    let (mut conn, mut client) = Connection::in_memory();
    let sent = noise(600);
    let mut lease = Some(Lease::copy_of(&sent[..512]));
    client.write_all(&sent[512..]).await.unwrap();
    assert_eq!(fill(&mut conn, &mut lease).await.unwrap(), 88);
    assert_eq!(lease.as_deref().unwrap(), sent);

    let mut full = Some(Lease::copy_of(&noise(65_536)));
    client.write_all(b"x").await.unwrap();
    assert_eq!(fill(&mut conn, &mut full).await.unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!(full.as_deref().unwrap().len(), 65_536);
    // Taken from, it has room again, also when that is at its front.
    let mut lease = full.take().unwrap();
    lease.consume(1);
    let mut full = Some(lease);
    assert_eq!(fill(&mut conn, &mut full).await.unwrap(), 1);
    assert_eq!(full.as_deref().unwrap().last(), Some(&b'x'));
}

#[tokio::test]
async fn a_fill_that_waits_keeps_what_was_held_and_takes_nothing() {
    let (mut conn, _client) = Connection::in_memory();
    let mut none = None;
    let mut held = Some(Lease::copy_of(b"held"));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(conn.io().poll_fill(&mut cx, &mut none, Class::Block).is_pending());
    assert!(none.is_none());
    assert!(conn.io().poll_fill(&mut cx, &mut held, Class::Block).is_pending());
    assert_eq!(held.as_deref(), Some(&b"held"[..]));
}

#[tokio::test]
async fn peeking_for_more_than_there_is_ends_at_a_block() {
    let (mut conn, mut client) = Connection::in_memory();
    let sent = noise(100_000);
    let writer = {
        let sent = sent.clone();
        staniel_core::task::spawn(async move { client.write_all(&sent).await })
    };
    let seen = conn.io().peek(1_000_000).await.unwrap().len();
    assert_eq!(seen, 65_536);
    // Some are read, and the peek fills up again.
    let mut first = vec![0; 1000];
    conn.read_exact(&mut first).await.unwrap();
    assert_eq!(conn.io().peek(1_000_000).await.unwrap().len(), 65_536);
    let mut rest = first;
    conn.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, sent);
    writer.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peek_that_is_given_up_loses_nothing() {
    let (mut conn, mut client) = Connection::in_memory();
    for byte in b"abc" {
        client.write_all(&[*byte]).await.unwrap();
        let waits = tokio::time::timeout(Duration::from_millis(1), conn.io().peek(100)).await;
        assert!(waits.is_err());
    }
    assert_eq!(conn.io().peek(3).await.unwrap(), b"abc");
    drop(client);
    assert_eq!(conn.io().peek(100).await.unwrap(), b"abc");
}

#[tokio::test]
async fn a_socket_that_was_taken_out_still_counts_as_open() {
    let recorder = Recorder::default();
    let (give, mut given) = tokio::sync::mpsc::unbounded_channel();
    let handler = handler_fn(move |mut conn: Connection| {
        let give = give.clone();
        async move {
            conn.io().peek(3).await?;
            let (io, ..) = conn.into_parts();
            let _ = give.send(io.try_into_tcp().unwrap());
            Ok::<_, std::io::Error>(())
        }
    });
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
    let running = host.observe(recorder.clone()).start().await.unwrap();
    let bound = running.manager().get("e").unwrap();
    let mut client = dial(addr_of(&running, "e")).await;
    client.write_all(b"abc").await.unwrap();
    let mut taken = soon("socket", given.recv()).await.unwrap();
    assert_eq!(taken.prefix.as_deref(), Some(&b"abc"[..]));
    taken.socket.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    assert_eq!(bound.live(), 1);
    assert!(recorder.closed.lock().is_empty());
    drop(taken);
    eventually("over", || bound.live() == 0 && recorder.is_settled()).await;
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_kept_connection_is_quiet_until_something_comes() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = handler_fn(move |conn: Connection| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(conn);
        }
    });
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), handler);
    let running = host.start().await.unwrap();
    let addr = addr_of(&running, "e");
    for ending in [false, true] {
        let mut client = dial(addr).await;
        let mut conn = soon("connection", told.recv()).await.unwrap();
        assert!(conn.io().is_quiet() && conn.io().is_quiet());
        if ending {
            drop(client);
        } else {
            client.write_all(b"x").await.unwrap();
        }
        eventually("it has seen it", || !conn.io().is_quiet()).await;
    }
    running.stop(Stop::Now).await;
}
