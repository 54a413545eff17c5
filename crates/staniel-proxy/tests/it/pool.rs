//! Connections to upstreams: kept, given out again, found dead; and which requests are sent once more.

use std::time::Duration;

use staniel_core::Workers;
use staniel_proxy::RequestEnd;
use staniel_test::origin::{Origin, OriginConfig};
use staniel_test::raw::{Answer, RawOrigin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Rig, eventually, refuses, soon, web, web_cluster};

const GET: &str = "GET /?id=1 HTTP/1.1\r\nHost: a.test\r\n\r\n";
const POST: &str = "POST /?id=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";

#[tokio::test]
async fn connections_are_used_again_across_clients() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for _ in 0..10 {
        assert_eq!(rig.ask(GET).await.status(), 200);
        assert_eq!(rig.ask(POST).await.status(), 200);
    }
    assert_eq!(origin.connections(), 1);
    let none = Rig::start(&web_cluster(&[origin.addr()], "pool = { max_idle = 0 }")).await;
    for _ in 0..3 {
        assert_eq!(none.ask(GET).await.status(), 200);
    }
    assert_eq!(origin.connections(), 4);
}

#[tokio::test]
async fn each_worker_has_its_own() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start_on(&web(origin.addr()), Workers::N(2)).await;
    for _ in 0..40 {
        assert_eq!(rig.ask(GET).await.status(), 200);
    }
    let workers = staniel_core::worker::cores().min(2) as u64;
    assert!((1..=2.max(workers)).contains(&origin.connections()), "{}", origin.connections());
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig =
        Rig::start(&web_cluster(&[listener.local_addr().unwrap()], "pool = { idle = \"50ms\" }"))
            .await;
    let ask = rig.ask(GET);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = vec![0; 4096];
        assert!(stream.read(&mut got).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        // The sweep closes it; nobody asks again.
        soon("the close", stream.read(&mut got)).await.unwrap()
    };
    let (answer, left) = tokio::join!(ask, serve);
    assert_eq!((answer.status(), left), (200, 0));
}

#[tokio::test]
async fn a_restart_of_the_upstream_costs_no_idempotent_request() {
    let mut origin = Origin::start().await.unwrap();
    let addr = origin.addr();
    let rig = Rig::start_on(&web(addr), Workers::N(2)).await;
    for round in 0..10 {
        // Some connections in the pools of both workers.
        let asked = futures((0..8).map(|_| rig.ask(GET))).await;
        assert!(asked.iter().all(|answer| answer.status() == 200), "{round}");
        drop(origin);
        origin = again(addr).await;
        for request in
            [GET, "PUT /?id=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab", GET]
        {
            assert_eq!(rig.ask(request).await.status(), 200, "{round}");
        }
    }
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        for (one, out) in &mut all {
            if out.is_none()
                && let std::task::Poll::Ready(done) = one.as_mut().poll(cx)
            {
                *out = Some(done);
            }
        }
        if all.iter().all(|(_, out)| out.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, out)| out).collect()
}

/// An origin on an address that was used a moment ago.
pub(crate) async fn again(addr: std::net::SocketAddr) -> Origin {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let started = async {
        loop {
            let config = named(addr, "again");
            if let Ok(origin) = Origin::start_with(config).await {
                return origin;
            }
            tick.tick().await;
        }
    };
    soon("the address is free again", started).await
}

pub(crate) fn named(addr: std::net::SocketAddr, name: &str) -> OriginConfig {
    let mut config = OriginConfig::default();
    config.addr = addr;
    config.name = name.to_owned();
    config
}

/// An origin that answers the first request of each connection, and does `then` with the second.
async fn second_request(then: fn(tokio::net::TcpStream)) -> (std::net::SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut all = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            all.spawn(async move {
                let mut got = Vec::new();
                while !got.ends_with(b"abc") && !got.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut got).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                got.clear();
                if stream.read_buf(&mut got).await.unwrap_or(0) > 0 {
                    then(stream);
                }
            });
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_the_request() {
    let close: fn(tokio::net::TcpStream) = drop;
    let reset: fn(tokio::net::TcpStream) = |stream| drop(stream.set_zero_linger());
    for then in [close, reset] {
        let (addr, _tasks) = second_request(then).await;
        // Not even `retries = 0` makes a race of HTTP/1.1 an error for what may be repeated.
        let rig = Rig::start(&web_cluster(&[addr], "retries = 0")).await;
        assert_eq!(rig.ask(GET).await.status(), 200);
        let again = rig.ask(GET).await;
        assert_eq!((again.status(), &*again.text()), (200, "ok"));
        assert_eq!(rig.wait_for_records(2).await[1]["retries"], 1);
        // A POST may have had its effect.
        assert_eq!(rig.ask(POST).await.status(), 502);
        assert_eq!(rig.record(3).await["end"], "destination_reset");
    }
}

#[tokio::test]
async fn a_body_is_sent_again_whole_or_not_at_all() {
    let (addr, _tasks) = second_request(drop).await;
    let rig = Rig::start(&web(addr)).await;
    assert_eq!(rig.ask(GET).await.status(), 200);
    // All of it came with the head.
    let put = "PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(rig.ask(put).await.status(), 200);
    let recording =
        RawOrigin::sequence([Answer::ok("first"), Answer::nothing().close(), Answer::ok("third")])
            .await
            .unwrap();
    let rig = Rig::start(&web(recording.addr())).await;
    assert_eq!(rig.ask(GET).await.text(), "first");
    let body = "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(rig.ask(body).await.text(), "third");
    let seen = recording.requests();
    assert_eq!(
        (seen[1].message.body.as_slice(), seen[2].message.body.as_slice()),
        (&b"hello"[..], &b"hello"[..])
    );
    assert!(seen[1].connection == 0 && seen[2].connection == 1);
}

#[tokio::test]
async fn a_body_that_went_past_us_is_not_sent_again() {
    let recording =
        RawOrigin::sequence([Answer::ok("first"), Answer::nothing().close(), Answer::ok("third")])
            .await
            .unwrap();
    let rig = Rig::start(&web(recording.addr())).await;
    assert_eq!(rig.ask(GET).await.text(), "first");
    let mut client = rig.client().await;
    let head = "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100005\r\n\r\nhello";
    client.send(head).await.unwrap();
    client.send(vec![b'x'; 100_000]).await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 502);
    assert_eq!(recording.requests().len(), 2);
}

#[tokio::test]
async fn a_connection_that_speaks_unasked_is_not_used_again() {
    // The stray bytes come some time behind the answer.
    let answer = Answer::ok("one")
        .pause(Duration::from_millis(30))
        .then("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nSTRAY");
    let origin = RawOrigin::always(answer).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for n in 1..=3 {
        assert_eq!(rig.ask(if n == 2 { POST } else { GET }).await.text(), "one");
        // The stray bytes are there once the origin has read on.
        soon("the request", origin.wait_for(n)).await;
        assert!(crate::support::not_now(std::future::pending::<()>()).await);
    }
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn another_destination_takes_what_one_refuses() {
    let origin = Origin::start().await.unwrap();
    let text = web_cluster(&[refuses(), origin.addr()], "load_balancing = \"round-robin\"");
    let rig = Rig::start(&text).await;
    for _ in 0..6 {
        assert_eq!(rig.ask(POST).await.status(), 200);
    }
    let records = rig.wait_for_records(6).await;
    // Who has just refused is not asked first again.
    let retried: Vec<_> = records.iter().map(|record| record["retries"].as_u64()).collect();
    assert_eq!(retried, [1, 0, 0, 0, 0, 0].map(Some));
    let text =
        web_cluster(&[refuses(), origin.addr()], "load_balancing = \"round-robin\"\nretries = 0");
    let rig = Rig::start(&text).await;
    let statuses = [rig.ask(GET).await.status(), rig.ask(GET).await.status()];
    assert_eq!(statuses, [502, 200]);
    // No more often than is said, and each destination once.
    let all = [refuses(), refuses(), refuses(), refuses()];
    for (retries, expected) in [(2, 2), (10, 3)] {
        let rig = Rig::start(&web_cluster(&all, &format!("retries = {retries}"))).await;
        assert_eq!(rig.ask(GET).await.status(), 502);
        assert_eq!(rig.record(1).await["retries"], expected);
    }
}

#[tokio::test]
async fn a_stale_connection_does_not_use_up_the_retries() {
    // One of two is gone for good: its kept connections are dead and nobody listens there any more.
    let (dies, lives) = (Origin::start().await.unwrap(), Origin::named("lives").await.unwrap());
    let gone = dies.addr();
    let rig =
        Rig::start(&web_cluster(&[gone, lives.addr()], "load_balancing = \"round-robin\"")).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(rig.client().await);
    }
    for client in &mut clients {
        assert_eq!(client.exchange(GET).await.unwrap().status(), 200);
    }
    drop(dies);
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.exchange(GET).await.unwrap().status(), 200);
        }
    }
}

/// A kept connection whose death is only seen when the request is on it.
#[tokio::test]
async fn a_connection_that_dies_with_the_request_leads_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dies = listener.local_addr().unwrap();
    let lives = Origin::named("lives").await.unwrap();
    let rig =
        Rig::start(&web_cluster(&[dies, lives.addr()], "load_balancing = \"round-robin\"")).await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = vec![0; 4096];
        assert!(stream.read(&mut got).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut got).await.unwrap() > 0);
        // Now nobody listens any more, and then the connection goes.
        drop(listener);
        drop(stream);
    };
    let ask = async {
        let mut client = rig.client().await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(client.exchange(GET).await.unwrap().status());
        }
        statuses
    };
    let ((), statuses) = tokio::join!(serve, ask);
    assert_eq!(statuses, [200; 4]);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_holds_nothing_up() {
    let origin = Origin::start().await.unwrap();
    let text = |more: &str| {
        format!(
            "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.bad]\npath = \"/bad\"\nto = \"http://nobody.invalid\"\n\
             [route.good]\nto = \"http://{}\"\n{more}",
            origin.addr()
        )
    };
    let rig = Rig::start(&text("")).await;
    assert_eq!(rig.get("/good?id=2").await.text(), "2");
    rig.reload(&text("[route.more]\npath = \"/more\"\nto = \"http://also.invalid\"\n"))
        .await
        .unwrap();
    assert_eq!(rig.get("/more").await.status(), 502);
    assert_eq!(rig.get("/good?id=3").await.text(), "3");
    assert_eq!(rig.ended(RequestEnd::DnsFailed), 1);
}

#[tokio::test]
async fn localhost_resolves_and_is_kept() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\nto = \"http://localhost:{}\"\n",
        origin.addr().port()
    ))
    .await;
    for _ in 0..3 {
        assert_eq!(rig.ask(GET).await.status(), 200);
    }
    eventually("one connection", || origin.connections() == 1).await;
}
