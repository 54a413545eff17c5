//! What one key cannot know: whether names are defined, what fits together, what can never happen.

use std::collections::{BTreeMap, HashSet};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::{
    Cluster, ClusterName, ClusterTable, Config, ListenTable, ListenerName, Log, RouteTable, Server,
};
use crate::node::Table;
use crate::reader::Reader;
use crate::schema::{NamedTable, Section, inner, named, table};
use crate::source::{Source, Span, Spanned};
use crate::suggest::nearest;

mod clusters;
mod listeners;
mod routes;

table! {
    /// The file as a whole.
    pub(crate) struct Root {
        /// The process.
        pub(crate) server: Server => inner();
        /// What is logged, and where.
        pub(crate) log: Log => inner();
        /// Listeners by name.
        pub(crate) listen: Vec<NamedTable<ListenTable>> => named("NAME");
        /// Routes by name.
        pub(crate) route: Vec<NamedTable<RouteTable>> => named("NAME");
        /// Clusters by name.
        pub(crate) cluster: Vec<NamedTable<ClusterTable>> => named("NAME");
    }
    later "sni", "include", "admin", "metrics", "acme";
}

/// More syntax errors than this are not said: a file that is no TOML at all has one on every line.
const MOST_SYNTAX: usize = 50;

/// The state of the checks: what is defined, what was used, what is wrong.
pub(crate) struct Checks {
    reader: Reader,
    /// Every listener that the text has, right or wrong, and whether it is HTTP.
    listeners: Vec<(ListenerName, bool)>,
    clusters: HashSet<ClusterName>,
    used: HashSet<ClusterName>,
}

/// The config of a tree, if there is no error in it or in `syntax`, and every problem in the order of the text.
pub(crate) fn config(
    tree: &Table,
    syntax: Vec<Diagnostic>,
    source: &Source,
) -> (Option<Config>, Vec<Diagnostic>) {
    let mut reader = Reader::default();
    let root = Root::read(tree, &mut reader);
    if !syntax.is_empty() {
        return (None, in_order(beside(syntax, reader.diagnostics, source)));
    }
    let mut checks = Checks::new(&root, reader);
    let config = checks.config(root);
    let diagnostics = in_order(checks.reader.diagnostics);
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity() == Severity::Error);
    (config.filter(|_| !refused), diagnostics)
}

/// Beside syntax errors only what cannot be their consequence: nothing that is missing or misplaced, nothing on the same lines.
fn beside(syntax: Vec<Diagnostic>, others: Vec<Diagnostic>, source: &Source) -> Vec<Diagnostic> {
    let mut syntax = in_order(syntax);
    syntax.truncate(MOST_SYNTAX);
    let line = |diagnostic: &Diagnostic| diagnostic.span().map(|span| source.position(span).line);
    let broken: HashSet<_> = syntax.iter().map(line).collect();
    // A header that cannot be read leaves its keys to the table above.
    let headless = syntax.iter().any(|problem| problem.code() == Code::Syntax);
    let stands = |other: &Diagnostic| match other.code() {
        Code::MissingKey => false,
        Code::UnknownKey if headless => false,
        _ => !broken.contains(&line(other)),
    };
    let others: Vec<_> = others.into_iter().filter(stands).collect();
    // The parser stumbles on over a broken line: its first word says it.
    let mut said = HashSet::new();
    syntax.into_iter().filter(|problem| said.insert(line(problem))).chain(others).collect()
}

fn in_order(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by_key(Diagnostic::span);
    diagnostics
}

// === impl Checks ===

impl Checks {
    fn new(root: &Root, reader: Reader) -> Self {
        let listeners = root
            .listen
            .iter()
            .map(|(name, table)| (name.as_str().into(), table.speaks_http()))
            .collect();
        let clusters = root.cluster.iter().map(|(name, _)| name.as_str().into()).collect();
        Self { reader, listeners, clusters, used: HashSet::new() }
    }

    /// The config, as far as it can be made.
    fn config(&mut self, root: Root) -> Option<Config> {
        if root.listen.is_empty() {
            self.report(
                "listen",
                Diagnostic::new(Code::NoListeners, "the config has no listener")
                    .label(Span::EMPTY, "")
                    .help("add one: `[listen.web]` with `address = \":8080\"`"),
            );
        }
        self.duplicate_addresses(&root.listen);
        let listeners: Vec<_> =
            root.listen.into_iter().map(|(name, table)| self.listener(&name, table)).collect();
        let clusters: Vec<_> =
            root.cluster.into_iter().map(|(name, table)| self.cluster(&name, table)).collect();
        let mut implied = Vec::new();
        let routes: Vec<_> = root
            .route
            .into_iter()
            .map(|(name, table)| self.route(&name, table, &mut implied))
            .collect();

        let found: Vec<_> = routes.iter().flatten().collect();
        self.duplicate_routes(&found);
        self.shadowed_routes(&found);
        self.idle_listeners(&found, routes.len() == found.len());
        self.schemes(listeners.iter().flatten(), &found, clusters.iter().flatten().chain(&implied));
        self.unused_clusters(clusters.iter().flatten());

        let mut clusters: Vec<_> = clusters.into_iter().collect::<Option<_>>()?;
        clusters.append(&mut implied);
        Some(Config {
            server: root.server,
            log: root.log,
            listeners: listeners.into_iter().collect::<Option<_>>()?,
            routes: routes.into_iter().collect::<Option<_>>()?,
            clusters,
        })
    }

    fn report(&mut self, path: impl Into<String>, diagnostic: Diagnostic) {
        self.reader.diagnostics.push(diagnostic.at(path));
    }

    /// Whether there is an error in a table, so that its values cannot be relied on.
    fn refused(&self, path: &str) -> bool {
        let inside = |other: &str| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let mut all = self.reader.diagnostics.iter();
        all.any(|diagnostic| diagnostic.severity() == Severity::Error && inside(diagnostic.path()))
    }

    /// Where a key was written, or else the name of its table.
    fn span_of(&self, path: &str, table: &Spanned<String>) -> Span {
        self.reader.written.get(path).map_or(table.span, |written| written.span)
    }

    /// Notes that a cluster is used, and reports it if there is no such cluster.
    fn known_cluster(&mut self, user: &str, path: String, cluster: &Spanned<ClusterName>) {
        if self.clusters.contains(&cluster.value) {
            self.used.insert(cluster.value.clone());
            return;
        }
        let mut known: Vec<_> = self.clusters.iter().map(ClusterName::as_str).collect();
        known.sort_unstable();
        let written = cluster.as_str();
        // The one that was probably meant is not unused as well.
        let meant = nearest(written, known.iter().copied()).map(ClusterName::from);
        let mut diagnostic =
            Diagnostic::new(Code::UnknownCluster, format!("{user} names an unknown cluster"))
                .label(cluster.span, "no such cluster")
                .did_you_mean(written, known.iter().copied());
        if diagnostic.help_lines().is_empty() {
            diagnostic = diagnostic.help(format!(
                "add it: `[cluster.{}]` with `destinations`",
                written.escape_debug()
            ));
        }
        let diagnostic = diagnostic.allowed(known);
        self.used.extend(meant);
        self.report(path, diagnostic);
    }

    fn unused_clusters<'a>(&mut self, clusters: impl Iterator<Item = &'a Cluster>) {
        for cluster in clusters
            .filter(|cluster| !self.used.contains(&cluster.name.value))
            .cloned()
            .collect::<Vec<_>>()
        {
            let name = &cluster.name;
            self.report(
                format!("cluster.{name}"),
                Diagnostic::new(Code::UnusedCluster, format!("cluster `{name}` is not used"))
                    .label(name.span, "no route and no listener names it")
                    .help("name it in a route: `cluster = …`, or remove it"),
            );
        }
    }
}

/// Groups items by a key; those of one key stay in order.
fn grouped<K: Ord, T>(items: impl IntoIterator<Item = (K, T)>) -> BTreeMap<K, Vec<T>> {
    let mut groups: BTreeMap<K, Vec<T>> = BTreeMap::new();
    for (key, item) in items {
        groups.entry(key).or_default().push(item);
    }
    groups
}
