//! The program under test.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use staniel_test::dir::TempDir;
use staniel_test::foreign::Child;
use tokio::time::{Instant, interval};

/// As long as anything may take that should take no time, on a machine that has much else to do.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What the program did until its end.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program running, with the file `staniel.toml` in a directory of its own.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) dir: TempDir,
}

/// The program with these arguments, run in `dir`, without what the environment of the test says.
pub(crate) fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staniel"));
    command.args(args).current_dir(dir).env_remove("STANIEL_LOG").env_remove("NO_COLOR");
    command
}

/// Runs the program to its end.
pub(crate) async fn told(dir: &Path, args: &[&str]) -> Told {
    told_by(&mut command(dir, args)).await
}

/// Runs a prepared command to its end.
pub(crate) async fn told_by(command: &mut Command) -> Told {
    let mut child = Child::start(command).unwrap();
    let code = child.ended(SOON).await.unwrap().code();
    Told { code, stdout: child.stdout(), stderr: child.stderr() }
}

/// Waits until `is_so`.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    let mut poll = interval(Duration::from_millis(10));
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        poll.tick().await;
    }
}

// === impl Running ===

impl Running {
    /// Starts `staniel run` with this configuration, and waits until `listener` listens.
    pub(crate) async fn start(config: &str, listener: &str) -> Self {
        let dir = TempDir::new("cli").unwrap();
        dir.write("staniel.toml", config).unwrap();
        let mut child = Child::start(&mut command(dir.path(), &["run"])).unwrap();
        child.prints(&format!("listening listener={listener} "), SOON).await.unwrap();
        Self { child, dir }
    }

    /// Where a listener is, as the program has said.
    pub(crate) fn addr(&self, listener: &str) -> SocketAddr {
        let said = self.child.stderr();
        let line = said.lines().find(|line| line.contains(&format!("listener={listener} ")));
        let address = line.unwrap().split_once("address=\"").unwrap().1;
        address.split_once('"').unwrap().0.parse().unwrap()
    }

    /// Replaces the configuration, in one step as editors do.
    pub(crate) fn configure(&self, config: &str) {
        let new = self.dir.write("new", config).unwrap();
        std::fs::rename(new, self.dir.path().join("staniel.toml")).unwrap();
    }
}
