//! `staniel run`: one thread for everything that is rare, and the workers for the connections.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use staniel_config::{Auto, Config, Server, summary};
use staniel_core::worker::cores;
use staniel_core::{
    BoxError, Host, HostContext, ListenHandler, Reload, Result, TransportManager, Workers,
    raise_descriptor_limit,
};
use staniel_proxy::Proxy;
use tokio::runtime::Builder;

use crate::args::Run;
use crate::exit::Exit;
use crate::file::{self, Checked};
use crate::quickstart::{self, Demo};
use crate::ready::Ready;
use crate::{log, say, start};

/// Nothing has begun yet, or never will.
const NOTHING_STARTED: &str = "Nothing was started.";

/// The proxy, whose failed reloads name a way out.
struct Explained(Proxy);

pub(crate) fn run(args: &Run) -> Exit {
    let checked = match args.quickstart {
        true => quickstart::checked(),
        false => file::check(args.named.path()),
    };
    let Checked { source, loaded } = checked;
    let Some(config) = loaded.config else {
        say::problems(&loaded.diagnostics, &source, NOTHING_STARTED);
        return Exit::Config;
    };
    if let Err(line) = log::start(config.log.level) {
        say::err(&format!("error: {line}\n{NOTHING_STARTED}\n"));
        return Exit::Usage;
    }
    say::log_problems(&loaded.diagnostics, &source);

    let host = host(&config.server);
    let proxy = Proxy::new(config.clone());
    let host = match args.quickstart {
        true => {
            host.add(Ready::new(proxy.clone(), &config, quickstart::TRY_IT)).add(proxy).add(Demo)
        }
        false => {
            let proxy = rereading(proxy, file::path(args.named.path()), &config);
            host.add(Ready::new(proxy.clone(), &config, "")).add(Explained(proxy))
        }
    };
    serve(host)
}

// === impl Explained ===

impl ListenHandler for Explained {
    fn name(&self) -> Cow<'static, str> {
        self.0.name()
    }

    async fn init(&self, host: &HostContext) -> Result {
        self.0.init(host).await
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        self.0.bind(tm).await
    }

    fn reload(&self) -> Option<Reload> {
        self.0.reload()
    }

    async fn rebind(&self, tm: &TransportManager) -> Result {
        self.0.rebind(tm).await.map_err(|error| start::explain_reload(&self.0, error))
    }

    async fn stop(&self, tm: &TransportManager) -> Result {
        self.0.stop(tm).await
    }
}

/// A host of the size that the configuration says.
fn host(server: &Server) -> Host {
    let descriptors = raise_descriptor_limit();
    let max_connections = match server.max_connections {
        Auto::Set(max) => max,
        Auto::Auto => descriptors.saturating_mul(2) / 5,
    };
    let (workers, n) = match server.workers {
        Auto::Set(n) => (Workers::N(n), n),
        Auto::Auto => (Workers::PerCore, cores()),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        max_connections,
        descriptors,
        workers = n,
        "starting"
    );
    Host::new()
        .workers(workers)
        .max_connections(max_connections)
        .shutdown_timeout(server.shutdown_timeout)
}

/// The proxy, taking a new configuration when the file changes and on SIGHUP.
fn rereading(proxy: Proxy, path: PathBuf, started: &Config) -> Proxy {
    let watched = path.clone();
    let reload = move || {
        let file = Reload::file(watched);
        match Reload::signal_hup() {
            Ok(hup) => Some(file.or(hup)),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP cannot be handled; the file is watched all the same");
                Some(file)
            }
        }
    };
    let (level, timeout) = (started.log.level, started.server.shutdown_timeout);
    let read = move || {
        let config = reread(&path)?;
        if config.log.level != level || config.server.shutdown_timeout != timeout {
            tracing::warn!("`log.level` and `server.shutdown_timeout` count from the next start");
        }
        Ok(config)
    };
    proxy.reread(reload, read)
}

/// The configuration as it stands now. When this fails, what is wrong with it has been said.
fn reread(path: &Path) -> Result<Config, BoxError> {
    let Checked { source, loaded } = file::check(Some(path));
    say::log_problems(&loaded.diagnostics, &source);
    loaded.config.ok_or_else(|| summary(&loaded.diagnostics, "Nothing was applied.").into())
}

fn serve(host: Host) -> Exit {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say::err(&format!("{}{NOTHING_STARTED}\n", start::explain(&error)));
            return Exit::Failed;
        }
    };
    let served = runtime.block_on(host.run());
    // A look at a file system that hangs must not keep the process.
    runtime.shutdown_background();
    match served {
        Ok(()) => {
            tracing::info!("stopped");
            Exit::Fine
        }
        Err(error) => {
            say::err(&format!("{}{NOTHING_STARTED}\n", start::explain(&*error)));
            Exit::Failed
        }
    }
}
