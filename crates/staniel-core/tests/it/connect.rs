//! Opening connections.

use std::net::SocketAddr;
use std::time::Duration;

use staniel_core::{ConnectError, Target, TcpConnector};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::soon;

/// An address that does not answer: its queue is full, and loopback drops what comes then.
async fn deaf() -> (SocketAddr, Vec<tokio::net::TcpStream>, TcpListener) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(one)) =
        tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(addr)).await
    {
        queued.push(one);
        assert!(queued.len() < 100);
    }
    (addr, queued, listener)
}

#[tokio::test]
async fn an_address_that_does_not_answer_gets_a_head_start_and_no_more() {
    let (deaf, _queued, _listener) = deaf().await;
    let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alive = (alive.local_addr().unwrap(), alive);
    let begin = Instant::now();
    let target = Target::new("somewhere", 80);
    let connector = TcpConnector::default();
    let conn = connector.connect_any(&target, vec![deaf, alive.0]);
    let conn = soon("connect", conn).await.unwrap();
    assert_eq!(conn.meta().peer().as_ip(), Some(alive.0));
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(240) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_target_that_does_not_answer_is_given_up_in_time() {
    let (deaf, _queued, _listener) = deaf().await;
    for addrs in [vec![deaf], vec![deaf, deaf]] {
        let connector =
            TcpConnector { timeout: Duration::from_millis(600), ..TcpConnector::default() };
        let target = Target::new("somewhere", 80);
        let error = soon("give up", connector.connect_any(&target, addrs)).await.unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    }
}

#[tokio::test]
async fn localhost_is_reached_on_the_loopback_that_listens() {
    for at in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(at).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let conn = TcpConnector::default().connect(Target::new("localhost", addr.port())).await;
        match conn {
            Ok(conn) => assert_eq!(conn.meta().peer().as_ip(), Some(addr)),
            // A machine whose `localhost` has one family only.
            Err(error) => assert!(matches!(error, ConnectError::Failed { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_said_to() {
    let error = TcpConnector::default().connect("nothing.invalid:80").await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    let error = TcpConnector::default().connect("no port").await.unwrap_err();
    assert!(matches!(error, ConnectError::Target(_)), "{error}");
}

#[tokio::test]
async fn all_addresses_refusing_is_told_at_once() {
    let dead: Vec<SocketAddr> = (0..3).map(|_| crate::support::taken().1).collect();
    let begin = Instant::now();
    let target = Target::new("somewhere", 80);
    let error = TcpConnector::default().connect_any(&target, dead).await.unwrap_err();
    assert!(matches!(error, ConnectError::Failed { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_millis(240), "no head start for the dead");
    let error = TcpConnector::default().connect_any(&target, vec![]).await.unwrap_err();
    assert!(matches!(error, ConnectError::Failed { .. }), "{error}");
}
