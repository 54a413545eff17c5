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
    // A file with holes: it has the size, and takes no room.
    let file = std::fs::File::create(nginx.dir.path().join("root/large")).unwrap();
    file.set_len((LARGE_MIB as u64) << 20).unwrap();
    let expected = sh(format!("head -c {LARGE_MIB}M /dev/zero | sha256sum"), LONG).await;
    let down = sh(format!("curl -sS --fail {url}/large | sha256sum"), LONG).await;
    assert_eq!(down, expected);
    // Up to a counter that keeps nothing: to the bit bucket of a raw origin of our own.
    let (sink, _tasks) = sink().await;
    rig.reload(&web(sink)).await.unwrap();
    let large = nginx.dir.path().join("root/large").display().to_string();
    for from in [format!("-T '{large}'"), format!("-T - < '{large}'")] {
        let up = sh(format!("curl -sS --fail -H 'Expect:' {url}/up {from}"), LONG).await;
        assert_eq!(up, format!("{} 0", LARGE_MIB << 20), "{from}");
    }
    assert_eq!(rig.ended(RequestEnd::Ok), 3);
}

/// An origin that answers with the length of a body, and how many of its bytes were not zero.
async fn sink() -> (SocketAddr, tokio::task::JoinSet<()>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio::io::BufReader::with_capacity(256 * 1024, stream);
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).await.unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let (mut length, mut odd) = (0u64, 0u64);
            let mut buffer = vec![0; 256 * 1024];
            let mut body = async |mut left: u64, stream: &mut tokio::io::BufReader<_>| {
                while left > 0 {
                    let room = usize::try_from(left).unwrap().min(buffer.len());
                    let n = AsyncReadExt::read(stream, &mut buffer[..room]).await.unwrap();
                    assert!(n > 0);
                    odd += u64::from(buffer[..n].iter().any(|byte| *byte != 0));
                    length += n as u64;
                    left -= n as u64;
                }
            };
            match head.split("content-length: ").nth(1) {
                Some(rest) => {
                    body(rest.split('\r').next().unwrap().parse().unwrap(), &mut stream).await
                }
                None => loop {
                    let mut line = String::new();
                    tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line).await.unwrap();
                    let size = u64::from_str_radix(line.trim(), 16).unwrap();
                    body(size, &mut stream).await;
                    line.clear();
                    tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line).await.unwrap();
                    if size == 0 {
                        break;
                    }
                },
            }
            let text = format!("{length} {odd}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (addr, tasks)
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
