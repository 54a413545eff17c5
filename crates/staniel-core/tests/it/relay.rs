//! The relay: ends, resets and bytes go where they should.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use staniel_core::{
    Bind, CloseReason, Connection, Host, RelayOptions, Relayed, Running, Stop, TcpConnector,
    Workers, relay_with,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::support::{Recorder, addr_of, dial, eventually, reset, soon};

struct Setup {
    running: Running,
    recorder: Recorder,
    results: mpsc::UnboundedReceiver<Relayed>,
    client: TcpStream,
    origin: TcpStream,
}

/// client - relay - origin, all on real sockets.
async fn setup(workers: Workers, options: RelayOptions, peek: usize) -> Setup {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to: SocketAddr = listener.local_addr().unwrap();
    let (tell, results) = mpsc::unbounded_channel();
    let recorder = Recorder::default();
    let forward = move |mut conn: Connection| {
        let (tell, options) = (tell.clone(), options.clone());
        async move {
            conn.io().peek(peek).await?;
            let up = TcpConnector::default().connect(to).await?;
            let _ = tell.send(relay_with(conn, up, options).await);
            Ok::<_, staniel_core::BoxError>(())
        }
    };
    let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), forward);
    let running = host.workers(workers).observe(recorder.clone()).start().await.unwrap();
    let mut client = dial(addr_of(&running, "e")).await;
    client.write_all(&vec![b'p'; peek]).await.unwrap();
    let (origin, _) = soon("accept", listener.accept()).await.unwrap();
    Setup { running, recorder, results, client, origin }
}

fn plain() -> RelayOptions {
    RelayOptions::default()
}

async fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    soon("end", stream.read_to_end(&mut all)).await.unwrap();
    all
}

#[tokio::test]
async fn either_side_may_finish_first_and_still_gets_its_answer() {
    let mut it = setup(Workers::Ambient, plain(), 0).await;
    it.client.write_all(b"question").await.unwrap();
    it.client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut it.origin).await, b"question");
    it.origin.write_all(b"the answer").await.unwrap();
    it.origin.shutdown().await.unwrap();
    assert_eq!(read_all(&mut it.client).await, b"the answer");
    let relayed = soon("relay", it.results.recv()).await.unwrap();
    assert_eq!((relayed.up, relayed.down, relayed.why), (8, 10, CloseReason::Done));
    assert!(relayed.error.is_none());
    it.running.stop(Stop::Now).await;

    let mut it = setup(Workers::Ambient, plain(), 0).await;
    it.origin.write_all(b"hello").await.unwrap();
    it.origin.shutdown().await.unwrap();
    assert_eq!(read_all(&mut it.client).await, b"hello");
    it.client.write_all(b"and bye").await.unwrap();
    it.client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut it.origin).await, b"and bye");
    let relayed = soon("relay", it.results.recv()).await.unwrap();
    assert_eq!((relayed.up, relayed.down, relayed.why), (7, 5, CloseReason::Done));
    it.running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_reset_is_passed_on_in_both_directions() {
    let mut it = setup(Workers::Ambient, plain(), 0).await;
    it.client.write_all(b"x").await.unwrap();
    it.origin.read_exact(&mut [0]).await.unwrap();
    reset(it.client);
    let error = soon("reset", it.origin.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let relayed = soon("relay", it.results.recv()).await.unwrap();
    assert_eq!(relayed.why, CloseReason::PeerReset);
    eventually("told", || it.recorder.reasons() == [CloseReason::PeerReset]).await;
    it.running.stop(Stop::Now).await;

    let mut it = setup(Workers::Ambient, plain(), 0).await;
    it.origin.write_all(b"x").await.unwrap();
    it.client.read_exact(&mut [0]).await.unwrap();
    reset(it.origin);
    let error = soon("reset", it.client.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let relayed = soon("relay", it.results.recv()).await.unwrap();
    assert_eq!(relayed.why, CloseReason::UpstreamReset);
    eventually("told", || it.recorder.reasons() == [CloseReason::UpstreamReset]).await;
    it.running.stop(Stop::Now).await;
}

#[tokio::test]
async fn peeked_bytes_go_first() {
    let mut it = setup(Workers::Ambient, plain(), 700).await;
    it.client.write_all(b"rest").await.unwrap();
    it.client.shutdown().await.unwrap();
    let got = read_all(&mut it.origin).await;
    assert_eq!((got.len(), &got[..3], &got[700..]), (704, &b"ppp"[..], &b"rest"[..]));
    drop(it.origin);
    assert_eq!(soon("relay", it.results.recv()).await.unwrap().up, 704);
    it.running.stop(Stop::Now).await;
}

/// On the paused clock: two pairs in memory, and the relay between them.
async fn timed(
    options: RelayOptions,
    act: impl AsyncFnOnce(&mut tokio::io::DuplexStream, &mut tokio::io::DuplexStream),
) -> (CloseReason, u64) {
    let ((a, mut client), (b, mut origin)) = (Connection::in_memory(), Connection::in_memory());
    let relay = staniel_core::task::spawn(relay_with(a, b, options));
    act(&mut client, &mut origin).await;
    let begin = Instant::now();
    let relayed = relay.await.unwrap();
    (relayed.why, begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_ends_and_movement_counts() {
    let options = RelayOptions { idle: Some(Duration::from_secs(10)), ..plain() };
    let ended = timed(options, async |client, origin| {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            client.write_all(b"x").await.unwrap();
            origin.read_u8().await.unwrap();
        }
    });
    assert_eq!(ended.await, (CloseReason::IdleTimeout, 10));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_relay_has_its_own_deadline() {
    for idle in [None, Some(Duration::from_secs(3600))] {
        let options = RelayOptions { idle, half_closed: Some(Duration::from_secs(20)) };
        let ended = timed(options, async |client, origin| {
            tokio::time::sleep(Duration::from_secs(100)).await;
            client.shutdown().await.unwrap();
            assert_eq!(origin.read(&mut [0]).await.unwrap(), 0);
        });
        assert_eq!(ended.await, (CloseReason::IdleTimeout, 20), "{idle:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_limits_a_relay_waits_for_ever() {
    let options = RelayOptions { idle: None, half_closed: None };
    let ended = timed(options, async |client, origin| {
        client.shutdown().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1_000_000)).await;
        origin.write_all(b"late").await.unwrap();
        origin.shutdown().await.unwrap();
    });
    assert_eq!(ended.await, (CloseReason::Done, 0));
}

/// A stream of bytes that both ends can compute.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, block: &mut [u8]) {
        for eight in block.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            eight.copy_from_slice(&self.0.to_le_bytes()[..eight.len()]);
        }
    }
}

const BULK: usize = 64 * 1024 * 1024;
const BLOCK: usize = 256 * 1024;

async fn send(mut to: impl AsyncWriteExt + Unpin, seed: u64) {
    let (mut noise, mut block) = (Noise(seed), vec![0; BLOCK]);
    for _ in 0..BULK / BLOCK {
        noise.fill(&mut block);
        to.write_all(&block).await.unwrap();
    }
    to.shutdown().await.unwrap();
}

async fn check(mut from: impl AsyncReadExt + Unpin, seed: u64) {
    let (mut noise, mut expected, mut got) = (Noise(seed), vec![0; BLOCK], vec![0; BLOCK]);
    for n in 0..BULK / BLOCK {
        noise.fill(&mut expected);
        from.read_exact(&mut got).await.unwrap();
        assert!(got == expected, "block {n} differs");
    }
    assert_eq!(from.read(&mut got).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_goes_both_ways_unharmed() {
    for workers in [Workers::Ambient, Workers::N(1)] {
        let mut it = setup(workers, plain(), 0).await;
        let (client_r, client_w) = it.client.into_split();
        let (origin_r, origin_w) = it.origin.into_split();
        let all = [
            staniel_core::task::spawn(send(client_w, 1)),
            staniel_core::task::spawn(send(origin_w, 2)),
            staniel_core::task::spawn(check(origin_r, 1)),
            staniel_core::task::spawn(check(client_r, 2)),
        ];
        for one in all {
            one.await.unwrap();
        }
        let relayed = soon("relay", it.results.recv()).await.unwrap();
        assert_eq!((relayed.up, relayed.down), (BULK as u64, BULK as u64));
        assert_eq!(relayed.why, CloseReason::Done);
        let meta = it.recorder.accepted.lock()[0].clone();
        assert_eq!((meta.stats().read, meta.stats().written), (BULK as u64, BULK as u64));
        it.running.stop(Stop::Now).await;
    }
}

#[tokio::test]
async fn one_direction_does_not_starve_the_other() {
    // Both origins of bytes are always ready, so neither direction ever has to wait.
    struct Endless(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl tokio::io::AsyncRead for Endless {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let coop = std::task::ready!(tokio::task::coop::poll_proceed(cx));
            coop.made_progress();
            let n = buf.remaining().min(1024);
            buf.put_slice(&[7; 1024][..n]);
            self.0.fetch_add(n, std::sync::atomic::Ordering::SeqCst);
            std::task::Poll::Ready(Ok(()))
        }
    }
    impl tokio::io::AsyncWrite for Endless {
        fn poll_write(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::task::Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn poll_shutdown(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Ok(()))
        }
    }
    let (up, down) = (std::sync::Arc::default(), std::sync::Arc::default());
    let side = |read: &std::sync::Arc<_>| {
        let read = std::sync::Arc::clone(read);
        Connection::in_memory().0.wrap(|_| Endless(read))
    };
    let relay = staniel_core::task::spawn(relay_with(side(&up), side(&down), plain()));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    relay.abort();
    let read = [up, down].map(|it| it.load(std::sync::atomic::Ordering::SeqCst));
    assert!(read[0] > read[1] / 4 && read[1] > read[0] / 4, "{read:?}");
}

#[tokio::test]
async fn a_slow_reader_holds_the_sender_back() {
    let mut it = setup(Workers::Ambient, plain(), 0).await;
    // The client writes as much as it can; the origin does not read.
    let mut sent = 0;
    let block = vec![7; 256 * 1024];
    while let Ok(n) =
        tokio::time::timeout(Duration::from_millis(300), it.client.write(&block)).await
    {
        sent += n.unwrap();
        assert!(sent < 256 * 1024 * 1024, "nothing holds it back");
    }
    drop(it.origin);
    assert_eq!(soon("relay", it.results.recv()).await.unwrap().why, CloseReason::UpstreamReset);
    it.running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_client_that_goes_while_the_origin_is_deaf_ends_the_relay() {
    let options = RelayOptions { idle: Some(Duration::from_secs(1)), ..plain() };
    let mut it = setup(Workers::Ambient, options, 0).await;
    let block = vec![7; 256 * 1024];
    while tokio::time::timeout(Duration::from_millis(200), it.client.write(&block)).await.is_ok() {}
    reset(it.client);
    let relayed = soon("relay", it.results.recv()).await.unwrap();
    assert!(matches!(relayed.why, CloseReason::PeerReset | CloseReason::IdleTimeout));
    it.running.stop(Stop::Now).await;
}
