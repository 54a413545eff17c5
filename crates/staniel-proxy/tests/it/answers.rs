//! Which route a request takes, and what the proxy answers by itself.

use std::time::Duration;

use staniel_core::Workers;
use staniel_proxy::RequestEnd;
use staniel_test::origin::Origin;
use staniel_test::port;
use staniel_test::raw::{Answer, RawClient, RawOrigin};

use crate::support::{Rig, eventually, field, refuses, soon, web, web_cluster};

#[tokio::test]
async fn routes_go_by_host_path_method_and_order() {
    let mut origins = Vec::new();
    for name in ["host", "below", "path", "prefix", "post", "first", "rest"] {
        origins.push(Origin::named(name).await.unwrap());
    }
    let to = |n: usize| format!("to = \"http://{}\"\n", origins[n].addr());
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n\
         [route.host]\nhost = \"a.test\"\n{}\
         [route.below]\nhost = \"*.a.test\"\n{}\
         [route.path]\npath = \"/api\"\n{}\
         [route.prefix]\npath = \"/api/*\"\n{}\
         [route.post]\npath = \"/api/*\"\nmethod = \"POST\"\n{}\
         [route.first]\npath = \"/o/*\"\norder = -1\n{}\
         [route.second]\npath = \"/o/*\"\norder = 5\n{}\
         [route.rest]\n{}",
        to(0),
        to(1),
        to(2),
        to(3),
        to(4),
        to(5),
        to(6),
        to(6)
    ))
    .await;
    let ask = async |method: &str, host: &str, path: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        field(&rig.ask(&request).await, "x-origin")
    };
    for (method, host, path, expected) in [
        ("GET", "a.test", "/api", "host"),
        ("GET", "A.TEST:8080", "/x", "host"),
        ("GET", "a.test.", "/x", "host"),
        ("GET", "x.a.test", "/x", "below"),
        ("GET", "y.x.a.test", "/x", "below"),
        ("GET", "b.test", "/api", "path"),
        ("GET", "b.test", "/api/x", "prefix"),
        ("GET", "b.test", "/apix", "rest"),
        ("POST", "b.test", "/api/x", "post"),
        ("GET", "b.test", "/o/x", "first"),
        ("GET", "b.test", "/", "rest"),
        ("OPTIONS", "b.test", "*", "rest"),
    ] {
        assert_eq!(ask(method, host, path).await, expected, "{method} {host} {path}");
    }
}

#[tokio::test]
async fn without_a_route_it_is_404_and_the_connection_lives() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.a]\npath = \"/a\"\nto = \"http://{}\"\n",
        origin.addr()
    ))
    .await;
    let mut client = rig.client().await;
    let none = client.exchange("GET /b?q=1 HTTP/1.1\r\nHost: h.test\r\n\r\n").await.unwrap();
    assert_eq!((none.status(), none.says_close()), (404, false));
    let found = client.exchange("GET /a?id=7 HTTP/1.1\r\nHost: h.test\r\n\r\n").await.unwrap();
    assert_eq!((found.status(), &*found.text()), (200, "7"));
    let records = rig.wait_for_records(2).await;
    assert_eq!((&records[0]["end"], &records[0]["status"]), (&"no_route".into(), &404.into()));
    assert_eq!((&records[0]["host"], &records[0]["path"]), (&"h.test".into(), &"/b".into()));
    assert_eq!(records[0]["query"], "q=1");
    assert_eq!((&records[1]["end"], &records[1]["route"]), (&"ok".into(), &"a".into()));
    assert_eq!(rig.ended(RequestEnd::NoRoute), 1);
    assert_eq!(rig.ended(RequestEnd::Ok), 1);
}

#[tokio::test]
async fn connect_and_trace_are_405() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for target in ["CONNECT a.test:443", "TRACE /"] {
        let mut client = rig.client().await;
        let answer = client
            .exchange(format!("{target} HTTP/1.1\r\nHost: a.test\r\n\r\n").as_str())
            .await
            .unwrap();
        assert_eq!(answer.status(), 405, "{target}");
        assert!(field(&answer, "allow").contains("GET"));
        // What was sent ahead for a tunnel must not be read as a request.
        assert!(answer.says_close(), "{target}");
    }
    let records = rig.wait_for_records(2).await;
    assert!(records.iter().all(|record| record["end"] == "method_not_allowed"), "{records:?}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn nobody_there_is_502_and_a_name_that_does_not_resolve_too() {
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n\
         [route.dead]\npath = \"/dead\"\nto = \"http://{}\"\n\
         [route.name]\npath = \"/name\"\nto = \"http://nobody.invalid:80\"\n",
        refuses()
    ))
    .await;
    assert_eq!(rig.get("/dead").await.status(), 502);
    assert_eq!(rig.record(1).await["end"], "connect_failed");
    assert_eq!(rig.get("/name").await.status(), 502);
    let record = rig.record(2).await;
    assert_eq!((&record["end"], &record["end_by"]), (&"dns_failed".into(), &"destination".into()));
    assert_eq!(rig.ended(RequestEnd::DnsFailed), 1);
    assert_eq!(rig.ended(RequestEnd::ConnectFailed), 1);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_504() {
    let origin = RawOrigin::always(Answer::nothing().hang()).await.unwrap();
    let rig =
        Rig::start(&web_cluster(&[origin.addr()], "timeouts = { response_head = \"80ms\" }")).await;
    assert_eq!(rig.get("/").await.status(), 504);
    let record = rig.record(1).await;
    assert_eq!((&record["end"], &record["status"]), (&"destination_timeout".into(), &504.into()));
    // Interim answers show that it lives: each begins the wait anew.
    let patient = Answer::nothing().in_pieces(
        "HTTP/1.1 102 Processing\r\n\r\n".repeat(6),
        27,
        Duration::from_millis(60),
    );
    let origin = RawOrigin::always(patient.then("HTTP/1.1 204 No Content\r\n\r\n")).await.unwrap();
    let rig =
        Rig::start(&web_cluster(&[origin.addr()], "timeouts = { response_head = \"200ms\" }"))
            .await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    for _ in 0..6 {
        assert_eq!(client.answer().await.unwrap().status(), 102);
    }
    assert_eq!(client.answer().await.unwrap().status(), 204);
}

#[tokio::test]
async fn a_connect_that_hangs_is_504() {
    // A listener whose queue is full does not answer.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(Ok(one)) =
        tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(addr)).await
    {
        fill.push(one);
    }
    let rig =
        Rig::start(&web_cluster(&[addr], "retries = 0\ntimeouts = { connect = \"100ms\" }")).await;
    assert_eq!(rig.get("/").await.status(), 504);
    assert_eq!(rig.record(1).await["end"], "connect_timeout");
}

#[tokio::test]
async fn an_upstream_that_makes_no_sense_is_502() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let origin = RawOrigin::always(answer).await.unwrap();
        let rig = Rig::start(&web(origin.addr())).await;
        let got = rig.get("/").await;
        assert_eq!(got.status(), 502, "{answer:?}");
        assert_eq!(rig.record(1).await["end"], "destination_protocol_error", "{answer:?}");
        assert_eq!(rig.proxy.stats().violations().get("upstream"), Some(&1), "{answer:?}");
        assert_eq!(rig.get("/").await.status(), 502, "{answer:?}");
        assert_eq!(origin.connections(), 2, "never reused: {answer:?}");
    }
}

#[tokio::test]
async fn an_upstream_that_closes_or_floods_is_502() {
    let close = RawOrigin::always(Answer::nothing().close()).await.unwrap();
    let half = RawOrigin::always(Answer::bytes("HTTP/1.1 200 O").close()).await.unwrap();
    let reset = RawOrigin::always(Answer::nothing().reset()).await.unwrap();
    for origin in [&close, &half, &reset] {
        let rig = Rig::start(&web(origin.addr())).await;
        assert_eq!(rig.get("/").await.status(), 502);
        assert_eq!(rig.record(1).await["end"], "destination_reset");
        assert_eq!(origin.requests().len(), 1, "a fresh connection that closes is not tried again");
    }
    let flood =
        RawOrigin::always("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000).as_str()).await.unwrap();
    let rig = Rig::start(&web(flood.addr())).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let last = loop {
        let answer = client.answer().await.unwrap();
        if answer.status() != 103 {
            break answer.status();
        }
    };
    assert_eq!(last, 502);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let text = format!("{}limits = {{ body = 10 }}\n", web(origin.addr()));
    let rig = Rig::start(&text).await;
    let head = "POST / HTTP/1.1\r\nHost: a.test\r\n";
    for (body, status) in [
        ("Content-Length: 10\r\n\r\n0123456789", 200),
        ("Content-Length: 11\r\n\r\n", 413),
        ("Content-Length: 11\r\nExpect: 100-continue\r\n\r\n", 413),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n", 200),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n", 413),
    ] {
        let answer = rig.ask(&format!("{head}{body}")).await;
        assert_eq!((answer.status(), answer.says_close()), (status, status == 413), "{body:?}");
    }
    assert_eq!(rig.ended(RequestEnd::LimitBody), 3);
    // In pieces, so that part of it has gone to the origin already.
    let rig = Rig::start(&text).await;
    let mut client = rig.client().await;
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")).await.unwrap();
    soon("the connection", origin.wait_for_connections(2)).await;
    client.send("6\r\n567890\r\n").await.unwrap();
    assert_eq!(client.answer().await.unwrap().status(), 413);
    assert_eq!(rig.ended(RequestEnd::LimitBody), 1);
    eventually("whole requests", || {
        origin.requests().iter().filter(|r| r.message.complete).count() == 2
    })
    .await;
}

#[tokio::test]
async fn a_slow_head_is_408_and_a_slow_body_too() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\ntimeouts = {{ request_head = \"1s\" }}\n\
         limits = {{ min_rate_grace = \"1s\" }}\n[route.all]\nto = \"http://{}\"\n",
        origin.addr()
    ))
    .await;
    let slow_head = async {
        let mut client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHo").await.unwrap();
        client.answer().await.unwrap()
    };
    let slow_body = async {
        let mut client = rig.client().await;
        client
            .send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nabc")
            .await
            .unwrap();
        client.answer().await.unwrap()
    };
    let (head, body) = tokio::join!(slow_head, slow_body);
    assert_eq!((head.status(), head.says_close()), (408, true));
    assert_eq!((body.status(), body.says_close()), (408, true));
    let records = rig.wait_for_records(2).await;
    let mut ends: Vec<_> = records.iter().map(|record| record["end"].as_str().unwrap()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["client_timeout", "client_too_slow"]);
}

#[tokio::test]
async fn who_waits_for_100_is_not_too_slow() {
    // The client may wait for the word to go on for as long as the upstream may take to give it.
    let origin = RawOrigin::start_early(|_| {
        Answer::nothing().pause(Duration::from_millis(1700)).then("HTTP/1.1 100 Continue\r\n\r\n")
    })
    .await
    .unwrap();
    let silent = RawOrigin::start_early(|_| Answer::nothing().hang()).await.unwrap();
    let rig = Rig::start(&format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\nlimits = {{ min_rate_grace = \"1s\" }}\n\
         [route.slow]\npath = \"/slow\"\nto = \"http://{}\"\n\
         [route.silent]\npath = \"/silent\"\nto = \"http://{}\"\ntimeouts = {{ response_head = \"1500ms\" }}\n",
        origin.addr(),
        silent.addr()
    ))
    .await;
    let ask = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let (mut slow, mut silent) = (rig.client().await, rig.client().await);
    slow.send(ask("/slow")).await.unwrap();
    silent.send(ask("/silent")).await.unwrap();
    assert_eq!(slow.answer().await.unwrap().status(), 100);
    // Whose turn it was says the status: not 408, but 504.
    assert_eq!(silent.answer().await.unwrap().status(), 504);
}

#[tokio::test]
async fn a_malformed_request_is_400_and_counted() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /..;/x HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let answer = rig.ask(request).await;
        assert_eq!((answer.status(), answer.says_close()), (400, true), "{request:?}");
    }
    let records = rig.wait_for_records(5).await;
    assert!(records.iter().all(|record| record["end"] == "client_protocol_error"), "{records:?}");
    assert_eq!(rig.proxy.stats().violations().values().sum::<u64>(), 5);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_is_client_closed() {
    let origin = RawOrigin::always(Answer::nothing().hang()).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client: RawClient = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    soon("the request", origin.wait_for(1)).await;
    client.reset().unwrap();
    let record = rig.record(1).await;
    assert_eq!((&record["end"], &record["end_by"]), (&"client_closed".into(), &"client".into()));
    assert!(record.get("status").is_none(), "{record}");
}

#[tokio::test]
async fn a_client_that_has_finished_sending_gets_its_answer() {
    let origin = Origin::slow(Duration::from_millis(100)).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send("GET /?id=5 HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    client.finish().await.unwrap();
    assert_eq!(client.answer().await.unwrap().text(), "5");
    assert!(client.until_close().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_ipv6_address_beside_it_does_not_take_ipv4_from_every_address() {
    let origin = Origin::start().await.unwrap();
    for beside in ["[::1]", "[::]"] {
        let (every, other) = (port::free_port().unwrap(), port::free_port().unwrap());
        let text = format!(
            "[listen.web]\naddress = [\":{every}\", \"{beside}:{other}\"]\n[route.all]\nto = \"http://{}\"\n",
            origin.addr()
        );
        let _rig = Rig::start(&text).await;
        for addr in
            [format!("127.0.0.1:{every}"), format!("[::1]:{every}"), format!("[::1]:{other}")]
        {
            let mut client = RawClient::connect(addr.parse().unwrap()).await.unwrap();
            let answer =
                client.exchange("GET /?id=1 HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
            assert_eq!(answer.status(), 200, "{addr} beside {beside}");
        }
        let v4 = format!("127.0.0.1:{other}").parse().unwrap();
        assert!(RawClient::connect(v4).await.is_err(), "{beside} is IPv6 alone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_address_is_one_port_of_both_families() {
    let origin = Origin::start().await.unwrap();
    for workers in [Workers::Ambient, Workers::N(1), Workers::N(2)] {
        let to = origin.addr();
        let text = format!(
            "[listen.web]\naddress = \":0\"\n[listen.raw]\naddress = \":0\"\nprotocols = [\"tcp\", \"udp\"]\ncluster = \"c\"\n\
             [route.all]\nto = \"http://{to}\"\n[cluster.c]\ndestinations = [\"{to}\"]\n"
        );
        let rig = Rig::start_on(&text, workers).await;
        assert_eq!(rig.endpoints("web").len(), 1, "{workers:?}");
        assert_eq!(rig.endpoints("raw").len(), 2, "{workers:?}: one for each transport");
        for listener in ["web", "raw"] {
            let port = rig.endpoints(listener)[0].socket_addr().unwrap().port();
            for host in ["127.0.0.1", "[::1]"] {
                let addr = format!("{host}:{port}").parse().unwrap();
                let mut client = RawClient::connect(addr).await.unwrap();
                let answer =
                    client.exchange("GET /?id=1 HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
                assert_eq!(answer.status(), 200, "{listener} on {addr}, {workers:?}");
            }
        }
    }
}
