//! Records as workers leave them: facts of fixed size, and text beside them.

use std::time::{Duration, SystemTime};

use staniel_core::{Addr, ConnectionId};

/// How many records a worker may have waiting; at 50 ms between two collections that is more than a worker can serve.
const RECORDS: usize = 64 * 1024;
/// How much text they may have.
const TEXT: usize = 8 * 1024 * 1024;
/// Longer texts are cut off: a URL in the log may be as long as a request line.
const LONGEST: usize = 8 * 1024;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    Tcp,
    Udp,
}

/// The texts of a record, in the order in which they stand in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Listener,
    Route,
    Cluster,
    Destination,
    Method,
    Host,
    Path,
    Query,
    UserAgent,
    Referer,
}

impl Text {
    pub(super) const ALL: [Self; 10] = [
        Self::Listener,
        Self::Route,
        Self::Cluster,
        Self::Destination,
        Self::Method,
        Self::Host,
        Self::Path,
        Self::Query,
        Self::UserAgent,
        Self::Referer,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Route => "route",
            Self::Cluster => "cluster",
            Self::Destination => "destination",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
            Self::Query => "query",
            Self::UserAgent => "user_agent",
            Self::Referer => "referer",
        }
    }
}

/// What is not text.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) since: SystemTime,
    pub(crate) duration: Duration,
    /// Until the destination had accepted.
    pub(crate) connect: Option<Duration>,
    /// Until the head of its answer had come.
    pub(crate) response: Option<Duration>,
    pub(crate) conn: ConnectionId,
    pub(crate) client: Addr,
    pub(crate) peer: Addr,
    /// 0 where there is none.
    pub(crate) status: u16,
    pub(crate) minor: u8,
    pub(crate) retries: u8,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) end: &'static str,
    pub(crate) end_by: &'static str,
}

/// Records that wait.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    records: Vec<(Facts, [u16; Text::ALL.len()])>,
    text: Vec<u8>,
}

// === impl Buffer ===

impl Buffer {
    /// Adds a record; `false` if there is no room for it.
    pub(super) fn push(&mut self, facts: &Facts, texts: &[(Text, &[u8])]) -> bool {
        if self.records.len() >= RECORDS || self.text.len() >= TEXT {
            return false;
        }
        let mut lengths = [0; Text::ALL.len()];
        // In the order of their places, whatever the order here.
        for text in Text::ALL {
            let Some((_, bytes)) = texts.iter().find(|(one, _)| *one == text) else { continue };
            let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
            if let Some(length) = lengths.get_mut(text as usize) {
                *length = bytes.len() as u16;
                self.text.extend_from_slice(bytes);
            }
        }
        self.records.push((facts.clone(), lengths));
        true
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// All of it; the buffer is empty then.
    pub(super) fn take(&mut self) -> Self {
        let room = self.text.capacity().min(64 * 1024);
        let records = Vec::with_capacity(self.records.capacity().min(1024));
        std::mem::replace(self, Self { records, text: Vec::with_capacity(room) })
    }

    /// The records with their texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Facts, Texts<'_>)> {
        let mut rest = self.text.as_slice();
        self.records.iter().map(move |(facts, lengths)| {
            let texts = lengths.map(|length| {
                let (text, behind) = rest.split_at_checked(length.into()).unwrap_or_default();
                rest = behind;
                text
            });
            (facts, Texts(texts))
        })
    }
}

/// The texts of one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a>([&'a [u8]; Text::ALL.len()]);

// === impl Texts ===

impl<'a> Texts<'a> {
    /// A text, unless it is empty.
    pub(super) fn get(&self, text: Text) -> Option<&'a [u8]> {
        self.0.get(text as usize).copied().filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use staniel_core::Connection;

    use super::*;

    #[test]
    fn a_full_buffer_takes_no_more_until_it_is_emptied() {
        let (conn, _client) = Connection::in_memory();
        let facts = Facts {
            kind: Kind::Tcp,
            since: UNIX_EPOCH,
            duration: Duration::ZERO,
            connect: None,
            response: None,
            conn: conn.meta().id(),
            client: conn.meta().client().clone(),
            peer: conn.meta().peer().clone(),
            status: 0,
            minor: 0,
            retries: 0,
            bytes_in: 0,
            bytes_out: 0,
            end: "done",
            end_by: "client",
        };
        let mut buffer = Buffer::default();
        let long = vec![b'x'; 2 * LONGEST];
        let taken =
            (0..RECORDS).take_while(|_| buffer.push(&facts, &[(Text::Path, &long)])).count();
        assert_eq!(taken, TEXT / LONGEST, "the text of one record is cut off, and so is all of it");
        assert_eq!(buffer.take().len(), taken);
        assert!((0..RECORDS).all(|_| buffer.push(&facts, &[])));
        assert!(!buffer.push(&facts, &[]));
        assert_eq!(buffer.take().iter().count(), RECORDS);
        assert!(buffer.push(&facts, &[]));
    }
}
