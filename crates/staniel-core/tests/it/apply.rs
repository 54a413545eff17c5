//! Changing the set of endpoints while they run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use staniel_core::{
    ApplyReport, Bind, BindErrorKind, BoxHandler, ConnLimits, Connection, Endpoint, Host,
    ListenHandler, Plan, Result, Running, SocketOptions, Stop, TransportManager, UdpSession,
    Workers, sessions,
};
use tokio::io::AsyncReadExt;
use tokio::net::UdpSocket;

use crate::support::{addr_of, dial, greeting, not_now, says, soon, taken};

/// `added changed removed kept renamed`, by name.
fn shown(report: &ApplyReport) -> String {
    let ApplyReport { added, changed, removed, kept, renamed, .. } = report;
    let list = [("+", added), ("~", changed), ("-", removed), ("=", kept), (">", renamed)];
    let words = list
        .into_iter()
        .flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")));
    words.collect::<Vec<_>>().join(" ")
}

fn handler(letter: u8) -> BoxHandler<Connection> {
    BoxHandler::new(says(letter))
}

fn local(name: &str, port: u16) -> Bind {
    Bind::at(format!("tcp://127.0.0.1:{port}")).name(name)
}

async fn empty(workers: Workers) -> Running {
    Host::new().workers(workers).start().await.unwrap()
}

/// Inodes of the sockets that listen on a port.
fn inodes(port: u16) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let mut inodes: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row[1].ends_with(&port) && row[3] == "0A")
        .map(|row| row[9].to_owned())
        .collect();
    inodes.sort();
    inodes
}

#[tokio::test]
async fn an_unchanged_endpoint_keeps_its_sockets_and_connections() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let running = empty(workers).await;
        let (tm, a, b) = (running.manager(), handler(b'a'), handler(b'b'));
        let plan = || Plan::default().bind(local("a", 0), a.clone());
        assert_eq!(shown(&tm.apply(plan()).await.unwrap()), "+a");
        let addr = addr_of(&running, "a");
        let (before, (_, mut client)) = (inodes(addr.port()), greeting(addr).await);
        assert!(!before.is_empty());

        let report = tm.apply(plan().bind(local("b", 0), b.clone())).await.unwrap();
        assert_eq!(shown(&report), "+b =a");
        assert!(report.is_change());
        let report = tm.apply(plan().bind(local("b", 0), b.clone())).await.unwrap();
        assert_eq!(shown(&report), "=a =b");
        assert!(!report.is_change());
        let other = Plan::default().bind(local("a", 0), b.clone());
        assert_eq!(shown(&tm.apply(other).await.unwrap()), "~a -b");

        assert_eq!((addr_of(&running, "a"), inodes(addr.port())), (addr, before));
        assert!(not_now(client.read_u8()).await, "the old connection lives");
        assert_eq!(greeting(addr).await.0, b'b', "the next meets the new handler");
        running.stop(Stop::Now).await;
    }
}

#[tokio::test]
async fn a_failed_bind_changes_nothing_and_all_failures_are_told() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let running = empty(workers).await;
        let (tm, a) = (running.manager(), handler(b'a'));
        let two = Plan::default().bind(local("a", 0), a.clone()).bind(local("b", 0), handler(b'b'));
        tm.apply(two).await.unwrap();
        let (addr_a, addr_b) = (addr_of(&running, "a"), addr_of(&running, "b"));
        let ((_one, one), (_two, two)) = (taken(), taken());
        let published = Arc::new(AtomicBool::new(false));
        let plan = Plan::default()
            .bind(local("a", 0), handler(b'x'))
            .bind(local("one", one.port()), a.clone())
            .bind(local("free", 0), a.clone())
            .bind(local("two", two.port()), a.clone())
            .on_commit({
                let published = published.clone();
                move || published.store(true, Ordering::SeqCst)
            });

        let error = tm.apply(plan).await.unwrap_err();

        let failed: Vec<_> = error.failed.iter().map(|it| (it.name.as_str(), it.kind)).collect();
        assert_eq!(failed, [("one", BindErrorKind::InUse), ("two", BindErrorKind::InUse)]);
        assert!(!published.load(Ordering::SeqCst));
        let names: Vec<_> = tm.list().iter().map(|bound| bound.name().to_string()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((greeting(addr_a).await.0, greeting(addr_b).await.0), (b'a', b'b'));
        running.stop(Stop::Now).await;
    }
}

#[tokio::test]
async fn what_cannot_be_is_told_before_anything_is_touched() {
    let running = empty(Workers::Ambient).await;
    let tm = running.manager();
    let plan = Plan::default()
        .bind(Bind::at("tcp://nowhere:80").name("name"), handler(b'a'))
        .bind(Bind::at("udp://127.0.0.1:0").name("kind"), handler(b'a'))
        .bind(Bind::at("strange://x").name("transport"), handler(b'a'))
        .bind(Bind::at_all([]).name("none"), handler(b'a'))
        .bind(local("twice", 0), handler(b'a'))
        .bind(local("twice", 0), handler(b'a'));
    let error = tm.apply(plan).await.unwrap_err();
    let failed: Vec<_> = error.failed.iter().map(|it| (it.name.as_str(), it.kind)).collect();
    use BindErrorKind::{BadEndpoint, DuplicateName, NoTransport};
    let expected = [
        ("name", BadEndpoint),
        ("kind", BadEndpoint),
        ("transport", NoTransport),
        ("none", BadEndpoint),
        ("twice", DuplicateName),
    ];
    assert_eq!(failed, expected);
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_new_name_takes_the_sockets_over() {
    let running = empty(Workers::N(2)).await;
    let (tm, port) = (running.manager(), free_port());
    tm.apply(Plan::default().bind(local("old", port), handler(b'a'))).await.unwrap();
    let (addr, before) = (addr_of(&running, "old"), inodes(port));
    let (_, mut client) = greeting(addr).await;
    let report = tm.apply(Plan::default().bind(local("new", port), handler(b'b'))).await.unwrap();
    assert_eq!(shown(&report), "-old >new");
    assert_eq!(inodes(port), before);
    assert_eq!(greeting(addr).await.0, b'b');
    assert!(not_now(client.read_u8()).await, "the old connection lives");
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_new_name_frees_those_who_wait_at_the_old_one_s_limit() {
    let running = empty(Workers::Ambient).await;
    let (tm, port) = (running.manager(), free_port());
    let limits = ConnLimits { max: Some(1), ..ConnLimits::default() };
    let old = local("old", port).limits(limits);
    tm.apply(Plan::default().bind(old, handler(b'a'))).await.unwrap();
    let (_, _first) = greeting(addr_of(&running, "old")).await;
    let mut waits = dial(addr_of(&running, "old")).await;
    assert!(not_now(waits.read_u8()).await);
    tm.apply(Plan::default().bind(local("new", port), handler(b'b'))).await.unwrap();
    assert_eq!(soon("greeting", waits.read_u8()).await.unwrap(), b'b');
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn an_address_can_be_had_again_right_after_it_was_given_up() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let running = empty(workers).await;
        let (tm, port) = (running.manager(), free_port());
        let mut clients = Vec::new();
        for round in 0..50 {
            let letter = b'A' + round;
            let plan = Plan::default().bind(local("e", port), handler(letter));
            assert_eq!(shown(&tm.apply(plan).await.unwrap()), "+e", "round {round}");
            let (greeted, client) = greeting(SocketAddr::from(([127, 0, 0, 1], port))).await;
            assert_eq!(greeted, letter);
            clients.push(client);
            assert_eq!(shown(&tm.apply(Plan::default()).await.unwrap()), "-e");
        }
        drop(clients);
        running.stop(Stop::Now).await;
    }
}

#[tokio::test]
async fn a_wider_address_can_be_had_right_after_a_narrower_was_given_up() {
    let running = empty(Workers::Ambient).await;
    let (tm, port) = (running.manager(), free_port());
    for round in 0..10 {
        let narrow = Plan::default().bind(local("e", port), handler(b'n'));
        tm.apply(narrow).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        tm.apply(Plan::default()).await.unwrap();
        let wide = Bind::at(format!("tcp://*:{port}")).name("e");
        let wide = tm.apply(Plan::default().bind(wide, handler(b'w'))).await;
        wide.unwrap_or_else(|error| panic!("round {round}: {error}"));
        tm.apply(Plan::default()).await.unwrap();
    }
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_udp_address_can_be_had_again_right_after_it_was_given_up() {
    async fn echo(mut session: UdpSession) -> std::io::Result<()> {
        while let Some(datagram) = session.recv().await {
            session.send(&datagram).await?;
        }
        Ok(())
    }
    for workers in [Workers::Ambient, Workers::N(2)] {
        let running = empty(workers).await;
        let tm = running.manager();
        let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = taken.local_addr().unwrap();
        drop(taken);
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(addr).await.unwrap();
        for round in 0..50 {
            let options = staniel_core::UdpOptions {
                drain_idle: std::time::Duration::from_millis(5),
                ..staniel_core::UdpOptions::default()
            };
            let bind = Bind::at(format!("udp://{addr}")).name("e").udp(options);
            let plan = Plan::default().bind(bind, sessions(echo));
            let report = tm.apply(plan).await;
            assert_eq!(
                shown(&report.unwrap_or_else(|error| panic!("round {round}: {error}"))),
                "+e"
            );
            client.send(&[round]).await.unwrap();
            let mut back = [0; 8];
            assert_eq!(soon("echo", client.recv(&mut back)).await.unwrap(), 1);
            assert_eq!(back[0], round);
            tm.apply(Plan::default()).await.unwrap();
        }
        running.stop(Stop::Now).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_at_the_commit_is_there_for_the_first_connection() {
    let running = empty(Workers::N(2)).await;
    for _ in 0..20 {
        let port = free_port();
        let published = Arc::new(AtomicBool::new(false));
        let (connected, is_connected) = std::sync::mpsc::channel();
        let client = staniel_core::task::spawn(async move {
            loop {
                let addr = SocketAddr::from(([127, 0, 0, 1], port));
                if let Ok(mut client) = tokio::net::TcpStream::connect(addr).await {
                    let _ = connected.send(());
                    return client.read_u8().await.unwrap();
                }
            }
        });
        let seen = published.clone();
        let handler = move |mut conn: Connection| {
            let seen = u8::from(seen.load(Ordering::SeqCst));
            async move { conn.io().write_all(&[seen]).await }
        };
        let plan = Plan::default().bind(local("e", port), handler);
        let plan = plan.on_commit(move || {
            // The kernel has taken the client by now; nobody may serve it yet.
            let _ = is_connected.recv_timeout(crate::support::PATIENCE);
            published.store(true, Ordering::SeqCst);
        });
        running.manager().apply(plan).await.unwrap();
        assert_eq!(soon("greeting", client).await.unwrap(), 1);
    }
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn two_views_do_not_touch_each_other() {
    #[derive(Clone)]
    struct Web(u8, Arc<parking_lot::Mutex<Vec<TransportManager>>>);
    impl ListenHandler for Web {
        async fn bind(&self, tm: &TransportManager) -> Result {
            tm.apply(Plan::default().bind(local("web", 0), handler(self.0))).await?;
            self.1.lock().push(tm.clone());
            Ok(())
        }
    }
    let views = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let host = Host::new().add(Web(b'1', views.clone())).add(Web(b'2', views.clone()));
    let running = host.start().await.unwrap();
    let [first, second] = &views.lock().clone()[..] else { panic!("two views") };
    let addr = second.get("web").unwrap().local()[0].socket_addr().unwrap();
    let letter = greeting(addr).await.0;
    first.apply(Plan::default()).await.unwrap();
    assert!(first.list().is_empty() && running.manager().list().is_empty());
    assert_eq!(second.list().len(), 1);
    assert_eq!(greeting(addr).await.0, letter);
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_busy_address_is_an_error_however_many_workers() {
    for (first, second) in [
        (Workers::N(2), Workers::N(2)),
        (Workers::Ambient, Workers::N(2)),
        (Workers::N(2), Workers::Ambient),
    ] {
        for scheme in ["tcp", "udp"] {
            let what = || match scheme {
                "tcp" => staniel_core::IntoServed::into_served(says(b'a')),
                _ => sessions(|_: UdpSession| async {}),
            };
            let host = Host::new().workers(first);
            let host = host.bind(Bind::at(format!("{scheme}://127.0.0.1:0")).name("e"), what());
            let running = host.start().await.unwrap();
            let addr = addr_of(&running, "e");
            let host = Host::new().workers(second).bind(format!("{scheme}://{addr}"), what());
            let error = host.start().await.unwrap_err();
            assert_eq!(error.failed[0].kind, BindErrorKind::InUse, "{scheme} {first:?} {second:?}");
            running.stop(Stop::Now).await;
        }
    }
}

#[tokio::test]
async fn localhost_with_port_0_is_one_port_on_both_loopbacks() {
    let running = empty(Workers::N(2)).await;
    for _ in 0..20 {
        let bind = Bind::at("tcp://localhost:0").name("e");
        let bound = running.manager().bind(bind, says(b'a')).await.unwrap();
        let local: Vec<_> = bound.local().iter().filter_map(Endpoint::socket_addr).collect();
        assert!(local.iter().all(|addr| addr.port() == local[0].port() && addr.port() != 0));
        for addr in &local {
            assert_eq!(greeting(*addr).await.0, b'a');
        }
        bound.stop(Stop::Now).await;
    }
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_peer_of_a_dual_stack_socket_is_shown_as_what_it_is() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |conn: Connection| {
        let _ = tell.send((conn.meta().peer().clone(), conn.meta().local().clone()));
        async {}
    };
    let host = Host::new().bind(Bind::at("tcp://*:0").name("e"), handler);
    let running = host.start().await.unwrap();
    let port = addr_of(&running, "e").port();
    let client = dial(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let (peer, local) = soon("the handler", told.recv()).await.unwrap();
    assert_eq!(peer.as_ip().unwrap(), client.local_addr().unwrap());
    assert_eq!(local.as_ip().unwrap(), client.peer_addr().unwrap());
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_change_that_is_given_up_midway_leaves_everything_as_it_was() {
    let running = empty(Workers::Ambient).await;
    let tm = running.manager().clone();
    tm.apply(Plan::default().bind(local("a", 0), handler(b'a'))).await.unwrap();
    let addr = addr_of(&running, "a");
    // Polled a few times and then dropped, at every point where it can be.
    for polls in 0..20 {
        let plan = Plan::default().bind(local("b", 0), handler(b'b'));
        let mut change = Box::pin(tm.apply(plan));
        let mut done = None;
        for _ in 0..=polls {
            if let std::task::Poll::Ready(report) = futures_poll(change.as_mut()) {
                done = Some(report);
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(change);
        let names: Vec<_> = tm.list().iter().map(|bound| bound.name().to_string()).collect();
        if done.is_some() {
            assert_eq!(names, ["b"]);
            break;
        }
        assert_eq!(names, ["a"]);
        assert_eq!(greeting(addr).await.0, b'a');
    }
    running.stop(Stop::Now).await;
}

/// Polls once.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test]
async fn swapping_the_handler_counts_for_the_next_connection_and_kinds_do_not_mix() {
    let running = Host::new().bind(local("e", 0), says(b'a')).start().await.unwrap();
    let (addr, bound) = (addr_of(&running, "e"), running.manager().get("e").unwrap());
    let (_, mut old) = greeting(addr).await;
    bound.swap(says(b'b')).unwrap();
    assert_eq!(greeting(addr).await.0, b'b');
    assert!(not_now(old.read_u8()).await);
    assert!(bound.swap(sessions(|_: UdpSession| async {})).is_err());
    assert_eq!(greeting(addr).await.0, b'b');
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn socket_options_change_in_place() {
    for workers in [Workers::Ambient, Workers::N(2)] {
        let running = empty(workers).await;
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let handler = BoxHandler::new(move |mut conn: Connection| {
            let nodelay = conn.io().as_tcp().map(|tcp| tcp.nodelay().unwrap());
            let _ = tell.send(nodelay);
            async {}
        });
        let (tm, port) = (running.manager(), free_port());
        let plan = |options: SocketOptions| {
            Plan::default().bind(local("e", port).socket(options), handler.clone())
        };
        tm.apply(plan(SocketOptions::default())).await.unwrap();
        let before = inodes(port);
        let _client = dial(addr_of(&running, "e")).await;
        assert_eq!(soon("handler", told.recv()).await.unwrap(), Some(true));
        let slow = SocketOptions { nodelay: false, keepalive: None, ..SocketOptions::default() };
        let report = tm.apply(plan(slow.clone())).await.unwrap();
        assert_eq!(shown(&report), "~e");
        for _ in 0..8 {
            let _client = dial(addr_of(&running, "e")).await;
            assert_eq!(soon("handler", told.recv()).await.unwrap(), Some(false));
        }
        assert_eq!(inodes(port), before);
        assert_eq!(shown(&tm.apply(plan(slow)).await.unwrap()), "=e");
        running.stop(Stop::Now).await;
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    taken().1.port()
}
