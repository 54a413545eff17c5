//! Why a head or a body is refused.

/// A head that is refused. The connection it came on cannot be used any further: where the next message begins is
/// not known, or the peer tries to make it unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A TLS record where a request line was expected.
    #[error("a TLS record on a clear-text connection")]
    Tls,
    /// The method is empty or not a token.
    #[error("the method is not a token")]
    Method,
    /// The request line is not `method SP target SP version`.
    #[error("malformed request line")]
    RequestLine,
    /// The request line is longer than allowed.
    #[error("request line too long")]
    RequestLineTooLong,
    /// The target has a byte or a form that RFC 9112, section 3.2 does not know, or one that the method may not have.
    #[error("malformed request target")]
    Target,
    /// The version is not `HTTP/1.` and one digit.
    #[error("malformed HTTP version")]
    Version,
    /// A major version other than 1.
    #[error("unsupported HTTP version")]
    VersionUnsupported,
    /// The status line is not `version SP 3DIGIT SP reason`.
    #[error("malformed status line")]
    StatusLine,
    /// A line that ends with LF alone.
    #[error("a line feed without a carriage return")]
    BareLf,
    /// A CR that no LF follows.
    #[error("a carriage return without a line feed")]
    BareCr,
    /// A line that begins with white space.
    #[error("a folded line")]
    ObsFold,
    /// A field line with nothing before its colon.
    #[error("an empty field name")]
    EmptyName,
    /// White space between a field's name and its colon.
    #[error("white space before a colon")]
    SpaceBeforeColon,
    /// A field name with a byte that a token cannot have.
    #[error("malformed field name")]
    FieldName,
    /// A line without a colon.
    #[error("a field line without a colon")]
    MissingColon,
    /// A field value with a control byte.
    #[error("a control byte in a field value")]
    FieldValue,
    /// The field lines are longer than allowed.
    #[error("header section too large")]
    HeadersTooLarge,
    /// More field lines than allowed.
    #[error("too many header fields")]
    TooManyFields,
    /// An HTTP/1.1 request without `Host`.
    #[error("no Host field")]
    NoHost,
    /// More than one `Host`.
    #[error("more than one Host field")]
    RepeatedHost,
    /// A `Host` that is not a host and perhaps a port.
    #[error("malformed Host field")]
    InvalidHost,
    /// More options in `Connection` than anybody has use for.
    #[error("too many connection options")]
    TooManyOptions,
    /// `Transfer-Encoding` and `Content-Length` in one message.
    #[error("both Transfer-Encoding and Content-Length")]
    LengthAndEncoding,
    /// More than one `Content-Length`, or a list in it.
    #[error("more than one Content-Length")]
    RepeatedLength,
    /// A `Content-Length` that is not digits, or more than fits 64 bits.
    #[error("malformed Content-Length")]
    InvalidLength,
    /// `Transfer-Encoding` in an HTTP/1.0 message.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    EncodingOnHttp10,
    /// A `Transfer-Encoding` that is malformed, or where `chunked` is not the last coding or stands twice.
    #[error("malformed Transfer-Encoding")]
    InvalidEncoding,
    /// A well-formed transfer coding other than `chunked`.
    #[error("unknown transfer coding")]
    UnknownEncoding,
}

// === impl HeadError ===

impl HeadError {
    /// The status a server answers with before it closes. A proxy answers 502 to the faults of an upstream.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            // RFC 9112, section 3: "A server that receives a request-target longer than any URI it wishes to parse
            // MUST respond with a 414 (URI Too Long) status code."
            Self::RequestLineTooLong => 414,
            Self::HeadersTooLarge | Self::TooManyFields => 431,
            // RFC 9112, section 6.1: "A server that receives a request message with a transfer coding it does not
            // understand SHOULD respond with 501 (Not Implemented)."
            Self::UnknownEncoding => 501,
            Self::VersionUnsupported => 505,
            _ => 400,
        }
    }

    /// A stable name for the label of a counter.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tls => "tls_on_clear_text",
            Self::Method => "method",
            Self::RequestLine => "request_line",
            Self::RequestLineTooLong => "request_line_too_long",
            Self::Target => "target",
            Self::Version => "version",
            Self::VersionUnsupported => "version_unsupported",
            Self::StatusLine => "status_line",
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::ObsFold => "obs_fold",
            Self::EmptyName => "empty_field_name",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::FieldName => "field_name",
            Self::MissingColon => "missing_colon",
            Self::FieldValue => "field_value",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::NoHost => "no_host",
            Self::RepeatedHost => "repeated_host",
            Self::InvalidHost => "invalid_host",
            Self::TooManyOptions => "too_many_connection_options",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::RepeatedLength => "repeated_length",
            Self::InvalidLength => "invalid_length",
            Self::EncodingOnHttp10 => "encoding_on_http10",
            Self::InvalidEncoding => "invalid_encoding",
            Self::UnknownEncoding => "unknown_encoding",
        }
    }
}

/// A body that is refused or was cut short. The connection it came on cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A chunk size that is not hexadecimal digits, or too many of them.
    #[error("malformed chunk size")]
    ChunkSize,
    /// A chunk extension that is not `;name[=value]`.
    #[error("malformed chunk extension")]
    ChunkExtension,
    /// More chunk extensions than allowed.
    #[error("chunk extensions too large")]
    ChunkExtensionsTooLarge,
    /// A line of the framing that does not end with CRLF.
    #[error("a chunk line that does not end with CRLF")]
    LineEnd,
    /// Chunk data that is longer than its size says.
    #[error("chunk data longer than its size")]
    ChunkEnd,
    /// A malformed trailer section.
    #[error("malformed trailers")]
    Trailers(#[source] HeadError),
    /// A trailer section longer than allowed.
    #[error("trailers too large")]
    TrailersTooLarge,
    /// The peer closed in the middle.
    #[error("the body was cut short")]
    Truncated,
}

// === impl BodyError ===

impl BodyError {
    /// The status a server answers with, if it still can. A proxy answers 502 to the faults of an upstream.
    #[must_use]
    pub const fn status(&self) -> u16 {
        400
    }

    /// A stable name for the label of a counter.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ChunkSize => "chunk_size",
            Self::ChunkExtension => "chunk_extension",
            Self::ChunkExtensionsTooLarge => "chunk_extensions_too_large",
            Self::LineEnd => "chunk_line_end",
            Self::ChunkEnd => "chunk_end",
            Self::Trailers(_) => "trailers",
            Self::TrailersTooLarge => "trailers_too_large",
            Self::Truncated => "body_truncated",
        }
    }
}
