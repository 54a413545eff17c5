//! One connection of a load, reopened as often as it takes.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Report, Shared};
use crate::raw::{Message, Reader};

/// A connection that was idle longer than this may be closed by the peer at any moment.
const IDLE_IS_SAFE: Duration = Duration::from_secs(1);
/// How long to wait before the next attempt to connect.
const RETRY: Duration = Duration::from_millis(5);

struct Conn {
    reader: Reader<TcpStream>,
    last_answer: Option<Instant>,
}

/// Sends requests until the load stops.
pub(super) async fn run(shared: Arc<Shared>) -> Report {
    let mut report = Report::default();
    let mut stopping = shared.stopping.subscribe();
    let mut conn = None;
    // A request that met a race and has to be sent again.
    let mut again = None;
    while !(*stopping.borrow() && again.is_none()) {
        let Some(mut open) = (match conn.take() {
            Some(open) => Some(open),
            None => connect(&shared, &mut report).await,
        }) else {
            if *stopping.borrow() {
                break;
            }
            sleep(RETRY).await;
            continue;
        };
        let id = again.take().unwrap_or_else(|| shared.next_id());
        report.sent += 1;
        match ask(&shared, &mut open, id).await {
            Ok(answer) => {
                let closes = take(&mut report, id, &answer);
                shared.answered.send_modify(|answered| *answered += 1);
                if !closes {
                    open.last_answer = Some(Instant::now());
                    conn = Some(open);
                }
            }
            Err(lost) if lost.is_race(&open) => {
                report.raced += 1;
                again = Some(id);
            }
            Err(lost) => report.lost(format!("request {id}: {}", lost.told(&open))),
        }
        pause(shared.load.pause, &mut stopping).await;
    }
    report
}

async fn connect(shared: &Shared, report: &mut Report) -> Option<Conn> {
    match timeout(shared.load.patience, TcpStream::connect(shared.load.addr)).await {
        Ok(Ok(stream)) => {
            report.opened += 1;
            // Without it a body would wait for the acknowledgement of its head; if it fails, the request fails next.
            drop(stream.set_nodelay(true));
            return Some(Conn { reader: Reader::new(stream), last_answer: None });
        }
        Ok(Err(err)) if err.kind() == ErrorKind::ConnectionRefused => report.refused += 1,
        Ok(Err(_)) | Err(_) => report.unreached += 1,
    }
    None
}

async fn ask(shared: &Shared, conn: &mut Conn, id: u64) -> Result<Message, Lost> {
    let request = shared.request(id);
    let method = if shared.load.body == 0 { "GET" } else { "POST" };
    let reader = &mut conn.reader;
    let asked = async {
        // A peer may answer before it has read everything, and close: the answer counts, so look for it in any case.
        let written = reader.io.write_all(&request).await;
        let mut began = !reader.rest().is_empty();
        let answer = answer(reader, method, &mut began).await;
        answer.map_err(|read| Lost { began, cause: Some(written.err().unwrap_or(read)) })
    };
    match timeout(shared.load.patience, asked).await {
        Ok(done) => done,
        Err(_) => Err(Lost { began: true, cause: None }),
    }
}

/// The final answer; `began` tells whether anything of it came.
async fn answer(
    reader: &mut Reader<TcpStream>,
    method: &str,
    began: &mut bool,
) -> io::Result<Message> {
    loop {
        let head = match reader.head().await {
            Ok(head) => head.ok_or(ErrorKind::UnexpectedEof)?,
            Err(err) => {
                *began |= !reader.rest().is_empty();
                return Err(err);
            }
        };
        *began = true;
        let mut message = Message::new(head);
        reader.body(message.answer_framing(method), &mut message).await?;
        if !(100..=199).contains(&message.status()) {
            return Ok(message);
        }
    }
}

/// Counts an answer; tells whether the connection ends with it.
fn take(report: &mut Report, id: u64, answer: &Message) -> bool {
    report.answered += 1;
    *report.statuses.entry(answer.status()).or_default() += 1;
    if answer.status() == 200 && answer.body != id.to_string().as_bytes() {
        report.wrong(format!("request {id} got the answer of `{}`", answer.text()));
    }
    let closes = answer.says_close();
    report.closes += u64::from(closes);
    closes
}

async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) {
    if !time.is_zero() {
        // Either way the loop looks at the flag next.
        drop(timeout(time, stopping.wait_for(|stopping| *stopping)).await);
    }
}

/// A request on an accepted connection, without a whole answer.
struct Lost {
    /// Whether anything of the answer came, or may have: then sending it again would not be safe.
    began: bool,
    /// `None` when time was up.
    cause: Option<io::Error>,
}

// === impl Lost ===

impl Lost {
    /// Whether the peer closed a connection that had been idle long enough.
    fn is_race(&self, conn: &Conn) -> bool {
        !self.began && conn.last_answer.is_some_and(|last| last.elapsed() > IDLE_IS_SAFE)
    }

    fn told(&self, conn: &Conn) -> String {
        let what = match (&self.cause, self.began) {
            (None, _) => "no answer in time".to_owned(),
            (Some(err), true) => format!("its answer broke off: {err}"),
            (Some(err), false) => format!("the connection ended before an answer: {err}"),
        };
        match conn.last_answer {
            Some(last) => format!("{what}, {:?} after the answer before", last.elapsed()),
            None => format!("{what}, the first on its connection"),
        }
    }
}
