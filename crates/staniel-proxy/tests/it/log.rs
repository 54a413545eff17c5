//! The access log: one record for everything that happened, and nothing that waits for it.

use std::process::Command;
use std::time::Duration;

use staniel_core::{Stop, Workers};
use staniel_proxy::RequestEnd;
use staniel_test::load::Accounted;
use staniel_test::origin::Origin;
use staniel_test::raw::{Answer, RawOrigin};

use crate::support::{Rig, eventually, soon, web};

fn logging(to: std::net::SocketAddr, access: &str) -> String {
    format!("{}[log]\naccess = \"{access}\"\nformat = \"json\"\n", web(to))
}

#[tokio::test]
async fn a_record_has_what_happened() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let request = "POST /a%20b/../c?id=9&x=%22 HTTP/1.1\r\nHost: A.test:99\r\nUser-Agent: me \"and\" \\you\r\n\
                   Referer: http://r.test/\r\nCookie: secret\r\nAuthorization: secret\r\nContent-Length: 3\r\n\r\nabc";
    let answer = rig.ask(request).await;
    assert_eq!(answer.text(), "9");
    let record = rig.record(1).await;
    for (key, value) in [
        ("kind", "http"),
        ("listener", "web"),
        ("route", "all"),
        ("cluster", "route:all"),
        ("client_ip", "127.0.0.1"),
        ("protocol", "HTTP/1.1"),
        ("method", "POST"),
        ("host", "A.test:99"),
        ("path", "/c"),
        ("query", "id=9&x=%22"),
        ("end", "ok"),
        ("end_by", "client"),
        ("user_agent", "me \"and\" \\you"),
        ("referer", "http://r.test/"),
    ] {
        assert_eq!(record[key], value, "{key} of {record}");
    }
    assert_eq!((&record["status"], &record["retries"]), (&200.into(), &0.into()));
    assert_eq!(record["bytes_in"], request.len());
    assert_eq!(record["bytes_out"], answer.head.len() + answer.wire_body.len());
    assert_eq!(record["destination"], origin.addr().to_string());
    assert!(!record.to_string().contains("secret"));
    let time = |name: &str| record[name].as_f64().unwrap();
    assert!(
        time("t_connect") <= time("t_response") && time("t_response") <= time("duration"),
        "{record}"
    );
    assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn every_request_has_one_record_also_those_that_were_cut_off() {
    let origin = RawOrigin::start(|request| match request.target().as_str() {
        "/hang" => Answer::nothing().hang(),
        "/half" => Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").hang(),
        _ => Answer::ok("x"),
    })
    .await
    .unwrap();
    let mut rig = Rig::start_on(&web(origin.addr()), Workers::N(2)).await;
    let mut clients = Vec::new();
    for path in ["/hang", "/half", "/hang", "/half"] {
        let mut client = rig.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await.unwrap();
        clients.push(client);
    }
    assert_eq!(rig.get("/").await.status(), 200);
    // Connections that never asked for anything are no requests.
    let _silent = rig.client().await;
    soon("all requests", origin.wait_for(5)).await;
    let drained = rig.stop(Stop::Drain(Duration::from_millis(200))).await;
    assert_eq!(drained.iter().map(|one| one.aborted).sum::<usize>(), 5, "{drained:?}");
    let mut ends: Vec<_> =
        rig.records().iter().map(|it| it["end"].as_str().unwrap().to_owned()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["ok", "shutdown", "shutdown", "shutdown", "shutdown"]);
    assert_eq!(rig.ended(RequestEnd::Shutdown), 4);
    let half = rig.records().into_iter().find(|it| it["path"] == "/half").unwrap();
    assert_eq!((&half["status"], &half["end_by"]), (&200.into(), &"operator".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_there_are_as_many_records_as_requests() {
    let origin = Origin::start().await.unwrap();
    let mut rig = Rig::start_on(&web(origin.addr()), Workers::N(2)).await;
    let load = Accounted::new(rig.addr("web")).connections(16).start();
    load.wait_for(2000).await;
    // Whose answer is lost to nobody: the load stops first.
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");
    rig.stop(Stop::Drain(Duration::from_secs(5))).await;
    let records = rig.records();
    assert_eq!(records.len() as u64, report.answered);
    assert!(records.iter().all(|record| record["end"] == "ok"));
    let mut ids: Vec<_> = records.iter().map(|record| record["query"].to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, report.answered, "each of its own");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_let_go_at_the_reload() {
    let origin = Origin::start().await.unwrap();
    let text = web(origin.addr());
    let rig = Rig::start(&text).await;
    assert_eq!(rig.get("/one").await.status(), 200);
    rig.wait_for_records(1).await;
    let moved = rig.dir.path().join("moved.log");
    std::fs::rename(rig.log_path(), &moved).unwrap();
    assert_eq!(rig.get("/two").await.status(), 200);
    eventually("a record in the moved file", || {
        std::fs::read_to_string(&moved).unwrap().lines().count() == 2
    })
    .await;
    rig.reload(&text).await.unwrap();
    assert_eq!(rig.get("/three").await.status(), 200);
    assert_eq!(rig.record(1).await["path"], "/three");
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 2);
}

#[tokio::test]
async fn it_can_be_switched_off_and_on_and_to_another_file() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start(&logging(origin.addr(), "off")).await;
    rig.get("/off").await;
    rig.reload(&logging(origin.addr(), "{dir}/access.log")).await.unwrap();
    rig.get("/on").await;
    assert_eq!(rig.record(1).await["path"], "/on");
    rig.reload(&logging(origin.addr(), "{dir}/other.log")).await.unwrap();
    rig.get("/other").await;
    let other = rig.dir.path().join("other.log");
    eventually("the other file", || std::fs::read_to_string(&other).unwrap().contains("/other"))
        .await;
    rig.reload(&logging(origin.addr(), "off")).await.unwrap();
    rig.get("/off").await;
    assert_eq!(rig.records().len(), 1);
    assert_eq!(std::fs::read_to_string(&other).unwrap().lines().count(), 1);
}

#[tokio::test]
async fn a_full_disk_stops_nothing() {
    let origin = Origin::start().await.unwrap();
    let mut rig = Rig::start(&logging(origin.addr(), "/dev/full")).await;
    for n in 0..20 {
        assert_eq!(rig.get(&format!("/?id={n}")).await.text(), n.to_string());
    }
    eventually("the loss is counted", || rig.proxy.stats().records_lost() == 20).await;
    rig.stop(Stop::Drain(Duration::from_secs(5))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_nobody_reads_stops_nothing_and_what_is_dropped_is_counted() {
    let origin = Origin::start().await.unwrap();
    let dir = staniel_test::dir::TempDir::new("fifo").unwrap();
    let fifo = dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let text = logging(origin.addr(), fifo.to_str().unwrap());
    let mut rig = soon("the start", Rig::start_on(&text, Workers::N(2))).await;
    let load = Accounted::new(rig.addr("web"))
        .connections(8)
        .path("/?pad=xxxxxxxxxxxxxxxxxxxxxxxx")
        .start();
    load.wait_for(1500).await;
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");
    // To go on elsewhere works, though the old one is stuck in the pipe.
    soon("the reload", rig.reload(&logging(origin.addr(), "{dir}/access.log"))).await.unwrap();
    rig.get("/elsewhere").await;
    eventually("records elsewhere", || {
        rig.records().iter().any(|record| record["path"] == "/elsewhere")
    })
    .await;
    // And back, and to the end: a stop does not wait for a reader either.
    rig.reload(&text).await.unwrap();
    let load = Accounted::new(rig.addr("web")).connections(8).start();
    load.wait_for(1500).await;
    assert!(load.stop().await.all_ok());
    soon("the stop", rig.stop(Stop::Drain(Duration::from_secs(1)))).await;
    assert!(rig.proxy.stats().records_lost() > 0);
}

#[tokio::test]
async fn a_refused_head_has_its_bytes_and_its_time() {
    let origin = Origin::start().await.unwrap();
    let rig = Rig::start(&web(origin.addr())).await;
    let mut client = rig.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await.unwrap();
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status(), 400);
    let record = rig.record(1).await;
    assert_eq!((&record["status"], &record["bytes_in"]), (&400.into(), &29.into()));
    assert!(record["bytes_out"].as_u64().unwrap() > 100, "{record}");
}
