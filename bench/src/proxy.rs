//! A running proxy.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::leash;
use crate::machine::{Place, User, placed};
use crate::peer::{Peer, Settings};
use crate::process::Tree;

/// A proxy that has begun to accept.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) addr: SocketAddr,
    tree: Tree,
}

/// How a proxy is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch<'a> {
    /// See [`leash`].
    pub(crate) leash: &'a Path,
    pub(crate) user: Option<&'a User>,
    pub(crate) place: Option<Place>,
}

// === impl Proxy ===

impl Proxy {
    /// Starts `program` as `peer` and waits until it accepts.
    ///
    /// # Errors
    ///
    /// If it ends or does not accept within five seconds; the text has what it said.
    pub(crate) fn start(
        peer: Peer,
        program: &Path,
        settings: &Settings,
        launch: Launch<'_>,
    ) -> Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
        if TcpStream::connect(addr).is_ok() {
            return Err(format!("something listens on {addr} already").into());
        }
        fs::create_dir_all(&settings.dir)?;
        let (file, log) = (settings.dir.join("config"), settings.dir.join("said"));
        fs::write(&file, peer.config(settings))?;
        let mut command = leash::on(launch.leash, &peer.command(program, &file, settings));
        if let Some(user) = launch.user {
            // The proxy keeps its process id and temporary files here.
            std::os::unix::fs::chown(&settings.dir, Some(user.uid), Some(user.gid))?;
            command.uid(user.uid).gid(user.gid);
        }
        let mut tree = placed(launch.place, || Tree::start(&mut command, &log))?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if let Some(status) = tree.ended() {
                return Err(format!("ended at once ({status}){}", tail(&log)).into());
            }
            if TcpStream::connect(addr).is_ok() {
                return Ok(Self { peer, addr, tree });
            }
            if Instant::now() > deadline {
                return Err(format!("does not accept on {addr} after 5 s{}", tail(&log)).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Seconds of CPU so far.
    pub(crate) fn cpu(&self) -> f64 {
        self.tree.cpu()
    }

    /// Bytes of user space now.
    pub(crate) fn memory(&self) -> u64 {
        self.tree.memory()
    }
}

fn tail(log: &Path) -> String {
    let said = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = said.lines().rev().take(10).collect();
    lines.into_iter().rev().map(|line| format!("\n    {line}")).collect()
}

/// A TCP port on loopback that nobody uses at the moment.
///
/// # Errors
///
/// If the kernel has none.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A directory that goes when this is dropped, readable by the user who runs the proxies.
#[derive(Debug)]
pub(crate) struct TempDir(PathBuf);

// === impl TempDir ===

impl TempDir {
    /// Makes one that is new.
    ///
    /// # Errors
    ///
    /// If the system's temporary directory cannot be written to.
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("staniel-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // What stays lies among temporary files; there is no one to tell.
        drop(fs::remove_dir_all(&self.0));
    }
}
