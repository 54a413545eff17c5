//! Listen handlers: their order, and reloads.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use staniel_core::{
    Bind, Host, HostContext, ListenHandler, Plan, Reload, ReloadTrigger, Result, Stop,
    TransportManager, task,
};
use tokio::sync::Semaphore;

use crate::support::{Recorder, eventually, greeting, not_now, says, soon};

type Log = Arc<Mutex<Vec<String>>>;

/// Writes down what it is asked, and does what it was made to.
struct Scripted {
    name: &'static str,
    log: Log,
    reload: Mutex<Option<Reload>>,
    /// A permit for each `rebind` that may end.
    rebinds: Arc<Semaphore>,
    fails_at: Option<&'static str>,
    panics_at: AtomicUsize,
    fires_in_bind: Option<ReloadTrigger>,
}

impl Scripted {
    fn new(name: &'static str, log: &Log) -> Self {
        Self {
            name,
            log: log.clone(),
            reload: Mutex::new(None),
            rebinds: Arc::new(Semaphore::new(1000)),
            fails_at: None,
            panics_at: AtomicUsize::new(usize::MAX),
            fires_in_bind: None,
        }
    }

    fn step(&self, step: &'static str) -> Result {
        self.log.lock().push(format!("{} {step}", self.name));
        if self.fails_at == Some(step) {
            Err(format!("{step} of {}", self.name).into())
        } else {
            Ok(())
        }
    }
}

impl ListenHandler for Scripted {
    fn name(&self) -> Cow<'static, str> {
        self.name.into()
    }

    async fn init(&self, _: &HostContext) -> Result {
        self.step("init")
    }

    async fn bind(&self, tm: &TransportManager) -> Result {
        if let Some(trigger) = &self.fires_in_bind {
            trigger.fire();
        }
        tm.apply(Plan::default().bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'a'))).await?;
        self.step("bind")
    }

    fn reload(&self) -> Option<Reload> {
        self.reload.lock().take()
    }

    async fn rebind(&self, tm: &TransportManager) -> Result {
        self.step("rebind")?;
        self.rebinds.acquire().await?.forget();
        let left = self.panics_at.fetch_sub(1, Ordering::SeqCst);
        assert!(left != 0, "told to panic");
        tm.apply(Plan::default().bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'b'))).await?;
        self.step("rebound")
    }

    async fn stop(&self, _: &TransportManager) -> Result {
        self.step("stop")
    }
}

fn count(log: &Log, what: &str) -> usize {
    log.lock().iter().filter(|line| *line == what).count()
}

#[tokio::test]
async fn handlers_are_called_in_order() {
    let log = Log::default();
    let (trigger, reload) = Reload::channel();
    let handler = Scripted { reload: Some(reload).into(), ..Scripted::new("h", &log) };
    let recorder = Recorder::default();
    let running = Host::new().add(handler).observe(recorder.clone()).start().await.unwrap();
    trigger.fire();
    eventually("rebound", || count(&log, "h rebound") == 1).await;
    running.stop(Stop::Now).await;
    assert_eq!(*log.lock(), ["h init", "h bind", "h rebind", "h rebound", "h stop"]);
    let told = recorder.reloaded.lock();
    assert!(told.iter().all(|(name, _)| name == "h"));
    assert_eq!(told.last().unwrap().1.changed[0].as_str(), "e");
}

#[tokio::test]
async fn a_burst_of_fires_is_one_rebind_and_one_more_for_those_during_it() {
    let log = Log::default();
    let (trigger, reload) = Reload::channel();
    let rebinds = Arc::new(Semaphore::new(0));
    let handler = Scripted {
        reload: Some(reload).into(),
        rebinds: rebinds.clone(),
        ..Scripted::new("h", &log)
    };
    let running = Host::new().add(handler).start().await.unwrap();
    (0..10).for_each(|_| trigger.fire());
    eventually("it rebinds", || count(&log, "h rebind") == 1).await;
    (0..10).for_each(|_| trigger.fire());
    rebinds.add_permits(10);
    eventually("both are done", || count(&log, "h rebound") == 2).await;
    assert!(not_now(eventually("a third", || count(&log, "h rebind") > 2)).await);
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_fire_during_bind_is_not_lost() {
    let log = Log::default();
    let (trigger, reload) = Reload::channel();
    let handler = Scripted {
        reload: Some(reload).into(),
        fires_in_bind: Some(trigger),
        ..Scripted::new("h", &log)
    };
    let running = Host::new().add(handler).start().await.unwrap();
    eventually("rebound", || count(&log, "h rebound") == 1).await;
    running.stop(Stop::Now).await;
}

#[tokio::test]
async fn a_rebind_that_panics_is_not_the_last() {
    let log = Log::default();
    let (trigger, reload) = Reload::channel();
    let handler = Scripted {
        reload: Some(reload).into(),
        panics_at: AtomicUsize::new(0),
        ..Scripted::new("h", &log)
    };
    let running = Host::new().add(handler).start().await.unwrap();
    trigger.fire();
    eventually("it panics", || count(&log, "h rebind") == 1).await;
    eventually("the next works", || {
        trigger.fire();
        count(&log, "h rebound") >= 1
    })
    .await;
    running.stop(Stop::Now).await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_is_gone_does_not_disturb_the_others() {
    let (trigger, reload) = Reload::channel();
    let (gone, dead) = Reload::channel();
    let mut reload = reload.or(dead).or(Reload::file("/nonexistent/file"));
    drop(gone);
    let waits = task::spawn(async move {
        reload.fired().await;
        reload.fired().await;
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    trigger.fire();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!waits.is_finished(), "one fire is one");
    trigger.fire();
    waits.await.unwrap();
}

#[tokio::test]
async fn a_changed_file_rebinds() {
    let dir = std::env::temp_dir().join(format!("staniel-it-reload-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("file");
    std::fs::write(&file, "one").unwrap();
    let log = Log::default();
    let handler = Scripted { reload: Some(Reload::file(&file)).into(), ..Scripted::new("h", &log) };
    let running = Host::new().add(handler).start().await.unwrap();
    std::fs::write(&file, "two").unwrap();
    eventually("rebound", || count(&log, "h rebound") == 1).await;
    running.stop(Stop::Now).await;
    std::fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn one_handler_that_fails_stops_the_host_and_frees_what_the_others_bound() {
    for step in ["init", "bind"] {
        let (log, views) = (Log::default(), Arc::new(Mutex::new(None)));
        struct Good(Arc<Mutex<Option<std::net::SocketAddr>>>);
        impl ListenHandler for Good {
            async fn bind(&self, tm: &TransportManager) -> Result {
                let bound = tm.bind("tcp://127.0.0.1:0", says(b'g')).await?;
                *self.0.lock() = bound.local()[0].socket_addr();
                Ok(())
            }
        }
        let bad = Scripted { fails_at: Some(step), ..Scripted::new("bad", &log) };
        let worse = Scripted { fails_at: Some(step), ..Scripted::new("worse", &log) };
        let host = Host::new().add(Good(views.clone())).add(bad).add(worse);
        let error = soon("start", host.start()).await.unwrap_err();
        let mut names: Vec<_> = error.handlers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["bad", "worse"], "{error}");
        let bound = views.lock().take();
        assert_eq!(bound.is_some(), step == "bind");
        if let Some(addr) = bound {
            eventually("its address is free", || std::net::TcpListener::bind(addr).is_ok()).await;
        }
    }
}

#[tokio::test]
async fn several_handlers_and_binds_live_in_one_host() {
    let log = Log::default();
    let (trigger, reload) = Reload::channel();
    let one = Scripted { reload: Some(reload).into(), ..Scripted::new("one", &log) };
    let two = Scripted::new("two", &log);
    let host =
        Host::new().add(one).add(two).bind(Bind::at("tcp://127.0.0.1:0").name("e"), says(b'c'));
    let running = host.start().await.unwrap();
    trigger.fire();
    eventually("one is rebound", || count(&log, "one rebound") == 1).await;
    assert_eq!(count(&log, "two rebind"), 0);
    assert_eq!(greeting(crate::support::addr_of(&running, "e")).await.0, b'c');
    running.stop(Stop::Now).await;
    assert_eq!((count(&log, "one stop"), count(&log, "two stop")), (1, 1));
}
