//! The fields that a proxy looks at, as numbers and sets of bits.

/// Declares [`Known`] and the names, in the same order.
macro_rules! known {
    ($($variant:ident = $name:literal,)*) => {
        /// A field that has a bit of its own in the table of a head.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Known {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// Any other field.
            Other,
        }

        const ALL: &[(Known, &str)] = &[$((Known::$variant, $name),)*];
    };
}

known! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Expect = "expect",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyAuthenticationInfo = "proxy-authentication-info",
    Http2Settings = "http2-settings",
    Proxy = "proxy",
    Via = "via",
    MaxForwards = "max-forwards",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedPrefix = "x-forwarded-prefix",
    XRealIp = "x-real-ip",
    XRequestId = "x-request-id",
    Date = "date",
    Server = "server",
    UserAgent = "user-agent",
    Referer = "referer",
    Origin = "origin",
    Cookie = "cookie",
    SetCookie = "set-cookie",
    Authorization = "authorization",
    WwwAuthenticate = "www-authenticate",
    AuthenticationInfo = "authentication-info",
    Location = "location",
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    ContentLanguage = "content-language",
    ContentRange = "content-range",
    Range = "range",
    IfRange = "if-range",
    IfMatch = "if-match",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    IfUnmodifiedSince = "if-unmodified-since",
    CacheControl = "cache-control",
    Pragma = "pragma",
    Age = "age",
    Expires = "expires",
    Vary = "vary",
    ETag = "etag",
    LastModified = "last-modified",
    RetryAfter = "retry-after",
    Allow = "allow",
    SecWebSocketKey = "sec-websocket-key",
    SecWebSocketAccept = "sec-websocket-accept",
    SecWebSocketVersion = "sec-websocket-version",
    AltSvc = "alt-svc",
}

// One bit each, and one for `Other`.
const _: () = assert!(ALL.len() < 64);

/// Where the name of each length, first, last and three-quarter letter stands: the multiplier leaves no two names in one
/// slot, which the compiler checks below.
static SLOTS: [(Known, &str); 256] = slots();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const fn slots() -> [(Known, &'static str); 256] {
    let mut table = [(Known::Other, ""); 256];
    let mut i = 0;
    while i < ALL.len() {
        let name = ALL[i].1.as_bytes();
        let slot =
            slot(name.len(), name[0], name[name.len() * 3 / 4], name[name.len() - 1]) as usize;
        assert!(table[slot].1.is_empty(), "two names in one slot: choose another multiplier");
        table[slot] = ALL[i];
        i += 1;
    }
    table
}

#[inline]
const fn slot(len: usize, first: u8, inner: u8, last: u8) -> u8 {
    let key = u32::from_le_bytes([len as u8, first | 0x20, last | 0x20, inner | 0x20]);
    (key.wrapping_mul(0xedcf_975d) >> 24) as u8
}

/// Whether `name`, which has the same length, is `known` in any case: eight bytes at a time, the last eight overlapping.
#[inline]
fn is_same(name: &[u8], known: &[u8]) -> bool {
    // The bit that tells letters from digits and `-`, moved to where it tells lower case from upper.
    const LETTERS: u64 = u64::from_ne_bytes([0x40; 8]);
    let word = |name: &[u8; 8], known: &[u8; 8]| {
        let (name, known) = (u64::from_ne_bytes(*name), u64::from_ne_bytes(*known));
        name | (known & LETTERS) >> 1 == known
    };
    let (Some(name_end), Some(known_end)) = (name.last_chunk(), known.last_chunk()) else {
        return name
            .iter()
            .zip(known)
            .fold(true, |same, (a, b)| same & (a | (b & 0x40) >> 1 == *b));
    };
    let words = name.as_chunks().0.iter().zip(known.as_chunks().0);
    words.fold(word(name_end, known_end), |same, (a, b)| same & word(a, b))
}

// === impl Known ===

impl Known {
    /// The field of this name, in any case.
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let (Some(&first), Some(&inner), Some(&last)) =
            (name.first(), name.get(name.len() * 3 / 4), name.last())
        else {
            return Self::Other;
        };
        let slot = slot(name.len(), first, inner, last);
        match SLOTS.get(usize::from(slot)) {
            Some((known, text)) if text.len() == name.len() && is_same(name, text.as_bytes()) => {
                *known
            }
            _ => Self::Other,
        }
    }

    /// Its name in lower case; empty for [`Known::Other`].
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.get(self as usize).map_or("", |(_, name)| name)
    }

    /// Its bit.
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// A set of [`Known`] fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KnownSet(u64);

// === impl KnownSet ===

impl KnownSet {
    /// No field.
    pub const EMPTY: Self = Self(0);

    /// What RFC 9110, section 7.6.1 says an intermediary removes, and what concerns only the peer of this connection:
    /// the credentials of this proxy (section 11.7), and the settings of an upgrade to HTTP/2 (RFC 7540, section 3.2.1).
    pub const HOP_BY_HOP: Self = Self::of(&[
        Known::Connection,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::Te,
        Known::TransferEncoding,
        Known::Upgrade,
        Known::Http2Settings,
        Known::ProxyAuthenticate,
        Known::ProxyAuthenticationInfo,
        Known::ProxyAuthorization,
    ]);

    /// What a `Connection` field cannot take away: without them the message would change its meaning or its end.
    pub(crate) const KEPT: Self = Self::of(&[Known::Host, Known::ContentLength]);

    /// What may not be sent as a trailer (RFC 9110, section 6.5.1): framing, routing, request modifiers, authentication,
    /// response control, and what says how the content is to be read.
    pub const NOT_IN_TRAILERS: Self = Self::of(&[
        Known::Connection,
        Known::ContentLength,
        Known::TransferEncoding,
        Known::Te,
        Known::Trailer,
        Known::Upgrade,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::Http2Settings,
        Known::Proxy,
        Known::Host,
        Known::Via,
        Known::Forwarded,
        Known::XForwardedFor,
        Known::XForwardedProto,
        Known::XForwardedHost,
        Known::XForwardedPort,
        Known::XForwardedPrefix,
        Known::XRealIp,
        Known::MaxForwards,
        Known::Expect,
        Known::CacheControl,
        Known::Pragma,
        Known::Range,
        Known::IfRange,
        Known::IfMatch,
        Known::IfNoneMatch,
        Known::IfModifiedSince,
        Known::IfUnmodifiedSince,
        Known::Authorization,
        Known::ProxyAuthorization,
        Known::ProxyAuthenticate,
        Known::ProxyAuthenticationInfo,
        Known::WwwAuthenticate,
        Known::AuthenticationInfo,
        Known::Cookie,
        Known::SetCookie,
        Known::Age,
        Known::Date,
        Known::Expires,
        Known::Location,
        Known::RetryAfter,
        Known::Vary,
        Known::ContentEncoding,
        Known::ContentType,
        Known::ContentRange,
    ]);

    /// These fields. [`Known::Other`] has no place in a set and is left out.
    #[must_use]
    pub const fn of(fields: &[Known]) -> Self {
        let mut bits = 0;
        let mut rest = fields;
        while let Some((known, behind)) = rest.split_first() {
            bits |= known.bit();
            rest = behind;
        }
        Self(bits & !Known::Other.bit())
    }

    /// The fields of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The fields of this set that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `known` is among them.
    #[inline]
    #[must_use]
    pub const fn contains(self, known: Known) -> bool {
        self.0 & known.bit() != 0
    }

    /// Whether they have a field in common.
    #[inline]
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds `known`.
    #[inline]
    pub(crate) fn insert(&mut self, known: Known) {
        self.0 |= known.bit() & !Known::Other.bit();
    }
}

impl From<Known> for KnownSet {
    fn from(known: Known) -> Self {
        Self::of(&[known])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_no_other() {
        for (i, &(known, name)) in ALL.iter().enumerate() {
            assert_eq!(known as usize, i);
            assert_eq!(known.name(), name);
            assert_eq!(Known::of(name.as_bytes()), known);
            assert_eq!(Known::of(name.to_uppercase().as_bytes()), known);
            assert_eq!(Known::of(format!("{name}x").as_bytes()), Known::Other);
            assert_eq!(Known::of(name.replace('-', "_").as_bytes()) == known, !name.contains('-'));
        }
        for name in ["", "x", "x-own", "hos", "hosts", "ho\u{d}t"] {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn sets_have_no_place_for_other() {
        assert!(KnownSet::of(&[Known::Other]).is_empty());
        assert!(
            KnownSet::HOP_BY_HOP.contains(Known::Te) && !KnownSet::HOP_BY_HOP.contains(Known::Host)
        );
    }
}
