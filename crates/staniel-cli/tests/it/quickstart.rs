//! `staniel run --quickstart`, with the commands that it says to try.
//!
//! Its ports are fixed, so there is one test: two would meet.

use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use staniel_test::dir::TempDir;
use staniel_test::foreign::{self, Child, Signal};

use crate::program::{SOON, command, told};

/// Whether every port is free; otherwise a line says which is not.
fn ports_are_free() -> bool {
    let tcp = [8080, 8081, 4040, 4041].map(|port| TcpListener::bind(("127.0.0.1", port)).map(drop));
    let udp = [5050, 5051].map(|port| UdpSocket::bind(("127.0.0.1", port)).map(drop));
    let taken = tcp.into_iter().chain(udp).find_map(Result::err);
    if let Some(error) = &taken {
        let line = format!("left out: quickstart: one of its ports is taken: {error}");
        // Not `eprintln!`: the test runner hides what a passing test prints, and this is to be seen.
        drop(writeln!(std::io::stderr(), "{line}"));
    }
    taken.is_none()
}

/// What a line of shell prints.
async fn shell(dir: &Path, line: &str) -> String {
    let mut child = Child::start(Command::new("bash").args(["-c", line]).current_dir(dir)).unwrap();
    let status = child.ended(SOON).await.unwrap();
    assert!(status.success(), "`{line}`: {status}: {}", child.said());
    child.stdout()
}

async fn curl(dir: &Path, args: &str) -> String {
    shell(dir, &format!("curl -sS --max-time 20 {args}")).await
}

#[tokio::test]
async fn quickstart_does_what_it_says() {
    let (Some(_), Some(_)) = (foreign::require("curl"), foreign::require("nc")) else { return };
    if !ports_are_free() {
        return;
    }
    let dir = TempDir::new("quickstart").unwrap();
    let dir = dir.path();
    let mut running = Child::start(&mut command(dir, &["run", "--quickstart"])).unwrap();
    running.prints("Ctrl-C stops it.", SOON).await.unwrap();
    let said = running.stderr();
    for text in [
        "listener=web protocol=\"http1\" address=\"127.0.0.1:8080\"",
        "curl http://127.0.0.1:8080/",
    ] {
        assert!(said.contains(text), "no `{text}` in\n{said}");
    }

    let page = curl(dir, "http://127.0.0.1:8080/a/../?x=1 --path-as-is -A me").await;
    for text in [
        "GET /?x=1\n",
        "host               127.0.0.1:8080\n",
        "x-forwarded-for    127.0.0.1\n",
        "x-forwarded-proto  http\n",
    ] {
        assert!(page.contains(text), "no `{text}` in\n{page}");
    }

    echoes(dir).await;
    lengths_and_statuses(dir).await;

    assert_eq!(shell(dir, "echo hello | nc -N -w 10 127.0.0.1 4040").await, "hello\n");
    assert_eq!(shell(dir, "echo hello | nc -u -w 1 127.0.0.1 5050").await, "hello\n");

    // The second one says which ports are taken, and ends.
    let second = told(dir, &["run", "--quickstart"]).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    for text in
        ["listener `web` cannot listen on tcp://127.0.0.1:8080", "ss -ltnp 'sport = :8080'", "5050"]
    {
        assert!(second.stderr.contains(text), "no `{text}` in\n{}", second.stderr);
    }

    running.signal(Signal::Terminate).unwrap();
    assert_eq!(running.ended(SOON).await.unwrap().code(), Some(0));
    let mut kinds: Vec<String> = Vec::new();
    for line in running.stdout().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        kinds.push(record["kind"].as_str().unwrap().to_owned());
    }
    for kind in ["http", "tcp", "udp"] {
        assert!(kinds.iter().any(|it| it == kind), "no record of {kind} among {kinds:?}");
    }
}

async fn echoes(dir: &Path) {
    assert_eq!(curl(dir, "http://127.0.0.1:8080/echo -d hello").await, "hello");
    let kind = curl(
        dir,
        "http://127.0.0.1:8080/echo -H 'Content-Type: x/y' -d a=b -o body -w '%{content_type}'",
    )
    .await;
    assert_eq!(kind, "x/y");
    // A length that is announced and waited for, and chunks.
    for body in ["--data-binary @sent", "--data-binary @- -H 'Transfer-Encoding: chunked' < sent"] {
        let line = format!(
            "head -c 1048576 /dev/urandom > sent; curl -sS http://127.0.0.1:8080/echo {body} -o back && cmp sent back"
        );
        shell(dir, &line).await;
    }
    shell(dir, "head -c 1048577 /dev/zero > large").await;
    for body in ["--data-binary @large", "--data-binary @- -H 'Transfer-Encoding: chunked' < large"]
    {
        let status =
            curl(dir, &format!("-o refused -w '%{{http_code}}' http://127.0.0.1:8080/echo {body}"))
                .await;
        assert_eq!(status, "413", "{body}");
    }
}

async fn lengths_and_statuses(dir: &Path) {
    for n in [0, 1, 1_000_000, 100_000_000_u64] {
        let got = curl(
            dir,
            &format!(
                "http://127.0.0.1:8080/bytes/{n} -o bytes -w '%{{size_download}} %{{http_code}}'"
            ),
        )
        .await;
        assert_eq!(got, format!("{n} 200"));
    }
    let head = curl(dir, "-I http://127.0.0.1:8080/bytes/12345").await;
    assert!(head.contains("Content-Length: 12345\r\n"), "{head}");
    for (path, status) in [
        ("/bytes/1073741825", "400"),
        ("/bytes/x", "404"),
        ("/status/204", "204"),
        ("/status/304", "304"),
        ("/status/503", "503"),
        ("/status/99", "400"),
        ("/nothing", "404"),
    ] {
        for method in ["", "-I"] {
            let got = curl(
                dir,
                &format!("{method} -o page -w '%{{http_code}}' http://127.0.0.1:8080{path}"),
            )
            .await;
            assert_eq!(got, status, "{method} {path}");
        }
    }
    let got = curl(dir, "-X DELETE -o page -w '%{http_code}' http://127.0.0.1:8080/").await;
    assert_eq!(got, "405");
}
