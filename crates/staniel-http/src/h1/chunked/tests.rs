use proptest::prelude::*;

use super::*;
use crate::h1::{BodyState, Framing};

/// All that a body gives: content, what is sent on, trailers, and how many bytes of the input were its own.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    content: Vec<u8>,
    wire: Vec<u8>,
    trailers: Vec<u8>,
    taken: usize,
    done: bool,
}

fn read(bytes: &[u8], step: usize) -> Result<Read, BodyError> {
    let limits = Limits::default();
    let (mut payload, mut passed) = (ChunkedReader::new(&limits), ChunkedReader::new(&limits));
    let mut read = Read { content: vec![], wire: vec![], trailers: vec![], taken: 0, done: false };
    for piece in bytes.chunks(step.max(1)) {
        let n = payload.feed(piece, |data| read.content.extend_from_slice(data))?;
        let before = read.wire.len();
        let mut pieces = 0;
        assert_eq!(
            passed.feed_wire(piece, |wire| (pieces += 1, read.wire.extend_from_slice(wire)).1),
            Ok(n)
        );
        // Clean means: one piece, and it is the input.
        assert_eq!(passed.wire_is_clean(), payload.wire_is_clean());
        if passed.wire_is_clean() {
            assert_eq!(&read.wire[before..], &piece[..n]);
            assert_eq!(pieces, usize::from(n > 0));
        }
        read.taken += n;
        assert_eq!(payload.is_done(), passed.is_done());
        if payload.is_done() {
            break;
        }
        assert_eq!(n, piece.len());
    }
    read.done = payload.is_done();
    read.trailers = payload.trailers().to_vec();
    Ok(read)
}

fn check(bytes: &str, expected: Result<(&str, &str), BodyError>) {
    for step in [usize::MAX, 1, 2, 3, 5] {
        let read = read(bytes.as_bytes(), step).map(|read| {
            assert!(read.done, "{bytes}");
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (text(read.content), text(read.wire))
        });
        let expected = expected.map(|(content, wire)| (content.to_owned(), wire.to_owned()));
        assert_eq!(read, expected, "{step} at a time: {bytes:?}");
    }
}

#[test]
fn a_plain_body_passes_as_it_is() {
    for (wire, content) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("000a\r\n0123456789\r\n1\r\n!\r\n000\r\n\r\n", "0123456789!"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
    ] {
        check(wire, Ok((content, wire)));
        let read = read(format!("{wire}GET /").as_bytes(), usize::MAX).unwrap();
        assert_eq!(
            (read.taken, read.wire.len()),
            (wire.len(), wire.len()),
            "what is behind is another message"
        );
    }
}

#[test]
fn extensions_are_read_and_cut_out() {
    let plain = "5\r\nhello\r\n0\r\n\r\n";
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a=\"\"",
        ";a;b=c;d",
        " ;a",
        "\t; a = b ; c",
        ";a=\"x;\\\"y\"",
        ";a=\"x\";b",
        ";a=\"\u{e4}\"",
    ] {
        check(&format!("5{extension}\r\nhello\r\n0\r\n\r\n"), Ok(("hello", plain)));
        check(&format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n"), Ok(("hello", plain)));
    }
    for (extension, fault) in [
        (" ", BodyError::ChunkExtension),
        (";", BodyError::ChunkExtension),
        (";;", BodyError::ChunkExtension),
        (";=b", BodyError::ChunkExtension),
        (";a=", BodyError::ChunkExtension),
        (";a b", BodyError::ChunkExtension),
        (";a=\"b", BodyError::ChunkExtension),
        (";a=\"b\\", BodyError::ChunkExtension),
        (";a=\"b\"c", BodyError::ChunkExtension),
        (";a=b\"", BodyError::ChunkExtension),
        (";a=\"\0\"", BodyError::ChunkExtension),
        (";a\0", BodyError::ChunkExtension),
        (" a", BodyError::ChunkExtension),
        (";a\nb", BodyError::LineEnd),
        (";a=\"\n\"", BodyError::LineEnd),
        (";a\rb", BodyError::LineEnd),
        ("\n", BodyError::LineEnd),
        ("\r\r", BodyError::LineEnd),
    ] {
        check(&format!("5{extension}\r\nhello\r\n0\r\n\r\n"), Err(fault));
    }
    let of = |n: usize| format!(";{}", "a".repeat(n - 1));
    check(&format!("5{}\r\nhello\r\n0\r\n\r\n", of(256)), Ok(("hello", plain)));
    check(&format!("5{}\r\nhello\r\n0\r\n\r\n", of(257)), Err(BodyError::ChunkExtensionsTooLarge));
    let chunk = format!("1{}\r\nx\r\n", of(256));
    check(
        &format!("{}0\r\n\r\n", chunk.repeat(16)),
        Ok((&"x".repeat(16), &format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(16)))),
    );
    check(&format!("{}0;a\r\n\r\n", chunk.repeat(16)), Err(BodyError::ChunkExtensionsTooLarge));
}

#[test]
fn sizes_and_line_ends_are_strict() {
    for size in [
        "",
        "0x5",
        "-1",
        "+5",
        "5_0",
        "g",
        " 5",
        "1000000000000000",
        "0000000000000005",
        "10000000000000005",
        "5.",
        "\u{ff15}",
        "\0",
        ",",
    ] {
        check(&format!("{size}\r\nhello\r\n0\r\n\r\n"), Err(BodyError::ChunkSize));
    }
    check("5\nhello\r\n0\r\n\r\n", Err(BodyError::LineEnd));
    check("5\rhello\r\n0\r\n\r\n", Err(BodyError::LineEnd));
    check("5\r\nhello\n0\r\n\r\n", Err(BodyError::ChunkEnd));
    check("5\r\nhello!\r\n0\r\n\r\n", Err(BodyError::ChunkEnd));
    check("5\r\nhello\r0\r\n\r\n", Err(BodyError::ChunkEnd));
    check("5\r\nhello0\r\n\r\n", Err(BodyError::ChunkEnd));
    check("0\r\n\n", Err(BodyError::Trailers(HeadError::BareLf)));
    check("0\r\n\rx", Err(BodyError::LineEnd));
    check("\r\n5\r\nhello\r\n0\r\n\r\n", Err(BodyError::ChunkSize));
    // As large as can be written, and the same fault again.
    let mut reader = ChunkedReader::new(&Limits::default());
    assert_eq!(reader.feed(b"fffffffffffffff\r\nabc", |_| ()), Ok(20));
    let mut reader = ChunkedReader::new(&Limits::default());
    assert_eq!(reader.feed(b"x", |_| ()), Err(BodyError::ChunkSize));
    assert_eq!(reader.feed(b"0\r\n\r\n", |_| ()), Err(BodyError::ChunkSize));
}

#[test]
fn trailers_that_may_travel_do() {
    check("0\r\ngrpc-status: 0\r\n\r\n", Ok(("", "0\r\ngrpc-status: 0\r\n\r\n")));
    check(
        "1\r\nx\r\n0\r\nHost: evil\r\nA: 1\r\nContent-Length: 5\r\nB:2\r\n\r\n",
        Ok(("x", "1\r\nx\r\n0\r\nA: 1\r\nB:2\r\n\r\n")),
    );
    check(
        "0\r\nTransfer-Encoding: chunked\r\nX_Y: 1\r\nauthorization: x\r\n\r\n",
        Ok(("", "0\r\n\r\n")),
    );
    assert_eq!(read(b"0\r\nHost: evil\r\nA: 1\r\n\r\n", 4).unwrap().trailers, b"A: 1\r\n");
    for (lines, fault) in [
        ("A: 1\n", HeadError::BareLf),
        ("A: 1\rx\r\n", HeadError::BareCr),
        ("A : 1\r\n", HeadError::SpaceBeforeColon),
        (": 1\r\n", HeadError::EmptyName),
        ("A\r\n", HeadError::MissingColon),
        ("A: 1\r\n b\r\n", HeadError::ObsFold),
        ("A: \0\r\n", HeadError::FieldValue),
        ("A@: 1\r\n", HeadError::FieldName),
    ] {
        check(&format!("0\r\n{lines}\r\n"), Err(BodyError::Trailers(fault)));
    }
    check(
        &format!("0\r\n{}\r\n", "A: 1\r\n".repeat(101)),
        Err(BodyError::Trailers(HeadError::TooManyFields)),
    );
    let line = format!("A: {}\r\n", "x".repeat(8192 - 5));
    check(&format!("0\r\n{line}\r\n"), Ok(("", &format!("0\r\n{line}\r\n"))));
    check(&format!("0\r\nB: {}\r\n\r\n", "x".repeat(8192)), Err(BodyError::TrailersTooLarge));
}

#[test]
fn a_byte_more_in_a_size_line_is_a_digit_or_a_fault() {
    for byte in 0..=255_u8 {
        let bytes = [b"5", &[byte][..], b"\r\nhello\r\n0\r\n\r\n"].concat();
        // With a digit more, the chunk is larger than what is there.
        assert_eq!(read(&bytes, 1).is_ok(), byte.is_ascii_hexdigit(), "{byte}");
    }
}

#[test]
fn bodies_end_where_their_framing_says() {
    let limits = Limits::default();
    let mut body = BodyState::new(Framing::Length(5), &limits);
    let mut seen = Vec::new();
    assert_eq!(body.feed(b"hel", |data| seen.extend_from_slice(data)), Ok(3));
    assert_eq!(
        (body.remaining(), body.is_done(), body.finish_at_eof()),
        (Some(2), false, Err(BodyError::Truncated))
    );
    assert_eq!(body.feed(b"lo, next", |data| seen.extend_from_slice(data)), Ok(2));
    assert_eq!(
        (seen.as_slice(), body.is_done(), body.finish_at_eof()),
        (&b"hello"[..], true, Ok(()))
    );

    let mut body = BodyState::new(Framing::Length(u64::MAX), &limits);
    body.took(u64::MAX - 1);
    assert_eq!((body.feed(b"ab", |_| ()), body.is_done()), (Ok(1), true));

    let mut body = BodyState::new(Framing::None, &limits);
    assert_eq!((body.is_done(), body.feed(b"x", |_| ())), (true, Ok(0)));

    let mut body = BodyState::new(Framing::UntilClose, &limits);
    assert_eq!(
        (body.feed_wire(b"abc", |_| ()), body.is_done(), body.remaining()),
        (Ok(3), false, None)
    );
    assert_eq!(
        (body.finish_at_eof(), body.is_done(), body.feed(b"x", |_| ())),
        (Ok(()), true, Ok(0))
    );

    let mut body = BodyState::new(Framing::Chunked, &limits);
    assert_eq!(body.feed(b"5\r\nhello\r\n0\r\n", |_| ()), Ok(13));
    assert_eq!((body.finish_at_eof(), body.remaining()), (Err(BodyError::Truncated), None));
    assert_eq!(
        (body.feed(b"\r\nnext", |_| ()), body.finish_at_eof(), body.remaining()),
        (Ok(2), Ok(()), Some(0))
    );
}

#[test]
fn heads_of_chunks_are_hexadecimal() {
    for len in [0, 1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 65_536, usize::MAX] {
        assert_eq!(&*ChunkedWriter::head(len), format!("{len:x}\r\n").as_bytes());
    }
}

prop_compose! {
    fn near_body()(
        chunks in proptest::collection::vec(("(00?)?", "[ -~\r\n]{1,20}", "( ?;[a-z]{1,3}(=(b|\"[a;\\\\\"]{0,3}\"))?){0,1}"), 0..5),
        trailers in "((A|Host|B_c): ?x?\r\n){0,3}",
        at in any::<prop::sample::Index>(),
        byte in prop::option::weighted(0.3, prop::sample::select(b"\0\r\n \t;0a:\"x".to_vec())),
    ) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (zeros, content, extension) in chunks {
            bytes.extend_from_slice(format!("{zeros}{:X}{extension}\r\n{content}\r\n", content.len()).as_bytes());
        }
        bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        if let Some(byte) = byte {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_written_is_read(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..8), step in 1_usize..60) {
        let mut wire = Vec::new();
        pieces.iter().for_each(|piece| ChunkedWriter::write(piece, &mut wire));
        ChunkedWriter::finish(b"A: 1\r\n", &mut wire);
        let read = read(&wire, step).unwrap();
        prop_assert_eq!(&read.content, &pieces.concat());
        prop_assert_eq!(&read.wire, &wire);
        prop_assert_eq!(&read.trailers, b"A: 1\r\n");
        prop_assert!(read.done && read.taken == wire.len());
    }

    #[test]
    fn a_split_changes_nothing_and_what_is_sent_on_is_plain(bytes in near_body(), step in 1_usize..30) {
        let whole = read(&bytes, usize::MAX);
        prop_assert_eq!(&read(&bytes, step), &whole);
        if let Ok(whole) = whole && whole.done {
            let again = read(&whole.wire, step).unwrap();
            prop_assert_eq!((&again.content, &again.wire, again.done), (&whole.content, &whole.wire, true));
            prop_assert!(!whole.wire.windows(5).any(|five| five == b"Host:") || whole.content.windows(5).any(|five| five == b"Host:"));
        }
    }
}
