//! `staniel run`: its start, its end, and what it says meanwhile.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use staniel_test::dir::TempDir;
use staniel_test::foreign::{Child, Signal};
use staniel_test::origin::Origin;
use staniel_test::raw::RawClient;

use crate::program::{Running, SOON, command, eventually, told, told_by};

const GET: &str = "GET /?id=7 HTTP/1.1\r\nHost: example\r\n\r\n";

fn web(origin: SocketAddr) -> String {
    format!("[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\nto = \"http://{origin}\"\n")
}

#[tokio::test]
async fn bad_file_starts_nothing_and_exits_with_three() {
    let dir = TempDir::new("bad").unwrap();
    dir.write("bad.toml", "[listen.web]\nadress = \":8080\"\n").unwrap();
    let told = told(dir.path(), &["run", "-c", "bad.toml"]).await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(3), ""));
    assert!(told.stderr.contains("--> bad.toml:2:1"), "{}", told.stderr);
    assert!(told.stderr.ends_with("Nothing was started.\n"), "{}", told.stderr);
}

#[tokio::test]
async fn taken_addresses_are_all_named_with_a_way_to_find_who_has_them() {
    let (tcp, udp) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (stream, datagram) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let config = format!(
        "[listen.free]\naddress = \"127.0.0.1:0\"\nprotocols = [\"tcp\"]\ncluster = \"any\"\n\
         [listen.stream]\naddress = \"{stream}\"\nprotocols = [\"tcp\"]\ncluster = \"any\"\n\
         [listen.datagram]\naddress = \"{datagram}\"\nprotocols = [\"udp\"]\ncluster = \"any\"\n\
         [cluster.any]\ndestinations = [\"127.0.0.1:9\"]\n",
    );
    let dir = TempDir::new("taken").unwrap();
    dir.write("staniel.toml", config).unwrap();
    let told = told(dir.path(), &["run"]).await;
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    for text in [
        format!("error: listener `stream` cannot listen on tcp://{stream}: "),
        format!("error: listener `datagram` cannot listen on udp://{datagram}: "),
        format!("ss -ltnp 'sport = :{}'", stream.port()),
        format!("ss -lunp 'sport = :{}'", datagram.port()),
    ] {
        assert!(told.stderr.contains(&text), "no `{text}` in\n{}", told.stderr);
    }
    assert!(!told.stderr.contains("`free`"), "{}", told.stderr);
    assert!(told.stderr.ends_with("Nothing was started.\n"), "{}", told.stderr);
}

#[tokio::test]
async fn address_of_another_machine_is_explained() {
    let dir = TempDir::new("elsewhere").unwrap();
    let config = web("127.0.0.1:9".parse().unwrap()).replace("127.0.0.1:0", "192.0.2.1:8080");
    dir.write("staniel.toml", config).unwrap();
    let told = told(dir.path(), &["run"]).await;
    assert_eq!(told.code, Some(1));
    assert!(
        told.stderr.contains("192.0.2.1 has to be an address of this machine"),
        "{}",
        told.stderr
    );
}

#[tokio::test]
async fn access_log_that_cannot_be_opened_is_named_with_a_way_out() {
    let dir = TempDir::new("nolog").unwrap();
    let config = web("127.0.0.1:9".parse().unwrap());
    dir.write("staniel.toml", format!("{config}[log]\naccess = \"./no/such/log\"\n")).unwrap();
    let told = told(dir.path(), &["run"]).await;
    assert_eq!(told.code, Some(1));
    for text in ["./no/such/log", "help: `log.access` has to be a file"] {
        assert!(told.stderr.contains(text), "no `{text}` in\n{}", told.stderr);
    }
}

#[tokio::test]
async fn too_few_descriptors_are_explained_wherever_they_end() {
    let dir = TempDir::new("few").unwrap();
    dir.write(
        "staniel.toml",
        format!("[server]\nworkers = 2\n{}", web("127.0.0.1:9".parse().unwrap())),
    )
    .unwrap();
    let mut explained = 0;
    for limit in 8..64 {
        let mut command = Command::new("sh");
        let line = format!("ulimit -n {limit}; exec \"$0\" run");
        command
            .args(["-c", &line, env!("CARGO_BIN_EXE_staniel")])
            .current_dir(dir.path())
            .env_remove("STANIEL_LOG");
        let mut child = Child::start(&mut command).unwrap();
        if child.prints("listening", SOON).await.is_ok() {
            break;
        }
        let said = child.stderr();
        assert!(!said.contains("panicked"), "with {limit}:\n{said}");
        assert!(!said.contains("of this machine"), "with {limit}:\n{said}");
        if said.contains("Too many open files") {
            assert!(said.contains("`ulimit -n`"), "with {limit}:\n{said}");
            explained += 1;
        }
    }
    assert!(explained > 0);
}

#[tokio::test]
async fn start_says_its_size_and_where_everything_listens() {
    let origin = Origin::start().await.unwrap();
    let config = format!(
        "[server]\nworkers = 2\nmax_connections = 1234\n{}\
         [listen.dns]\naddress = \"127.0.0.1:0\"\nprotocols = [\"tcp\", \"udp\"]\ncluster = \"any\"\n\
         [cluster.any]\ndestinations = [\"127.0.0.1:9\"]\n",
        web(origin.addr())
    );
    let mut running = Running::start(&config, "web").await;
    for text in [
        "starting version=\"0.1.0\" max_connections=1234 ",
        "workers=2",
        "listening listener=web protocol=\"http1\" address=\"127.0.0.1:",
        "listening listener=dns protocol=\"tcp\" address=\"127.0.0.1:",
        "listening listener=dns protocol=\"udp\" address=\"127.0.0.1:",
    ] {
        running.child.prints(text, SOON).await.unwrap();
    }
    let said = running.child.stderr();
    assert!(!said.contains('\x1b'), "{said}");
    // RFC 3339, in UTC.
    let (date, _) = said.split_once('T').unwrap();
    assert!(date.len() == 10 && date.chars().all(|c| c.is_ascii_digit() || c == '-'), "{said}");
}

#[tokio::test]
async fn request_goes_through_and_is_one_line_of_json_on_standard_output() {
    let origin = Origin::named("here").await.unwrap();
    let running = Running::start(&web(origin.addr()), "web").await;
    let mut client = RawClient::connect(running.addr("web")).await.unwrap();
    let answer = client.exchange(GET).await.unwrap();
    assert_eq!((answer.status(), answer.text().as_ref()), (200, "7"));
    eventually("a line in the access log", async || running.child.stdout().contains('\n')).await;
    let stdout = running.child.stdout();
    let line: Value = serde_json::from_str(stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&line["kind"], &line["listener"]), (&"http".into(), &"web".into()), "{line}");
    assert_eq!((&line["status"], &line["route"]), (&200.into(), &"all".into()), "{line}");
    assert!(
        !running.child.stderr().contains("?id=7"),
        "what happens to requests is not in the log"
    );
}

#[tokio::test]
async fn term_lets_the_request_finish_and_exits_with_zero() {
    let origin = Origin::slow(Duration::from_millis(500)).await.unwrap();
    let mut running = Running::start(&web(origin.addr()), "web").await;
    let mut client = RawClient::connect(running.addr("web")).await.unwrap();
    client.send(GET).await.unwrap();
    eventually("the request to be under way", async || origin.in_flight() == 1).await;

    running.child.signal(Signal::Terminate).unwrap();

    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status(), answer.says_close()), (200, true));
    assert_eq!(running.child.ended(SOON).await.unwrap().code(), Some(0));
    assert!(running.child.stderr().contains("stopped"), "{}", running.child.stderr());
    let logged = running.child.stdout();
    assert!(logged.contains("\"status\":200"), "the last request is in the access log: {logged}");
}

#[tokio::test]
async fn second_signal_does_not_wait() {
    let origin = Origin::slow(Duration::from_secs(600)).await.unwrap();
    let mut running = Running::start(&web(origin.addr()), "web").await;
    let mut client = RawClient::connect(running.addr("web")).await.unwrap();
    client.send(GET).await.unwrap();
    eventually("the request to be under way", async || origin.in_flight() == 1).await;

    running.child.signal(Signal::Interrupt).unwrap();
    let addr = running.addr("web");
    eventually("the listener to close", async || RawClient::connect(addr).await.is_err()).await;
    running.child.signal(Signal::Interrupt).unwrap();

    assert_eq!(running.child.ended(SOON).await.unwrap().code(), Some(0));
    assert!(client.answer().await.is_err());
}

#[tokio::test]
async fn environment_wins_over_the_file_about_the_log() {
    let dir = TempDir::new("log").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = web("127.0.0.1:9".parse().unwrap())
        .replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    dir.write("staniel.toml", format!("{config}[log]\nlevel = \"error\"\n")).unwrap();
    let run = |log: Option<&str>| {
        let mut command = command(dir.path(), &["run"]);
        command.envs(log.map(|log| ("STANIEL_LOG", log)));
        async move { told_by(&mut command).await }
    };
    let quiet = run(None).await;
    assert!(quiet.code == Some(1) && !quiet.stderr.contains("starting"), "{quiet:?}");
    let louder = run(Some("info")).await;
    assert!(louder.code == Some(1) && louder.stderr.contains("starting"), "{louder:?}");
    let wrong = run(Some("staniel=loud")).await;
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("STANIEL_LOG is `staniel=loud`"),
        "{wrong:?}"
    );
}
