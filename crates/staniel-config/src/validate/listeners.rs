//! Checks of listeners.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::model::{Listen, ListenTable, Protocol, Route, Traffic};
use crate::schema::NamedTable;
use crate::source::{Span, Spanned};
use crate::validate::Checks;
use crate::words::or;

// === impl ListenTable ===

impl ListenTable {
    /// Whether routes can name it.
    pub(super) fn speaks_http(&self) -> bool {
        self.speaks(Protocol::Http1)
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        self.protocols.iter().any(|spoken| spoken.value == protocol)
    }
}

// === impl Checks ===

impl Checks {
    pub(super) fn listener(
        &mut self,
        name: &Spanned<String>,
        table: ListenTable,
    ) -> Option<Listen> {
        let path = format!("listen.{name}");
        if self.refused(&format!("{path}.protocols")) {
            // What the listener speaks is not known, so nothing can be said about its other keys.
            self.used.extend(table.cluster.map(|cluster| cluster.value));
            return None;
        }
        self.no_effect(&path, &table);
        let traffic = self.traffic(name, &table);
        Some(Listen {
            name: Spanned::new(name.as_str().into(), name.span),
            addresses: table.address?,
            traffic: traffic?,
            trusted_proxies: table.trusted_proxies,
            limits: table.limits,
            timeouts: table.timeouts,
        })
    }

    fn traffic(&mut self, name: &Spanned<String>, table: &ListenTable) -> Option<Traffic> {
        let key = format!("listen.{name}.cluster");
        let (tcp, udp) = (table.speaks(Protocol::Tcp), table.speaks(Protocol::Udp));
        if let Some(http) = table.protocols.iter().find(|spoken| spoken.value == Protocol::Http1) {
            if let Some(raw) = table.protocols.iter().find(|spoken| spoken.value != Protocol::Http1)
            {
                self.report(
                    format!("listen.{name}.protocols"),
                    Diagnostic::new(
                        Code::Conflict,
                        format!("listener `{name}` cannot speak `http1` and `{}`", raw.value),
                    )
                    .label(raw.span, "forwards bytes as they come")
                    .label(http.span, "reads requests")
                    .help("use two listeners with two addresses"),
                );
                return None;
            }
            if let Some(cluster) = &table.cluster {
                self.used.insert(cluster.value.clone());
                let span = self.span_of(&key, name);
                self.report(
                    key,
                    Diagnostic::new(
                        Code::Conflict,
                        format!("listener `{name}` speaks HTTP and names a cluster"),
                    )
                    .label(span, "only for `tcp` and `udp`")
                    .help("use a route: `[route.NAME]` with this `cluster`"),
                );
                return None;
            }
            return Some(Traffic::Http);
        }
        match &table.cluster {
            Some(cluster) => {
                self.known_cluster(&format!("listener `{name}`"), key, cluster);
                Some(Traffic::Forward { tcp, udp, cluster: cluster.clone() })
            }
            None => {
                // Written and wrong was reported already.
                if !self.reader.written.contains_key(&key) {
                    self.report(
                        format!("listen.{name}"),
                        Diagnostic::new(
                            Code::MissingKey,
                            format!("`listen.{name}` has no `cluster`"),
                        )
                        .label(name.span, "needs `cluster`")
                        .help("a `tcp` or `udp` listener names the cluster that it forwards to"),
                    );
                }
                None
            }
        }
    }

    /// Warns about keys that mean nothing for what the listener speaks.
    fn no_effect(&mut self, path: &str, table: &ListenTable) {
        let inside = format!("{path}.");
        let dead: Vec<(String, Span, &'static [Protocol])> = self
            .reader
            .written
            .range(inside.clone()..)
            .take_while(|(key, _)| key.starts_with(&inside))
            .filter(|(_, written)| {
                !written.only.is_empty() && !written.only.iter().any(|&only| table.speaks(only))
            })
            .map(|(key, written)| (key.clone(), written.span, written.only))
            .collect();
        for (key, span, only) in dead {
            let words: Vec<_> = only.iter().map(|protocol| protocol.word()).collect();
            let last = key.rsplit('.').next().unwrap_or_default().to_owned();
            self.report(
                key,
                Diagnostic::new(Code::NoEffect, format!("`{last}` has no effect here"))
                    .label(span, format!("only for {}", or(&words))),
            );
        }
    }

    /// Reports every address that is taken twice on one transport.
    pub(super) fn duplicate_addresses(&mut self, listeners: &[NamedTable<ListenTable>]) {
        let mut taken: HashMap<(bool, SocketAddr), (String, Span)> = HashMap::new();
        for (name, table) in listeners {
            let udp = table.speaks(Protocol::Udp);
            let tcp = table.speaks(Protocol::Tcp) || table.speaks_http();
            for address in table.address.iter().flatten().filter(|address| address.port() != 0) {
                let transports = [(tcp, false), (udp, true)]
                    .into_iter()
                    .filter_map(|(used, udp)| used.then_some(udp));
                let wanted =
                    transports.flat_map(|udp| address.socket_addrs().map(move |addr| (udp, addr)));
                let mut first = None;
                for key in wanted {
                    let here = (name.value.clone(), address.span);
                    let earlier = taken.entry(key).or_insert(here.clone());
                    if earlier.1 != here.1 {
                        first.get_or_insert_with(|| (key.0, earlier.clone()));
                    }
                }
                let Some((udp, (owner, span))) = first else { continue };
                let transport = if udp { "UDP" } else { "TCP" };
                self.report(
                    format!("listen.{name}.address"),
                    Diagnostic::new(
                        Code::DuplicateAddress,
                        format!("`{address}` is taken twice over {transport}"),
                    )
                    .label(address.span, "and here again")
                    .label(span, format!("listener `{owner}` has it"))
                    .help("one address belongs to one listener; requests are told apart by routes"),
                );
            }
        }
    }

    /// Warns about HTTP listeners that no route serves. With a route that could not be read nobody knows.
    pub(super) fn idle_listeners(&mut self, routes: &[&Route], all_known: bool) {
        if !all_known {
            return;
        }
        let idle: Vec<_> = self
            .listeners
            .iter()
            .filter(|(name, http)| {
                *http && !routes.iter().any(|route| route.listeners.contains(name))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in idle {
            let path = format!("listen.{name}");
            let span = self.reader.names.get(&path).copied().unwrap_or(Span::EMPTY);
            self.report(
                path,
                Diagnostic::new(Code::NoRoutes, format!("no route serves listener `{name}`"))
                    .label(span, "every request is answered with 404")
                    .help("add one: `[route.NAME]` with `to = \"http://127.0.0.1:9000\"`"),
            );
        }
    }
}
