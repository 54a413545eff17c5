//! As much HTTP/1.1 as two ends of a bench need that trust each other.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

/// Where a head ends: just behind its empty line.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The bytes of body that a head of an answer announces; `None` unless it is a 200 with a length.
pub(crate) fn announced(head: &[u8]) -> Option<usize> {
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return None;
    }
    head.split(|&b| b == b'\n').skip(1).find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        name.eq_ignore_ascii_case(b"content-length:")
            .then(|| std::str::from_utf8(value).ok()?.trim().parse().ok())?
    })
}

/// The request for `body` bytes from the origin.
pub(crate) fn request(body: usize) -> Vec<u8> {
    let lines = [
        format!("GET /{body} HTTP/1.1"),
        "Host: bench.example".to_owned(),
        "User-Agent: staniel-bench".to_owned(),
        "Accept: */*".to_owned(),
        String::new(),
        String::new(),
    ];
    lines.join("\r\n").into_bytes()
}

/// What a call on a socket that does not block came to.
pub(crate) enum Moved {
    /// So many bytes; for a read, 0 is the end.
    Bytes(usize),
    /// Not now.
    Later,
}

/// Reads once.
///
/// # Errors
///
/// The socket's own.
pub(crate) fn read(mut from: impl Read, buf: &mut [u8]) -> io::Result<Moved> {
    moved(from.read(buf))
}

/// Writes once.
///
/// # Errors
///
/// The socket's own.
pub(crate) fn write(mut to: impl Write, bytes: &[u8]) -> io::Result<Moved> {
    moved(to.write(bytes))
}

fn moved(done: io::Result<usize>) -> io::Result<Moved> {
    match done {
        Ok(n) => Ok(Moved::Bytes(n)),
        Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(Moved::Later)
        }
        Err(err) => Err(err),
    }
}

/// One epoll and the events of its last wait.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

// === impl Poller ===

impl Poller {
    /// Makes an epoll.
    ///
    /// # Errors
    ///
    /// If no descriptor is left.
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(256) })
    }

    /// Watches `source` under the number `key`.
    ///
    /// # Errors
    ///
    /// The kernel's own.
    pub(crate) fn add(&self, source: impl AsFd, key: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, data(key), flags)?)
    }

    /// Changes what `source` is watched for.
    ///
    /// # Errors
    ///
    /// The kernel's own.
    pub(crate) fn modify(
        &self,
        source: impl AsFd,
        key: usize,
        flags: EventFlags,
    ) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, data(key), flags)?)
    }

    /// Waits and gives the numbers and flags of what is ready.
    ///
    /// # Errors
    ///
    /// The kernel's own.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> io::Result<Vec<(usize, EventFlags)>> {
        let limit =
            limit.map(rustix::event::Timespec::try_from).transpose().map_err(io::Error::other)?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
        let ready = self.events.iter().map(|event| {
            let (data, flags) = (event.data, event.flags);
            (usize::try_from(data.u64()).unwrap_or(usize::MAX), flags)
        });
        Ok(ready.collect())
    }
}

fn data(key: usize) -> EventData {
    EventData::new_u64(key as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_that_is_not_the_expected_one_is_refused() {
        let check = |head: &[u8], expected| {
            assert_eq!(announced(head), expected, "{}", head.escape_ascii())
        };
        check(b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 128\r\n\r\n", Some(128));
        check(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 128\r\n\r\n", None);
        check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None);
    }

    #[test]
    fn head_ends_behind_its_empty_line() {
        assert_eq!(head_end(b"GET / HTTP/1.1\r\n\r\nrest"), Some(18));
        assert_eq!(head_end(b"GET / HTTP/1.1\r\n\r"), None);
    }
}
