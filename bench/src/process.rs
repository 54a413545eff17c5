//! Child processes: started, accounted, ended by their ids.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// The kernel counts CPU time towards programs in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process tree that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Tree {
    child: Child,
}

// === impl Tree ===

impl Tree {
    /// Starts `command`; what it says goes to the file `log`.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let child = child.map_err(|err| format!("`{}`: {err}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Whether the root of the tree has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Seconds of CPU, in user and kernel, that the tree has used.
    pub(crate) fn cpu(&self) -> f64 {
        let ticks: u64 =
            ids(self.child.id()).into_iter().filter_map(Stat::of).map(|stat| stat.ticks).sum();
        ticks as f64 / TICKS_PER_SECOND
    }

    /// Bytes of user space, shared pages by their share.
    pub(crate) fn memory(&self) -> u64 {
        ids(self.child.id()).into_iter().filter_map(pss).sum()
    }

    fn end(&mut self) {
        // Taken before the root goes: without it the others are nobody's children.
        let all = ids(self.child.id());
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id(), Signal::KILL);
        }
        // Whatever this came to, there is nothing more to do for the root.
        drop(self.child.wait());
        for id in all.into_iter().filter(|&id| id != self.child.id()) {
            signal(id, Signal::KILL);
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.end();
    }
}

/// A child of the bench's own program: lines go in, lines come out, and it ends with its input.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    lines: BufReader<ChildStdout>,
}

// === impl Helper ===

impl Helper {
    /// Starts this very program with other words.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub(crate) fn start(words: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or("no pipe from the helper")?;
        Ok(Self { child, lines: BufReader::new(stdout) })
    }

    /// The next line.
    ///
    /// # Errors
    ///
    /// If the helper has ended; it said why on standard error.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err("the load side gave up".into());
        }
        Ok(line.trim().to_owned())
    }

    /// Gives the helper the word it waits for.
    ///
    /// # Errors
    ///
    /// If the helper has ended.
    pub(crate) fn go(&mut self) -> Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or("no pipe to the helper")?;
        Ok(writeln!(stdin, "go")?)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A helper that is stuck would keep the bench from ending; both calls only fail if it is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What `/proc/ID/stat` tells of a process.
struct Stat {
    parent: u32,
    ticks: u64,
}

// === impl Stat ===

impl Stat {
    fn of(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name stands in parentheses and may contain anything; the fields behind it are numbered from 3.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { parent: u32::try_from(field(4)?).ok()?, ticks: field(14)? + field(15)? })
    }
}

/// `root` and every process below it.
fn ids(root: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, Stat::of(id)?.parent)))
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&parent) = tree.get(at) {
        tree.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(id, _)| id));
        at += 1;
    }
    tree
}

fn pss(id: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // The only way to fail is that the process is gone, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_with_an_odd_name_is_read() {
        let stat = "77 (a ) b) S 12 77 77 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5 6 7";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.parent, stat.ticks), (12, 175));
    }

    #[test]
    fn this_process_has_memory_and_is_in_its_own_tree() {
        let me = std::process::id();
        assert!(ids(me).contains(&me));
        assert!(pss(me).unwrap() > 0);
    }
}
