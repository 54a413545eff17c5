//! Why a start failed, and what to do about it.

use std::error::Error;
use std::fmt::Write;

use staniel_core::{ApplyError, BindError, BindErrorKind, Chain, Endpoint, StartError};

/// Every failure, each with a way out where there is one.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let Some(start) = error.downcast_ref::<StartError>() else {
        let _ = writeln!(text, "error: {}", Chain(error));
        return text;
    };
    for failed in &start.failed {
        bind(&mut text, failed);
    }
    for (name, error) in &start.handlers {
        match apply_error(&**error) {
            Some(apply) => apply.failed.iter().for_each(|failed| bind(&mut text, failed)),
            None => {
                let _ = writeln!(text, "error: {name}: {}", Chain(&**error));
            }
        }
    }
    text
}

/// The failure of several binds, wherever it is in the chain.
fn apply_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a ApplyError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(apply) = error.downcast_ref() {
            return Some(apply);
        }
        next = error.source();
    }
    None
}

fn bind(text: &mut String, failed: &BindError) {
    let name = &failed.name;
    let at = failed.at.as_ref().map_or_else(|| "its address".to_owned(), ToString::to_string);
    let reason = failed.source().map(|source| format!(": {}", Chain(source))).unwrap_or_default();
    let _ = writeln!(text, "error: listener `{name}` cannot listen on {at}{reason}");
    if let Some(help) = help(failed) {
        let _ = writeln!(text, "  help: {help}");
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
        // EADDRNOTAVAIL has no kind of its own there.
        BindErrorKind::Io => Some(format!(
            "{} has to be an address of this machine; `ip address` lists them", addr.ip()
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use staniel_core::EndpointName;

    use super::*;

    #[track_caller]
    fn check(at: &str, error: io::ErrorKind, help: &str) {
        let failed = BindError::io(&EndpointName::from("web"), &at.parse().unwrap(), error.into());
        let mut text = String::new();
        bind(&mut text, &failed);
        assert!(
            text.starts_with(&format!("error: listener `web` cannot listen on {at}: ")),
            "{text}"
        );
        assert!(text.contains(help), "{text}");
    }

    #[test]
    fn each_reason_has_its_way_out() {
        check("tcp://127.0.0.1:80", io::ErrorKind::AddrInUse, "`ss -ltnp 'sport = :80'`");
        check("udp://127.0.0.1:53", io::ErrorKind::AddrInUse, "`ss -lunp 'sport = :53'`");
        check("tcp://[::]:443", io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE");
        check("tcp://[::]:8443", io::ErrorKind::PermissionDenied, "security policy");
        check("tcp://192.0.2.1:80", io::ErrorKind::AddrNotAvailable, "192.0.2.1 has to be");
    }

    #[test]
    fn error_that_is_no_bind_is_told_with_its_causes() {
        let error = io::Error::other("no signals");
        assert_eq!(explain(&error), "error: no signals\n");
    }
}
