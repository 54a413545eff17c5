//! Another configuration in the same process: whole or not at all, and what stays the same is not touched.

use std::time::Duration;

use staniel_test::origin::Origin;
use staniel_test::raw::{Answer, RawClient, RawOrigin};
use tokio::net::{TcpListener, UdpSocket};

use crate::support::{Rig, eventually, field, not_now, soon, web, web_cluster};

const GET: &str = "GET /?id=1 HTTP/1.1\r\nHost: a.test\r\n\r\n";

fn listen(name: &str, address: impl std::fmt::Display, more: &str) -> String {
    format!("[listen.{name}]\naddress = \"{address}\"\n{more}\n")
}

fn route(name: &str, listen: &str, to: std::net::SocketAddr) -> String {
    format!("[route.{name}]\nlisten = {listen}\nto = \"http://{to}\"\n")
}

#[tokio::test]
async fn a_bad_file_a_taken_port_or_a_log_that_cannot_be_opened_change_nothing() {
    let (origin, other) =
        (Origin::named("old").await.unwrap(), Origin::named("new").await.unwrap());
    let good = web(origin.addr());
    let rig = Rig::start(&good).await;
    let mut client = rig.client().await;
    client.exchange(GET).await.unwrap();
    let (a, b) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    );
    let (a, b) = (
        a.local_addr().map(|addr| (a, addr)).unwrap(),
        b.local_addr().map(|addr| (b, addr)).unwrap(),
    );
    let taken = format!(
        "{}{}{}[cluster.u]\ndestinations = [\"127.0.0.1:9\"]\n",
        web(other.addr()),
        listen("busy", a.1, ""),
        listen("busyudp", b.1, "protocols = \"udp\"\ncluster = \"u\"")
    );
    let bound = rig.proxy.bound();
    let error = rig.reload(&taken).await.unwrap_err();
    assert!(
        error.contains(&a.1.to_string()) && error.contains(&b.1.to_string()),
        "both are told: {error}"
    );
    let error = rig.reload("[listen.web]\naddress = \"nowhere\"\n").await.unwrap_err();
    assert!(!error.is_empty());
    let log = format!("{}[log]\naccess = \"/nonexistent/dir/access.log\"\n", web(other.addr()));
    let no_log = Rig::start(&format!("{good}[log]\naccess = \"off\"\n")).await;
    let error = no_log.reload(&log).await.unwrap_err();
    assert!(error.contains("/nonexistent/dir/access.log"), "{error}");
    for rig in [&rig, &no_log] {
        assert_eq!(field(&rig.ask(GET).await, "x-origin"), "old");
    }
    assert_eq!(field(&client.exchange(GET).await.unwrap(), "x-origin"), "old");
    assert_eq!(rig.proxy.bound(), bound);
    // Nothing of what was tried is still held.
    drop((a, b));
    rig.reload(&taken).await.unwrap();
    assert_eq!(field(&client.exchange(GET).await.unwrap(), "x-origin"), "new");
}

#[tokio::test]
async fn a_start_that_fails_names_everything() {
    let taken = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let addrs = taken.each_ref().map(|one| one.local_addr().unwrap());
    let text = format!(
        "{}{}[route.r]\nto = \"http://127.0.0.1:9\"\n",
        listen("a", addrs[0], ""),
        listen("b", addrs[1], "")
    );
    let error = Rig::try_start(&text, staniel_core::Workers::Ambient).await.err().unwrap();
    assert!(addrs.iter().all(|addr| error.contains(&addr.to_string())), "{error}");
}

#[tokio::test]
async fn what_does_not_change_is_not_touched() {
    let origin = Origin::start().await.unwrap();
    let text = web(origin.addr());
    let rig = Rig::start(&text).await;
    let mut client = rig.client().await;
    client.exchange(GET).await.unwrap();
    let addr = rig.addr("web");
    // The same words, elsewhere in the file; another listener beside; other routes and clusters beside.
    for (n, more) in [
        text.clone(),
        format!("# a comment\n\n{text}"),
        format!("{text}{}", listen("more", "127.0.0.1:0", "")),
        format!("{text}[route.x]\npath = \"/x\"\nto = \"http://127.0.0.1:9\"\n"),
        format!("{text}[server]\nshutdown_timeout = \"5s\"\n"),
        text.clone(),
    ]
    .iter()
    .enumerate()
    {
        rig.reload(more).await.unwrap();
        assert_eq!(client.exchange(GET).await.unwrap().status(), 200, "{n}");
        assert_eq!(rig.addr("web"), addr);
        assert_eq!(origin.connections(), 1, "the same connection to the upstream: {n}");
    }
    // Nor by a change of the cluster that has nothing to do with its connections.
    let balanced = web_cluster(&[origin.addr()], "load_balancing = \"random\"");
    rig.reload(&balanced).await.unwrap();
    rig.ask(GET).await;
    let connections = origin.connections();
    rig.reload(&web_cluster(&[origin.addr()], "load_balancing = \"round-robin\"")).await.unwrap();
    rig.ask(GET).await;
    assert_eq!(origin.connections(), connections);
}

#[tokio::test]
async fn an_old_connection_takes_the_new_routes() {
    let (old, new) = (Origin::named("old").await.unwrap(), Origin::named("new").await.unwrap());
    let rig = Rig::start(&web(old.addr())).await;
    let mut client = rig.client().await;
    for (origin, name) in [(&old, "old"), (&new, "new"), (&old, "old")] {
        rig.reload(&web(origin.addr())).await.unwrap();
        assert_eq!(field(&client.exchange(GET).await.unwrap(), "x-origin"), name);
    }
    rig.reload(&listen("web", "127.0.0.1:0", "")).await.unwrap();
    assert_eq!(client.exchange(GET).await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_kept_connections_of_a_destination_that_is_gone_are_closed() {
    let origin = RawOrigin::always(Answer::ok("x").pause(Duration::from_millis(50))).await.unwrap();
    let other = Origin::start().await.unwrap();
    let closes = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rig = Rig::start(&web(closes.local_addr().unwrap())).await;
    let serve = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = closes.accept().await.unwrap();
        let mut got = vec![0; 4096];
        assert!(stream.read(&mut got).await.unwrap() > 0);
        // The answer comes when the destination is gone from the configuration already.
        rig.reload(&web(other.addr())).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        soon("the close", stream.read(&mut got)).await.unwrap()
    };
    let mut client = rig.client().await;
    let (answer, left) = tokio::join!(client.exchange(GET), serve);
    assert_eq!((answer.unwrap().status(), left), (200, 0));
    drop(origin);
}

#[tokio::test]
async fn limits_of_a_listener_change_in_place() {
    let origin = Origin::start().await.unwrap();
    let text = |limits: &str| {
        format!(
            "{}[route.all]\nto = \"http://{}\"\n",
            listen("web", "127.0.0.1:0", limits),
            origin.addr()
        )
    };
    let rig = Rig::start(&text("limits = { max_connections = 1 }")).await;
    let addr = rig.addr("web");
    let mut first = rig.client().await;
    assert_eq!(first.exchange(GET).await.unwrap().status(), 200);
    let mut second = rig.client().await;
    second.send(GET).await.unwrap();
    assert!(not_now(second.answer()).await, "the limit is one");
    rig.reload(&text("limits = { max_connections = 10 }")).await.unwrap();
    assert_eq!(second.answer().await.unwrap().status(), 200);
    assert_eq!((rig.addr("web"), first.exchange(GET).await.unwrap().status()), (addr, 200));
    // Limits of a head hold for connections from then on.
    rig.reload(&text("limits = { request_line = 64 }")).await.unwrap();
    let long = format!("/{}", "x".repeat(100));
    assert_eq!(rig.get(&long).await.status(), 414);
    rig.reload(&text("timeouts = { keep_alive = \"1s\" }")).await.unwrap();
    let mut idle = rig.client().await;
    assert_eq!(idle.exchange(GET).await.unwrap().status(), 200);
    assert!(idle.until_close().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_body_limit_and_trust_hold_at_once_on_old_connections() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    let post = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nX-Forwarded-For: 9.9.9.9\r\n\r\nhello";
    assert_eq!(client.exchange(post).await.unwrap().status(), 200);
    let limited = format!("{}limits = {{ body = 4 }}\n", web(origin.addr()));
    rig.reload(&limited).await.unwrap();
    assert_eq!(client.exchange(post).await.unwrap().status(), 413);
}

#[tokio::test]
async fn a_removed_listener_drains_and_its_address_is_free() {
    let origin = Origin::slow(Duration::from_millis(300)).await.unwrap();
    let both = format!("{}{}", listen("gone", "127.0.0.1:0", ""), web(origin.addr()));
    let rig = Rig::start(&both).await;
    let addr = rig.addr("gone");
    let mut busy = RawClient::connect(addr).await.unwrap();
    let mut idle = RawClient::connect(addr).await.unwrap();
    idle.send(GET).await.unwrap();
    idle.answer().await.unwrap();
    busy.send(GET).await.unwrap();
    rig.reload(&web(origin.addr())).await.unwrap();
    let answer = busy.answer().await.unwrap();
    assert_eq!((answer.status(), answer.says_close()), (200, true));
    // A request that was on its way is answered by the routes of the listener that was.
    let late = idle.exchange(GET).await.unwrap();
    assert_eq!((late.status(), late.says_close()), (200, true));
    assert!(rig.endpoints("gone").is_empty());
    let again = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while TcpListener::bind(addr).await.is_err() {
            tick.tick().await;
        }
    };
    soon("the address is free", again).await;
}

#[tokio::test]
async fn who_waits_in_the_queue_of_a_removed_listener_is_served_by_it() {
    let origin = Origin::start().await.unwrap();
    // One connection at a time: the others wait in the kernel until it goes.
    let both = format!(
        "{}{}",
        listen("gone", "127.0.0.1:0", "limits = { max_connections = 1 }"),
        web(origin.addr())
    );
    let rig = Rig::start(&both).await;
    let addr = rig.addr("gone");
    let mut first = RawClient::connect(addr).await.unwrap();
    assert_eq!(first.exchange(GET).await.unwrap().status(), 200);
    let mut waits = RawClient::connect(addr).await.unwrap();
    waits.send(GET).await.unwrap();
    rig.reload(&web(origin.addr())).await.unwrap();
    drop(first);
    assert_eq!(waits.answer().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_renamed_listener_keeps_its_socket() {
    let origin = Origin::start().await.unwrap();
    let at = staniel_test::port::free_tcp().unwrap();
    let text = |name: &str| {
        format!("{}[route.all]\nto = \"http://{}\"\n", listen(name, at, ""), origin.addr())
    };
    let rig = Rig::start(&text("a")).await;
    let mut old = RawClient::connect(at).await.unwrap();
    old.exchange(GET).await.unwrap();
    rig.reload(&text("b")).await.unwrap();
    assert_eq!(rig.addr("b"), at);
    let mut new = RawClient::connect(at).await.unwrap();
    assert_eq!(new.exchange(GET).await.unwrap().status(), 200);
    assert_eq!(old.exchange(GET).await.unwrap().status(), 200, "the old connection goes on");
    let records = rig.wait_for_records(3).await;
    assert_eq!((&records[1]["listener"], &records[2]["listener"]), (&"b".into(), &"a".into()));
}

#[tokio::test]
async fn listeners_see_their_own_routes_only() {
    let (a, b) = (Origin::named("a").await.unwrap(), Origin::named("b").await.unwrap());
    let text = format!(
        "{}{}{}{}",
        listen("web", "127.0.0.1:0", ""),
        listen("other", "127.0.0.1:0", ""),
        route("a", "\"web\"", a.addr()),
        route("b", "[\"other\"]", b.addr())
    );
    let rig = Rig::start(&text).await;
    for (listener, name) in [("web", "a"), ("other", "b")] {
        let mut client = RawClient::connect(rig.addr(listener)).await.unwrap();
        assert_eq!(field(&client.exchange(GET).await.unwrap(), "x-origin"), name);
    }
}

#[tokio::test]
async fn a_listener_changes_what_it_speaks() {
    let origin = Origin::start().await.unwrap();
    let at = staniel_test::port::free_tcp().unwrap();
    let http = format!("{}[route.all]\nto = \"http://{}\"\n", listen("web", at, ""), origin.addr());
    let tcp = format!(
        "{}[cluster.c]\ndestinations = [\"{}\"]\n",
        listen("web", at, "protocols = \"tcp\"\ncluster = \"c\""),
        origin.addr()
    );
    let rig = Rig::start(&http).await;
    let mut old = rig.client().await;
    assert_eq!(old.exchange(GET).await.unwrap().status(), 200);
    for (text, forwarded) in [(&tcp, false), (&http, true), (&tcp, false)] {
        rig.reload(text).await.unwrap();
        let answer = rig.ask(GET).await;
        assert_eq!((answer.status(), &*answer.text()), (200, "1"));
        eventually("records", || !rig.records().is_empty()).await;
        assert_eq!(
            old.exchange(GET).await.unwrap().status(),
            200,
            "what a connection began with, it keeps: {forwarded}"
        );
    }
}
