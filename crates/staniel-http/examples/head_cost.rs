//! Prints what a head costs from the read to the bytes that are sent on: `cargo run --release --example head_cost`.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]
#![expect(clippy::disallowed_types, reason = "it measures time that passes, without tokio")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use staniel_core::buffer::{Class, Lease, scratch};
use staniel_http::h1::{Asked, BodyState, Framing, Limits, Parsed, Progress, WireHead};
use staniel_http::path::normalise;

const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let five = "GET /api/v1/items/4711?page=2 HTTP/1.1\r\nHost: www.example.test\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\
        Accept-Encoding: gzip, br\r\nConnection: keep-alive\r\n\r\n";
    let mut twenty = five.trim_end().to_owned() + "\r\n";
    for (name, value) in [
        ("Accept-Language", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"),
        ("Cache-Control", "no-cache"),
        ("Cookie", "session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes"),
        ("DNT", "1"),
        ("Origin", "https://www.example.test"),
        ("Pragma", "no-cache"),
        ("Referer", "https://www.example.test/some/page/before?this=one"),
        ("Sec-CH-UA", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""),
        ("Sec-CH-UA-Mobile", "?0"),
        ("Sec-CH-UA-Platform", "\"Linux\""),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "cors"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Upgrade-Insecure-Requests", "1"),
        ("X-Request-Id", "5f1b7d0e-3c07-4a54-9d2b-0b7f3e1a2c4d"),
    ] {
        twenty += &format!("{name}: {value}\r\n");
    }
    twenty += "\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Fri, 20 Nov 2026 11:00:00 GMT\r\nContent-Type: text/plain\r\n\
        Content-Length: 128\r\nConnection: keep-alive\r\n\r\n";

    let limits = Limits::default();
    for (what, bytes) in [("request, 5 fields", five), ("request, 20 fields", twenty.as_str())] {
        measure(&format!("{what}: fill only"), || {
            black_box(Lease::copy_of(black_box(bytes.as_bytes())));
            Ok(())
        })?;
        measure(&format!("{what}: fill, parse"), || {
            black_box(request(bytes.as_bytes(), &limits)?);
            Ok(())
        })?;
        measure(&format!("{what}: fill, parse, strip, write"), || {
            let mut head = request(bytes.as_bytes(), &limits)?;
            head.strip_hop_by_hop();
            head.remove_underscored();
            write(&head);
            Ok(())
        })?;
    }
    measure("response, 5 fields: fill, parse, strip, write", || {
        let mut block = Lease::take(Class::Block);
        block.extend(black_box(answer));
        match WireHead::parse_response(block, &mut Progress::default(), &limits, Asked::Other)? {
            Parsed::Head(mut head, _) => {
                head.strip_hop_by_hop();
                write(&head);
                Ok(())
            }
            Parsed::Partial(_) => Err("partial".into()),
        }
    })?;
    measure("plain path of 18 B: normalise", || {
        black_box(normalise(black_box(b"/api/v1/items/4711"))?);
        Ok(())
    })?;
    let mut chunked = Vec::new();
    for _ in 0..8 {
        chunked.extend_from_slice(b"2000\r\n");
        chunked.extend_from_slice(&[b'x'; 8192]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    measure("chunked body, 8 chunks of 8 KiB: feed", || {
        let mut body = BodyState::new(Framing::Chunked, &limits);
        black_box(body.feed_wire(black_box(&chunked), |wire| {
            black_box(wire);
        })?);
        Ok(())
    })
}

fn request(bytes: &[u8], limits: &Limits) -> Result<WireHead, Box<dyn Error>> {
    // As a read does it: into a block.
    let mut block = Lease::take(Class::Block);
    block.extend(black_box(bytes));
    match WireHead::parse_request(block, &mut Progress::default(), limits)? {
        Parsed::Head(head, _) => Ok(head),
        Parsed::Partial(_) => Err("partial".into()),
    }
}

fn write(head: &WireHead) {
    scratch(|out| {
        head.write_start(out);
        head.write_fields(out);
        out.extend_from_slice(b"\r\n");
        black_box(out);
    });
}

/// The best of seven.
fn measure(
    what: &str,
    mut once: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            once()?;
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{what:<48} {:>6.0} ns", best * 1e9 / f64::from(ROUNDS));
    Ok(())
}
