use std::time::Duration;

use staniel_test::load::Accounted;
use staniel_test::origin::{Origin, OriginConfig};
use staniel_test::port;
use staniel_test::raw::{Answer, Message, RawOrigin};

const MS: Duration = Duration::from_millis(1);

fn id(request: &Message) -> String {
    request.target().split("id=").nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_request_is_answered_by_an_origin_that_behaves() {
    let origin = Origin::start().await.unwrap();
    for body in [0, 3000] {
        let load = Accounted::new(origin.addr()).connections(3).body(body).path("/x?y=1").start();
        load.wait_for(50).await;
        let report = load.stop().await;
        assert!(report.all_ok(), "{report}");
        assert!(report.answered >= 50 && report.sent == report.answered, "{report}");
        assert_eq!((report.opened, report.refused), (3, 0), "{report}");
    }
    assert_eq!((origin.connections(), origin.in_flight()), (6, 0));
}

#[tokio::test]
async fn stop_waits_for_the_answer_under_way() {
    let origin = Origin::slow(50 * MS).await.unwrap();
    let load = Accounted::new(origin.addr()).connections(2).start();
    load.wait_for(2).await;
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");
    assert_eq!(report.answered, origin.served(), "{report}");
}

#[tokio::test]
async fn close_without_an_answer_is_a_loss() {
    // The second request of a connection is the one that is dropped: no idle second has passed.
    let origin = RawOrigin::start(|request| match id(request).parse::<u64>() {
        Ok(n) if n % 2 == 0 => Answer::ok(id(request)),
        _ => Answer::nothing().close(),
    })
    .await
    .unwrap();
    let load = Accounted::new(origin.addr()).connections(1).start();
    load.wait_for(5).await;
    let report = load.stop().await;
    assert!(report.lost >= 4 && report.raced == 0, "{report}");
    assert_eq!(report.sent, report.answered + report.lost, "{report}");
    assert!(report.examples[0].contains("ended before an answer"), "{report}");
}

#[tokio::test]
async fn answer_that_breaks_off_is_a_loss() {
    let cut = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1").close();
    let origin =
        RawOrigin::sequence([cut, Answer::bytes("HTTP/1.1 204 No\r\n\r\n")]).await.unwrap();
    let load = Accounted::new(origin.addr()).connections(1).start();
    load.wait_for(3).await;
    let report = load.stop().await;
    assert_eq!(report.lost, 1, "{report}");
    assert!(report.examples[0].contains("broke off"), "{report}");
}

#[tokio::test]
async fn silence_is_a_loss() {
    let origin = RawOrigin::sequence([Answer::nothing(), Answer::bytes("HTTP/1.1 204 No\r\n\r\n")])
        .await
        .unwrap();
    let load = Accounted::new(origin.addr()).connections(1).patience(30 * MS).start();
    load.wait_for(1).await;
    let report = load.stop().await;
    assert_eq!(report.lost, 1, "{report}");
    assert!(report.examples[0].contains("no answer in time"), "{report}");
}

#[tokio::test]
async fn answer_of_another_request_is_found() {
    let origin = RawOrigin::always(Answer::ok("0")).await.unwrap();
    let load = Accounted::new(origin.addr()).connections(1).start();
    load.wait_for(3).await;
    let report = load.stop().await;
    assert_eq!(report.wrong, report.answered - 1, "{report}");
    assert!(!report.nothing_lost());
}

#[tokio::test]
async fn announced_close_is_honoured_and_no_loss() {
    let origin = RawOrigin::start(|request| {
        let id = id(request);
        Answer::bytes(format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{id}",
            id.len()
        ))
        .close()
    })
    .await
    .unwrap();
    let load = Accounted::new(origin.addr()).connections(2).start();
    load.wait_for(10).await;
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");
    assert_eq!((report.opened, report.closes), (report.answered, report.answered), "{report}");
}

#[tokio::test]
async fn refused_connects_are_counted_apart() {
    let addr = port::free_tcp().unwrap();
    let load = Accounted::new(addr).connections(1).start();
    // Somebody comes to listen, as after a restart.
    let origin = loop {
        tokio::task::yield_now().await;
        let config = {
            let mut config = OriginConfig::default();
            config.addr = addr;
            config
        };
        match Origin::start_with(config).await {
            Ok(origin) => break origin,
            Err(err) => assert_eq!(err.kind(), std::io::ErrorKind::AddrInUse),
        }
    };
    load.wait_for(3).await;
    drop(origin);
    let report = load.stop().await;
    assert!(report.answered >= 3, "{report}");
    assert_eq!(report.unreached, 0, "{report}");
}

#[tokio::test]
async fn close_of_a_long_idle_connection_is_a_race() {
    // The origin closes 1.05 s after its first answer; the client comes back after 1.2 s.
    let ok = "HTTP/1.1 204 No\r\n\r\n";
    let origin =
        RawOrigin::sequence([Answer::bytes(ok).pause(1050 * MS).close(), Answer::bytes(ok)])
            .await
            .unwrap();
    let load = Accounted::new(origin.addr()).connections(1).pause(1200 * MS).start();
    load.wait_for(2).await;
    let report = load.stop().await;
    assert_eq!((report.raced, report.lost, report.answered), (1, 0, 2), "{report}");
    assert_eq!(report.sent, 3, "{report}");
}
