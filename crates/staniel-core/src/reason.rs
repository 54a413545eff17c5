//! Why a connection ended.

use std::fmt;

/// Why a connection or a session ended: a metric label, a log field, and what [`crate::ConnMeta::abort`] takes.
///
/// Whoever knows first says it ([`crate::ConnMeta::end`]); a later reason does not replace an earlier one. The set
/// never grows by what a peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum CloseReason {
    /// The handler returned without an error.
    Done = 1,
    /// The peer closed its side and that was the end.
    PeerClosed,
    /// The peer reset the connection.
    PeerReset,
    /// The handler returned an error.
    HandlerError,
    /// The handler panicked; only this connection ended by it.
    HandlerPanic,
    /// The host's limit of connections was reached.
    GlobalLimit,
    /// The endpoint's limit of connections or sessions was reached.
    EndpointLimit,
    /// The filter of the endpoint refused the peer.
    Filtered,
    /// Nothing arrived within the first-byte budget.
    HandshakeTimeout,
    /// The head of a request was not complete in time.
    HeadTimeout,
    /// A kept-alive connection was not used again in time.
    KeepAliveTimeout,
    /// Nothing moved for the idle time.
    IdleTimeout,
    /// A body arrived more slowly than the minimum rate.
    BodyTooSlow,
    /// The peer took an answer more slowly than the minimum rate.
    ReadTooSlow,
    /// The connection reached its greatest age.
    MaxAge,
    /// There was no destination to go to.
    NoDestination,
    /// The other end of the proxied connection could not be reached.
    ConnectFailed,
    /// The other end of the proxied connection did not accept in time.
    ConnectTimeout,
    /// The other end of the proxied connection broke it off.
    UpstreamReset,
    /// Closed politely because the host or the endpoint drains.
    Drained,
    /// Still open at the end of the drain, and cut off.
    DrainDeadline,
    /// Cut off on demand.
    Aborted,
    /// The peer broke the rules of the protocol.
    ProtocolError,
    /// The process had no descriptors left for the other end.
    Exhausted,
}

/// Whose doing the end of a connection was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndBy {
    /// The one who connected to us.
    Client,
    /// The one we connected to.
    Destination,
    /// Ourselves: a limit, a timer, a fault.
    Proxy,
    /// Whoever runs the process: drain, stop.
    Operator,
}

// === impl CloseReason ===

impl CloseReason {
    const ALL: [Self; 24] = [
        Self::Done,
        Self::PeerClosed,
        Self::PeerReset,
        Self::HandlerError,
        Self::HandlerPanic,
        Self::GlobalLimit,
        Self::EndpointLimit,
        Self::Filtered,
        Self::HandshakeTimeout,
        Self::HeadTimeout,
        Self::KeepAliveTimeout,
        Self::IdleTimeout,
        Self::BodyTooSlow,
        Self::ReadTooSlow,
        Self::MaxAge,
        Self::NoDestination,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::UpstreamReset,
        Self::Drained,
        Self::DrainDeadline,
        Self::Aborted,
        Self::ProtocolError,
        Self::Exhausted,
    ];

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// The name in logs and metrics: the variant in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::PeerClosed => "peer_closed",
            Self::PeerReset => "peer_reset",
            Self::HandlerError => "handler_error",
            Self::HandlerPanic => "handler_panic",
            Self::GlobalLimit => "global_limit",
            Self::EndpointLimit => "endpoint_limit",
            Self::Filtered => "filtered",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HeadTimeout => "head_timeout",
            Self::KeepAliveTimeout => "keep_alive_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::BodyTooSlow => "body_too_slow",
            Self::ReadTooSlow => "read_too_slow",
            Self::MaxAge => "max_age",
            Self::NoDestination => "no_destination",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamReset => "upstream_reset",
            Self::Drained => "drained",
            Self::DrainDeadline => "drain_deadline",
            Self::Aborted => "aborted",
            Self::ProtocolError => "protocol_error",
            Self::Exhausted => "exhausted",
        }
    }

    /// Whose doing it was.
    #[must_use]
    pub const fn by(self) -> EndBy {
        match self {
            Self::Done
            | Self::PeerClosed
            | Self::PeerReset
            | Self::HandshakeTimeout
            | Self::HeadTimeout
            | Self::KeepAliveTimeout
            | Self::BodyTooSlow
            | Self::ReadTooSlow
            | Self::ProtocolError => EndBy::Client,
            Self::ConnectFailed | Self::ConnectTimeout | Self::UpstreamReset => EndBy::Destination,
            Self::HandlerError
            | Self::HandlerPanic
            | Self::GlobalLimit
            | Self::EndpointLimit
            | Self::Filtered
            | Self::IdleTimeout
            | Self::MaxAge
            | Self::NoDestination
            | Self::Exhausted => EndBy::Proxy,
            Self::Drained | Self::DrainDeadline | Self::Aborted => EndBy::Operator,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl EndBy ===

impl EndBy {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Destination => "destination",
            Self::Proxy => "proxy",
            Self::Operator => "operator",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back_from_its_code() {
        for reason in CloseReason::ALL {
            assert_eq!(CloseReason::from_code(reason as u8), Some(reason));
        }
        assert_eq!(CloseReason::from_code(0), None);
    }
}
