//! Says what listens where, once everything does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use staniel_config::{Config, ListenerName};
use staniel_core::{Endpoint, HostContext, ListenHandler, Phase, Result, TransportManager};
use staniel_proxy::Proxy;

use crate::say;

/// Binds nothing: it waits until the host is ready and then tells where the proxy listens.
pub(crate) struct Ready {
    proxy: Proxy,
    /// The listeners that speak HTTP; an endpoint alone does not tell.
    http: Vec<ListenerName>,
    /// What stands below the list.
    words: &'static str,
}

/// A line of the list.
struct Line {
    listener: ListenerName,
    protocol: &'static str,
    addresses: Vec<String>,
}

// === impl Ready ===

impl Ready {
    pub(crate) fn new(proxy: Proxy, config: &Config, words: &'static str) -> Self {
        let http = config.listeners.iter().filter(|listener| listener.is_http());
        let http = http.map(|listener| listener.name.value.clone()).collect();
        Self { proxy, http, words }
    }

    fn lines(&self) -> Vec<Line> {
        lines(self.proxy.bound(), &self.http)
    }
}

impl ListenHandler for Ready {
    fn name(&self) -> Cow<'static, str> {
        "ready".into()
    }

    async fn init(&self, host: &HostContext) -> Result {
        let mut phase = host.phase();
        let told = Self { proxy: self.proxy.clone(), http: self.http.clone(), words: self.words };
        host.spawn("ready", async move {
            // A start that fails goes from here to its end; there is nothing to tell then.
            let phase = *phase.wait_for(|phase| *phase != Phase::Starting).await?;
            if phase == Phase::Ready {
                tell(&told.lines(), told.words);
            }
            Ok(())
        });
        Ok(())
    }

    async fn bind(&self, _: &TransportManager) -> Result {
        Ok(())
    }
}

/// One line for each listener and protocol.
fn lines(bound: Vec<(ListenerName, Vec<Endpoint>)>, http: &[ListenerName]) -> Vec<Line> {
    let line = |(listener, endpoints): (ListenerName, Vec<Endpoint>)| {
        let is_http = http.contains(&listener);
        let mut by_protocol: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for endpoint in endpoints {
            let (protocol, address) = match endpoint {
                Endpoint::Tcp(addr) if is_http => ("http1", addr.to_string()),
                Endpoint::Tcp(addr) => ("tcp", addr.to_string()),
                Endpoint::Udp(addr) => ("udp", addr.to_string()),
                other => ("other", other.to_string()),
            };
            by_protocol.entry(protocol).or_default().push(address);
        }
        by_protocol.into_iter().map(move |(protocol, addresses)| Line {
            listener: listener.clone(),
            protocol,
            addresses,
        })
    };
    bound.into_iter().flat_map(line).collect()
}

/// Tells people on a terminal, and otherwise the log.
fn tell(lines: &[Line], words: &str) {
    if io::stderr().is_terminal() {
        say::err(&table(lines));
    } else {
        for Line { listener, protocol, addresses } in lines {
            tracing::info!(%listener, protocol, address = addresses.join(" "), "listening");
        }
    }
    say::err(words);
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.listener.as_str().len()).max().unwrap_or_default();
    let line = |Line { listener, protocol, addresses }: &Line| {
        format!("  {:width$}  {protocol:5}  {}\n", listener.as_str(), addresses.join(" "))
    };
    format!("Listening:\n{}", lines.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_of_two_protocols_has_two_lines() {
        let endpoints = |all: &[&str]| all.iter().map(|one| one.parse().unwrap()).collect();
        let bound = vec![
            (ListenerName::from("web"), endpoints(&["tcp://127.0.0.1:80", "tcp://[::1]:80"])),
            (ListenerName::from("dns"), endpoints(&["udp://127.0.0.1:53", "tcp://127.0.0.1:53"])),
        ];
        let table = table(&lines(bound, &[ListenerName::from("web")]));
        assert_eq!(
            table,
            "Listening:\n  web  http1  127.0.0.1:80 [::1]:80\n  dns  tcp    127.0.0.1:53\n  dns  udp    127.0.0.1:53\n"
        );
    }
}
