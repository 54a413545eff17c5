//! How a request ended.

use staniel_core::{CloseReason, ConnMeta, EndBy};
use staniel_http::DownError;
use staniel_http::h1::{BodyError, UpstreamError};

/// Why a request ended: one word in the log (`end`), one label in the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestEnd {
    /// The answer went out whole.
    Ok,
    /// The connection became a tunnel (WebSocket), which ended.
    Upgraded,
    /// The client went away before it had its answer.
    ClientClosed,
    /// The head of the request was not complete in time.
    ClientTimeout,
    /// The client sent or read more slowly than the least rate.
    ClientTooSlow,
    /// The request was malformed or ambiguous.
    ClientProtocolError,
    /// The body was larger than the route allows.
    LimitBody,
    /// A method that this proxy does not carry (CONNECT, TRACE).
    MethodNotAllowed,
    /// No route takes it.
    NoRoute,
    /// The cluster has no destination left to try.
    NoDestination,
    /// The destination's name does not resolve.
    DnsFailed,
    /// No connection to the destination.
    ConnectFailed,
    /// No connection to the destination in time.
    ConnectTimeout,
    /// The destination closed or reset before its answer was whole.
    DestinationReset,
    /// The destination's answer did not come in time.
    DestinationTimeout,
    /// The destination's answer was malformed.
    DestinationProtocolError,
    /// The process stopped before the answer was whole.
    Shutdown,
    /// A fault of this program.
    Internal,
    /// This process had no descriptors left to connect with.
    Exhausted,
}

// === impl RequestEnd ===

impl RequestEnd {
    pub(crate) const ALL: [Self; 19] = [
        Self::Ok,
        Self::Upgraded,
        Self::ClientClosed,
        Self::ClientTimeout,
        Self::ClientTooSlow,
        Self::ClientProtocolError,
        Self::LimitBody,
        Self::MethodNotAllowed,
        Self::NoRoute,
        Self::NoDestination,
        Self::DnsFailed,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::DestinationReset,
        Self::DestinationTimeout,
        Self::DestinationProtocolError,
        Self::Shutdown,
        Self::Internal,
        Self::Exhausted,
    ];

    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Upgraded => "upgraded",
            Self::ClientClosed => "client_closed",
            Self::ClientTimeout => "client_timeout",
            Self::ClientTooSlow => "client_too_slow",
            Self::ClientProtocolError => "client_protocol_error",
            Self::LimitBody => "limit_body",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoRoute => "no_route",
            Self::NoDestination => "no_destination",
            Self::DnsFailed => "dns_failed",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::DestinationReset => "destination_reset",
            Self::DestinationTimeout => "destination_timeout",
            Self::DestinationProtocolError => "destination_protocol_error",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
            Self::Exhausted => "exhausted",
        }
    }

    /// The status that we answer with, where an answer is still possible.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Ok | Self::Upgraded | Self::ClientClosed | Self::Shutdown => None,
            Self::ClientTimeout | Self::ClientTooSlow => Some(408),
            Self::ClientProtocolError => Some(400),
            Self::LimitBody => Some(413),
            Self::MethodNotAllowed => Some(405),
            Self::NoRoute => Some(404),
            Self::NoDestination | Self::Exhausted => Some(503),
            Self::DnsFailed
            | Self::ConnectFailed
            | Self::DestinationReset
            | Self::DestinationProtocolError => Some(502),
            Self::ConnectTimeout | Self::DestinationTimeout => Some(504),
            Self::Internal => Some(500),
        }
    }

    /// Whose doing it was.
    #[must_use]
    pub const fn by(self) -> EndBy {
        match self {
            Self::Ok
            | Self::Upgraded
            | Self::ClientClosed
            | Self::ClientTimeout
            | Self::ClientTooSlow
            | Self::ClientProtocolError => EndBy::Client,
            Self::LimitBody
            | Self::MethodNotAllowed
            | Self::NoRoute
            | Self::NoDestination
            | Self::Internal
            | Self::Exhausted => EndBy::Proxy,
            Self::DnsFailed
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::DestinationReset
            | Self::DestinationTimeout
            | Self::DestinationProtocolError => EndBy::Destination,
            Self::Shutdown => EndBy::Operator,
        }
    }

    /// The end of an exchange that was dropped where it stood: by an abort, by a panic.
    pub(crate) fn of_dropped(meta: &ConnMeta) -> Self {
        if std::thread::panicking() {
            return Self::Internal;
        }
        match meta.ended() {
            Some(CloseReason::DrainDeadline | CloseReason::Aborted | CloseReason::Drained) => {
                Self::Shutdown
            }
            _ => Self::ClientClosed,
        }
    }

    pub(crate) const fn of_client(error: &DownError) -> Self {
        match error {
            // Most of those who stop in the middle have gone; a broken rule is no news of them.
            DownError::Body(BodyError::Truncated) => Self::ClientClosed,
            DownError::Body(_) => Self::ClientProtocolError,
            DownError::TooLarge => Self::LimitBody,
            DownError::SendsTooSlowly | DownError::ReadsTooSlowly => Self::ClientTooSlow,
            // `Gone`, and what a later version may add to it.
            _ => Self::ClientClosed,
        }
    }

    pub(crate) const fn of_upstream(error: &UpstreamError) -> Self {
        match error {
            UpstreamError::Head(_) | UpstreamError::Body(_) | UpstreamError::Unasked => {
                Self::DestinationProtocolError
            }
            // `Closed`, `Truncated`, `Io`, and what a later version may add to them.
            _ => Self::DestinationReset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_in_the_reference() {
        let reference = include_str!("../../../docs/reference/access-log.md");
        for end in RequestEnd::ALL {
            assert!(reference.contains(&format!("`{}`", end.as_str())), "{end:?}");
        }
    }

    #[test]
    fn words_are_unique_and_places_hold() {
        for (place, end) in RequestEnd::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, place);
            assert_eq!(
                RequestEnd::ALL.iter().filter(|other| other.as_str() == end.as_str()).count(),
                1
            );
        }
    }
}
