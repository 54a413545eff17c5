//! Reloads and stops under load: no request on an accepted connection stays without its answer.

use std::time::Duration;

use staniel_core::{Stop, Workers};
use staniel_test::load::Accounted;
use staniel_test::origin::Origin;

use crate::support::{Rig, web};

/// How many connections ask at the same time.
const CLIENTS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_listeners_come_and_go() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start_on(&web(origin.addr()), Workers::N(2)).await;
    let load = Accounted::new(rig.addr("web")).connections(CLIENTS).start();
    load.wait_for(200).await;
    for n in 0..20 {
        let more: String = (0..n % 3)
            .map(|k| format!("[listen.more{n}-{k}]\naddress = \"127.0.0.1:0\"\n"))
            .collect();
        rig.reload(&format!("{}{more}", web(origin.addr()))).await.unwrap();
        load.wait_for_more(50).await;
    }
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");
    assert_eq!(report.opened, CLIENTS as u64, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_routes_flip_between_two_origins() {
    let origins = [Origin::named("a").await.unwrap(), Origin::named("b").await.unwrap()];
    let rig = Rig::start_on(&web(origins[0].addr()), Workers::N(2)).await;
    for body in [0, 3000] {
        let load = Accounted::new(rig.addr("web")).connections(CLIENTS).body(body).start();
        load.wait_for(200).await;
        for n in 1..=20 {
            let served = origins[n % 2].served();
            rig.reload(&web(origins[n % 2].addr())).await.unwrap();
            load.wait_for_more(60).await;
            assert!(origins[n % 2].served() > served);
        }
        let report = load.stop().await;
        assert!(report.all_ok(), "{report}");
        assert_eq!(report.opened, CLIENTS as u64, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listeners_own_settings_change() {
    let origin = Origin::start().await.unwrap();
    let text = |n: usize| {
        format!(
            "[listen.web]\naddress = \"127.0.0.1:0\"\nlimits = {{ header_count = {} }}\n[route.all]\nto = \"http://{}\"\n",
            50 + n,
            origin.addr()
        )
    };
    let rig = Rig::start_on(&text(0), Workers::N(2)).await;
    let load = Accounted::new(rig.addr("web")).connections(CLIENTS).start();
    for n in 0..20 {
        rig.reload(&text(n)).await.unwrap();
        load.wait_for_more(50).await;
    }
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_served_listener_is_removed() {
    let origin = Origin::start().await.unwrap();
    let both = format!("[listen.gone]\naddress = \"127.0.0.1:0\"\n{}", web(origin.addr()));
    let rig = Rig::start_on(&both, Workers::N(2)).await;
    let load = Accounted::new(rig.addr("gone")).connections(CLIENTS).start();
    load.wait_for(500).await;
    rig.reload(&web(origin.addr())).await.unwrap();
    let report = load.stop().await;
    assert!(report.nothing_lost(), "{report}");
    assert!(report.statuses.keys().all(|status| *status == 200), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_loses_nothing() {
    for pause in [Duration::ZERO, Duration::from_millis(30)] {
        let origin = Origin::start().await.unwrap();
        let mut rig = Rig::start_on(&web(origin.addr()), Workers::N(2)).await;
        let load = Accounted::new(rig.addr("web")).connections(CLIENTS).pause(pause).start();
        load.wait_for(500).await;
        let drained = rig.stop(Stop::Drain(Duration::from_secs(10))).await;
        let report = load.stop().await;
        assert!(report.nothing_lost(), "{report}");
        assert!(report.statuses.keys().all(|status| *status == 200), "{report}");
        assert!(drained.iter().all(|one| one.aborted == 0), "{drained:?}");
        assert_eq!(rig.records().len() as u64, report.answered, "{report}");
    }
}
