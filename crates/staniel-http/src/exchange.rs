//! The border between a server connection and what answers its requests.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use staniel_core::buffer::Lease;
use staniel_core::{ConnMeta, Connection};

use crate::h1::{BodyError, Framing, HeadError, WireHead};
use crate::rate::MinRate;
use crate::transfer::Form;

/// Answers requests, one at a time for each connection. Dispatch is static and nothing is boxed per request.
///
/// # Cancel safety
///
/// `exchange` is dropped where it stands when the connection is cut off. What has to be written down all the same belongs
/// into the `Drop` of something it holds.
pub trait Exchanges: Send + Sync + 'static {
    /// What is kept from one request of a connection to the next.
    type Session: Send;

    /// Begins a connection.
    fn session(&self, meta: &ConnMeta) -> Self::Session;

    /// Answers one request. Returning without an answer closes the connection without one.
    fn exchange<D: Downstream>(
        &self,
        session: &mut Self::Session,
        head: &mut WireHead,
        down: &mut D,
    ) -> impl Future<Output = ()> + Send;

    /// Is told of a request that the server refused by itself, before anybody saw it.
    fn refused(&self, session: &mut Self::Session, meta: &ConnMeta, refused: Refused) {
        let _ = (session, meta, refused);
    }
}

/// A request that was refused before there was an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The head is malformed, ambiguous, or too large.
    Head(HeadError),
    /// The head was not complete in time: 408.
    Timeout,
    /// The client expects what nobody knows: 417.
    Expectation,
}

/// What is known of a request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// From the first byte of the head until the answer.
    pub took: Duration,
    /// Bytes of the head that had come.
    pub bytes_in: u64,
    /// Bytes of the answer that the client has taken so far, which mostly is all of it.
    pub bytes_out: u64,
}

// === impl Refusal ===

impl Refusal {
    /// The status it was answered with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Head(error) => error.status(),
            Self::Timeout => 408,
            Self::Expectation => 417,
        }
    }

    /// A stable name for the label of a counter.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Head(error) => error.kind(),
            Self::Timeout => "head_timeout",
            Self::Expectation => "unknown_expectation",
        }
    }
}

/// What one exchange allows its client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyRules {
    /// The most content a request may have. `None`: no limit.
    pub max: Option<u64>,
    /// The least rate at which the client has to send its body and take the answer. `None`: none.
    pub min_rate: Option<MinRate>,
    /// The longest time without progress in a body. `None`: no limit.
    pub idle: Option<Duration>,
}

/// Why the client's half of an exchange is over before its time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownError {
    /// The client is gone.
    #[error("the client went away")]
    Gone(#[source] io::Error),
    /// The body is malformed: 400.
    #[error("malformed request body")]
    Body(#[source] BodyError),
    /// The body is larger than allowed: 413.
    #[error("request body too large")]
    TooLarge,
    /// The client sends its body too slowly: 408.
    #[error("the client sends too slowly")]
    SendsTooSlowly,
    /// The client takes the answer too slowly.
    #[error("the client reads too slowly")]
    ReadsTooSlowly,
}

/// An answer that is complete in itself: our own word, not an upstream's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The `Content-Type`; with no body there is none.
    pub content_type: &'static str,
    /// Fields beside those that the server sets: length, type, date, connection.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

// === impl Answer ===

impl Answer {
    /// A status with the body that says it in words.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::text(status, format!("{status} {}\n", reason(status)))
    }

    /// A plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            fields: Vec::new(),
            body: body.into(),
        }
    }

    /// Adds a field. The value must be one that may stand in a head: it is written as it is.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// The reason phrase of the statuses that this project answers with itself (RFC 9110, section 15).
#[must_use]
pub fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown")
}

/// The client's half of one exchange. Every HTTP version implements it; bodies cross this border in the wire form of
/// HTTP/1.1.
///
/// All waiting is by polls, so that one task can hold both halves of an exchange.
pub trait Downstream: Send {
    /// The connection.
    fn meta(&self) -> &ConnMeta;

    /// Sets what the client is allowed. To be called before the body is read.
    fn allow(&mut self, rules: BodyRules);

    /// Bytes of this exchange so far, as they were on the wire: from the client, to the client.
    fn bytes(&self) -> (u64, u64);

    /// How the request's body ends.
    fn body_framing(&self) -> Framing;

    /// Whether all of the request's body has been read.
    fn body_done(&self) -> bool;

    /// The next piece of the request's body in wire form; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`DownError`]; the connection will close.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Lease>, DownError>>;

    /// What of the body has come already, without waiting.
    ///
    /// # Errors
    ///
    /// As [`Downstream::poll_body`].
    fn body_at_hand(&mut self) -> Result<Option<Lease>, DownError>;

    /// Ready when the client goes away while it waits for its answer. A client that only has finished sending is not gone.
    /// Until the answer begins it also sees to interim answers that are not sent yet, as [`Downstream::poll_body`] does.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<DownError>;

    /// Whether the client still has to be told to send its body.
    fn waits_for_continue(&self) -> bool;

    /// Sends an interim answer (1xx). Clients of HTTP/1.0 get none (RFC 9110, section 15.2).
    ///
    /// # Errors
    ///
    /// [`DownError::Gone`].
    fn interim(&mut self, head: &WireHead) -> Result<(), DownError>;

    /// In which form an answer's body that comes in `framing` has to be sent.
    fn form(&self, framing: Framing) -> Form;

    /// Begins the answer with an upstream's head, whose hop-by-hop fields are gone, and the first bytes of its body. Sends
    /// what the client takes now.
    ///
    /// # Errors
    ///
    /// [`DownError::Gone`].
    fn respond(&mut self, head: &WireHead, framing: Framing, first: &[u8])
    -> Result<(), DownError>;

    /// Answers whole.
    ///
    /// # Errors
    ///
    /// [`DownError::Gone`].
    fn answer(&mut self, answer: &Answer) -> Result<(), DownError>;

    /// Sends a piece of the answer's body, in the form that [`Downstream::form`] said. Sends what the client takes now; to
    /// be called when [`Downstream::poll_sent`] is ready.
    ///
    /// # Errors
    ///
    /// [`DownError::Gone`].
    fn send(&mut self, piece: Lease) -> Result<(), DownError>;

    /// Ready when the client has taken everything so far.
    ///
    /// # Errors
    ///
    /// [`DownError::Gone`], [`DownError::ReadsTooSlowly`].
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DownError>>;

    /// Says that the answer is complete.
    fn finish(&mut self);

    /// Whether an answer, not an interim one, has been begun.
    fn is_answered(&self) -> bool;

    /// Breaks the answer off, so that the client cannot take it for complete.
    fn spoil(&mut self);

    /// Makes this the last exchange of the connection.
    fn close_after(&mut self);

    /// Takes the connection for another protocol, once a 101 or the 2xx to a CONNECT has been sent whole
    /// ([`Downstream::poll_sent`]) and the request's body has been read. `None` before that, and the second time.
    fn upgrade(&mut self) -> Option<Connection>;
}
