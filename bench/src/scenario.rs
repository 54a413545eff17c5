//! What is measured.

/// One kind of traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

/// What the clients do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// HTTP/1.1 keep-alive: every connection asks for `body` bytes again and again, one request at a time.
    KeepAlive { connections: usize, body: usize },
    /// Every connection does one request and then stays open; memory is measured, not time.
    Idle { connections: usize },
}

pub(crate) const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "h1_128_c64", work: Work::KeepAlive { connections: 64, body: 128 } },
    Scenario { name: "h1_1k_c256", work: Work::KeepAlive { connections: 256, body: 1024 } },
    Scenario { name: "h1_16k_c64", work: Work::KeepAlive { connections: 64, body: 16 * 1024 } },
    Scenario { name: "idle", work: Work::Idle { connections: 7500 } },
];
