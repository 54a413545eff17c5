//! `staniel run --quickstart`: the configuration that `staniel init` writes, and what it needs behind it.

use std::borrow::Cow;
use std::time::Duration;

use staniel_config::Source;
use staniel_core::{
    Bind, Connection, ListenHandler, Plan, Result, TransportManager, UdpOptions, UdpSession,
    sessions,
};
use staniel_http::http;

use crate::file::Checked;
use crate::quickstart::site::Site;

mod reply;
mod site;

/// The configuration.
pub(crate) const CONFIG: &str = include_str!("quickstart.toml");

/// What to do now.
pub(crate) const TRY_IT: &str = "
Try it:
  curl http://127.0.0.1:8080/                         what the application behind the proxy saw
  curl http://127.0.0.1:8080/echo -d hello            what was sent, back again
  curl http://127.0.0.1:8080/bytes/1000000 -o large   a million bytes
  curl http://127.0.0.1:8080/status/503 -i            any status
  echo hello | nc -N 127.0.0.1 4040                   TCP, there and back
  echo hello | nc -u -w 1 127.0.0.1 5050              UDP, there and back
Ctrl-C stops it. `staniel init` writes this configuration into a file, to put your own destinations into.

";

/// Where the destinations of [`CONFIG`] listen.
const SITE: &str = "tcp://127.0.0.1:8081";
const TCP_ECHO: &str = "tcp://127.0.0.1:4041";
const UDP_ECHO: &str = "udp://127.0.0.1:5051";

/// A client that is gone without a word is forgotten after this.
const IDLE: Duration = Duration::from_secs(600);

/// The destinations: an HTTP application, and echoes over TCP and UDP.
pub(crate) struct Demo;

/// The configuration, checked.
pub(crate) fn checked() -> Checked {
    let source = Source::new("the built-in configuration", CONFIG);
    let loaded = staniel_config::read(&source);
    Checked { source, loaded }
}

// === impl Demo ===

impl ListenHandler for Demo {
    fn name(&self) -> Cow<'static, str> {
        "quickstart".into()
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        let udp = UdpOptions { max_sessions: 1000, ..UdpOptions::default() };
        let plan = Plan::default()
            .bind(Bind::at(SITE).name("demo-site"), http(Site))
            .bind(Bind::at(TCP_ECHO).name("demo-tcp-echo"), echo)
            .bind(Bind::at(UDP_ECHO).name("demo-udp-echo").udp(udp), sessions(echo_datagrams));
        tm.apply(plan).await?;
        Ok(())
    }
}

async fn echo(conn: Connection) -> Result {
    let (mut reader, mut writer) = tokio::io::split(conn);
    match tokio::time::timeout(IDLE, tokio::io::copy(&mut reader, &mut writer)).await {
        Ok(copied) => drop(copied?),
        Err(_) => tracing::debug!("an echo ends after {IDLE:?}"),
    }
    tokio::io::AsyncWriteExt::shutdown(&mut writer).await?;
    Ok(())
}

async fn echo_datagrams(mut session: UdpSession) -> Result {
    while let Some(datagram) = session.recv().await {
        session.send(&datagram).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_fine_and_names_the_destinations_that_there_are() {
        let loaded = checked().loaded;
        assert_eq!(loaded.diagnostics, []);
        let clusters = loaded.config.unwrap().clusters;
        let destinations = clusters.iter().flat_map(|cluster| &cluster.destinations);
        let mut wanted: Vec<_> = destinations.map(|it| it.address.authority()).collect();
        wanted.sort();
        let mut there: Vec<_> =
            [SITE, TCP_ECHO, UDP_ECHO].map(|it| it.split_once("://").unwrap().1).to_vec();
        there.sort_unstable();
        assert_eq!(wanted, there);
    }
}
