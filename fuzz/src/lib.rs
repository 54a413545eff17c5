//! What holds for any bytes. The targets feed these from the fuzzer; an ordinary test of `staniel-http` replays the
//! corpus through the same functions on stable.
//!
//! `cargo +nightly fuzz run head_request` (or `head_response`, `chunked`, `path`).

use staniel_core::buffer::{Class, Lease};
use staniel_http::h1::{
    Asked, ChunkedReader, ChunkedWriter, HeadError, Known, KnownSet, Limits, Parsed, Progress,
    WireHead,
};
use staniel_http::path::normalise;

/// The first byte says how the rest is split and, of an answer, what was asked.
fn options(bytes: &[u8]) -> (usize, &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    (usize::from(*first), rest.get(..Class::Block.size()).unwrap_or(rest))
}

/// A head of a request is read the same in pieces as whole, is written as it came, and loses what it must lose.
pub fn head_request(bytes: &[u8]) {
    let (option, bytes) = options(bytes);
    head(bytes, option % 64 + 1, None);
}

/// The same for the head of an answer.
pub fn head_response(bytes: &[u8]) {
    let (option, bytes) = options(bytes);
    let asked = [Asked::Other, Asked::Head, Asked::Connect][option % 3];
    head(bytes, option / 3 + 1, Some(asked));
}

fn head(bytes: &[u8], step: usize, asked: Option<Asked>) {
    let whole = parse(bytes, bytes.len().max(1), asked);
    let pieces = parse(bytes, step, asked);
    match (whole, pieces) {
        (Ok(None), Ok(None)) => {}
        (Err(whole), Err(pieces)) => {
            assert_eq!(whole, pieces);
            assert!(whole.status() >= 400 && !whole.kind().is_empty());
        }
        (Ok(Some((mut head, end))), Ok(Some((other, other_end)))) => {
            assert_eq!(
                (end, head.framing(), head.keep_alive()),
                (other_end, other.framing(), other.keep_alive())
            );
            let written = write(&head);
            assert_eq!(written, write(&other));
            // Nothing was touched: the fields are the bytes that came.
            assert!(bytes[..end].ends_with(&written));
            let count = head.fields().count();
            head.strip_hop_by_hop();
            head.remove_underscored();
            let hop_by_hop = |known| KnownSet::HOP_BY_HOP.contains(known);
            assert!(
                head.fields().all(|field| !hop_by_hop(field.known) && !field.name.contains(&b'_'))
            );
            assert!(head.fields().count() <= count && head.fields().count() == head.field_count());
            head.set(b"Via", b"1.1 x").expect("a good field fits");
            assert_eq!(head.get_all(Known::Via).count(), 1);
            // What is written is a head again.
            let mut out = Vec::new();
            head.write_start(&mut out);
            out.extend_from_slice(&write(&head));
            if out.len() < Class::Block.size() && asked.is_none() && head.has(Known::Host) {
                assert!(matches!(
                    parse(&out, out.len(), asked),
                    Ok(Some(_)) | Err(HeadError::HeadersTooLarge | HeadError::TooManyFields)
                ));
            }
        }
        (whole, pieces) => panic!("{:?} and {:?}", whole.map(|_| ()), pieces.map(|_| ())),
    }
}

/// The head and how many bytes it had.
fn parse(
    bytes: &[u8],
    step: usize,
    asked: Option<Asked>,
) -> Result<Option<(WireHead, usize)>, HeadError> {
    let (limits, mut progress) = (Limits::default(), Progress::default());
    let mut held = Lease::take(Class::Block);
    let mut fed = 0;
    for piece in bytes.chunks(step) {
        fed += held.extend(piece);
        let parsed = match asked {
            None => WireHead::parse_request(held, &mut progress, &limits)?,
            Some(asked) => WireHead::parse_response(held, &mut progress, &limits, asked)?,
        };
        match parsed {
            Parsed::Head(head, rest) => {
                let behind = rest.map_or(head.behind().len(), |rest| rest.len());
                return Ok(Some((head, fed - behind)));
            }
            Parsed::Partial(same) => held = same,
        }
        assert!(held.room() > 0, "a head that fills a block has a verdict");
    }
    Ok(None)
}

fn write(head: &WireHead) -> Vec<u8> {
    let mut out = Vec::new();
    head.write_fields(&mut out);
    out.extend_from_slice(b"\r\n");
    out
}

/// A chunked body is read the same in pieces as whole, and what is sent on is a plain body with the same content.
pub fn chunked(bytes: &[u8]) {
    let (option, bytes) = options(bytes);
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, option % 64 + 1));
    let Some((content, wire, trailers)) = whole else { return };
    assert_eq!(read(&wire, option % 7 + 1), Some((content.clone(), wire, trailers.clone())));
    let mut written = Vec::new();
    content.chunks(option + 1).for_each(|piece| ChunkedWriter::write(piece, &mut written));
    ChunkedWriter::finish(&trailers, &mut written);
    assert_eq!(read(&written, 3), Some((content, written.clone(), trailers)));
}

/// The content, what is sent on, and the trailers of a whole body.
fn read(bytes: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let limits = Limits::default();
    let (mut content, mut wire) = (Vec::new(), Vec::new());
    let (mut reader, mut filter) = (ChunkedReader::new(&limits), ChunkedReader::new(&limits));
    for piece in bytes.chunks(step) {
        let n = reader.feed(piece, |data| content.extend_from_slice(data));
        let before = wire.len();
        assert_eq!(n, filter.feed_wire(piece, |part| wire.extend_from_slice(part)));
        let n = n.ok()?;
        if filter.wire_is_clean() {
            assert_eq!(&wire[before..], &piece[..n]);
        }
        if reader.is_done() {
            return Some((content, wire, reader.trailers().to_vec()));
        }
    }
    None
}

/// A normal path is normal, and stays so.
pub fn path(bytes: &[u8]) {
    let Ok(normal) = normalise(bytes) else { return };
    for path in [Some(normal.as_bytes()), normal.escaped_slashes_read()].into_iter().flatten() {
        assert!(
            path.starts_with(b"/")
                && !path.contains(&b'\\')
                && !path.windows(2).any(|two| two == b"//")
        );
        assert!(!path.split(|&b| b == b'/').any(|segment| segment == b"." || segment == b".."));
        assert!(path.len() <= bytes.len());
    }
    let again = normalise(normal.as_bytes()).expect("a normal path");
    assert_eq!(again.as_bytes(), normal.as_bytes());
    assert!(!again.had_dot_segments());
    // A dot segment may have taken an escaped slash with it.
    if !normal.had_dot_segments() {
        assert_eq!(again.escaped_slashes_read(), normal.escaped_slashes_read());
    }
}
