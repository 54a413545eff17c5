//! An example that runs, and what it says.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Long enough for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ends with the test.
pub(crate) struct Example {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Example {
    /// Starts an example; `cargo test` has built it beside the tests.
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let built: PathBuf = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
        assert!(
            built.exists(),
            "{} is missing: `cargo test -p staniel` builds it",
            built.display()
        );
        let mut child = Command::new(built)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { stdin: child.stdin.take(), stdout, child }
    }

    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "it has ended");
        line.trim_end().to_owned()
    }

    pub(crate) fn hears(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The address in a line such as `web listens on tcp://127.0.0.1:80`.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.says();
        let (_, at) = line.rsplit_once("tcp://").unwrap_or_else(|| panic!("{line}"));
        at.parse().unwrap()
    }

    /// Where a program listens that does not say it, as the kernel knows it.
    pub(crate) fn listens_on(&self) -> SocketAddr {
        let mut found = None;
        eventually("it listens", || {
            found = self.look();
            found.is_some()
        });
        found.unwrap()
    }

    fn look(&self) -> Option<SocketAddr> {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let sockets: Vec<String> = std::fs::read_dir(proc.join("fd"))
            .ok()?
            .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
            .filter_map(|to| {
                Some(to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
            })
            .collect();
        let table = std::fs::read_to_string(proc.join("net/tcp")).ok()?;
        let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        // 0A: it listens.
        let mut ours = rows.filter(|row| row[3] == "0A" && sockets.iter().any(|it| it == row[9]));
        let row = ours.next()?;
        let port = u16::from_str_radix(row[1].rsplit_once(':')?.1, 16).ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Asks it to end, and says whether it did so without an error.
    pub(crate) fn ends(&mut self) -> bool {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }
}

/// Looks at a state until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = SystemTime::now();
    while !is_so() {
        assert!(begin.elapsed().unwrap_or_default() < PATIENCE, "never came true: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A client that is not ours. It sends what it is told, says that it has finished, and gives back what it got.
pub(crate) fn talk(client: &[&str], says: &str) -> String {
    let mut child = Command::new(client[0])
        .args(&client[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(says.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
