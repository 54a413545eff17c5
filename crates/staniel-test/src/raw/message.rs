//! A request or an answer as it stood on the wire.

use std::borrow::Cow;

/// A request or an answer: the bytes of its head, and of its body both as sent and as meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// From the first byte of the start line to the empty line, that one included.
    pub head: Vec<u8>,
    /// The body as it stood on the wire, with chunk sizes and trailers.
    pub wire_body: Vec<u8>,
    /// The body without chunk framing.
    pub body: Vec<u8>,
    /// Trailer lines, without the empty one that ends them.
    pub trailers: Vec<u8>,
    /// Whether all of it came before the connection ended.
    pub complete: bool,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

// === impl Message ===

impl Message {
    pub(crate) fn new(head: Vec<u8>) -> Self {
        Self { head, ..Self::default() }
    }

    /// The request line or status line, without its line end.
    #[must_use]
    pub fn start_line(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.lines().next().unwrap_or_default())
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> String {
        self.word(0)
    }

    /// The target of a request, as sent.
    #[must_use]
    pub fn target(&self) -> String {
        self.word(1)
    }

    /// The status of an answer; 0 if there is none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    /// Names and values in order; names as sent, values without the blanks around them.
    pub fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines().skip(1).filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some((name, value.get(1..)?.trim_ascii()))
        })
    }

    /// The first value of a header, its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values =
            self.headers().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        values.next().map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Whether the sender says that this is the last message on the connection.
    #[must_use]
    pub fn says_close(&self) -> bool {
        self.lists("connection", "close")
    }

    pub(crate) fn request_framing(&self) -> Framing {
        self.announced().unwrap_or(Framing::None)
    }

    pub(crate) fn answer_framing(&self, method: &str) -> Framing {
        match self.status() {
            // RFC 9112, section 6.3: these never have a body, whatever their headers say.
            100..=199 | 204 | 304 => Framing::None,
            _ if method == "HEAD" => Framing::None,
            200..=299 if method == "CONNECT" => Framing::None,
            _ => self.announced().unwrap_or(Framing::UntilClose),
        }
    }

    fn announced(&self) -> Option<Framing> {
        if self.lists("transfer-encoding", "chunked") {
            return Some(Framing::Chunked);
        }
        self.header("content-length")?.parse().ok().map(Framing::Length)
    }

    fn lists(&self, name: &str, option: &str) -> bool {
        self.headers()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .flat_map(|(_, value)| value.split(|&b| b == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn word(&self, n: usize) -> String {
        self.start_line().split(' ').nth(n).unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(head: &str, expected: Framing) {
        assert_eq!(Message::new(head.into()).answer_framing("GET"), expected, "of {head:?}");
    }

    #[test]
    fn body_ends_where_the_head_says() {
        framing("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Framing::Length(7));
        framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n", Framing::Chunked);
        framing("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose);
        framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", Framing::None);
        framing("HTTP/1.1 100 Continue\r\n\r\n", Framing::None);
    }

    #[test]
    fn parts_of_a_request_are_found() {
        let request = Message::new(
            b"POST /a?b HTTP/1.1\r\nhOst:  x \r\nConnection: te, Close\r\n\r\n".to_vec(),
        );
        assert_eq!((request.method().as_str(), request.target().as_str()), ("POST", "/a?b"));
        assert_eq!(request.header("Host").as_deref(), Some("x"));
        assert!(request.says_close());
        assert_eq!(request.request_framing(), Framing::None);
    }
}
