//! What is known of the exchange that is under way on a connection.

use crate::exchange::BodyRules;
use crate::h1::{Asked, BodyState, Framing};
use crate::rate::RateClock;
use crate::server::Settings;

/// How far the answer has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Nothing,
    Begun,
    Whole,
    /// Broken off: the connection must not look as if it ended well.
    Spoiled,
}

/// What is known of the exchange that is under way.
pub(super) struct Exchange {
    pub(super) framing: Framing,
    pub(super) body: BodyState,
    pub(super) rules: BodyRules,
    pub(super) content: u64,
    pub(super) read_rate: RateClock,
    pub(super) write_rate: RateClock,
    pub(super) minor: u8,
    pub(super) asked: Asked,
    pub(super) keep_alive: bool,
    /// The client has said that this is its last request.
    pub(super) is_last: bool,
    /// The connection would go on if its endpoint did.
    pub(super) drained: bool,
    pub(super) waits_for_continue: bool,
    pub(super) answered: Answered,
    /// Whatever its head says, the answer has no body.
    pub(super) bodiless: bool,
    /// What the answer has promised and not sent yet; `None` if its end is not a count.
    pub(super) owed: Option<u64>,
    /// The answer has turned the connection into one of another protocol.
    pub(super) switched: bool,
    pub(super) taken: u64,
    pub(super) sent: u64,
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn new(settings: &Settings, framing: Framing) -> Self {
        Self {
            framing,
            body: BodyState::new(framing, &settings.limits),
            rules: BodyRules::default(),
            content: 0,
            read_rate: RateClock::default(),
            write_rate: RateClock::default(),
            minor: 1,
            asked: Asked::Other,
            keep_alive: true,
            is_last: false,
            drained: false,
            waits_for_continue: false,
            answered: Answered::Nothing,
            bodiless: false,
            owed: None,
            switched: false,
            taken: 0,
            sent: 0,
        }
    }

    /// Counts what goes out of the answer's body; `false` if it is more than was promised.
    pub(super) fn owes(&mut self, n: usize) -> bool {
        match &mut self.owed {
            None => true,
            Some(owed) => match owed.checked_sub(n as u64) {
                Some(rest) => {
                    *owed = rest;
                    true
                }
                None => false,
            },
        }
    }
}
