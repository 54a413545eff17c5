//! The verdict of nginx on the same bytes.
//!
//! Both are asked whether a request is taken or refused. Where the answers differ, [`DIFFERENCES`] says why that is
//! intended; a difference that is not listed fails.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use staniel_core::buffer::{Class, Lease};
use staniel_http::h1::{BodyState, Limits, Parsed, Progress, WireHead};
use staniel_http::path::normalise;

/// Requests by name. `{H}` is a request line and a Host, `{P}` the same for POST, `{C}` the same for POST with chunks.
const REQUESTS: &[(&str, &str)] = &[
    ("plain", "{H}\r\n"),
    ("absolute", "GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("length", "{P}Content-Length: 5\r\n\r\nhello"),
    ("chunked", "{C}5\r\nhello\r\n0\r\n\r\n"),
    ("http/1.0", "GET / HTTP/1.0\r\n\r\n"),
    ("http/1.9", "GET / HTTP/1.9\r\nHost: a.test\r\n\r\n"),
    ("http/2.0", "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n"),
    ("http/0.9", "GET /\r\n"),
    ("te and cl", "{P}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("cl and te", "{P}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", "{P}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("same length twice", "{P}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("length list", "{P}Content-Length: 5, 5\r\n\r\nhello"),
    ("length with sign", "{P}Content-Length: +5\r\n\r\nhello"),
    ("negative length", "{P}Content-Length: -1\r\n\r\n"),
    ("empty length", "{P}Content-Length: \r\n\r\n"),
    ("huge length", "{P}Content-Length: 99999999999999999999\r\n\r\n"),
    ("te unknown", "{P}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("te not last", "{P}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("te twice", "{P}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("te vertical tab", "{P}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("te space before colon", "{P}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("te folded", "{P}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ("te on 1.0", "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("bare lf lines", "GET / HTTP/1.1\nHost: a.test\n\n"),
    ("bare lf in fields", "{H}X: y\n\r\n"),
    ("bare cr in value", "{H}X: a\rb\r\n\r\n"),
    ("nul in value", "{H}X: a\0b\r\n\r\n"),
    ("control in value", "{H}X: a\x01b\r\n\r\n"),
    ("empty name", "{H}: x\r\n\r\n"),
    ("folded field", "{H}X: a\r\n b\r\n\r\n"),
    ("no colon", "{H}X\r\n\r\n"),
    ("no host", "GET / HTTP/1.1\r\n\r\n"),
    ("two hosts", "{H}Host: a.test\r\n\r\n"),
    ("host with path", "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n"),
    ("host list", "GET / HTTP/1.1\r\nHost: a.test,b.test\r\n\r\n"),
    ("host with user", "GET / HTTP/1.1\r\nHost: u@a.test\r\n\r\n"),
    ("empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("fragment", "GET /a#b HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("asterisk with get", "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("space in target", "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("space behind version", "GET / HTTP/1.1 \r\nHost: a.test\r\n\r\n"),
    ("utf-8 in target", "GET /\u{e9} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("user in absolute", "GET http://u@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("escaped nul", "GET /a%00b HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("malformed escape", "GET /a%zz HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("above the root", "GET /../a HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("empty line before", "\r\n{H}\r\n"),
    ("lower case version", "GET / http/1.1\r\nHost: a.test\r\n\r\n"),
    ("lower case method", "get / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
    ("chunk size with prefix", "{C}0x5\r\nhello\r\n0\r\n\r\n"),
    ("chunk size overflow", "{C}10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("chunk size negative", "{C}-1\r\nhello\r\n0\r\n\r\n"),
    ("chunk too long", "{C}5\r\nhello!\r\n0\r\n\r\n"),
    ("chunk size bare lf", "{C}5\nhello\r\n0\r\n\r\n"),
    ("chunk data bare lf", "{C}5\r\nhello\n0\r\n\r\n"),
    ("chunk extension", "{C}5;a=b\r\nhello\r\n0\r\n\r\n"),
    ("chunk extension bare lf", "{C}5;a\nhello\r\n0\r\n\r\n"),
    ("trailer", "{C}5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
];

/// What nginx takes and we refuse, or the other way round.
const DIFFERENCES: &[(&str, &str)] = &[
    ("http/0.9", "a request without a version has no head and no framing"),
    ("te on 1.0", "RFC 9112, 6.1: such framing is faulty; nginx since 1.21 refuses it as well"),
    ("bare lf lines", "a bare LF is a line end for one hop and not for the next"),
    ("bare lf in fields", "a bare LF is a line end for one hop and not for the next"),
    ("control in value", "RFC 9110, 5.5: no control bytes; nginx refuses NUL only"),
    ("no colon", "nginx takes the whole line for a name without a value"),
    ("host list", "a list of hosts is no host"),
    ("host with user", "RFC 9112, 3.2: Host has no user"),
    (
        "space in target",
        "RFC 9112, 3: no white space in a target; nginx since 1.21 refuses it as well",
    ),
    ("two spaces", "RFC 9112, 3: a single SP"),
    ("space behind version", "RFC 9112, 3: nothing behind the version"),
    ("fragment", "RFC 9112, 3.2.1: a fragment is never sent"),
    ("utf-8 in target", "RFC 3986, 2: a target is ASCII"),
    ("above the root", "RFC 3986, 5.2.4: above the root there is the root; nginx refuses"),
    ("lower case method", "a method is any token; nginx knows upper case only"),
    ("chunk size bare lf", "a bare LF is a line end for one hop and not for the next"),
    ("chunk data bare lf", "a bare LF is a line end for one hop and not for the next"),
    ("chunk extension bare lf", "a bare LF is a line end for one hop and not for the next"),
];

#[test]
fn refuses_what_nginx_refuses_and_what_is_listed() {
    let Some(nginx) = Nginx::start() else {
        assert!(env::var_os("STANIEL_REQUIRE_FOREIGN").is_none(), "nginx is not installed");
        println!("skipped: nginx is not installed");
        return;
    };
    let mut unlisted = Vec::new();
    for (name, text) in REQUESTS {
        let bytes = expand(text);
        let (ours, theirs) = (takes(bytes.as_bytes()), nginx.takes(bytes.as_bytes()));
        let listed = DIFFERENCES.iter().find(|(listed, _)| listed == name);
        match (ours == theirs, listed) {
            (true, None) => {}
            (true, Some(_)) => println!("{name}: listed, but this nginx agrees"),
            (false, Some((_, why))) => println!("{name}: ours {ours}, nginx {theirs}: {why}"),
            (false, None) => unlisted.push(format!("{name}: ours {ours}, nginx {theirs}")),
        }
    }
    assert!(unlisted.is_empty(), "{unlisted:#?}");
    for (name, _) in DIFFERENCES {
        assert!(REQUESTS.iter().any(|(request, _)| request == name), "{name} is not a request");
    }
}

fn expand(text: &str) -> String {
    text.replace("{C}", "{P}Transfer-Encoding: chunked\r\n\r\n")
        .replace("{P}", "POST / HTTP/1.1\r\nHost: a.test\r\n")
        .replace("{H}", "GET / HTTP/1.1\r\nHost: a.test\r\n")
}

/// Whether we take the request: its head, its path and its whole body.
fn takes(bytes: &[u8]) -> bool {
    let mut block = Lease::take(Class::Block);
    block.extend(bytes);
    let limits = Limits::default();
    let Ok(Parsed::Head(head, rest)) =
        WireHead::parse_request(block, &mut Progress::default(), &limits)
    else {
        return false;
    };
    let mut body = BodyState::new(head.framing(), &limits);
    let rest = rest.map(|rest| rest.to_vec()).unwrap_or_default();
    normalise(head.parts().path).is_ok() && body.feed(&rest, |_| ()).is_ok() && body.is_done()
}

/// An nginx that answers 200 to everything it takes, until it is dropped.
struct Nginx {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Nginx {
    fn start() -> Option<Self> {
        Command::new("nginx").arg("-v").stderr(Stdio::null()).status().ok()?;
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = env::temp_dir().join(format!("staniel-http-nginx-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};\n", dir.display()))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {0}/pid; error_log stderr notice;\nevents {{}}\nhttp {{ access_log off;\n{temp}\
             server {{ listen 127.0.0.1:{port}; location / {{ return 200 taken; }} }} }}\n",
            dir.display()
        );
        fs::write(dir.join("conf"), config).unwrap();
        let mut child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(&dir)
            .arg("-c")
            .arg(dir.join("conf"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It logs its version once it listens.
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("nginx/") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "nginx did not start");
        }
        child.stderr = Some(log.into_inner());
        Some(Self { child, port, dir })
    }

    fn takes(&self, bytes: &[u8]) -> bool {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.write_all(bytes).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // It may reset the connection after an answer, if it left bytes unread.
        let _ = socket.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200")
            && !answer.windows(12).skip(1).any(|part| part == b"HTTP/1.1 400")
            || answer == b"taken"
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
