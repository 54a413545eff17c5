//! Which route a request takes.

use std::collections::HashMap;

use staniel_config::{HostPattern, Method, PathPattern};

/// The routes of one listener, ready to be asked.
///
/// Of the routes that take a request, the one with the most specific host wins; among those the exact path, then the
/// longest prefix; then the lowest `order`; then the one that names methods.
#[derive(Debug)]
pub(crate) struct RouteTable<T> {
    exact: HashMap<Box<[u8]>, Paths<T>>,
    below: HashMap<Box<[u8]>, Paths<T>>,
    any: Paths<T>,
}

#[derive(Debug)]
struct Paths<T> {
    exact: HashMap<Box<[u8]>, Entries<T>>,
    below: HashMap<Box<[u8]>, Entries<T>>,
    any: Entries<T>,
}

/// Routes of the same host and path, in the order in which they are tried.
type Entries<T> = Vec<Entry<T>>;

#[derive(Debug)]
struct Entry<T> {
    order: i32,
    methods: Vec<Method>,
    route: T,
}

// === impl RouteTable ===

impl<T: Clone> RouteTable<T> {
    pub(crate) fn new() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new(), any: Paths::new() }
    }

    pub(crate) fn add(&mut self, config: &staniel_config::Route, route: &T) {
        for host in &config.hosts {
            let paths = match host {
                HostPattern::Any => &mut self.any,
                HostPattern::Exact(host) => {
                    self.exact.entry(host.as_bytes().into()).or_insert_with(Paths::new)
                }
                HostPattern::Below(host) => {
                    self.below.entry(host.as_bytes().into()).or_insert_with(Paths::new)
                }
                _ => continue,
            };
            for path in &config.paths {
                let entries = match path {
                    PathPattern::Any => &mut paths.any,
                    PathPattern::Exact(path) => {
                        paths.exact.entry(path.as_bytes().into()).or_default()
                    }
                    PathPattern::Below(path) => {
                        paths.below.entry(path.as_bytes().into()).or_default()
                    }
                    _ => continue,
                };
                entries.push(Entry {
                    order: config.order,
                    methods: config.methods.clone(),
                    route: route.clone(),
                });
                entries.sort_by_key(|entry| (entry.order, entry.methods.is_empty()));
            }
        }
    }

    /// The route for a request; `host` and `path` are in canonical form.
    pub(crate) fn find(&self, host: Option<&[u8]>, path: &[u8], method: &[u8]) -> Option<&T> {
        let by_host = host.into_iter().flat_map(|host| {
            let exact = self.exact.get(host).into_iter();
            // `*.example.com` takes every name below, and the longest such name is the most specific.
            let dots = host.iter().enumerate().filter(|(_, byte)| **byte == b'.');
            let parents = dots.filter_map(|(dot, _)| host.get(dot + 1..));
            let below = parents
                .filter(|_| !self.below.is_empty())
                .filter_map(|parent| self.below.get(parent));
            exact.chain(below)
        });
        by_host.chain([&self.any]).find_map(|paths| paths.find(path, method))
    }
}

// === impl Paths ===

impl<T> Paths<T> {
    fn new() -> Self {
        Self { exact: HashMap::new(), below: HashMap::new(), any: Vec::new() }
    }

    fn find(&self, path: &[u8], method: &[u8]) -> Option<&T> {
        self.exact
            .get(path)
            .into_iter()
            .chain(self.prefixes(path))
            .chain([&self.any])
            .find_map(|entries| entries.iter().find(|entry| entry.takes(method)))
            .map(|entry| &entry.route)
    }

    /// The prefixes of whole segments that `path` lies below, the longest first.
    fn prefixes(&self, path: &[u8]) -> impl Iterator<Item = &Entries<T>> {
        let whole = (!self.below.is_empty()).then_some(path);
        whole.into_iter().flat_map(|path| {
            let slashes =
                path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
            let ends = [path.len()].into_iter().chain(slashes);
            ends.filter_map(|end| self.below.get(path.get(..end)?))
        })
    }
}

// === impl Entry ===

impl<T> Entry<T> {
    fn takes(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|one| one.as_str().as_bytes() == method)
    }
}

#[cfg(test)]
mod tests;
