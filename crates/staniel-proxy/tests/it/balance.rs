//! Which destination is picked, and what happens when one of them goes and comes back.

use std::time::Duration;

use staniel_core::Workers;
use staniel_test::load::Accounted;
use staniel_test::origin::Origin;
use staniel_test::raw::{Answer, RawOrigin};

use crate::pool::{again, named};
use crate::support::{Rig, eventually, refuses, web_cluster};

#[tokio::test]
async fn all_policies_share_the_work() {
    for policy in ["round-robin", "random", "least-requests", "power-of-two"] {
        let origins = [
            Origin::start().await.unwrap(),
            Origin::start().await.unwrap(),
            Origin::start().await.unwrap(),
        ];
        let addrs: Vec<_> = origins.iter().map(Origin::addr).collect();
        let text = web_cluster(&addrs, &format!("load_balancing = \"{policy}\""));
        let rig = Rig::start(&text).await;
        let load = Accounted::new(rig.addr("web")).connections(8).start();
        load.wait_for(600).await;
        let report = load.stop().await;
        assert!(report.all_ok(), "{policy}: {report}");
        let served: Vec<_> = origins.iter().map(Origin::served).collect();
        let fair = report.answered / 3;
        assert!(served.iter().all(|n| *n > fair / 2 && *n < fair * 2), "{policy}: {served:?}");
        assert_eq!(served.iter().sum::<u64>(), report.answered);
    }
}

#[tokio::test]
async fn the_busy_one_gets_less() {
    for policy in ["least-requests", "power-of-two"] {
        let (fast, slow) = (
            Origin::start().await.unwrap(),
            Origin::slow(Duration::from_millis(100)).await.unwrap(),
        );
        let text =
            web_cluster(&[fast.addr(), slow.addr()], &format!("load_balancing = \"{policy}\""));
        let rig = Rig::start(&text).await;
        let load = Accounted::new(rig.addr("web")).connections(8).start();
        load.wait_for(400).await;
        assert!(load.stop().await.all_ok());
        assert!(fast.served() > 3 * slow.served(), "{policy}: {} {}", fast.served(), slow.served());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_one_is_killed_and_comes_back_under_load() {
    let lives = Origin::named("lives").await.unwrap();
    let config = named(([127, 0, 0, 1], 0).into(), "dies");
    let mut dies = Origin::start_with(config).await.unwrap();
    let addr = dies.addr();
    let text = web_cluster(&[lives.addr(), addr], "load_balancing = \"round-robin\"");
    let rig = Rig::start_on(&text, Workers::N(2)).await;
    let connections = 16;
    let load = Accounted::new(rig.addr("web")).connections(connections).start();
    load.wait_for(500).await;
    for _ in 0..3 {
        drop(dies);
        load.wait_for_more(500).await;
        dies = again(addr).await;
        eventually("it takes part again", || dies.served() > 100).await;
    }
    let report = load.stop().await;
    assert!(report.nothing_lost(), "{report}");
    // GET is repeated on a fresh connection or elsewhere; only an answer that had begun, or a fresh connection that
    // was cut, is gone.
    let failed: u64 =
        report.statuses.iter().filter(|(status, _)| **status != 200).map(|(_, n)| n).sum();
    assert!(failed <= 3 * connections as u64, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_one_goes_and_comes_back() {
    let mut origin = Origin::start().await.unwrap();
    let addr = origin.addr();
    let rig = Rig::start_on(&web_cluster(&[addr], ""), Workers::N(2)).await;
    let load = Accounted::new(rig.addr("web")).connections(8).start();
    load.wait_for(300).await;
    drop(origin);
    load.wait_for_more(200).await;
    let down = Accounted::new(rig.addr("web")).connections(2).start();
    down.wait_for(20).await;
    let down = down.stop().await;
    assert!(
        down.nothing_lost() && down.statuses.keys().all(|status| matches!(status, 502 | 503)),
        "{down}"
    );
    origin = again(addr).await;
    load.wait_for_more(100).await;
    let after = Accounted::new(rig.addr("web")).connections(8).start();
    after.wait_for(300).await;
    let after = after.stop().await;
    assert!(after.all_ok(), "{after}");
    let report = load.stop().await;
    assert!(report.nothing_lost(), "{report}");
    eventually("served again", || origin.served() > 0).await;
}

#[tokio::test]
async fn an_answer_counts_until_its_last_byte() {
    let streams = RawOrigin::always(
        Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfirst").hang(),
    )
    .await
    .unwrap();
    let free = Origin::start().await.unwrap();
    let text = web_cluster(&[streams.addr(), free.addr()], "load_balancing = \"least-requests\"");
    let rig = Rig::start(&text).await;
    let mut client = rig.client().await;
    // Until the one that streams has one; what the other got is done by then.
    while streams.connections() == 0 {
        client = rig.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        client.bytes(15).await.unwrap();
    }
    for _ in 0..10 {
        assert_eq!(rig.get("/?id=3").await.text(), "3");
    }
    assert_eq!(streams.requests().len(), 1);
    drop(client);
}

#[tokio::test]
async fn more_destinations_than_can_be_remembered() {
    let mut addrs: Vec<_> = (0..70).map(|_| refuses()).collect();
    let text = |addrs: &[_], policy| {
        web_cluster(addrs, &format!("load_balancing = \"{policy}\"\nretries = 10"))
    };
    let origin = Origin::start().await.unwrap();
    for policy in ["round-robin", "random", "least-requests", "power-of-two"] {
        let rig = Rig::start(&text(&addrs, policy)).await;
        assert_eq!(rig.get("/").await.status(), 502);
        assert_eq!(rig.record(1).await["retries"], 10);
    }
    addrs[69] = origin.addr();
    let rig = Rig::start(&text(&addrs[65..], "round-robin")).await;
    for _ in 0..10 {
        assert_eq!(rig.get("/").await.status(), 200);
    }
}
