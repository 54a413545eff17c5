//! An answer that is streamed.

use std::future::poll_fn;
use std::time::SystemTime;

use staniel_core::buffer::{Class, Lease};
use staniel_core::calendar::Civil;
use staniel_http::h1::{Asked, Limits, Parsed, Progress, WireHead};
use staniel_http::{Answer, DownError, Downstream};
use tokio::task::coop;

/// What [`Reply::filler`] repeats: a line that shows where something is missing.
const LINE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n";

/// A 200 to one request.
pub(super) struct Reply<'a> {
    asked: Asked,
    content_type: &'a [u8],
}

/// A head as it would have come off the wire.
pub(super) fn head(text: &[u8], asked: Asked) -> Option<WireHead> {
    let (mut progress, limits) = (Progress::default(), Limits::default());
    match WireHead::parse_response(Lease::copy_of(text), &mut progress, &limits, asked) {
        Ok(Parsed::Head(head, _)) => Some(head),
        _ => None,
    }
}

// === impl Reply ===

impl<'a> Reply<'a> {
    pub(super) fn to(request: &WireHead, content_type: &'a [u8]) -> Self {
        Self { asked: request.asked(), content_type }
    }

    /// Answers with these bytes.
    pub(super) async fn bytes<D: Downstream>(
        &self,
        down: &mut D,
        body: &[u8],
    ) -> Result<(), DownError> {
        let mut pieces = body.chunks(Class::Block.size());
        self.stream(down, body.len() as u64, || pieces.next().map(Lease::copy_of)).await
    }

    /// Answers with so many bytes that mean nothing.
    pub(super) async fn filler<D: Downstream>(
        &self,
        down: &mut D,
        n: u64,
    ) -> Result<(), DownError> {
        let mut left = n;
        let piece = || {
            let mut piece = Lease::take(Class::Block);
            while piece.room() >= LINE.len() && (piece.len() as u64) < left {
                piece.extend(LINE);
            }
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= piece.len() as u64;
            (!piece.is_empty()).then_some(piece)
        };
        self.stream(down, n, piece).await
    }

    async fn stream<D: Downstream>(
        &self,
        down: &mut D,
        length: u64,
        mut piece: impl FnMut() -> Option<Lease> + Send,
    ) -> Result<(), DownError> {
        let date = Civil::of(SystemTime::now()).http_date();
        let mut text = b"HTTP/1.1 200 OK\r\nContent-Type: ".to_vec();
        text.extend_from_slice(self.content_type);
        let more = "X-Content-Type-Options: nosniff";
        text.extend_from_slice(
            format!("\r\nContent-Length: {length}\r\nDate: {date}\r\n{more}\r\n\r\n").as_bytes(),
        );
        let Some(head) = head(&text, self.asked) else { return down.answer(&Answer::status(500)) };
        down.respond(&head, head.framing(), b"")?;
        if self.asked != Asked::Head {
            while let Some(piece) = piece() {
                poll_fn(|cx| down.poll_sent(cx)).await?;
                down.send(piece)?;
                // A client that takes everything at once would keep the worker from its other connections.
                coop::consume_budget().await;
            }
        }
        poll_fn(|cx| down.poll_sent(cx)).await?;
        down.finish();
        Ok(())
    }
}
