//! With nginx as the upstream, and curl and wrk as the clients.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use staniel_core::Workers;
use staniel_proxy::RequestEnd;
use staniel_test::dir::TempDir;
use staniel_test::foreign::{Child, require};
use staniel_test::port;

use crate::support::{Rig, web};

/// What goes through in one request. The promise is a GiB and more; with optimisations off it takes its time.
const LARGE_MIB: usize = 1024;

/// How long a program may take for it.
const LONG: Duration = Duration::from_secs(100);

struct Nginx {
    addr: SocketAddr,
    dir: TempDir,
    _child: Child,
}

/// Starts nginx with files to download and a place to upload to.
async fn nginx() -> Option<Nginx> {
    let program = require("nginx")?;
    let dir = TempDir::new("nginx").unwrap();
    let addr = port::free_tcp().unwrap();
    let at = dir.path().display().to_string();
    let conf = format!(
        "daemon off; master_process off; pid {at}/pid; error_log stderr;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n access_log {at}/access; client_body_temp_path {at}/body; proxy_temp_path {at}/p; \
         fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s; root {at}/root; \
         client_max_body_size 0; keepalive_requests 1000000; log_format conn '$connection $connection_requests $request_length $status';\n\
         access_log {at}/conn conn;\n\
         server {{ listen {addr}; location /up/ {{ dav_methods PUT; create_full_put_path on; }} }} }}\n"
    );
    std::fs::create_dir_all(dir.path().join("root/up")).unwrap();
    dir.write("root/hello", "hello\n").unwrap();
    let conf = dir.write("nginx.conf", conf).unwrap();
    // It may be asked to serve files of the one who runs the tests.
    let user = format!("{at}/root");
    let _ = Command::new("chmod").args(["-R", "a+rwX", &at, &user]).status();
    let mut child = Child::start(
        Command::new(program)
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(&at)
            .arg("-c")
            .arg(&conf)
            .args(["-g", "user root;"]),
    )
    .unwrap();
    child.ready(addr, Duration::from_secs(10)).await.unwrap();
    Some(Nginx { addr, dir, _child: child })
}

async fn sh(script: String, within: Duration) -> String {
    let mut child =
        Child::start(Command::new("bash").args(["-c", &format!("set -o pipefail; {script}")]))
            .unwrap();
    let status = child.ended(within).await.unwrap();
    assert!(status.success(), "{script}: {status}: {}", child.said());
    child.stdout()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_keeps_its_connection_and_uploads() {
    let (Some(nginx), Some(_)) = (nginx().await, require("curl")) else { return };
    let rig = Rig::start_on(&web(nginx.addr), Workers::N(2)).await;
    let url = format!("http://{}", rig.addr("web"));
    let soon = Duration::from_secs(15);
    let out = sh(format!("curl -sS -w '%{{num_connects}}\\n' {url}/hello {url}/hello"), soon).await;
    assert_eq!(out, "hello\n1\nhello\n0\n");
    // Chunked, as from a pipe; then with a length, large enough for `Expect: 100-continue`.
    sh(
        format!("head -c 3000000 /dev/zero | tr '\\0' z | curl -sS --fail -T - {url}/up/chunked"),
        soon,
    )
    .await;
    sh(format!("head -c 3000000 /dev/zero | tr '\\0' z > {0}/in && curl -sS --fail -H 'Expect: 100-continue' -T {0}/in {url}/up/length", nginx.dir.path().display()), soon).await;
    for name in ["chunked", "length"] {
        let stored = std::fs::read(nginx.dir.path().join("root/up").join(name)).unwrap();
        assert!(
            stored.len() == 3_000_000 && stored.iter().all(|byte| *byte == b'z'),
            "{name}: {}",
            stored.len()
        );
        let back = sh(format!("curl -sS {url}/up/{name} | sha256sum"), soon).await;
        assert_eq!(back, sh(format!("sha256sum < {0}/in", nginx.dir.path().display()), soon).await);
    }
    let head = sh(format!("curl -sSI {url}/hello"), soon).await;
    assert!(head.contains("Content-Length: 6"), "{head}");
    let range = sh(format!("curl -sS -r 1-3 {url}/hello"), soon).await;
    assert_eq!(range, "ell");
    assert!(rig.ended(RequestEnd::Ok) >= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gib_goes_down_and_up_unchanged() {
    let (Some(nginx), Some(_)) = (nginx().await, require("curl")) else { return };
    let rig = Rig::start_on(&web(nginx.addr), Workers::N(2)).await;
    let url = format!("http://{}", rig.addr("web"));
    // Numbers in a row: what is lost, doubled or out of place changes the sum.
    let numbers = format!("(seq 1 200000000 || true) | head -c {LARGE_MIB}M");
    let expected = sh(format!("{numbers} | sha256sum"), LONG).await;
    // Chunked, as from a pipe; back down with a length; up again with a length.
    sh(format!("{numbers} | curl -sS --fail -T - {url}/up/chunked"), LONG).await;
    let back = nginx.dir.path().join("back").display().to_string();
    sh(format!("curl -sS --fail {url}/up/chunked -o '{back}'"), LONG).await;
    std::fs::remove_file(nginx.dir.path().join("root/up/chunked")).unwrap();
    assert_eq!(sh(format!("sha256sum < '{back}'"), LONG).await, expected, "up in chunks, and down");
    sh(format!("curl -sS --fail -T '{back}' {url}/up/length"), LONG).await;
    let stored = nginx.dir.path().join("root/up/length").display().to_string();
    assert_eq!(sh(format!("sha256sum < '{stored}'"), LONG).await, expected, "up with a length");
    assert_eq!(rig.ended(RequestEnd::Ok), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrk_sees_no_error() {
    let (Some(nginx), Some(wrk)) = (nginx().await, require("wrk")) else { return };
    let rig = Rig::start_on(&web(nginx.addr), Workers::N(2)).await;
    let url = format!("http://{}/hello", rig.addr("web"));
    let out =
        sh(format!("'{}' -t 1 -c 32 -d 2s {url}", wrk.display()), Duration::from_secs(15)).await;
    assert!(
        out.contains("requests in") && !out.contains("Socket errors") && !out.contains("Non-2xx"),
        "{out}"
    );
    assert!(rig.ended(RequestEnd::Ok) > 100);
    let failed: u64 = rig
        .proxy
        .stats()
        .requests()
        .iter()
        // wrk hangs up on what is under way when its time is over.
        .filter(|(end, _)| !matches!(end, RequestEnd::Ok | RequestEnd::ClientClosed))
        .map(|(_, n)| *n)
        .sum();
    assert_eq!(failed, 0, "{:?}", rig.proxy.stats().requests());
}
