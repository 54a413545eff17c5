//! The HTTP application of the demonstration.

use std::fmt::Write;
use std::future::poll_fn;
use std::time::Duration;

use staniel_core::ConnMeta;
use staniel_http::h1::{BodyState, Framing, Limits, WireHead};
use staniel_http::{Answer, BodyRules, DownError, Downstream, Exchanges};

use super::reply::Reply;

/// The largest body that is echoed: it has to fit into memory.
const MAX_ECHO: u64 = 1024 * 1024;
/// The largest answer, so that a slip of the finger does not fill a disk.
const MAX_BYTES: u64 = 1024 * 1024 * 1024;
/// How long a body may stand still. The proxy in front has a minimum rate; this only catches what is stuck.
const IDLE: Duration = Duration::from_secs(60);

const PLAIN: &[u8] = b"text/plain; charset=utf-8";

const HELP: &str = "Nothing is here. There are:\n  /  /echo  /bytes/N  /status/CODE\n";

/// Answers every request of the demonstration.
pub(crate) struct Site;

// === impl Site ===

impl Exchanges for Site {
    type Session = ();

    fn session(&self, _: &ConnMeta) {}

    async fn exchange<D: Downstream>(&self, (): &mut (), head: &mut WireHead, down: &mut D) {
        down.allow(BodyRules { max: Some(MAX_ECHO), min_rate: None, idle: Some(IDLE) });
        if let Err(error) = answer(head, down).await {
            if down.is_answered() {
                down.spoil();
            } else {
                refuse(&error, down);
            }
        }
    }
}

async fn answer<D: Downstream>(head: &WireHead, down: &mut D) -> Result<(), DownError> {
    let path = head.parts().path;
    let is_read = matches!(head.method(), b"GET" | b"HEAD");
    match path {
        b"/echo" => return echo(head, down).await,
        _ if !is_read => {
            return down.answer(&Answer::status(405).field("Allow", "GET, HEAD"));
        }
        b"/" => return Reply::to(head, PLAIN).bytes(down, seen(head, down).as_bytes()).await,
        _ => {}
    }
    if let Some(n) = number(path, b"/bytes/") {
        return match n {
            0..=MAX_BYTES => Reply::to(head, b"application/octet-stream").filler(down, n).await,
            _ => down.answer(&Answer::text(400, format!("at most {MAX_BYTES} bytes\n"))),
        };
    }
    match number(path, b"/status/").and_then(|n| u16::try_from(n).ok()) {
        Some(status @ 200..600) => down.answer(&Answer::status(status)),
        Some(_) => down.answer(&Answer::text(400, "a status from 200 to 599\n")),
        None => down.answer(&Answer::text(404, HELP)),
    }
}

/// The number behind `prefix`, if that is all there is.
fn number(path: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = path.strip_prefix(prefix)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What came, and who brought it.
fn seen<D: Downstream>(head: &WireHead, down: &D) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut page = format!(
        "Hello from behind the proxy.\n\nrequest            {} {}\n",
        text(head.method()),
        text(head.target()),
    );
    for field in head.fields() {
        let name = text(field.name).to_ascii_lowercase();
        if name == "host" || name == "forwarded" || name.starts_with("x-forwarded-") {
            let _ = writeln!(page, "{name:18} {}", text(field.value));
        }
    }
    let _ = writeln!(page, "connection from    {}", down.meta().peer());
    page
}

/// The body as it came, with its type.
async fn echo<D: Downstream>(head: &WireHead, down: &mut D) -> Result<(), DownError> {
    if matches!(down.body_framing(), Framing::Length(n) if n > MAX_ECHO) {
        return Err(DownError::TooLarge);
    }
    if down.waits_for_continue()
        && let Some(go_on) = super::reply::head(b"HTTP/1.1 100 Continue\r\n\r\n", head.asked())
    {
        down.interim(&go_on)?;
    }
    let mut state = BodyState::new(down.body_framing(), &Limits::default());
    let mut body = Vec::new();
    while let Some(piece) = poll_fn(|cx| down.poll_body(cx)).await? {
        state.feed(&piece, |content| body.extend_from_slice(content)).map_err(DownError::Body)?;
    }
    let kind = head.find(b"content-type").unwrap_or(b"application/octet-stream");
    Reply::to(head, kind).bytes(down, &body).await
}

/// Says why a request was not answered.
fn refuse<D: Downstream>(error: &DownError, down: &mut D) {
    let status = match error {
        DownError::TooLarge => 413,
        DownError::Body(_) => 400,
        DownError::SendsTooSlowly => 408,
        // There is nobody to be told.
        _ => return,
    };
    down.close_after();
    drop(down.answer(&Answer::text(status, format!("{error}\n"))));
}
