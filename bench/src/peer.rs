//! The proxies that are compared, and the configuration that makes them do the same work.
//!
//! All of them: access log off, upstream connections kept, one `X-Forwarded-For` added, no temporary files, the idle
//! timeout far beyond a run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Staniel,
    Nginx,
    Haproxy,
}

pub(crate) const PEERS: [Peer; 3] = [Peer::Staniel, Peer::Nginx, Peer::Haproxy];

/// What a configuration depends on.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where the proxy listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// Where the origin listens, on 127.0.0.1.
    pub(crate) origin: u16,
    pub(crate) workers: usize,
    /// The limit of descriptors.
    pub(crate) descriptors: usize,
    /// Whether thousands of clients will stay.
    pub(crate) idle: bool,
    /// Whether the proxy starts as root and stays it.
    pub(crate) root: bool,
    /// For the proxy's own files.
    pub(crate) dir: PathBuf,
}

// === impl Peer ===

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Staniel => "staniel",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// The installed program; `None` if there is none. Staniel is built instead, see [`build_staniel`].
    pub(crate) fn installed(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps servers in sbin, which is not on everyone's path.
        let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(sbin)
            .map(|dir| dir.join(self.name()))
            .find(|program| program.is_file())
    }

    /// What the program says of itself.
    pub(crate) fn version(self, program: &Path) -> String {
        let flag = if self == Self::Staniel { "--version" } else { "-v" };
        let Ok(said) = Command::new(program).arg(flag).output() else {
            return "unknown".to_owned();
        };
        let said = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
        let number = said
            .split([' ', '/', '\n'])
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        number.unwrap_or("unknown").to_owned()
    }

    /// The configuration.
    pub(crate) fn config(self, settings: &Settings) -> String {
        match self {
            Self::Staniel => staniel(settings),
            Self::Nginx => nginx(settings),
            Self::Haproxy => haproxy(settings),
        }
    }

    /// The command that runs `program` with the configuration in `file`, in the foreground.
    pub(crate) fn command(self, program: &Path, file: &Path, settings: &Settings) -> Command {
        let mut command = Command::new(program);
        match self {
            Self::Staniel => command.arg("run").arg("-c").arg(file),
            // `-e`: otherwise it first tries to open the log it was built with.
            Self::Nginx => {
                command.arg("-e").arg("stderr").arg("-p").arg(&settings.dir).arg("-c").arg(file)
            }
            Self::Haproxy => command.arg("-db").arg("-f").arg(file),
        };
        command.current_dir(&settings.dir);
        command
    }
}

/// Builds the release binary and tells where it is.
///
/// # Errors
///
/// If it does not build.
pub(crate) fn build_staniel() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(std::process::Stdio::inherit());
    build.args([
        "build",
        "--release",
        "--package",
        "staniel-cli",
        "--message-format",
        "json-render-diagnostics",
    ]);
    let built = build.output()?;
    if !built.status.success() {
        return Err("staniel does not build".into());
    }
    let messages = String::from_utf8(built.stdout)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo built no binary of staniel".into())
}

fn staniel(settings: &Settings) -> String {
    let Settings { port, origin, workers, .. } = settings;
    let connections = if settings.idle { "max_connections = 16000\n" } else { "" };
    format!(
        r#"[server]
workers = {workers}
{connections}
[log]
access = "off"

[listen.web]
address = "127.0.0.1:{port}"
protocols = ["http1"]

[route.all]
cluster = "origin"

[cluster.origin]
destinations = ["http://127.0.0.1:{origin}"]
pool = {{ max_idle = 512 }}
"#
    )
}

fn nginx(settings: &Settings) -> String {
    let Settings { port, origin, workers, descriptors, .. } = settings;
    let user = if settings.root { "user root root;\n" } else { "" };
    // With one queue for two workers the first to wake takes most connections.
    let reuseport = if *workers > 1 { " reuseport" } else { "" };
    format!(
        r#"{user}daemon off;
worker_processes {workers};
worker_rlimit_nofile {descriptors};
error_log stderr crit;
pid nginx.pid;
events {{
    worker_connections {descriptors};
    multi_accept on;
}}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 512;
        keepalive_requests 100000000;
        keepalive_timeout 600s;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096{reuseport};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_request_buffering off;
            proxy_buffers 8 64k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"#
    )
}

fn haproxy(settings: &Settings) -> String {
    let Settings { port, origin, workers, descriptors, .. } = settings;
    // It refuses to start unless two and a half descriptors per connection (splicing takes pipes) and some of its own fit.
    let connections = descriptors * 39 / 100;
    format!(
        "global
    nbthread {workers}
    maxconn {connections}
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option splice-auto
    option forwardfor
    http-reuse always
frontend web
    bind 127.0.0.1:{port} backlog 4096
    maxconn {connections}
    default_backend origin
backend origin
    server one 127.0.0.1:{origin} pool-max-conn 512
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staniel_takes_its_configuration_without_a_word() {
        for idle in [false, true] {
            let settings = Settings {
                port: 8080,
                origin: 9000,
                workers: 1,
                descriptors: 1024,
                idle,
                root: false,
                dir: PathBuf::new(),
            };
            let source = staniel_config::Source::new("bench.toml", staniel(&settings));
            let diagnostics = staniel_config::read(&source).diagnostics;
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
        }
    }
}
