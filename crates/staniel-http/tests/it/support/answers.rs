//! Exchanges of every kind, chosen by target.

use std::task::Poll;
use std::time::Duration;

use staniel_core::buffer::Lease;
use staniel_core::{ConnMeta, Deadline};
use staniel_http::h1::{BodyState, ChunkedWriter, Framing, Limits, WireHead};
use staniel_http::transfer::feed;
use staniel_http::{Answer, BodyRules, DownError, Downstream, Exchanges, Form, Refused};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{pattern, response};

/// Answers by target. What happens is told in words.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    events: UnboundedSender<String>,
    rules: BodyRules,
}

impl Answers {
    pub(crate) fn new(rules: BodyRules) -> (Self, UnboundedReceiver<String>) {
        let (events, told) = unbounded_channel();
        (Self { events, rules }, told)
    }

    fn say(&self, what: impl Into<String>) {
        drop(self.events.send(what.into()));
    }

    /// All of the body in wire form, or the status that its fault has.
    async fn body<D: Downstream>(&self, down: &mut D) -> Result<Vec<u8>, u16> {
        let mut wire = Vec::new();
        loop {
            let piece = std::future::poll_fn(|cx| {
                // As a proxy does: who waits for a body also sees to what is unsent, and to the client's end.
                if let Poll::Ready(error) = down.poll_gone(cx) {
                    return Poll::Ready(Err(error));
                }
                down.poll_body(cx)
            });
            match piece.await {
                Ok(Some(piece)) => wire.extend_from_slice(&piece),
                Ok(None) => return Ok(wire),
                Err(error) => {
                    self.say(format!("{error}"));
                    return Err(match error {
                        DownError::Body(error) => error.status(),
                        DownError::TooLarge => 413,
                        DownError::SendsTooSlowly => 408,
                        _ => 0,
                    });
                }
            }
        }
    }

    async fn sent<D: Downstream>(&self, down: &mut D) -> bool {
        match std::future::poll_fn(|cx| down.poll_sent(cx)).await {
            Ok(()) => true,
            Err(error) => {
                self.say(format!("{error}"));
                false
            }
        }
    }

    async fn echo<D: Downstream>(&self, down: &mut D) {
        match self.body(down).await {
            Ok(wire) if down.body_framing() == Framing::Chunked => {
                let head = response("HTTP/1.1 200 OK\r\n\r\n");
                let _ = down.respond(&head, Framing::Chunked, &wire);
                down.finish();
            }
            Ok(wire) => {
                let n = wire.len();
                let head = response(&format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n"));
                let _ = down.respond(&head, head.framing(), &wire);
                down.finish();
            }
            Err(0) => return,
            Err(status) => drop(down.answer(&Answer::status(status))),
        }
        self.sent(down).await;
    }

    /// Sends every piece of the body back as soon as it comes.
    async fn stream<D: Downstream>(&self, down: &mut D) {
        let framing = down.body_framing();
        let head = match framing {
            Framing::Length(n) => {
                response(&format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n"))
            }
            _ => response("HTTP/1.1 200 OK\r\n\r\n"),
        };
        let _ = down.respond(&head, framing, b"");
        while self.sent(down).await {
            match std::future::poll_fn(|cx| down.poll_body(cx)).await {
                Ok(Some(piece)) => drop(down.send(piece)),
                Ok(None) => return down.finish(),
                Err(error) => {
                    self.say(format!("{error}"));
                    return down.spoil();
                }
            }
        }
    }

    /// An answer of `n` bytes that comes from an upstream in `framing`.
    async fn large<D: Downstream>(&self, down: &mut D, n: usize, framing: Framing) {
        let head = match framing {
            Framing::Length(n) => format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n"),
            _ => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
        };
        let content = pattern(n);
        let mut wire = Vec::new();
        if framing == Framing::Chunked {
            for part in content.chunks(20_000) {
                ChunkedWriter::write(part, &mut wire);
            }
            ChunkedWriter::finish(b"X-Sum: 7\r\n", &mut wire);
        } else {
            wire = content;
        }
        let form = down.form(framing);
        let mut body = BodyState::new(framing, &Limits::default());
        let _ = down.respond(&response(&head), framing, b"");
        for part in wire.chunks(16 * 1024) {
            if !self.sent(down).await {
                return;
            }
            let fed = feed(&mut body, form, Lease::copy_of(part)).unwrap();
            if let Some(piece) = fed.piece
                && down.send(piece).is_err()
            {
                self.say("send failed");
                return;
            }
        }
        if self.sent(down).await && !form.end().is_empty() {
            let _ = down.send(Lease::copy_of(form.end()));
        }
        down.finish();
    }

    async fn gone<D: Downstream>(&self, down: &mut D) {
        let error = std::future::poll_fn(|cx| down.poll_gone(cx)).await;
        self.say(format!("{error}"));
    }

    async fn upgrade<D: Downstream>(&self, down: &mut D) {
        let head = response(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        let mut head = head;
        head.strip_hop_by_hop();
        let _ = down.respond(&head, Framing::None, b"");
        if !self.sent(down).await {
            return;
        }
        let Some(conn) = down.upgrade() else {
            self.say("no upgrade");
            return;
        };
        let (mut r, mut w) = tokio::io::split(conn);
        drop(tokio::io::copy(&mut r, &mut w).await);
        drop(w.shutdown().await);
        self.say("tunnel over");
    }
}

impl Exchanges for Answers {
    type Session = u32;

    fn session(&self, _meta: &ConnMeta) -> u32 {
        0
    }

    async fn exchange<D: Downstream>(&self, n: &mut u32, head: &mut WireHead, down: &mut D) {
        *n += 1;
        let target = String::from_utf8_lossy(head.target()).into_owned();
        self.say(format!("{} {target}", String::from_utf8_lossy(head.method())));
        down.allow(self.rules.clone());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let number = || query.parse::<usize>().unwrap_or(0);
        match path {
            // Returns without seeing to the bytes.
            "/quick" => drop(down.answer(&Answer::text(200, query))),
            "/id" => {
                drop(down.answer(&Answer::text(200, query.trim_start_matches("id="))));
            }
            "/status" => drop(down.answer(&Answer::status(query.parse().unwrap()))),
            "/echo" => self.echo(down).await,
            "/stream" => self.stream(down).await,
            "/large" => self.large(down, number(), Framing::Length(number() as u64)).await,
            "/chunked" => self.large(down, number(), Framing::Chunked).await,
            "/until-close" => self.large(down, number(), Framing::UntilClose).await,
            "/whole" => drop(down.answer(&Answer::text(200, pattern(number())))),
            "/wait" => self.gone(down).await,
            "/slow" => {
                pause(number()).await;
                self.say("slept");
                drop(down.answer(&Answer::text(200, "slow")));
                self.sent(down).await;
            }
            // Begins to read, thinks, and reads on.
            "/slow-echo" => {
                let _ = std::future::poll_fn(|cx| down.poll_body(cx)).await;
                pause(number()).await;
                self.echo(down).await;
            }
            // Asks for the body once, does something else, and then does not want it, or reads it.
            "/think" | "/think-echo" => {
                let asked = std::future::poll_fn(|cx| Poll::Ready(down.poll_body(cx).is_pending()));
                assert!(asked.await);
                let mut thought = std::pin::pin!(pause(number()));
                std::future::poll_fn(|cx| {
                    assert!(down.poll_gone(cx).is_pending());
                    thought.as_mut().poll(cx)
                })
                .await;
                match path {
                    "/think" => drop(down.answer(&Answer::text(200, "thought"))),
                    _ => self.echo(down).await,
                }
            }
            // Sends half of 200 kB, pauses, and sends the rest.
            "/halves" => {
                let head = response("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
                let half = pattern(100_000);
                let _ = down.respond(&head, head.framing(), b"");
                let _ = down.send(Lease::copy_of(&half));
                self.sent(down).await;
                self.say("half");
                pause(number()).await;
                let _ = down.send(Lease::copy_of(&half));
                self.sent(down).await;
                down.finish();
            }
            "/refuse" => {
                down.allow(BodyRules { max: Some(10), ..self.rules.clone() });
                self.echo(down).await;
            }
            "/continue" => {
                let waits = down.waits_for_continue();
                let again = query == "twice";
                for _ in 0..1 + u8::from(again) {
                    let _ = down.interim(&response("HTTP/1.1 100 Continue\r\n\r\n"));
                }
                self.say(format!("waits {waits}"));
                // This alone sees to it that the word is sent.
                match std::future::poll_fn(|cx| down.poll_body(cx)).await {
                    Ok(Some(piece)) => drop(down.answer(&Answer::text(200, piece.to_vec()))),
                    _ => drop(down.answer(&Answer::status(200))),
                }
                self.sent(down).await;
            }
            "/hints" => {
                for _ in 0..2 {
                    let _ =
                        down.interim(&response("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"));
                }
                let head = response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
                let _ = down.respond(&head, Framing::Length(2), b"ok");
                down.finish();
                self.sent(down).await;
            }
            "/upgrade" => self.upgrade(down).await,
            "/spoil" | "/spoil-chunked" | "/unfinished" | "/panic" | "/abandon" => {
                let framing =
                    if path == "/spoil" { Framing::Length(100) } else { Framing::Chunked };
                let head = response(match path {
                    "/spoil" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
                    _ => "HTTP/1.1 200 OK\r\n\r\n",
                });
                let first = match (down.form(framing), framing) {
                    (Form::Payload, _) | (_, Framing::Length(_)) => "abc",
                    _ => "3\r\nabc\r\n",
                };
                let _ = down.respond(&head, framing, first.as_bytes());
                self.sent(down).await;
                match path {
                    "/unfinished" => {}
                    "/panic" => panic!("on purpose"),
                    "/abandon" => self.gone(down).await,
                    _ => down.spoil(),
                }
            }
            // Promises 100 bytes, or three, and sends something else; or answers a second time.
            "/less" | "/more" | "/twice" => {
                let n = if path == "/less" { 100 } else { 3 };
                let head = response(&format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n"));
                let _ = down.respond(&head, head.framing(), b"abc");
                match path {
                    "/more" => drop(down.send(Lease::copy_of(b"HTTP/1.1 200 OK\r\n\r\nevil"))),
                    "/twice" => drop(down.answer(&Answer::status(500))),
                    _ => {}
                }
                down.finish();
                self.sent(down).await;
            }
            "/none" => {}
            _ => {
                let _ = down.answer(&Answer::text(200, format!("{n}")));
                self.sent(down).await;
            }
        }
    }

    fn refused(&self, n: &mut u32, _meta: &ConnMeta, refused: Refused) {
        self.say(format!("refused after {n}: {} {}", refused.why.status(), refused.why.kind()));
    }
}

/// Waits as work does.
async fn pause(seconds: usize) {
    let mut deadline = Deadline::default();
    deadline.arm(Duration::from_secs(seconds as u64));
    deadline.expired().await;
}
