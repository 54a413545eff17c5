use staniel_core::buffer::Lease;

use super::*;
use crate::h1::{Asked, Limits, Parsed, Progress};

fn request(text: &str) -> WireHead {
    match WireHead::parse_request(
        Lease::copy_of(text.as_bytes()),
        &mut Progress::default(),
        &Limits::default(),
    ) {
        Ok(Parsed::Head(head, None)) => head,
        other => panic!("{text}: {other:?}"),
    }
}

fn response(text: &str) -> WireHead {
    let bytes = Lease::copy_of(text.as_bytes());
    match WireHead::parse_response(
        bytes,
        &mut Progress::default(),
        &Limits::default(),
        Asked::Other,
    ) {
        Ok(Parsed::Head(head, None)) => head,
        other => panic!("{text}: {other:?}"),
    }
}

fn written(head: &WireHead) -> String {
    let mut out = Vec::new();
    head.write_start(&mut out);
    head.write_fields(&mut out);
    String::from_utf8(out).unwrap()
}

/// The field lines that are left of a request with these.
fn check_strip(fields: &str, expected: &str) {
    let mut head = request(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    head.strip_hop_by_hop();
    head.remove_underscored();
    assert_eq!(written(&head), format!("GET / HTTP/1.1\r\nHost: a\r\n{expected}"));
    assert_eq!(head.field_count(), 1 + expected.matches("\r\n").count());
}

#[test]
fn fields_of_one_hop_are_removed() {
    check_strip("A: 1\r\nConnection: close\r\nB: 2\r\n", "A: 1\r\nB: 2\r\n");
    check_strip(
        "Keep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nC: 3\r\n",
        "C: 3\r\n",
    );
    check_strip("Transfer-Encoding: chunked\r\nTrailer: x\r\n", "Trailer: x\r\n");
    check_strip(
        "Proxy-Authorization: Basic x\r\nProxy: evil\r\nAuthorization: y\r\n",
        "Authorization: y\r\n",
    );
    check_strip(
        "Connection: X-Forwarded-Host, x-own\r\nX-Forwarded-Host: h\r\nX-OWN: 1\r\nX-Own-2: 2\r\n",
        "X-Own-2: 2\r\n",
    );
    check_strip("X-Own: 1\r\nConnection: a\r\nB: 1\r\nConnection: B,x-own,\r\nx-own: 2\r\n", "");
    check_strip(
        "Connection: Host, Content-Length, Authorization\r\nContent-Length: 0\r\nAuthorization: x\r\n",
        "Content-Length: 0\r\n",
    );
    check_strip("X_Forwarded_For: 1\r\nContent_Length: 7\r\nA: 1\r\n_: 2\r\n", "A: 1\r\n");
    let mut head = response(
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nProxy-Authenticate: x\r\nProxy: y\r\n\r\n",
    );
    head.strip_hop_by_hop();
    assert_eq!(written(&head), "HTTP/1.1 204 No Content\r\nProxy: y\r\n");
}

#[test]
fn what_is_appended_is_a_field() {
    let mut head = request("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nVia: 1.1 b\r\n\r\n");
    head.append(b"Via", b"1.1 c").unwrap();
    head.append(b"Y", b"").unwrap();
    assert_eq!(head.get_all(Known::Via).collect::<Vec<_>>(), [b"1.1 b", b"1.1 c"]);
    assert_eq!((head.find(b"y"), head.find(b"z")), (Some(&b""[..]), None));
    head.set(b"x", b"2").unwrap();
    head.set(b"host", b"b").unwrap();
    assert_eq!(head.host(), Some(&b"b"[..]));
    assert_eq!(
        written(&head),
        "GET / HTTP/1.1\r\nVia: 1.1 b\r\nVia: 1.1 c\r\nY: \r\nx: 2\r\nhost: b\r\n"
    );
    head.remove_named(b"VIA");
    assert!(!head.has(Known::Via) && head.get(Known::Via).is_none());
    head.append(b"via", b"d").unwrap();
    assert_eq!(head.get(Known::Via), Some(&b"d"[..]));
    assert_eq!(head.find_all(b"x").count(), 1);
    let names = head.fields().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(names, [&b"Y"[..], b"x", b"host", b"via"]);
}

#[test]
fn what_is_appended_cannot_be_two_fields() {
    let mut head = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let before = written(&head);
    for (name, value, expected) in [
        (&b""[..], &b"x"[..], AppendError::Name),
        (b"a b", b"x", AppendError::Name),
        (b"a:", b"x", AppendError::Name),
        (b"a", b"x\r\nb: c", AppendError::Value),
        (b"a", b"x\0", AppendError::Value),
        (b"a", b" x", AppendError::Value),
        (b"a", &[b'x'; 70_000], AppendError::Full),
    ] {
        assert_eq!(head.append(name, value), Err(expected));
        assert_eq!(head.set(b"Host", b"\n"), Err(AppendError::Value));
    }
    for target in ["", "/ HTTP/1.1\r\n", "/a b"] {
        assert_eq!(head.set_target(target.as_bytes()), Err(AppendError::Target));
    }
    assert_eq!(written(&head), before);
}

#[test]
fn targets_are_replaced() {
    let mut head = request("GET http://b.test:81?q HTTP/1.0\r\nHost: a\r\nX: y\r\n\r\n");
    head.make_origin_form().unwrap();
    assert_eq!(written(&head), "GET /?q HTTP/1.1\r\nX: y\r\nHost: b.test:81\r\n");
    assert_eq!(head.host(), Some(&b"b.test:81"[..]));
    head.append(b"Z", b"1").unwrap();
    head.set_target(b"/new").unwrap();
    assert_eq!(written(&head), "GET /new HTTP/1.1\r\nX: y\r\nHost: b.test:81\r\nZ: 1\r\n");
    assert_eq!(head.parts().path, b"/new");

    let mut head = request("OPTIONS http://b.test HTTP/1.1\r\nHost: a\r\n\r\n");
    head.make_origin_form().unwrap();
    assert_eq!(head.target(), b"*");
}

#[test]
fn a_status_line_gets_our_version_and_its_space() {
    for (line, expected) in [
        ("HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\n"),
        ("HTTP/1.1 404 ", "HTTP/1.1 404 \r\n"),
        ("HTTP/1.1 404", "HTTP/1.1 404 \r\n"),
    ] {
        assert_eq!(written(&response(&format!("{line}\r\n\r\n"))), expected);
    }
}
