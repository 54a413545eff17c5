//! From the endpoints that are to those that are wanted: whole, or not at all.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{ApplyReport, Entry, Plan, View, fits};
use crate::addr::EndpointName;
use crate::bind::Bind;
use crate::endpoint::Endpoint;
use crate::error::{ApplyError, BindError, BindErrorKind};
use crate::group::{Group, Settings, Site};
use crate::served::{Kind, Served};
use crate::task;
use crate::transport::{BoundSocket, Listener};

/// How long connections of removed endpoints may take, unless the plan says otherwise.
const DRAIN_REMOVED: Duration = Duration::from_secs(30);
/// How many ports are tried for `localhost` with port 0.
const TRIES: usize = 16;

/// One endpoint of a plan, with its addresses read.
struct Wanted {
    name: EndpointName,
    at: Vec<Endpoint>,
    spec: Bind,
    served: Served,
}

/// Where an address of a wanted endpoint comes from.
enum Source {
    Held(Arc<Group>),
    New(Endpoint, Box<dyn BoundSocket>),
}

/// Adds one endpoint to those that are there.
pub(super) async fn add(view: &Arc<View>, spec: Bind, served: Served) -> Result<(), BindError> {
    let _order = view.changes.lock().await;
    let name = spec.endpoint_name();
    if view.bound.lock().contains_key(&name) {
        let taken = "an endpoint of this name is bound already";
        return Err(BindError::new(&name, None, BindErrorKind::DuplicateName, taken));
    }
    let first = |mut all: Vec<BindError>| all.swap_remove(0);
    let wanted = check(view, vec![(spec, served)]).map_err(first)?;
    let sources = bind_all(view, &wanted, BTreeMap::new()).await.map_err(first)?;
    let mut report = ApplyReport::default();
    let started = start_all(view, sources).map_err(first)?;
    commit(view, wanted, started, &mut report);
    Ok(())
}

/// Makes the endpoints of the view those of the plan.
pub(super) async fn apply(view: &Arc<View>, plan: Plan) -> Result<ApplyReport, ApplyError> {
    let _order = view.changes.lock().await;
    let failed = |failed| ApplyError { failed };
    let wanted = check(view, plan.wanted).map_err(failed)?;
    let held = view
        .bound
        .lock()
        .iter()
        .map(|(name, entry)| (name.clone(), entry.groups.lock().clone()))
        .collect();
    let drain = plan.drain_removed.unwrap_or(DRAIN_REMOVED);
    let sources = bind_all(view, &wanted, held).await.map_err(failed)?;
    let started = start_all(view, sources).map_err(failed)?;

    if let Some(publish) = plan.commit {
        publish();
    }
    let mut report = ApplyReport::default();
    let before: Vec<Arc<Group>> =
        view.bound.lock().values().flat_map(|entry| entry.groups.lock().clone()).collect();
    let names: Vec<_> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
    commit(view, wanted, started, &mut report);
    view.bound.lock().retain(|name, _| {
        let stays = names.contains(name);
        if !stays {
            report.removed.push(name.clone());
        }
        stays
    });
    let now: Vec<Arc<Group>> =
        view.bound.lock().values().flat_map(|entry| entry.groups.lock().clone()).collect();
    let given_up =
        before.into_iter().filter(|group| !now.iter().any(|kept| Arc::ptr_eq(kept, group)));
    give_up(view, given_up.collect(), drain);
    if let Some(owner) = &view.owner {
        view.host.observer.reloaded(owner, &report);
    }
    Ok(report)
}

/// Reads and checks everything that can be checked without the system.
fn check(view: &View, plan: Vec<(Bind, Served)>) -> Result<Vec<Wanted>, Vec<BindError>> {
    let (mut wanted, mut failed) = (Vec::<Wanted>::new(), Vec::new());
    for (spec, served) in plan {
        let name = spec.endpoint_name();
        let at = match &spec.at {
            Ok(at) => at.clone(),
            Err(error) => {
                failed.push(BindError::new(&name, None, BindErrorKind::BadEndpoint, error.clone()));
                continue;
            }
        };
        let mut fail = |at: Option<&Endpoint>, kind, why: &str| {
            failed.push(BindError::new(&name, at, kind, why))
        };
        if at.is_empty() {
            fail(None, BindErrorKind::BadEndpoint, "it has no address");
        }
        if wanted.iter().any(|other| other.name == name) {
            fail(None, BindErrorKind::DuplicateName, "two endpoints have this name");
        }
        for one in &at {
            if !fits(one, &served) {
                let why = "datagrams want `sessions(..)`, everything else a handler of connections";
                fail(Some(one), BindErrorKind::BadEndpoint, why);
            } else if view.host.transport(one).is_none() {
                fail(
                    Some(one),
                    BindErrorKind::NoTransport,
                    "no transport of this host binds such an endpoint",
                );
            } else if wanted.iter().any(|other| other.at.contains(one) && !chosen_by_system(one)) {
                fail(
                    Some(one),
                    BindErrorKind::InUse,
                    "another endpoint of this plan has the address",
                );
            }
        }
        wanted.push(Wanted { name, at, spec, served });
    }
    if failed.is_empty() { Ok(wanted) } else { Err(failed) }
}

/// Finds every address among those that are held, by the same name first, and binds the others.
async fn bind_all(
    view: &View,
    wanted: &[Wanted],
    mut held: BTreeMap<EndpointName, Vec<Arc<Group>>>,
) -> Result<Vec<Vec<Source>>, Vec<BindError>> {
    let mut found: Vec<Vec<Option<Arc<Group>>>> = wanted
        .iter()
        .map(|wanted| wanted.at.iter().map(|at| take(held.get_mut(&wanted.name)?, at)).collect())
        .collect();
    // An address that moves to another endpoint takes its sockets along. A port that the system chose is nobody else's.
    for (wanted, found) in wanted.iter().zip(&mut found) {
        for (at, found) in wanted
            .at
            .iter()
            .zip(found)
            .filter(|(at, found)| found.is_none() && !chosen_by_system(at))
        {
            *found = held.values_mut().find_map(|groups| take(groups, at));
        }
    }
    let (mut sources, mut failed) = (Vec::new(), Vec::new());
    for (wanted, found) in wanted.iter().zip(found) {
        let mut tries = 0;
        loop {
            tries += 1;
            match bind_endpoint(view, wanted, &found).await {
                Ok(of_one) => sources.push(of_one),
                // The port that was chosen on one loopback is taken on the other: the next choice may do.
                Err(errors) if tries < TRIES && shares_a_port(wanted) && all_in_use(&errors) => {
                    continue;
                }
                Err(errors) => failed.extend(errors),
            }
            break;
        }
    }
    if failed.is_empty() { Ok(sources) } else { Err(failed) }
}

/// The addresses of one endpoint: those that are held, and the others bound.
async fn bind_endpoint(
    view: &View,
    wanted: &Wanted,
    found: &[Option<Arc<Group>>],
) -> Result<Vec<Source>, Vec<BindError>> {
    let (mut of_one, mut failed) = (Vec::<Source>::new(), Vec::new());
    for (at, found) in wanted.at.iter().zip(found) {
        let source = match found {
            Some(group) => reuse(wanted, at, group).map(Source::Held),
            None => bind_one(view, wanted, &same_port(at, &of_one))
                .await
                .map(|bound| Source::New(at.clone(), bound)),
        };
        match source {
            Ok(source) => of_one.push(source),
            Err(error) => failed.push(error),
        }
    }
    if failed.is_empty() { Ok(of_one) } else { Err(failed) }
}

fn shares_a_port(wanted: &Wanted) -> bool {
    wanted.at.iter().filter(|at| chosen_by_system(at) && is_loopback(at)).count() > 1
}

fn all_in_use(errors: &[BindError]) -> bool {
    errors.iter().all(|error| error.kind == BindErrorKind::InUse)
}

/// Sockets that are held may get other options, but not another reach.
fn reuse(wanted: &Wanted, at: &Endpoint, group: &Arc<Group>) -> Result<Arc<Group>, BindError> {
    let is_v6 = at.socket_addr().is_some_and(|addr| addr.is_ipv6());
    if is_v6 && group.socket_options().v6_only != wanted.spec.socket.v6_only {
        let why = "it is bound already, and `v6_only` cannot change while it is";
        return Err(BindError::new(&wanted.name, Some(at), BindErrorKind::InUse, why));
    }
    Ok(group.clone())
}

async fn bind_one(
    view: &View,
    wanted: &Wanted,
    at: &Endpoint,
) -> Result<Box<dyn BoundSocket>, BindError> {
    if view.host.is_stopping() {
        let why = "the host stops";
        return Err(BindError::new(&wanted.name, Some(at), BindErrorKind::Stopping, why));
    }
    // Our own socket may still be closing there, or feeding the last sessions.
    view.host.released(at).await;
    let none = || {
        BindError::new(&wanted.name, Some(at), BindErrorKind::NoTransport, "no transport binds it")
    };
    let transport = view.host.transport(at).ok_or_else(none)?;
    let workers = view.host.crew.handles().len();
    transport
        .bind(at, &wanted.spec, workers)
        .await
        .map_err(|error| BindError::io(&wanted.name, at, error))
}

/// `localhost` with port 0 means one port on both loopbacks.
fn same_port(at: &Endpoint, siblings: &[Source]) -> Endpoint {
    let sibling = siblings.iter().find_map(|source| {
        let (asked, local) = match source {
            Source::New(asked, bound) => (asked, bound.local()),
            Source::Held(group) => (&group.at, group.local.clone()),
        };
        let local = local.socket_addr().filter(|_| chosen_by_system(asked) && is_loopback(asked));
        local.map(|local| local.port())
    });
    match (at, sibling) {
        (Endpoint::Tcp(addr), Some(port)) if chosen_by_system(at) && is_loopback(at) => {
            Endpoint::Tcp(SocketAddr::new(addr.ip(), port))
        }
        (Endpoint::Udp(addr), Some(port)) if chosen_by_system(at) && is_loopback(at) => {
            Endpoint::Udp(SocketAddr::new(addr.ip(), port))
        }
        _ => at.clone(),
    }
}

fn is_loopback(at: &Endpoint) -> bool {
    at.socket_addr().is_some_and(|addr| addr.ip().is_loopback())
}

fn take(groups: &mut Vec<Arc<Group>>, at: &Endpoint) -> Option<Arc<Group>> {
    let place = groups.iter().position(|group| group.at == *at)?;
    Some(groups.remove(place))
}

fn chosen_by_system(at: &Endpoint) -> bool {
    at.socket_addr().is_some_and(|addr| addr.port() == 0)
}

/// A source whose sockets listen, but are not accepted from yet.
enum Started {
    Held(Arc<Group>),
    New { at: Endpoint, local: Endpoint, listeners: Vec<Box<dyn Listener>> },
}

fn start_all(view: &View, sources: Vec<Vec<Source>>) -> Result<Vec<Vec<Started>>, Vec<BindError>> {
    let workers = view.host.crew.handles();
    let mut failed = Vec::new();
    let mut start = |source| match source {
        Source::Held(group) => Some(Started::Held(group)),
        Source::New(at, bound) => {
            let local = bound.local();
            match bound.start(workers) {
                Ok(listeners) => Some(Started::New { at, local, listeners }),
                Err(error) => {
                    failed.push(BindError::io(&EndpointName::from(at.to_string()), &at, error));
                    None
                }
            }
        }
    };
    let started = sources
        .into_iter()
        .map(|of_one| of_one.into_iter().filter_map(&mut start).collect())
        .collect();
    if failed.is_empty() { Ok(started) } else { Err(failed) }
}

/// From here on nothing fails.
fn commit(
    view: &Arc<View>,
    wanted: Vec<Wanted>,
    started: Vec<Vec<Started>>,
    report: &mut ApplyReport,
) {
    for (Wanted { name, at: _, spec, served }, started) in wanted.into_iter().zip(started) {
        let old = view.bound.lock().get(&name).cloned();
        let adopts = started.iter().any(|started| matches!(started, Started::Held(_)));
        let site = match &old {
            Some(entry) => entry.site.clone(),
            None => Site::new(name.clone(), &spec, &served),
        };
        // Before anything is accepted that should see them.
        let same_settings = match &old {
            Some(entry) => {
                let mut old_spec = entry.spec.lock();
                let same = same_settings(&old_spec, (&spec, &served));
                if !same {
                    site.set(Settings::of(&spec, &served));
                }
                *old_spec = (spec.clone(), served.clone());
                same
            }
            None => false,
        };
        let groups: Vec<Arc<Group>> =
            started.into_iter().map(|started| open(view, &site, &spec, started)).collect();
        let list = match old {
            Some(entry) => {
                let mut held = entry.groups.lock();
                let same_groups = held.len() == groups.len()
                    && held.iter().zip(&groups).all(|(a, b)| Arc::ptr_eq(a, b));
                *held = groups;
                if same_groups && same_settings { &mut report.kept } else { &mut report.changed }
            }
            None => {
                let entry = Entry { site, spec: (spec, served).into(), groups: groups.into() };
                view.bound.lock().insert(name.clone(), Arc::new(entry));
                if adopts { &mut report.renamed } else { &mut report.added }
            }
        };
        list.push(name);
    }
}

fn open(view: &Arc<View>, site: &Arc<Site>, spec: &Bind, started: Started) -> Arc<Group> {
    match started {
        Started::Held(group) => {
            group.tune(&spec.socket);
            group.move_to(site.clone());
            group
        }
        Started::New { at, local, listeners } => {
            let (host, socket) = (view.host.clone(), spec.socket.clone());
            let group = Group::new(at, local, site.clone(), host, socket, listeners.len());
            group.accept(listeners);
            group
        }
    }
}

/// Whether two specifications mean the same: handlers and layers are the same if they are the very same object.
fn same_settings(old: &(Bind, Served), new: (&Bind, &Served)) -> bool {
    let same_filter = match (&old.0.filter, &new.0.filter) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let same_layers = [(&old.0.layers, &new.0.layers), (&old.0.raw_layers, &new.0.raw_layers)]
        .into_iter()
        .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b)));
    let same_handler = match (&old.1.0, &new.1.0) {
        (Kind::Connections(a), Kind::Connections(b)) => a.is_same(b),
        (Kind::Sessions(a), Kind::Sessions(b)) => a.is_same(b),
        _ => false,
    };
    same_filter
        && same_layers
        && same_handler
        && old.0.limits == new.0.limits
        && old.0.udp == new.0.udp
        && old.0.socket == new.0.socket
}

/// Lets go of addresses: they stop accepting now, and drain in the background.
fn give_up(view: &View, groups: Vec<Arc<Group>>, deadline: Duration) {
    groups.iter().for_each(|group| group.stop_accepting());
    for group in groups {
        let drained = task::spawn_on(&view.host.control, async move {
            let drained = group.drain(deadline).await;
            tracing::info!(at = %group.local, finished = drained.finished, aborted = drained.aborted, "drained");
        });
        view.host.own(drained);
    }
}
