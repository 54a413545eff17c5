//! Why a start or a reload failed, and what to do about it.

use std::error::Error;
use std::fmt::Write;
use std::io;

use staniel_core::{
    ApplyError, BindError, BindErrorKind, BoxError, Chain, Endpoint, ListenHandler, StartError,
};
use staniel_proxy::Proxy;

/// The codes of Linux for a process, and for a system, that has no descriptor left; `io::ErrorKind` has no word for them.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// One thing that failed, and the way out if there is one.
struct Problem {
    what: String,
    help: Option<String>,
}

/// Every failure of a start, each with a way out where there is one.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let problems = match error.downcast_ref::<StartError>() {
        Some(start) => {
            let handlers = start.handlers.iter();
            let handlers = handlers.flat_map(|(name, error)| of_handler(name, &**error));
            start.failed.iter().map(bind).chain(handlers).collect()
        }
        None => vec![Problem { what: Chain(error).to_string(), help: descriptors(error) }],
    };
    let mut text = String::new();
    for Problem { what, help } in problems {
        let _ = writeln!(text, "error: {what}");
        if let Some(help) = help {
            let _ = writeln!(text, "  help: {help}");
        }
    }
    text
}

/// A failed reload of the proxy in one line, with the same ways out as at the start.
pub(crate) fn explain_reload(proxy: &Proxy, error: BoxError) -> BoxError {
    let problems = of_handler(&proxy.name(), &*error);
    if problems.iter().all(|problem| problem.help.is_none()) {
        // What is wrong with a configuration has been told.
        return error;
    }
    let each = problems.into_iter().map(|Problem { what, help }| match help {
        Some(help) => format!("{what}; {help}"),
        None => what,
    });
    format!("nothing was changed: {}", each.collect::<Vec<_>>().join("; ")).into()
}

/// What kept a handler from its start or its reload.
fn of_handler(name: &str, error: &(dyn Error + 'static)) -> Vec<Problem> {
    match cause::<ApplyError>(error) {
        Some(apply) => apply.failed.iter().map(bind).collect(),
        None => {
            // The one file that the proxy opens is its log.
            let log = || {
                (name == "proxy" && cause::<io::Error>(error).is_some()).then(|| {
                    "`log.access` has to be a file that the user who runs `staniel` may create and append to, in a directory that is there; `\"stdout\"` needs no file"
                        .to_owned()
                })
            };
            let help = descriptors(error).or_else(log);
            vec![Problem { what: format!("{name}: {}", Chain(error)), help }]
        }
    }
}

/// The first cause of a type, wherever it is in the chain.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// The way out when there are too many open files.
pub(crate) fn descriptors(error: &(dyn Error + 'static)) -> Option<String> {
    match cause::<io::Error>(error)?.raw_os_error()? {
        EMFILE => Some(
            "raise the limit of open files: `ulimit -n` in the shell (`ulimit -Hn` shows how far), `LimitNOFILE=` in a systemd unit"
                .to_owned(),
        ),
        ENFILE => Some(
            "the whole system has no open file left: raise `sysctl fs.file-max`, or see who holds so many"
                .to_owned(),
        ),
        _ => None,
    }
}

fn bind(failed: &BindError) -> Problem {
    let name = &failed.name;
    let at = failed.at.as_ref().map_or_else(|| "its address".to_owned(), ToString::to_string);
    let reason = failed.source().map(|source| format!(": {}", Chain(source))).unwrap_or_default();
    Problem {
        what: format!("listener `{name}` cannot listen on {at}{reason}"),
        help: descriptors(failed).or_else(|| help(failed)),
    }
}

fn help(failed: &BindError) -> Option<String> {
    let at = failed.at.as_ref()?;
    let addr = at.socket_addr()?;
    let port = addr.port();
    let list = if matches!(at, Endpoint::Udp(_)) { "ss -lunp" } else { "ss -ltnp" };
    match failed.kind {
        BindErrorKind::InUse => Some(format!(
            "another program has this port, or another `staniel`; `{list} 'sport = :{port}'` names it (as root, whoever runs it)"
        )),
        BindErrorKind::Denied if port < 1024 => Some(
            "ports below 1024 need a privilege: `setcap cap_net_bind_service=+ep` on the program, `AmbientCapabilities=CAP_NET_BIND_SERVICE` in its systemd unit, or a lower `sysctl net.ipv4.ip_unprivileged_port_start`"
                .to_owned(),
        ),
        BindErrorKind::Denied => {
            Some("the system's security policy forbids it (SELinux, AppArmor, a sandbox)".to_owned())
        }
        // It has no kind of its own there.
        BindErrorKind::Io if is_elsewhere(failed) => Some(format!(
            "{} has to be an address of this machine; `ip address` lists them", addr.ip()
        )),
        _ => None,
    }
}

fn is_elsewhere(failed: &BindError) -> bool {
    cause::<io::Error>(failed).is_some_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use staniel_core::EndpointName;

    use super::*;

    #[track_caller]
    fn check(at: &str, error: impl Into<io::Error>, help: &str) {
        let failed = BindError::io(&EndpointName::from("web"), &at.parse().unwrap(), error.into());
        let problem = bind(&failed);
        let what = format!("listener `web` cannot listen on {at}: ");
        assert!(problem.what.starts_with(&what), "{}", problem.what);
        let said = problem.help.unwrap_or_default();
        assert!(if help.is_empty() { said.is_empty() } else { said.contains(help) }, "{said}");
    }

    #[test]
    fn each_reason_has_its_way_out() {
        check("tcp://127.0.0.1:80", io::ErrorKind::AddrInUse, "`ss -ltnp 'sport = :80'`");
        check("udp://127.0.0.1:53", io::ErrorKind::AddrInUse, "`ss -lunp 'sport = :53'`");
        check("tcp://[::]:443", io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE");
        check("tcp://[::]:8443", io::ErrorKind::PermissionDenied, "security policy");
        check("tcp://192.0.2.1:80", io::ErrorKind::AddrNotAvailable, "192.0.2.1 has to be");
        check("tcp://[::]:80", io::Error::from_raw_os_error(EMFILE), "`ulimit -n`");
        check("tcp://[::]:80", io::Error::from_raw_os_error(ENFILE), "fs.file-max");
        check("tcp://[::]:80", io::ErrorKind::OutOfMemory, "");
    }

    #[test]
    fn workers_without_descriptors_are_told_the_limit() {
        let problem = of_handler("workers", &io::Error::from_raw_os_error(EMFILE)).remove(0);
        assert!(problem.what.starts_with("workers: Too many open files"), "{}", problem.what);
        assert!(problem.help.unwrap().contains("`ulimit -n`"));
        let other = of_handler("workers", &io::Error::other("no threads")).remove(0);
        assert_eq!(other.help, None);
    }

    #[test]
    fn error_that_is_no_bind_is_told_with_its_causes() {
        let error = io::Error::other("no signals");
        assert_eq!(explain(&error), "error: no signals\n");
    }
}
