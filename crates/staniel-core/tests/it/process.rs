//! What needs a process of its own: signals, descriptor limits.
//!
//! A test starts its own binary again with its own name and [`CHILD`] set, and is then the child.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use staniel_core::{Bind, Host, HostContext, ListenHandler, Result, TransportManager};
use tokio::time::Instant;

use crate::support::{PATIENCE, echo, eventually, says};

const CHILD: &str = "STANIEL_TEST_CHILD";

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// `None` in the child.
    fn start(test: &str) -> Option<Self> {
        if std::env::var_os(CHILD).is_some() {
            return None;
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self(child))
    }

    /// What the child has to say to [`say`].
    fn word(&mut self) -> String {
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        loop {
            let line = lines.next().expect("the child ended early").unwrap();
            if let Some((_, word)) = line.split_once("SAYS ") {
                return word.to_owned();
            }
        }
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
    }

    async fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

/// Runs the test that is named once more, alone in a process, and says whether this is the one that waited for it.
pub(crate) async fn in_a_process(test: &str) -> bool {
    let Some(mut process) = Process::start(test) else { return false };
    let mut output = String::new();
    process.0.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(process.ends().await.success(), "{output}");
    true
}

fn say(word: impl std::fmt::Display) {
    println!("SAYS {word}");
    std::io::stdout().flush().unwrap();
}

/// Binds with a word about where.
struct Tells(bool);

impl ListenHandler for Tells {
    async fn init(&self, _: &HostContext) -> Result {
        if self.0 {
            say("init");
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        let bound = tm.bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'a')).await?;
        say(bound.local()[0].socket_addr().unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn sigterm_ends_run_at_once_when_nothing_is_open() {
    let Some(mut process) =
        Process::start("process::sigterm_ends_run_at_once_when_nothing_is_open")
    else {
        return Host::new().add(Tells(false)).run().await.unwrap();
    };
    process.word();
    let begin = Instant::now();
    process.signal();
    assert!(process.ends().await.success());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn sigterm_lets_finish_and_the_second_cuts_off() {
    let Some(mut process) = Process::start("process::sigterm_lets_finish_and_the_second_cuts_off")
    else {
        let host = Host::new().add(Tells(false)).shutdown_timeout(Duration::from_secs(3600));
        return host.run().await.unwrap();
    };
    let addr: SocketAddr = process.word().parse().unwrap();
    let mut client = TcpStream::connect(addr).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.read_exact(&mut [0]).unwrap();
    process.signal();
    eventually("nothing new is taken", || {
        TcpStream::connect_timeout(&addr, Duration::from_millis(200)).is_err()
    })
    .await;
    client.write_all(b"still here").unwrap();
    assert!(process.0.try_wait().unwrap().is_none(), "the drain waits");
    process.signal();
    assert!(process.ends().await.success());
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
}

#[tokio::test]
async fn sigterm_ends_a_host_that_does_not_get_started() {
    let Some(mut process) =
        Process::start("process::sigterm_ends_a_host_that_does_not_get_started")
    else {
        return Host::new().add(Tells(true)).run().await.unwrap();
    };
    assert_eq!(process.word(), "init");
    process.signal();
    assert!(process.ends().await.success());
}

#[tokio::test]
async fn without_descriptors_clients_are_turned_away_and_later_ones_served() {
    let Some(mut process) = Process::start(
        "process::without_descriptors_clients_are_turned_away_and_later_ones_served",
    ) else {
        let host = Host::new().bind(Bind::at("tcp://127.0.0.1:0").name("e"), echo);
        let running = host.max_connections(1000).start().await.unwrap();
        let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(open + 6), maximum }).unwrap();
        say(crate::support::addr_of(&running, "e"));
        let over = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
        over.await.unwrap().unwrap();
        return drop(running.stop(staniel_core::Stop::Now).await);
    };
    let addr: SocketAddr = process.word().parse().unwrap();
    let (mut served, mut turned_away) = (Vec::new(), 0);
    for _ in 0..12 {
        let mut client = TcpStream::connect(addr).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = client.write_all(b"x");
        match client.read(&mut [0]) {
            Ok(1) => served.push(client),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("left hanging"),
            _ => turned_away += 1,
        }
    }
    assert!(!served.is_empty() && turned_away > 0, "{} and {turned_away}", served.len());
    drop(served);
    eventually("clients are served again", || {
        let mut client = TcpStream::connect(addr).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"x").is_ok() && client.read(&mut [0]).is_ok_and(|n| n == 1)
    })
    .await;
    drop(process.0.stdin.take());
    assert!(process.ends().await.success());
}
