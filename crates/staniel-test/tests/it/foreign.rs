use std::io::ErrorKind;
use std::process::Command;
use std::time::Duration;

use staniel_test::dir::TempDir;
use staniel_test::foreign::{self, Child, Signal};
use staniel_test::load::Accounted;
use staniel_test::origin::Origin;
use staniel_test::port;
use staniel_test::raw::{Answer, RawOrigin};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn curl_gets_what_the_script_says_and_is_recorded() {
    let Some(curl) = foreign::require("curl") else { return };
    let origin = RawOrigin::always(Answer::ok("from the script")).await.unwrap();
    let url = format!("http://{}/upload", origin.addr());

    let mut curl =
        Child::start(Command::new(curl).args(["-sS", "--data-binary", "posted", &url])).unwrap();

    assert!(curl.ended(SOON).await.unwrap().success(), "{}", curl.said());
    assert_eq!(curl.stdout(), "from the script");
    let requests = origin.wait_for(1).await;
    assert_eq!(requests[0].message.start_line(), "POST /upload HTTP/1.1");
    assert_eq!(requests[0].message.body, b"posted");
}

#[tokio::test]
async fn curl_says_that_an_answer_was_cut() {
    let Some(curl) = foreign::require("curl") else { return };
    let cut = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").close();
    let origin = RawOrigin::always(cut).await.unwrap();
    let mut curl =
        Child::start(Command::new(curl).args(["-sS", &format!("http://{}/", origin.addr())]))
            .unwrap();
    // 18: the transfer ended with a part of the file.
    assert_eq!(curl.ended(SOON).await.unwrap().code(), Some(18), "{}", curl.said());
}

#[tokio::test]
async fn load_through_nginx_is_accounted_for_and_its_workers_end_with_it() {
    let Some(nginx) = foreign::require("nginx") else { return };
    let origin = Origin::start().await.unwrap();
    let (addr, dir) = (port::free_tcp().unwrap(), TempDir::new("nginx").unwrap());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|of| format!("{of}_temp_path {of};"))
        .join(" ");
    let config = format!(
        "daemon off; pid nginx.pid; error_log stderr; worker_processes 1; events {{}}
        http {{ access_log off; {temporary}
            server {{ listen {addr}; location / {{ proxy_pass http://{}; }} }} }}",
        origin.addr()
    );
    let config = dir.write("nginx.conf", config).unwrap();
    let mut command = Command::new(nginx);
    command.arg("-e").arg("stderr").arg("-p").arg(dir.path()).arg("-c").arg(config);

    let mut nginx = Child::start(&mut command).unwrap();
    nginx.ready(addr, SOON).await.unwrap();
    let load = Accounted::new(addr).connections(2).start();
    load.wait_for(100).await;
    let report = load.stop().await;
    assert!(report.all_ok(), "{report}");

    drop(nginx);
    // A worker that lives on would keep the port.
    std::net::TcpListener::bind(addr).unwrap();
}

#[tokio::test]
async fn process_that_fails_tells_why() {
    let mut shell =
        Child::start(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap();
    let err = shell.ready(port::free_tcp().unwrap(), SOON).await.unwrap_err();
    assert_eq!(err.kind(), ErrorKind::BrokenPipe);
    assert!(
        err.to_string().contains("broken") && err.to_string().contains("exit status: 3"),
        "{err}"
    );
}

#[tokio::test]
async fn process_hears_signals() {
    let script = "trap 'echo heard; exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let mut shell = Child::start(Command::new("sh").args(["-c", script])).unwrap();
    shell.prints("up", SOON).await.unwrap();
    shell.signal(Signal::Terminate).unwrap();
    assert!(shell.ended(SOON).await.unwrap().success());
    assert_eq!(shell.stdout(), "up\nheard\n");
}

#[test]
fn temporary_directory_goes_with_its_guard() {
    let dir = TempDir::new("gone").unwrap();
    let file = dir.write("a", "b").unwrap();
    assert!(file.is_file());
    drop(dir);
    assert!(!file.exists());
}
