//! What became of the requests of a load.

use std::collections::BTreeMap;
use std::fmt;

/// Every request that was sent is in exactly one of `answered`, `lost` and `raced`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Requests written to an accepted connection, each time they were written.
    pub sent: u64,
    /// Those with a whole answer, whatever its status.
    pub answered: u64,
    /// Those on an accepted connection that ended, or stayed silent, without a whole answer.
    pub lost: u64,
    /// Those that met a close after the connection had been idle for more than a second: HTTP/1.1 cannot rule that out.
    /// The same request was then sent again.
    pub raced: u64,
    /// Answers with status 200 that belong to another request; they count as answered too.
    pub wrong: u64,
    /// Connections that were refused; no request was on them.
    pub refused: u64,
    /// Connections that failed otherwise before they stood.
    pub unreached: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// Answers that said `Connection: close`.
    pub closes: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// What happened to the first few that were lost or wrong.
    pub examples: Vec<String>,
}

const MAX_EXAMPLES: usize = 10;

// === impl Report ===

impl Report {
    /// Whether every request on an accepted connection was answered, and with its own answer.
    #[must_use]
    pub const fn nothing_lost(&self) -> bool {
        self.lost == 0 && self.wrong == 0
    }

    /// Whether, besides, something was answered and every answer was a 200.
    #[must_use]
    pub fn all_ok(&self) -> bool {
        self.nothing_lost()
            && self.answered > 0
            && self.statuses.keys().all(|status| *status == 200)
    }

    pub(crate) fn lost(&mut self, what: String) {
        self.lost += 1;
        self.example(what);
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.wrong += 1;
        self.example(what);
    }

    /// A worker that ended without a report: what it had under way is not known, so something is lost.
    pub(crate) fn broken(&mut self, why: String) {
        self.lost(format!("a worker of the load ended: {why}"));
    }

    pub(crate) fn add(&mut self, part: Self) {
        let Self {
            sent,
            answered,
            lost,
            raced,
            wrong,
            refused,
            unreached,
            opened,
            closes,
            statuses,
            examples,
        } = part;
        self.sent += sent;
        self.answered += answered;
        self.lost += lost;
        self.raced += raced;
        self.wrong += wrong;
        self.refused += refused;
        self.unreached += unreached;
        self.opened += opened;
        self.closes += closes;
        for (status, n) in statuses {
            *self.statuses.entry(status).or_default() += n;
        }
        examples.into_iter().for_each(|example| self.example(example));
    }

    fn example(&mut self, what: String) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(what);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            answered,
            lost,
            raced,
            wrong,
            refused,
            unreached,
            opened,
            closes,
            statuses,
            examples,
        } = self;
        write!(f, "sent {sent}: answered {answered}, lost {lost}, raced {raced}; wrong {wrong}; ")?;
        write!(
            f,
            "connections: opened {opened}, refused {refused}, unreached {unreached}, closing answers {closes}; "
        )?;
        write!(f, "statuses {statuses:?}")?;
        examples.iter().try_for_each(|example| write!(f, "\n  {example}"))
    }
}
