//! What of a head goes through, what is taken out, and what is put in.

use staniel_test::raw::{Answer, Message, RawOrigin};

use crate::support::{Rig, count, field, web, web_cluster};

/// What the origin sees of a request.
async fn seen(text: &str, origin: &RawOrigin, request: &str) -> Message {
    let rig = Rig::start(text).await;
    let n = origin.requests().len();
    let status = rig.ask(request).await.status();
    assert_eq!(status, 200, "{request:?}");
    origin.requests()[n].message.clone()
}

#[tokio::test]
async fn hop_by_hop_fields_stay_on_their_hop() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Authenticate: Basic\r\nTE: x\r\nUpgrade: h2\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok";
    let origin = RawOrigin::always(answer).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let got = rig
        .ask(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Mine, te\r\nX-Mine: 1\r\nTE: trailers\r\n\
             Keep-Alive: 1\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\n\
             Proxy: http://evil\r\nX_Forwarded_For: 1.2.3.4\r\nX_Y: 1\r\nX-End: 1\r\n\r\n",
        )
        .await;
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "te", "upgrade"] {
        assert_eq!(count(&got, name), 0, "{name}: {got:?}");
    }
    assert_eq!((field(&got, "x-end").as_str(), got.says_close()), ("1", true));
    let seen = &origin.requests()[0].message;
    for name in [
        "connection",
        "x-mine",
        "te",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy",
        "x_forwarded_for",
        "x_y",
        "upgrade",
    ] {
        assert_eq!(count(seen, name), 0, "{name}: {seen:?}");
    }
    assert_eq!(field(seen, "x-end"), "1");
}

#[tokio::test]
async fn connection_cannot_take_away_what_we_add_nor_what_makes_the_message() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let seen = seen(
        &web(origin.addr()),
        &origin,
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Host, \
         Content-Length, Authorization\r\nAuthorization: secret\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: 2\r\n\r\nab",
    )
    .await;
    assert_eq!(field(&seen, "x-forwarded-for"), "127.0.0.1");
    assert_eq!(field(&seen, "x-forwarded-proto"), "http");
    assert_eq!(field(&seen, "x-forwarded-host"), "a.test");
    assert_eq!((field(&seen, "host").as_str(), seen.body.as_slice()), ("a.test", &b"ab"[..]));
    assert_eq!(count(&seen, "authorization"), 0);
}

const CLAIMS: &str = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\
                      X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Port: 1\r\n\
                      Forwarded: for=1.1.1.1\r\n\r\n";

#[tokio::test]
async fn claims_of_a_stranger_are_replaced() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let seen = seen(&web(origin.addr()), &origin, CLAIMS).await;
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.test"),
    ] {
        assert_eq!((count(&seen, name), field(&seen, name).as_str()), (1, value), "{name}");
    }
    assert_eq!((count(&seen, "forwarded"), count(&seen, "x-forwarded-port")), (0, 0));
}

#[tokio::test]
async fn claims_of_a_trusted_peer_are_continued() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let text = format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"10.0.0.0/8\", \"127.0.0.1\"]\n\
         [route.all]\nto = \"http://{}\"\n",
        origin.addr()
    );
    let claimed = seen(&text, &origin, CLAIMS).await;
    for (name, value) in [
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.test"),
    ] {
        assert_eq!((count(&claimed, name), field(&claimed, name).as_str()), (1, value), "{name}");
    }
    // Without a claim it is as for anyone.
    let plain = seen(&text, &origin, "GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(field(&plain, "x-forwarded-for"), "127.0.0.1");
    assert_eq!(count(&plain, "x-forwarded-host"), 0, "{plain:?}");
}

#[tokio::test]
async fn the_host_is_the_clients_the_destinations_or_its_own() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let addr = origin.addr();
    let request = "GET / HTTP/1.1\r\nUser-Agent: x\r\nhOsT: a.test:81\r\n\r\n";
    let client = seen(&web(addr), &origin, request).await;
    assert_eq!((field(&client, "host").as_str(), count(&client, "host")), ("a.test:81", 1));
    let text = web_cluster(&[addr], "host = \"destination\"");
    let destination = seen(&text, &origin, request).await;
    assert_eq!(field(&destination, "host"), addr.to_string());
    assert_eq!(field(&destination, "x-forwarded-host"), "a.test:81");
    let own = seen(
        &format!(
            "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\ncluster = \"c\"\n[cluster.c]\n\
             destinations = [{{ address = \"http://{addr}\", host = \"own.test\" }}]\n"
        ),
        &origin,
        request,
    )
    .await;
    assert_eq!((field(&own, "host").as_str(), count(&own, "host")), ("own.test", 1));
}

#[tokio::test]
async fn an_absolute_target_wins_over_host_and_is_never_dialled() {
    let origin = RawOrigin::always(Answer::ok("x")).await.unwrap();
    let seen = seen(
        &web(origin.addr()),
        &origin,
        "GET http://b.test:99/x?y HTTP/1.1\r\nHost: a.test\r\n\r\n",
    )
    .await;
    assert_eq!((seen.target().as_str(), field(&seen, "host").as_str()), ("/x?y", "b.test:99"));
    assert_eq!((count(&seen, "host"), field(&seen, "x-forwarded-host").as_str()), (1, "b.test:99"));
}

#[tokio::test]
async fn an_old_version_is_answered_in_ours_and_other_fields_go_through_in_order() {
    let answer = "HTTP/1.0 299 Odd Reason\r\nB: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\nA:\r\nContent-Length: 0\r\n\r\n";
    let origin = RawOrigin::always(answer).await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let got = rig.ask("GET / HTTP/1.1\r\nHost: a.test\r\nC: 1\r\nc: 2\r\nEmpty:\r\n\r\n").await;
    let text = String::from_utf8(got.head.clone()).unwrap();
    assert_eq!(
        text,
        "HTTP/1.1 299 Odd Reason\r\nB: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\nA:\r\nContent-Length: 0\r\n\r\n"
    );
    let seen = String::from_utf8(origin.requests()[0].message.head.clone()).unwrap();
    assert!(
        seen.starts_with("GET / HTTP/1.1\r\nHost: a.test\r\nC: 1\r\nc: 2\r\nEmpty:\r\n"),
        "{seen}"
    );
}
