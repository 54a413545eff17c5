//! What a raw origin does when it is asked.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

/// Bytes, pauses and endings, in order.
///
/// An answer without an ending leaves the connection open for the next request.
///
/// ```
/// # use staniel_test::raw::Answer;
/// # use std::time::Duration;
/// let slow = Answer::bytes("HTTP/1.1 200 OK\r\n").pause(Duration::from_millis(50)).then("Content-Length: 0\r\n\r\n");
/// let cut = Answer::bytes("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").close();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Answer {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Pause(Duration),
    Finish,
    Hang,
    Close,
    Reset,
}

// === impl Answer ===

impl Answer {
    /// Sends nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Sends these bytes.
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::nothing().then(bytes)
    }

    /// A 200 with this body and its length.
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self::bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).then(body)
    }

    /// Then sends these bytes.
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Then sends these bytes in pieces of `size`, with a pause behind each.
    pub fn in_pieces(self, bytes: impl AsRef<[u8]>, size: usize, pause: Duration) -> Self {
        bytes
            .as_ref()
            .chunks(size.max(1))
            .fold(self, |answer, piece| answer.then(piece).pause(pause))
    }

    /// Then waits.
    pub fn pause(self, time: Duration) -> Self {
        self.step(Step::Pause(time))
    }

    /// Then ends its own direction and goes on reading.
    pub fn finish(self) -> Self {
        self.step(Step::Finish)
    }

    /// Then does nothing more, not even read, and keeps the connection.
    pub fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Then closes. Bytes of the peer that were not read make the kernel send a reset.
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Then resets the connection.
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Does all of it; `false` if the connection is over.
    pub(crate) async fn play(&self, stream: &mut TcpStream) -> io::Result<bool> {
        for step in &self.steps {
            match step {
                Step::Send(bytes) => stream.write_all(bytes).await?,
                Step::Pause(time) => sleep(*time).await,
                Step::Finish => stream.shutdown().await?,
                Step::Hang => std::future::pending().await,
                Step::Close => return Ok(false),
                Step::Reset => {
                    stream.set_zero_linger()?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl From<&str> for Answer {
    fn from(bytes: &str) -> Self {
        Self::bytes(bytes)
    }
}

impl From<Vec<u8>> for Answer {
    fn from(bytes: Vec<u8>) -> Self {
        Self::bytes(bytes)
    }
}
