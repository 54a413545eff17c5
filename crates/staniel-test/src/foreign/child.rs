//! A process that a test has started.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::dir::TempDir;

/// How often a process is asked again whether it is ready or over; it has no event to wait for.
const POLL: Duration = Duration::from_millis(5);

/// A process that ends, with those it started itself, when this is dropped.
///
/// What it prints goes to a file and is there to be read at any time with [`said`](Self::said).
#[derive(Debug)]
pub struct Child {
    child: std::process::Child,
    name: String,
    dir: TempDir,
}

/// What a test may want to tell a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    Hangup,
    /// SIGUSR1.
    User1,
    /// SIGUSR2.
    User2,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
    /// SIGKILL.
    Kill,
}

// === impl Child ===

impl Child {
    /// Starts `command` with nothing to read and its output kept.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let dir = TempDir::new("child")?;
        let (out, err) =
            (File::create(dir.path().join("out"))?, File::create(dir.path().join("err"))?);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn()?;
        Ok(Self { child, name, dir })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far: standard output, then standard error.
    #[must_use]
    pub fn said(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// What it has printed to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.read("out")
    }

    /// What it has printed to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.read("err")
    }

    /// Waits until something accepts on `addr`.
    ///
    /// # Errors
    ///
    /// If the process ends first, or nothing accepts `within` this time; the message has what the process said.
    pub async fn ready(&mut self, addr: SocketAddr, within: Duration) -> io::Result<()> {
        let deadline = Instant::now() + within;
        while TcpStream::connect(addr).await.is_err() {
            self.still_waiting(deadline, &format!("accept on {addr}"))?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    ///
    /// If the process ends first, or does not print it `within` this time; the message has what it said instead.
    pub async fn prints(&mut self, text: &str, within: Duration) -> io::Result<()> {
        let deadline = Instant::now() + within;
        while !self.said().contains(text) {
            self.still_waiting(deadline, &format!("print `{text}`"))?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until it has ended, and tells how.
    ///
    /// # Errors
    ///
    /// If it has not `within` this time.
    pub async fn ended(&mut self, within: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(
                    self.failed(ErrorKind::TimedOut, &format!("did not end within {within:?}"))
                );
            }
            sleep(POLL).await;
        }
    }

    /// Sends a signal to the process alone.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        send(self.child.id(), signal)
    }

    fn still_waiting(&mut self, deadline: Instant, what: &str) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(
                self.failed(ErrorKind::BrokenPipe, &format!("ended ({status}) and did not {what}"))
            );
        }
        if Instant::now() > deadline {
            return Err(self.failed(ErrorKind::TimedOut, &format!("did not {what} in time")));
        }
        Ok(())
    }

    fn failed(&self, kind: ErrorKind, what: &str) -> io::Error {
        io::Error::new(kind, format!("`{}` {what}; it said:\n{}", self.name, self.said()))
    }

    fn read(&self, file: &str) -> String {
        let bytes = fs::read(self.dir.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Taken before the parent goes: without it the others cannot be told from strangers.
        let below = below(self.child.id());
        drop(self.child.kill());
        drop(self.child.wait());
        for &id in &below {
            // The only way to fail is that it is gone already.
            drop(send(id, Signal::Kill));
        }
        // They are not ours to wait for, and until they are gone they hold their ports.
        let mut polls_left = 400;
        while polls_left > 0 && below.iter().any(|&id| is_running(id)) {
            std::thread::sleep(POLL);
            polls_left -= 1;
        }
    }
}

// === impl Signal ===

impl From<Signal> for rustix::process::Signal {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Terminate => Self::TERM,
            Signal::Interrupt => Self::INT,
            Signal::Hangup => Self::HUP,
            Signal::User1 => Self::USR1,
            Signal::User2 => Self::USR2,
            Signal::Stop => Self::STOP,
            Signal::Continue => Self::CONT,
            Signal::Kill => Self::KILL,
        }
    }
}

fn send(id: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, signal.into())?)
}

/// Every process below `root`.
fn below(root: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, parent(id)?)))
        .collect();
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(&of) = tree.get(at) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| id));
        at += 1;
    }
    tree.split_off(1)
}

fn parent(id: u32) -> Option<u32> {
    stat(id)?.split(' ').nth(1)?.parse().ok()
}

/// Whether a process is there and more than an entry that nobody has collected.
fn is_running(id: u32) -> bool {
    stat(id).is_some_and(|stat| !stat.starts_with('Z'))
}

/// State, parent and what follows in `/proc/ID/stat`.
fn stat(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in parentheses before them and may contain anything.
    stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}
