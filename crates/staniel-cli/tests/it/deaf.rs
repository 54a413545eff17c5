//! Standard output and standard error that cannot be written: nobody is told, and nothing ends.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use staniel_test::dir::TempDir;
use staniel_test::foreign::{Child, Signal};
use staniel_test::origin::Origin;
use staniel_test::port;
use staniel_test::raw::RawClient;

use crate::program::{SOON, eventually};

/// The program with what it says sent to where `redirection` says, which the shell understands.
fn start(dir: &Path, redirection: &str, args: &str) -> Child {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("mkfifo pipe; exec \"$0\" {args} {redirection}"),
            env!("CARGO_BIN_EXE_staniel"),
        ])
        .current_dir(dir)
        .env_remove("STANIEL_LOG");
    Child::start(&mut command).unwrap()
}

fn web(listen: SocketAddr, to: SocketAddr) -> String {
    format!("[listen.web]\naddress = \"{listen}\"\n[route.all]\nto = \"http://{to}\"\n")
}

/// The status of one request on a new connection.
async fn status(addr: SocketAddr) -> Option<u16> {
    let mut client = RawClient::connect(addr).await.ok()?;
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: example\r\n\r\n").await.ok()?;
    Some(answer.status())
}

/// Starts, warns, reloads twice (the first time onto a mistake) and stops.
async fn goes_through_its_life(redirection: &str) {
    let dir = TempDir::new("deaf").unwrap();
    let (listen, dead) = (port::free_tcp().unwrap(), port::free_tcp().unwrap());
    let origin = Origin::start().await.unwrap();
    dir.write("staniel.toml", web(listen, dead)).unwrap();
    let mut child = start(dir.path(), redirection, "run");
    child.ready(listen, SOON).await.unwrap();
    for _ in 0..3 {
        assert_eq!(status(listen).await, Some(502), "{redirection}");
    }

    dir.write("staniel.toml", "[listen.web]\nadress = \":8080\"\n").unwrap();
    child.signal(Signal::Hangup).unwrap();
    dir.write("staniel.toml", web(listen, origin.addr())).unwrap();
    child.signal(Signal::Hangup).unwrap();
    eventually("the reload", async || status(listen).await == Some(200)).await;

    child.signal(Signal::Terminate).unwrap();
    assert_eq!(child.ended(SOON).await.unwrap().code(), Some(0), "{redirection}");
}

#[tokio::test]
async fn full_standard_error_keeps_nothing_from_going_on() {
    goes_through_its_life("2>/dev/full").await;
}

#[tokio::test]
async fn pipe_that_nobody_reads_keeps_nothing_from_going_on() {
    // A reader and a writer of a pipe with a name, of which the reader is gone before the program begins.
    goes_through_its_life("3<>pipe 2>pipe 3<&-").await;
}

#[tokio::test]
async fn full_standard_output_keeps_nothing_from_going_on() {
    goes_through_its_life(">/dev/full").await;
}

#[tokio::test]
async fn verdict_that_cannot_be_written_is_still_the_exit_code() {
    let dir = TempDir::new("deaf-check").unwrap();
    dir.write("good.toml", web(port::free_tcp().unwrap(), port::free_tcp().unwrap())).unwrap();
    dir.write("bad.toml", "[listen.web]\nadress = \":8080\"\n").unwrap();
    for (args, code) in [
        ("check good.toml", 0),
        ("check bad.toml", 3),
        ("check --format json bad.toml", 3),
        ("check --why unknown-key", 0),
        ("version --build", 0),
        ("--help", 0),
        ("run -c bad.toml", 3),
        ("init good.toml", 1),
        ("no-such-verb", 2),
    ] {
        let mut child = start(dir.path(), ">/dev/full 2>&1", args);
        assert_eq!(child.ended(SOON).await.unwrap().code(), Some(code), "{args}");
    }
}
