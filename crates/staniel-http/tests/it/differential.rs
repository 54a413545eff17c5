//! Our reading against that of the reference, on inputs that are nearly right.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use staniel_core::buffer::{Class, Lease};
use staniel_http::h1::{
    Asked, ChunkedReader, Framing, HeadError, Limits, Parsed, Progress, WireHead,
};

use crate::reference::{self, Head, Verdict};

/// Ours in the words of the reference.
fn ours(bytes: &[u8], asked: Option<Asked>) -> Result<Verdict, HeadError> {
    let mut block = Lease::take(Class::Block);
    block.extend(bytes);
    let (limits, mut progress) = (Limits::default(), Progress::default());
    let parsed = match asked {
        None => WireHead::parse_request(block, &mut progress, &limits)?,
        Some(asked) => WireHead::parse_response(block, &mut progress, &limits, asked)?,
    };
    let Parsed::Head(head, rest) = parsed else { return Ok(Verdict::Undecided) };
    let behind = rest.map_or(head.behind().len(), |rest| rest.len());
    let status = head.status().to_string().into_bytes();
    Ok(Verdict::Head(Head {
        first: if asked.is_some() { status } else { head.method().to_vec() },
        second: if asked.is_some() { head.reason().to_vec() } else { head.target().to_vec() },
        minor: head.minor(),
        fields: head.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect(),
        framing: match head.framing() {
            Framing::None => "none".to_owned(),
            Framing::Length(n) => n.to_string(),
            Framing::Chunked => "chunked".to_owned(),
            Framing::UntilClose => "close".to_owned(),
        },
        end: bytes.len() - behind,
    }))
}

fn compare(bytes: &[u8], asked: Option<(Asked, &str)>) {
    let reference = |bytes: &[u8]| match asked {
        None => reference::request(bytes),
        Some((_, asked)) => reference::response(bytes, asked),
    };
    let (expected, shown) = (reference(bytes), String::from_utf8_lossy(bytes));
    match ours(bytes, asked.map(|(asked, _)| asked)) {
        Ok(verdict) => assert_eq!(verdict, expected, "{shown:?}"),
        Err(_) if expected == Verdict::Refused => {}
        // A fault is seen before its line has ended: the reference sees it when the rest is there.
        Err(fault) => {
            assert_eq!(expected, Verdict::Undecided, "{fault:?}: {shown:?}");
            let whole = [bytes, b"\r\n\r\n"].concat();
            assert_eq!(reference(&whole), Verdict::Refused, "{fault:?}: {shown:?}");
        }
    }
}

/// Small injuries at any place.
fn mutate(mut bytes: Vec<u8>, injuries: &[(Index, u8, u8)]) -> Vec<u8> {
    for (at, kind, byte) in injuries {
        let at = at.index(bytes.len() + 1);
        match kind % 4 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => {
                let end = (at + usize::from(*byte % 20)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => bytes.insert(at, *byte),
        }
    }
    bytes
}

fn injuries() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    let byte = prop_oneof![
        3 => select(b"\r\n\0 \t:,;/\\#@[]\"%*\x7f\x0b0123456789_=?HT".to_vec()),
        1 => any::<u8>(),
    ];
    proptest::collection::vec((any::<Index>(), any::<u8>(), byte), 0..4)
}

fn fields() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        3 => Just("Host: a.test".to_owned()),
        1 => "Host:( |\t)?(A.test:80|\\[::1\\](:1)?|a,b|u@a|a/b||a:|\\[::g\\]|10\\.0\\.0\\.1)",
        2 => "(C|c)ontent-(L|l)ength: ?(5|0|05|5, 5||\\+5|-1|0x1|18446744073709551615|18446744073709551616)",
        2 => "(T|t)ransfer-Encoding:(| )(chunked|Chunked|gzip|gzip, chunked|chunked, chunked|identity|x;a=b||,)",
        1 => "Connection: (close|keep-alive|x, y|)",
        2 => "[a-zA-Z-]{1,18}:[ -~\t]{0,24}",
    ];
    proptest::collection::vec(line, 0..6)
        .prop_map(|lines| lines.iter().map(|line| format!("{line}\r\n")).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn requests_are_read_as_the_reference_reads_them(
        line in "(\r\n){0,1}(GET|OPTIONS|CONNECT|x!y) (/|/a\\?b|//x|\\*|a:1|a|http://a.test|HTTPS://a:1/x\\?y|http://u@a/|/[ -~]{0,6}) HTTP/(1\\.1|1\\.0|1\\.9|2\\.0|0\\.9)",
        fields in fields(),
        injuries in injuries(),
        rest in "[ -~]{0,4}",
    ) {
        compare(&mutate(format!("{line}\r\n{fields}\r\n{rest}").into_bytes(), &injuries), None);
    }

    #[test]
    fn answers_are_read_as_the_reference_reads_them(
        line in "HTTP/1\\.[019] (200|204|304|100|101|404|099|1000|20)( [ -~]{0,8})?",
        fields in fields(),
        injuries in injuries(),
        asked in select(vec![(Asked::Other, "GET"), (Asked::Head, "HEAD"), (Asked::Connect, "CONNECT")]),
    ) {
        compare(&mutate(format!("{line}\r\n{fields}\r\n").into_bytes(), &injuries), Some(asked));
    }

    #[test]
    fn chunked_bodies_are_read_as_the_reference_reads_them(
        chunks in proptest::collection::vec(("[a-z\r\n]{1,17}", "([ \t]?;[ \t]?[a-z]{1,2}([ \t]?=[ \t]?(b|\"[a; \\\\]{0,3}\"))?){0,2}"), 0..4),
        trailers in "((a|Host|b-c): ?x?\r\n){0,2}",
        injuries in injuries(),
        step in 1_usize..30,
    ) {
        let mut bytes = chunks.iter().map(|(data, ext)| format!("{:x}{ext}\r\n{data}\r\n", data.len())).collect::<String>();
        bytes += &format!("0\r\n{trailers}\r\n");
        let bytes = mutate(bytes.into_bytes(), &injuries);

        let mut reader = ChunkedReader::new(&Limits::default());
        let (mut content, mut taken) = (Vec::new(), 0);
        let mut fault = None;
        for piece in bytes.chunks(step) {
            match reader.feed(piece, |data| content.extend_from_slice(data)) {
                Ok(n) => taken += n,
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        let ours = (fault.is_none() && reader.is_done()).then_some((content, taken));
        let expected = reference::chunked(&bytes);
        prop_assert_eq!(&ours, &expected.as_ref().map(|(content, _, end)| (content.clone(), *end)), "{:?}", String::from_utf8_lossy(&bytes));
        if let Some((_, fields, _)) = expected {
            let allowed = fields.iter().filter(|(name, _)| name != b"Host" && !name.contains(&b'_')).count();
            let lines = reader.trailers().windows(2).filter(|two| two == b"\r\n").count();
            // An injury may have made another name that is not allowed.
            prop_assert!(lines <= allowed);
        }
    }
}
