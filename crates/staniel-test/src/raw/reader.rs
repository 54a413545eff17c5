//! Reading messages off a socket, without any opinion about them.

use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Framing, Message};

/// A socket and the bytes that came and were not asked for yet.
///
/// Every method can be dropped while it waits: what came stays.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    pub(crate) io: R,
    buf: Vec<u8>,
}

// === impl Reader ===

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) const fn new(io: R) -> Self {
        Self { io, buf: Vec::new() }
    }

    /// What came and was not asked for yet.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buf
    }

    /// A head with its empty line; `None` if the peer ended before its first byte.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let end = self.buf.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                return Ok(Some(self.take(end + 4)));
            }
            if !self.fill().await? {
                return if self.buf.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// The body of `message`; what came of it is in `message` even if this fails.
    pub(crate) async fn body(&mut self, framing: Framing, message: &mut Message) -> io::Result<()> {
        match framing {
            Framing::None => {}
            Framing::Length(length) => self.exactly(length, message).await?,
            Framing::Chunked => self.chunks(message).await?,
            Framing::UntilClose => {
                while self.fill().await? {}
                message.body = std::mem::take(&mut self.buf);
                message.wire_body.clone_from(&message.body);
            }
        }
        message.complete = true;
        Ok(())
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn until_close(&mut self) -> io::Result<Vec<u8>> {
        while self.fill().await? {}
        Ok(std::mem::take(&mut self.buf))
    }

    /// Exactly `n` bytes.
    pub(crate) async fn bytes(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.buf.len() < n {
            if !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.take(n))
    }

    async fn exactly(&mut self, length: u64, message: &mut Message) -> io::Result<()> {
        let mut missing = usize::try_from(length).map_err(io::Error::other)?;
        while missing > 0 {
            if self.buf.is_empty() && !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let part = self.take(missing);
            missing -= part.len();
            message.body.extend_from_slice(&part);
            message.wire_body.extend_from_slice(&part);
        }
        Ok(())
    }

    async fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        loop {
            let line = self.line(message).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| {
                io::Error::new(ErrorKind::InvalidData, format!("chunk size `{line}`"))
            })?;
            if size == 0 {
                break;
            }
            self.exactly(size, message).await?;
            let end = self.line(message).await?;
            if !end.is_empty() {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("`{end}` behind a chunk"),
                ));
            }
        }
        loop {
            let line = self.line(message).await?;
            if line.is_empty() {
                return Ok(());
            }
            message.trailers.extend_from_slice(line.as_bytes());
            message.trailers.extend_from_slice(b"\r\n");
        }
    }

    /// A line without its end; with its end it goes to the body as sent.
    async fn line(&mut self, message: &mut Message) -> io::Result<String> {
        loop {
            if let Some(end) = self.buf.windows(2).position(|window| window == b"\r\n") {
                let line = self.take(end + 2);
                message.wire_body.extend_from_slice(&line);
                return Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
            }
            if !self.fill().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits for more; `false` at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.io.read_buf(&mut self.buf).await? > 0)
    }

    /// The first `n` bytes, or as many as there are.
    fn take(&mut self, n: usize) -> Vec<u8> {
        let behind = self.buf.split_off(n.min(self.buf.len()));
        std::mem::replace(&mut self.buf, behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(wire: &[u8], framing: Framing) -> (io::Result<()>, Message, Vec<u8>) {
        let mut reader = Reader::new(wire);
        let mut message = Message::default();
        let read = reader.body(framing, &mut message).await;
        (read, message, reader.rest().to_vec())
    }

    #[tokio::test]
    async fn chunks_are_kept_both_ways() {
        let wire = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\nnext";
        let (read, message, rest) = read(wire, Framing::Chunked).await;
        read.unwrap();
        assert_eq!(message.body, b"abcde");
        assert_eq!(message.trailers, b"A: b\r\n");
        assert_eq!(message.wire_body, wire[..wire.len() - 4]);
        assert_eq!(rest, b"next");
        assert!(message.complete);
    }

    #[tokio::test]
    async fn truncated_body_is_not_complete() {
        for framing in [Framing::Length(10), Framing::Chunked] {
            let (read, message, _) = read(b"9\r\nabc", framing).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            assert!(!message.complete);
            assert!(message.body.ends_with(b"abc"));
        }
    }
}
