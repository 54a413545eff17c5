use proptest::prelude::*;
use staniel_core::buffer::Class;

use super::*;
use Framing::{Chunked, Length, None as NoBody, UntilClose};
use HeadError::*;

fn request(bytes: &[u8]) -> Result<Option<WireHead>, HeadError> {
    parse(bytes, &Limits::default(), None).map(|parsed| parsed.map(|(head, _)| head))
}

fn response(bytes: &[u8], asked: Asked) -> Result<Option<WireHead>, HeadError> {
    parse(bytes, &Limits::default(), Some(asked)).map(|parsed| parsed.map(|(head, _)| head))
}

fn parse(
    bytes: &[u8],
    limits: &Limits,
    asked: Option<Asked>,
) -> Result<Option<(WireHead, Vec<u8>)>, HeadError> {
    let mut block = Lease::take(Class::Block);
    assert_eq!(block.extend(bytes), bytes.len());
    let mut progress = Progress::default();
    let parsed = match asked {
        None => WireHead::parse_request(block, &mut progress, limits)?,
        Some(asked) => WireHead::parse_response(block, &mut progress, limits, asked)?,
    };
    Ok(match parsed {
        Parsed::Head(head, rest) => {
            let behind = rest.map_or_else(|| head.behind().to_vec(), |rest| rest.to_vec());
            Some((head, behind))
        }
        Parsed::Partial(same) => {
            assert_eq!(same.as_slice(), bytes);
            None
        }
    })
}

/// The same bytes, `step` at a time, in a buffer that waits as small as it can.
fn parse_in_steps(
    bytes: &[u8],
    step: usize,
    asked: Option<Asked>,
) -> Result<Option<(WireHead, Vec<u8>)>, HeadError> {
    let limits = Limits::default();
    let mut progress = Progress::default();
    let mut held = Lease::copy_of(b"");
    let mut pieces = bytes.chunks(step.max(1));
    while let Some(piece) = pieces.next() {
        if held.room() < piece.len() {
            let mut larger = Lease::take(Class::Block);
            larger.extend(&held);
            held = larger;
        }
        held.extend(piece);
        let parsed = match asked {
            None => WireHead::parse_request(held, &mut progress, &limits)?,
            Some(asked) => WireHead::parse_response(held, &mut progress, &limits, asked)?,
        };
        match parsed {
            Parsed::Head(head, rest) => {
                let mut behind = rest.map_or_else(|| head.behind().to_vec(), |rest| rest.to_vec());
                pieces.for_each(|piece| behind.extend_from_slice(piece));
                return Ok(Some((head, behind)));
            }
            Parsed::Partial(lease) => held = lease.settle(),
        }
    }
    Ok(None)
}

/// `head` is without its last empty line.
fn check(head: &str, expected: Result<Framing, HeadError>) {
    check_bytes(head.as_bytes(), expected);
}

fn check_bytes(head: &[u8], expected: Result<Framing, HeadError>) {
    let bytes = [head, b"\r\n"].concat();
    let shown = String::from_utf8_lossy(&bytes);
    let parsed = request(&bytes).map(|head| head.expect("a whole head").framing());
    assert_eq!(parsed, expected, "{shown}");
    for step in [1, 7] {
        let parsed =
            parse_in_steps(&bytes, step, None).map(|head| head.expect("a whole head").0.framing());
        assert_eq!(parsed, expected, "{step} at a time: {shown}");
    }
}

fn check_fields(fields: &str, expected: Result<Framing, HeadError>) {
    check(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{fields}"), expected);
}

fn check_answer(head: &str, asked: Asked, expected: Result<Framing, HeadError>) {
    let bytes = format!("{head}\r\n");
    let parsed =
        response(bytes.as_bytes(), asked).map(|head| head.expect("a whole head").framing());
    assert_eq!(parsed, expected, "{head}");
}

#[test]
fn length_and_encoding_are_never_guessed() {
    let te = "Transfer-Encoding: chunked\r\n";
    let cl = "Content-Length: 5\r\n";
    check_fields("", Ok(NoBody));
    check_fields(cl, Ok(Length(5)));
    check_fields("Content-Length: 0\r\n", Ok(Length(0)));
    check_fields("content-length:18446744073709551615\r\n", Ok(Length(u64::MAX)));
    check_fields(te, Ok(Chunked));
    check_fields("transfer-encoding:\t CHUNKED \t\r\n", Ok(Chunked));
    // Both, in each order and spelling.
    for (one, other) in [(te, cl), (cl, te)] {
        check_fields(&format!("{one}{other}"), Err(LengthAndEncoding));
        check_fields(&format!("{one}X: y\r\n{}", other.to_uppercase()), Err(LengthAndEncoding));
    }
    check_fields("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Err(LengthAndEncoding));
    // Lengths.
    check_fields("Content-Length: 5\r\nContent-Length: 6\r\n", Err(RepeatedLength));
    check_fields("Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\n", Err(RepeatedLength));
    check_fields("Content-Length: 5, 5\r\n", Err(RepeatedLength));
    check_fields("Content-Length: 5,\r\n", Err(RepeatedLength));
    for value in [
        "+5",
        "",
        "-1",
        "0x5",
        "5_0",
        "5 5",
        "5.0",
        "18446744073709551616",
        "99999999999999999999999",
        "\u{665}",
        "5;",
    ] {
        check_fields(&format!("Content-Length: {value}\r\n"), Err(InvalidLength));
    }
    // Codings.
    for value in [
        "chunked, identity",
        "chunked, chunked",
        "chunked,gzip",
        "chunked,",
        ",chunked",
        "",
        " ",
        "chunked;q=1",
        "chun ked",
        "\"chunked\"",
        "chunked\u{a0}",
        "x;y",
        "x;",
        "x;=y",
        "chunked gzip",
        "gzip, chunked, gzip",
    ] {
        check_fields(&format!("Transfer-Encoding: {value}\r\n"), Err(InvalidEncoding));
    }
    for value in
        ["xchunked", "gzip", "gzip, chunked", "identity", "chunkedx", "x;a=b", "x ; a = b, chunked"]
    {
        check_fields(&format!("Transfer-Encoding: {value}\r\n"), Err(UnknownEncoding));
    }
    check_fields(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err(InvalidEncoding),
    );
    check_fields(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        Err(InvalidEncoding),
    );
    check_fields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err(UnknownEncoding));
    check_fields("Transfer-Encoding: \u{b}chunked\r\n", Err(FieldValue));
    check_fields("Transfer-Encoding : chunked\r\n", Err(SpaceBeforeColon));
    check_fields("Transfer-Encoding:\r\n chunked\r\n", Err(ObsFold));
    check_fields("Content-Length : 5\r\n", Err(SpaceBeforeColon));
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", Err(EncodingOnHttp10));
    check(
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        Err(EncodingOnHttp10),
    );
    check("POST / HTTP/1.0\r\nContent-Length: 5\r\n", Ok(Length(5)));
    assert_eq!(
        (UnknownEncoding.status(), InvalidEncoding.status(), LengthAndEncoding.status()),
        (501, 400, 400)
    );
}

#[test]
fn hosts_are_one_and_well_formed() {
    check("GET / HTTP/1.1\r\n", Err(NoHost));
    check("GET / HTTP/1.9\r\n", Err(NoHost));
    check("GET / HTTP/1.0\r\n", Ok(NoBody));
    check("GET http://a.test/ HTTP/1.1\r\n", Err(NoHost));
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n", Err(RepeatedHost));
    check("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n", Err(RepeatedHost));
    check("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n", Err(RepeatedHost));
    for host in [
        "a.test/x",
        "a.test,b.test",
        "u@a.test",
        "a b",
        "",
        "a:b",
        "a:1:2",
        "a.test#",
        "a.test?",
        "a\\b",
        "[::1",
        "a:99999",
    ] {
        check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n"), Err(InvalidHost));
    }
    for host in ["a.test", "A.test.:80", "[::1]:8080", "10.0.0.1", "a_b", "localhost:"] {
        check(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n"), Ok(NoBody));
    }
    let head =
        request(b"GET http://a.test:81/x?y HTTP/1.1\r\nHost: b.test\r\n\r\n").unwrap().unwrap();
    assert_eq!(head.host(), Some(&b"a.test:81"[..]));
    assert_eq!(head.parts().path, b"/x");
    let head = request(b"CONNECT a.test:443 HTTP/1.1\r\nHost: b.test\r\n\r\n").unwrap().unwrap();
    assert_eq!((head.host(), head.asked()), (Some(&b"a.test:443"[..]), Asked::Connect));
}

#[test]
fn lines_end_with_crlf_and_have_no_control_bytes() {
    check("GET / HTTP/1.1\nHost: a\r\n", Err(BareLf));
    check("GET / HTTP/1.1\r\nHost: a\n", Err(BareLf));
    check("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\n", Err(BareLf));
    check("GET / HTTP/1.1\rHost: a\r\n", Err(BareCr));
    check_fields("X: a\rb\r\n", Err(BareCr));
    check_fields("X: a\r\r\n", Err(BareCr));
    check_fields("X: a\r\n b\r\n", Err(ObsFold));
    check_fields("X: a\r\n\tb\r\n", Err(ObsFold));
    check_fields(" X: a\r\n", Err(ObsFold));
    check_fields(": x\r\n", Err(EmptyName));
    check_fields(" : x\r\n", Err(ObsFold));
    check_fields("X\r\n", Err(MissingColon));
    check_fields("X y\r\n", Err(SpaceBeforeColon));
    check("GET / HTTP/1.1\r\n Host: a\r\n", Err(ObsFold));
    for byte in (0..=0x1f_u8).chain([0x7f]) {
        let expected = |at: &str| match (byte, at) {
            (b'\n', _) => Err(BareLf),
            (b'\r', _) => Err(BareCr),
            (_, "method") if byte == 0x16 => Err(Tls),
            (_, "method") => Err(Method),
            (_, "in method") => Err(Method),
            (_, "target") => Err(Target),
            (_, "version") => Err(Version),
            (b'\t', "name") => Err(SpaceBeforeColon),
            (b'\t', "line") => Err(ObsFold),
            (b'\t', "value") => Ok(NoBody),
            (_, "value") => Err(FieldValue),
            _ => Err(FieldName),
        };
        let with =
            |before: &str, after: &str| [before.as_bytes(), &[byte], after.as_bytes()].concat();
        check_bytes(&with("", "GET / HTTP/1.1\r\nHost: a\r\n"), expected("method"));
        check_bytes(&with("G", "ET / HTTP/1.1\r\nHost: a\r\n"), expected("in method"));
        check_bytes(&with("GET /", "a HTTP/1.1\r\nHost: a\r\n"), expected("target"));
        check_bytes(&with("GET / HTTP/1.1", "\r\nHost: a\r\n"), expected("version"));
        check_bytes(&with("GET / HTTP/1.1\r\nHost: a\r\nX", "y: z\r\n"), expected("name"));
        check_bytes(&with("GET / HTTP/1.1\r\nHost: a\r\n", "x: z\r\n"), expected("line"));
        check_bytes(&with("GET / HTTP/1.1\r\nHost: a\r\nX: y", "z\r\n"), expected("value"));
        check_bytes(
            &with(
                "GET / HTTP/1.1\r\nHost: a\r\nX: a long value with more than eight bytes",
                "\r\n",
            ),
            expected("value"),
        );
    }
    // obs-text is data, and a name is a token.
    check_bytes(b"GET / HTTP/1.1\r\nHost: a\r\nX: \x80\xff\r\n", Ok(NoBody));
    for byte in (0x21..=0xff_u8)
        .filter(|b| !b.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~:\x7f".contains(b))
    {
        check_bytes(
            &[b"GET / HTTP/1.1\r\nHost: a\r\nX", &[byte][..], b"y: z\r\n"].concat(),
            Err(FieldName),
        );
    }
}

#[test]
fn request_lines_are_strict() {
    let with_host = |line: &str, expected| check(&format!("{line}\r\nHost: a.test\r\n"), expected);
    for line in [
        "GET / HTTP/1.1",
        "G!T /x?y HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "OPTIONS / HTTP/1.1",
        "CONNECT a.test:443 HTTP/1.1",
        "GET http://a.test HTTP/1.1",
        "GET / HTTP/1.9",
        "GET / HTTP/1.2",
        "TRACE / HTTP/1.1",
        "GET //a HTTP/1.1",
    ] {
        with_host(line, Ok(NoBody));
    }
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / ",
        "GET /",
        "GET",
        "GET ",
        "GET /a b HTTP/1.1",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /\tHTTP/1.1",
        "G(T / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/1",
        "GET / HTTP/0.9",
        "GET / HTTP/1.x",
        "GET / HTP/1.1",
        "GET / HTTP/11",
        "GET / HTTP/+1.1",
        "\u{fc} / HTTP/1.1",
    ] {
        let bytes = format!("{line}\r\nHost: a.test\r\n\r\n");
        assert_eq!(
            request(bytes.as_bytes()).map_err(|fault| fault.status()).err(),
            Some(400),
            "{line}"
        );
    }
    for line in [
        "GET /a#b HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a.test:443 HTTP/1.1",
        "CONNECT / HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET a HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "CONNECT a.test HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
    ] {
        with_host(line, Err(Target));
    }
    with_host("GET / HTTP/2.0", Err(VersionUnsupported));
    with_host("PRI * HTTP/2.0", Err(VersionUnsupported));
    check_bytes(b"\x16\x03\x01\x02\x00\x01", Err(Tls));
    // One empty line before a request, not two.
    check("\r\nGET / HTTP/1.1\r\nHost: a\r\n", Ok(NoBody));
    check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n", Err(RequestLine));
    check("\nGET / HTTP/1.1\r\nHost: a\r\n", Err(BareLf));
    assert_eq!(request(b"GET / HTTP/1.7\r\nHost: a\r\n\r\n").unwrap().unwrap().minor(), 1);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_whole() {
    let line = |n: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "a".repeat(n - 14));
    check(&line(8192), Ok(NoBody));
    check(&line(8193), Err(RequestLineTooLong));
    assert_eq!(request(&[b'G'; 9000]).err(), Some(RequestLineTooLong));
    assert_eq!(
        request(format!("GET /{}", "a".repeat(9000)).as_bytes()).err(),
        Some(RequestLineTooLong)
    );
    assert_eq!(request(&[b'G'; 8000]).map(|head| head.is_none()), Ok(true));

    let fields = |n: usize| "X: y\r\n".repeat(n);
    check_fields(&fields(99), Ok(NoBody));
    check_fields(&fields(100), Err(TooManyFields));
    check_fields(&format!("X: {}\r\n", "y".repeat(32 * 1024 - 14 - 5)), Ok(NoBody));
    check_fields(&format!("X: {}\r\n", "y".repeat(32 * 1024 - 14 - 4)), Err(HeadersTooLarge));
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(40_000));
    assert_eq!(request(endless.as_bytes()).err(), Some(HeadersTooLarge));
    assert_eq!(parse_in_steps(endless.as_bytes(), 1000, None).err(), Some(HeadersTooLarge));
    let endless = format!("GET / HTTP/1.1\r\n{}", "y".repeat(40_000));
    assert_eq!(request(endless.as_bytes()).err(), Some(HeadersTooLarge));

    let mut widest = Limits::default();
    (widest.request_line, widest.headers_total) = (u16::MAX, u16::MAX);
    let mut block = Lease::take(Class::Block);
    block.spare_mut().fill(b'a');
    block.filled(usize::MAX);
    let whole = [b"GET / HTTP/1.1\r\nX: ", block.as_slice()].concat();
    let filled = parse(&whole[..Class::Block.size()], &widest, None).map(|head| head.is_none());
    assert_eq!(filled, Err(HeadersTooLarge), "a full block is never a partial head");
    let filled = parse(&block, &widest, None).map(|head| head.is_none());
    assert_eq!(filled, Err(RequestLineTooLong));
    assert_eq!(
        (HeadersTooLarge.status(), TooManyFields.status(), RequestLineTooLong.status()),
        (431, 431, 414)
    );
}

#[test]
fn a_fault_is_seen_when_it_arrives() {
    assert_eq!(parse_in_steps(b"GET / HTTP/1.1\r\nHost: a\nX", 1, None).err(), Some(BareLf));
    assert_eq!(parse_in_steps(b"GET / HTTP/1.1\r\nHost: a\r\nX@", 1, None).err(), Some(FieldName));
    assert_eq!(parse_in_steps(b"G\0", 1, None).err(), Some(Method));
    let many = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(101));
    assert_eq!(parse_in_steps(many.as_bytes(), 1, None).err(), Some(TooManyFields));
}

#[test]
fn answers_are_framed_by_what_was_asked() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let other = Asked::Other;
    check_answer(ok, other, Ok(UntilClose));
    check_answer(&format!("{ok}Content-Length: 7\r\n"), other, Ok(Length(7)));
    check_answer(&format!("{ok}Transfer-Encoding: chunked\r\n"), other, Ok(Chunked));
    check_answer(&format!("{ok}Content-Length: 7\r\n"), Asked::Head, Ok(NoBody));
    check_answer(ok, Asked::Head, Ok(NoBody));
    check_answer(&format!("{ok}Content-Length: 7\r\n"), Asked::Connect, Ok(NoBody));
    check_answer("HTTP/1.1 403 No\r\nContent-Length: 7\r\n", Asked::Connect, Ok(Length(7)));
    for status in [100, 101, 103, 199, 204] {
        let head = format!("HTTP/1.1 {status} x\r\nContent-Length: 7\r\n");
        check_answer(&head, other, Ok(NoBody));
        let head = response(format!("{head}\r\n").as_bytes(), other).unwrap().unwrap();
        assert!(!head.keep_alive(), "{status} with a body");
        let head =
            response(format!("HTTP/1.1 {status} x\r\n\r\n").as_bytes(), other).unwrap().unwrap();
        assert!(head.keep_alive());
    }
    check_answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n", other, Ok(NoBody));
    // The faults of a request are faults of an answer.
    check_answer(
        &format!("{ok}Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"),
        other,
        Err(LengthAndEncoding),
    );
    check_answer(
        &format!("{ok}Content-Length: 7\r\nContent-Length: 7\r\n"),
        other,
        Err(RepeatedLength),
    );
    check_answer(&format!("{ok}Content-Length: x\r\n"), Asked::Head, Err(InvalidLength));
    check_answer(&format!("{ok}Transfer-Encoding: gzip\r\n"), other, Err(UnknownEncoding));
    check_answer("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", other, Err(EncodingOnHttp10));
    check_answer(&format!("{ok}X: a\0b\r\n"), other, Err(FieldValue));
    check_answer(&format!("{ok}X: a\n"), other, Err(BareLf));
    check_answer(&format!("{ok}X: a\r\n b\r\n"), other, Err(ObsFold));
    // Status lines.
    check_answer("HTTP/1.1 200\r\n", other, Ok(UntilClose));
    check_answer("HTTP/1.1 200 \r\n", other, Ok(UntilClose));
    check_answer("HTTP/1.5 200 Very \u{fc} OK\r\n", other, Ok(UntilClose));
    for line in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 099 x",
        "HTTP/1.1 2x0 x",
        "HTTP/1.1",
        " HTTP/1.1 200 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 -20 x",
    ] {
        let bytes = format!("{line}\r\n\r\n");
        assert!(
            matches!(response(bytes.as_bytes(), other), Err(StatusLine | Version | BareCr)),
            "{line}"
        );
    }
    check_answer("ICY 200 OK\r\n", other, Err(Version));
    check_answer("HTTP/2.0 200 OK\r\n", other, Err(VersionUnsupported));
    check_answer("\r\nHTTP/1.1 200 OK\r\n", other, Err(Version));
}

#[test]
fn connections_persist_as_the_standard_says() {
    let keeps = |version: &str, connection: &str| {
        let head = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        request(head.as_bytes()).unwrap().unwrap().keep_alive()
    };
    assert!(keeps("1.1", ""));
    assert!(keeps("1.1", "Connection: keep-alive\r\n"));
    assert!(!keeps("1.1", "Connection: x, CLOSE\r\n"));
    assert!(!keeps("1.1", "Connection: keep-alive\r\nConnection: close\r\n"));
    assert!(!keeps("1.0", ""));
    assert!(keeps("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!keeps("1.0", "Connection: keep-alive, close\r\n"));
    assert!(!keeps("1.0", "Proxy-Connection: keep-alive\r\n"));
    assert!(!response(b"HTTP/1.1 200 OK\r\n\r\n", Asked::Other).unwrap().unwrap().keep_alive());
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", "a,".repeat(70));
    assert_eq!(request(many.as_bytes()).err(), Some(TooManyOptions));
}

#[test]
fn facts_are_read_once_and_stay() {
    let mut head = request(
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\nExpect: 100-Continue\r\n\r\n",
    )
    .unwrap()
    .unwrap();
    head.strip_hop_by_hop();
    assert_eq!((head.upgrade(), head.has(Known::Upgrade)), (Some(&b"websocket"[..]), false));
    assert!(head.accepts_trailers() && head.expects_continue() && !head.has_unknown_expectation());
    assert!(head.has(Known::Expect));

    let head = request(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nExpect: more\r\n\r\n")
        .unwrap()
        .unwrap();
    assert_eq!(head.upgrade(), None, "not named by Connection");
    assert!(head.has_unknown_expectation());
    let head = request(
        b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\nExpect: 100-continue\r\n\r\n",
    )
    .unwrap()
    .unwrap();
    assert_eq!((head.upgrade(), head.expects_continue()), (None, false));
}

#[test]
fn what_stands_behind_a_head_is_kept() {
    let (head, rest) = parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2", &Limits::default(), None)
        .unwrap()
        .unwrap();
    assert_eq!((rest.as_slice(), head.behind()), (&b"GET /2"[..], &b""[..]));
    let (mut head, behind) = parse(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        &Limits::default(),
        Some(Asked::Other),
    )
    .unwrap()
    .unwrap();
    assert_eq!(behind, b"body");
    assert_eq!(head.take_behind().as_deref(), Some(&b"body"[..]));
    assert!(head.take_behind().is_none() && head.behind().is_empty());
    let head = head.settle();
    assert_eq!(
        (head.status(), head.reason(), head.get(Known::ContentLength)),
        (200, &b"OK"[..], Some(&b"4"[..]))
    );
}

prop_compose! {
    /// Something like a request, often broken in one place.
    fn near_request()(
        line in "(GET|POST|CONNECT|X) (/|/a|\\*|a:1|http://a/) HTTP/1\\.[019]",
        fields in proptest::collection::vec(
            "(Host: a|Host:b|X: y|x-long-name: {0,3}[ -~\t]{0,20}|Content-Length: 5|Transfer-Encoding: chunked|Connection: close|: x|A_b:c) {0,2}", 0..6),
        at in any::<prop::sample::Index>(),
        byte in prop::option::weighted(0.3, any::<u8>()),
        rest in "[ -~]{0,5}",
    ) -> Vec<u8> {
        let mut bytes = format!("{line}\r\n{}\r\n{rest}", fields.iter().map(|field| format!("{field}\r\n")).collect::<String>()).into_bytes();
        if let Some(byte) = byte {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_split_changes_nothing(bytes in near_request(), step in 1_usize..40) {
        let view = |parsed: Result<Option<(WireHead, Vec<u8>)>, HeadError>| {
            parsed.map(|parsed| parsed.map(|(head, rest)| {
                let mut fields = Vec::new();
                head.write_start(&mut fields);
                head.write_fields(&mut fields);
                (fields, head.framing(), head.keep_alive(), rest)
            }))
        };
        prop_assert_eq!(view(parse_in_steps(&bytes, step, None)), view(parse(&bytes, &Limits::default(), None)));
        // Every prefix is undecided, or has the verdict of the whole.
        let whole = parse(&bytes, &Limits::default(), None).err();
        for n in 0..bytes.len() {
            let part = parse(&bytes[..n], &Limits::default(), None).err();
            prop_assert!(part.is_none() || part == whole, "{n}: {part:?}, {whole:?}");
        }
    }

    #[test]
    fn untouched_fields_stay_byte_for_byte(bytes in near_request()) {
        if let Ok(Some((head, rest))) = parse(&bytes, &Limits::default(), None) {
            let mut out = Vec::new();
            head.write_fields(&mut out);
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&rest);
            let line = bytes.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
            prop_assert_eq!(&out, &bytes[line..]);
        }
    }
}
