//! Each example does what its first lines promise.

use std::net::SocketAddr;
use std::path::Path;

use staniel_test::foreign;

use crate::program::{Example, eventually, talk};

fn nc(addr: SocketAddr, says: &str) -> String {
    talk(&["nc", "-N", "-w", "10", &addr.ip().to_string(), &addr.port().to_string()], says)
}

#[test]
fn echo_tcp_gives_back_what_it_gets() {
    if foreign::require("nc").is_none() {
        return;
    }
    let mut example = Example::start("echo_tcp", &["tcp://127.0.0.1:0"]);
    let addr = example.listens_on();
    assert_eq!(nc(addr, "hello\nthere\n"), "hello\nthere\n");
    assert!(example.ends());
}

#[test]
fn echo_tcp_has_eight_lines() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo_tcp.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let counts =
        |line: &&str| !(line.is_empty() || line.starts_with("//") || line.starts_with("use "));
    let lines: Vec<_> = source.lines().map(str::trim).filter(counts).collect();
    assert!(lines.len() <= 8, "{lines:#?}");
}

#[test]
fn tcp_relay_connects_each_of_its_endpoints_to_its_target() {
    if foreign::require("nc").is_none() || foreign::require("socat").is_none() {
        return;
    }
    let echo = Example::start("echo_tcp", &["tcp://127.0.0.1:0"]);
    let to = echo.listens_on();
    let other = Example::start("echo_tcp", &["tcp://127.0.0.1:0"]);
    let gone = other.listens_on();
    drop(other);
    let routes = [format!("127.0.0.1:0={to}"), format!("[::1]:0={gone}")];
    let mut relay = Example::start("tcp_relay", &[&routes[0], &routes[1]]);
    let (one, two) = (relay.address(), relay.address());
    assert_eq!(nc(one, "through the relay\n"), "through the relay\n");
    assert!(two.is_ipv6());
    // Nobody is at the target of the second: the client is closed, and the relay lives.
    assert_eq!(nc(two, "nobody\n"), "");
    let socat = ["socat", "-t10", "-", &format!("TCP:{one}")];
    assert_eq!(talk(&socat, "once more\n"), "once more\n");
    assert!(relay.ends());
}

#[test]
fn endpoints_at_run_time_come_and_go_and_what_stays_is_untouched() {
    if foreign::require("nc").is_none() {
        return;
    }
    let mut example = Example::start("endpoints_at_run_time", &[]);
    let until_ready = |example: &mut Example| {
        let mut lines = Vec::new();
        loop {
            let line = example.says();
            if line == "ready" {
                return lines;
            }
            lines.push(line);
        }
    };
    until_ready(&mut example);
    example.hears("tcp://127.0.0.1:0");
    let lines = until_ready(&mut example);
    let at = lines[1].rsplit_once("tcp://").unwrap().1;
    let first: SocketAddr = at.parse().unwrap();
    assert_eq!(nc(first, "one\n"), "one\n");

    // One that stays open over the changes.
    let mut open = std::net::TcpStream::connect(first).unwrap();
    example.hears("tcp://127.0.0.1:0 tcp://127.0.0.2:0");
    let lines = until_ready(&mut example);
    assert!(lines[0].contains(r#"kept: [EndpointName("tcp://127.0.0.1:0")]"#), "{}", lines[0]);
    let second: SocketAddr = lines[2].rsplit_once("tcp://").unwrap().1.parse().unwrap();
    assert_eq!((nc(first, "one\n"), nc(second, "two\n")), ("one\n".into(), "two\n".into()));

    // What cannot be had changes nothing.
    example.hears("tcp://somewhere:80 tcp://127.0.0.1:0");
    let lines = until_ready(&mut example);
    assert!(lines[0].starts_with("nothing was changed"), "{}", lines[0]);
    assert_eq!((nc(first, "one\n"), nc(second, "two\n")), ("one\n".into(), "two\n".into()));

    example.hears("tcp://127.0.0.1:0");
    until_ready(&mut example);
    eventually("the second is closed", || std::net::TcpStream::connect(second).is_err());
    std::io::Write::write_all(&mut open, b"x").unwrap();
    std::io::Read::read_exact(&mut open, &mut [0]).unwrap();
    drop(open);
    assert!(example.ends());
}
