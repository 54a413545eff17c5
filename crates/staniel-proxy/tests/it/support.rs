//! A proxy in this process, made from a text, with its log beside it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use staniel_config::{Config, Source, read};
use staniel_core::{
    BoxError, Chain, Drained, Endpoint, Host, HostContext, ListenHandler, Reload, ReloadTrigger,
    Result, Running, Stop, TransportManager, Workers,
};
use staniel_proxy::{Proxy, Rejected, RequestEnd};
use staniel_test::dir::TempDir;
use staniel_test::raw::{Message, RawClient};
use tokio::sync::watch;

/// Long enough for a loaded machine; a test that works never waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at a state until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let looked = async {
        while !is_so() {
            tick.tick().await;
        }
    };
    soon(what, looked).await;
}

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("did not happen in time: {what}"))
}

/// Long enough to be sure that nothing comes, on the real clock.
pub(crate) async fn not_now(future: impl Future) -> bool {
    tokio::time::timeout(Duration::from_millis(150), future).await.is_err()
}

/// Waits until a number has stood still for a while, and gives it.
pub(crate) async fn settled(mut number: impl FnMut() -> u64) -> u64 {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let (mut last, mut same) = (number(), 0);
    let still = async {
        while same < 15 {
            tick.tick().await;
            let now = number();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
    };
    soon("a number stands still", still).await;
    last
}

pub(crate) fn config(text: &str) -> Result<Config, BoxError> {
    let loaded = read(&Source::new("test.toml", text));
    loaded.config.ok_or_else(|| format!("{:?}", loaded.diagnostics).into())
}

/// A proxy that runs.
pub(crate) struct Rig {
    pub(crate) proxy: Proxy,
    running: Option<Running>,
    text: Arc<Mutex<String>>,
    trigger: ReloadTrigger,
    applied: watch::Receiver<(u64, Option<String>)>,
    pub(crate) dir: TempDir,
    own_log: bool,
}

/// The proxy, and the word of each of its reloads.
struct Told {
    proxy: Proxy,
    applied: watch::Sender<(u64, Option<String>)>,
}

impl ListenHandler for Told {
    fn name(&self) -> Cow<'static, str> {
        self.proxy.name()
    }

    async fn init(&self, host: &HostContext) -> Result {
        self.proxy.init(host).await
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        self.proxy.bind(tm).await
    }

    fn reload(&self) -> Option<Reload> {
        self.proxy.reload()
    }

    async fn rebind(&self, tm: &TransportManager) -> Result {
        let done = self.proxy.rebind(tm).await;
        let error = done.as_ref().err().map(|error| Chain(&**error).to_string());
        self.applied.send_modify(|(n, last)| {
            *n += 1;
            *last = error;
        });
        done
    }

    async fn stop(&self, tm: &TransportManager) -> Result {
        self.proxy.stop(tm).await
    }
}

impl Rig {
    /// Starts a proxy; `{dir}` in the text is a directory of the test's own. Unless the text says otherwise, the access
    /// log is a file there.
    pub(crate) async fn start(text: &str) -> Self {
        Self::start_on(text, Workers::Ambient).await
    }

    pub(crate) async fn start_on(text: &str, workers: Workers) -> Self {
        Self::try_start(text, workers).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn try_start(text: &str, workers: Workers) -> Result<Self, String> {
        let dir = TempDir::new("proxy").unwrap();
        let own_log = !text.contains("[log]");
        let (trigger, reload) = Reload::channel();
        let full = whole(text, &dir, own_log);
        let first = config(&full).unwrap_or_else(|error| panic!("{error}\n{full}"));
        let text = Arc::new(Mutex::new(full));
        let source = text.clone();
        let reread =
            move || config(&source.lock()).map_err(|e| Rejected::new(e.to_string()).into());
        let proxy = Proxy::new(first).reread(move || Some(reload), reread);
        let (sender, applied) = watch::channel((0, None));
        let host = Host::new().workers(workers).add(Told { proxy: proxy.clone(), applied: sender });
        match host.start().await {
            Ok(running) => {
                Ok(Self { proxy, running: Some(running), text, trigger, applied, dir, own_log })
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Goes on with another text; an error is the proxy's word on it.
    pub(crate) async fn reload(&self, text: &str) -> Result<(), String> {
        *self.text.lock() = whole(text, &self.dir, self.own_log);
        let mut applied = self.applied.clone();
        let before = applied.borrow_and_update().0;
        self.trigger.fire();
        let after = soon("a reload", applied.wait_for(|(n, _)| *n > before)).await.unwrap();
        after.1.clone().map_or(Ok(()), Err)
    }

    pub(crate) fn endpoints(&self, listener: &str) -> Vec<Endpoint> {
        let bound = self.proxy.bound();
        let found = bound.into_iter().find(|(name, _)| name.as_str() == listener);
        found.map(|(_, endpoints)| endpoints).unwrap_or_default()
    }

    /// The address of a listener.
    pub(crate) fn addr(&self, listener: &str) -> SocketAddr {
        self.endpoints(listener)[0].socket_addr().unwrap()
    }

    /// A client of the listener `web`.
    pub(crate) async fn client(&self) -> RawClient {
        RawClient::connect(self.addr("web")).await.unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Message {
        let answer = self.client().await.exchange(request).await;
        answer.unwrap_or_else(|error| panic!("no answer to {request:?}: {error}"))
    }

    /// GET, on a connection of its own.
    pub(crate) async fn get(&self, target: &str) -> Message {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.dir.path().join("access.log")
    }

    /// The records so far; each has to be a JSON object.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    }

    /// Waits for `n` records.
    pub(crate) async fn wait_for_records(&self, n: usize) -> Vec<Value> {
        let mut seen = 0;
        let all = eventually("records in the log", || {
            seen = self.records().len();
            seen >= n
        });
        all.await;
        self.records()
    }

    /// The last record, once there are `n`; there must not be more.
    pub(crate) async fn record(&self, n: usize) -> Value {
        let records = self.wait_for_records(n).await;
        assert_eq!(records.len(), n, "{records:#?}");
        records[n - 1].clone()
    }

    /// How many requests ended so.
    pub(crate) fn ended(&self, end: RequestEnd) -> u64 {
        let all = self.proxy.stats().requests();
        all.iter().find(|(one, _)| *one == end).map_or(0, |(_, n)| *n)
    }

    pub(crate) async fn stop(&mut self, how: Stop) -> Vec<Drained> {
        let running = self.running.take().unwrap();
        soon("the stop", running.stop(how)).await
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        // What is left ends with the test's runtime; worker threads end with the host.
        drop(self.running.take());
    }
}

fn whole(text: &str, dir: &TempDir, own_log: bool) -> String {
    let mut text = text.replace("{dir}", &dir.path().display().to_string());
    if own_log {
        text.push_str(&format!(
            "\n[log]\naccess = \"{}/access.log\"\nformat = \"json\"\n",
            dir.path().display()
        ));
    }
    text
}

/// A listener `web`, and one route to `to`.
pub(crate) fn web(to: SocketAddr) -> String {
    format!("[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\nto = \"http://{to}\"\n")
}

/// As [`web`], with a cluster that is told more.
pub(crate) fn web_cluster(to: &[SocketAddr], more: &str) -> String {
    let to: Vec<_> = to.iter().map(|to| format!("\"http://{to}\"")).collect();
    format!(
        "[listen.web]\naddress = \"127.0.0.1:0\"\n[route.all]\ncluster = \"c\"\n\
         [cluster.c]\ndestinations = [{}]\n{more}\n",
        to.join(", ")
    )
}

/// An address where connecting is refused.
pub(crate) fn refuses() -> SocketAddr {
    staniel_test::port::free_tcp().unwrap()
}

/// The value of a field, or nothing.
pub(crate) fn field(message: &Message, name: &str) -> String {
    message.header(name).unwrap_or_default().into_owned()
}

/// How often a field stands in a message.
pub(crate) fn count(message: &Message, name: &str) -> usize {
    message.headers().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes())).count()
}
