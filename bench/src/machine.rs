//! What runs the bench: CPUs, limits, users, and the line that records them.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// A user to run proxies as.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

// === impl User ===

impl User {
    /// Finds a user by name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let users = fs::read_to_string("/etc/passwd")?;
        let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        for field in fields {
            if let [user, _, uid, gid, ..] = field.as_slice()
                && *user == name
            {
                return Ok(Self { uid: uid.parse()?, gid: gid.parse()? });
            }
        }
        Err(format!("there is no user `{name}`").into())
    }
}

/// Where processes may run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// Alone on the first CPU.
    Proxy,
    /// On the last CPU, away from the proxy.
    Load,
}

/// Runs `start` so that what it starts is tied to `place`; `None` leaves the choice to the kernel.
///
/// # Errors
///
/// If `start` fails or the kernel refuses.
pub(crate) fn placed<T>(place: Option<Place>, start: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(place) = place else { return start() };
    let before = sched_getaffinity(None)?;
    let mut allowed = (0..CpuSet::MAX_CPU).filter(|&cpu| before.is_set(cpu));
    let cpu = match place {
        Place::Proxy => allowed.next(),
        Place::Load => allowed.next_back(),
    };
    // A child inherits the affinity of the thread that starts it.
    let mut only = CpuSet::new();
    only.set(cpu.ok_or("no CPU is allowed")?);
    sched_setaffinity(None, &only)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}

/// Allows as many descriptors as the hard limit does; gives the number.
pub(crate) fn raise_descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // If the kernel refuses, the soft limit is what there is.
    let raised =
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let allowed = if raised.is_ok() { limit.maximum } else { limit.current };
    allowed.and_then(|allowed| usize::try_from(allowed).ok()).unwrap_or(1 << 20)
}

/// Processor, CPUs, kernel.
pub(crate) fn line() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {n_cpus} CPUs, Linux {}", kernel.trim())
}
