//! What says that something is to be read again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often files are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A file that is being written is read once it has not changed for this long.
const SETTLED: Duration = Duration::from_millis(100);
/// A file that never settles is read all the same after this many looks.
const LOOKS: usize = 20;

/// A change token: it fires, [`crate::ListenHandler::rebind`] runs, and it is waited for again. Fires during a rebind fold
/// into one.
#[derive(Debug, Default)]
pub struct Reload {
    channels: Vec<watch::Receiver<u64>>,
    signals: Vec<Signal>,
    files: Option<Files>,
}

/// Fires a [`Reload`] made by [`Reload::channel`]. A clone fires the same.
#[derive(Clone, Debug)]
pub struct ReloadTrigger(Arc<watch::Sender<u64>>);

// === impl Reload ===

impl Reload {
    /// Fires when the file's content changes. See [`Reload::files`].
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::files([path.into()])
    }

    /// Fires when the content of one of the files changes, compared with what they hold now.
    ///
    /// They are looked at once a second, by name, so that a rename over them and a switched symbolic link are seen. A file
    /// that vanishes is no change: it is waited for.
    #[must_use]
    pub fn files(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let watched =
            paths.into_iter().map(|path| Watched { seen: Seen::now(&path), path }).collect();
        Self { files: Some(Files { watched, tick: None }), ..Self::default() }
    }

    /// Fires when the trigger is pulled.
    #[must_use]
    pub fn channel() -> (ReloadTrigger, Self) {
        let (sender, receiver) = watch::channel(0);
        (ReloadTrigger(Arc::new(sender)), Self { channels: vec![receiver], ..Self::default() })
    }

    /// Fires on SIGHUP, which from now on does not end the process.
    ///
    /// # Errors
    ///
    /// The system's, if it does not let the process handle the signal.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn signal_hup() -> io::Result<Self> {
        Ok(Self { signals: vec![signal(SignalKind::hangup())?], ..Self::default() })
    }

    /// Fires when either does.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        self.channels.extend(other.channels);
        self.signals.extend(other.signals);
        self.files = match (self.files, other.files) {
            (Some(mut a), Some(b)) => {
                a.watched.extend(b.watched);
                Some(a)
            }
            (a, b) => a.or(b),
        };
        self
    }

    /// Waits for the next fire.
    ///
    /// # Cancel safety
    ///
    /// No fire is lost, except that a file which was just seen to change may fire once more.
    pub async fn fired(&mut self) {
        let Self { channels, signals, files } = self;
        let channel = async {
            // All at once, and the rest is marked as seen: a burst is one fire.
            let wait = async |channel: &mut watch::Receiver<u64>| {
                if channel.changed().await.is_err() {
                    // A trigger that is gone never fires again.
                    std::future::pending::<()>().await;
                }
            };
            let mut waiting: Vec<_> =
                channels.iter_mut().map(|channel| Box::pin(wait(channel))).collect();
            std::future::poll_fn(|cx| {
                any_ready(&mut waiting, |wait| wait.as_mut().poll(cx).is_ready())
            })
            .await;
        };
        let signal = std::future::poll_fn(|cx: &mut Context<'_>| {
            any_ready(signals, |signal| matches!(signal.poll_recv(cx), Poll::Ready(Some(()))))
        });
        let file = async {
            match files {
                Some(files) => files.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = channel => {}
            () = signal => {}
            () = file => {}
        }
        for channel in channels {
            channel.mark_unchanged();
        }
    }
}

fn any_ready<T>(all: &mut [T], mut is_ready: impl FnMut(&mut T) -> bool) -> Poll<()> {
    // Every one is asked, so that every one has the waker.
    let ready = all.iter_mut().fold(false, |ready, one| is_ready(one) | ready);
    if ready { Poll::Ready(()) } else { Poll::Pending }
}

// === impl ReloadTrigger ===

impl ReloadTrigger {
    /// A token that fires from now on, for [`crate::ListenHandler::reload`].
    #[must_use]
    pub fn reload(&self) -> Reload {
        Reload { channels: vec![self.0.subscribe()], ..Reload::default() }
    }

    /// Fires.
    pub fn fire(&self) {
        self.0.send_modify(|fires| *fires = fires.wrapping_add(1));
    }
}

#[derive(Debug)]
struct Files {
    watched: Vec<Watched>,
    tick: Option<Interval>,
}

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Seen,
}

/// What a look at a file showed. The stamp is cheap to take; only when it differs is the content read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    stamp: Option<(u64, u64, i64, i64)>,
    content: Option<u64>,
}

// === impl Files ===

impl Files {
    async fn changed(&mut self) {
        loop {
            let tick = self.tick.get_or_insert_with(|| {
                let mut tick = interval(TICK);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                tick
            });
            tick.tick().await;
            let mut changed = false;
            for watched in &mut self.watched {
                changed |= watched.has_changed().await;
            }
            if changed {
                return;
            }
        }
    }
}

// === impl Watched ===

impl Watched {
    async fn has_changed(&mut self) -> bool {
        if self.look(Seen::stamp).await == self.seen.stamp {
            return false;
        }
        let mut seen = self.look(Seen::now).await;
        for _ in 0..LOOKS {
            tokio::time::sleep(SETTLED).await;
            let again = self.look(Seen::now).await;
            if again == seen {
                break;
            }
            seen = again;
        }
        let changed = seen.content.is_some() && seen.content != self.seen.content;
        self.seen.stamp = seen.stamp;
        if changed {
            self.seen.content = seen.content;
        }
        changed
    }

    /// A file system that hangs must not hold up the runtime.
    async fn look<T: Default + Send + 'static>(&self, f: fn(&PathBuf) -> T) -> T {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || f(&path)).await.unwrap_or_default()
    }
}

// === impl Seen ===

impl Seen {
    fn stamp(path: &PathBuf) -> Option<(u64, u64, i64, i64)> {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
    }

    fn now(path: &PathBuf) -> Self {
        let content = std::fs::read(path).ok().map(|content| {
            let mut hasher = DefaultHasher::new();
            content.hash(&mut hasher);
            hasher.finish()
        });
        Self { stamp: Self::stamp(path), content }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fires_fold_and_none_is_lost() {
        let (trigger, mut reload) = Reload::channel();
        trigger.fire();
        trigger.fire();
        reload.fired().await;
        let again = tokio::time::timeout(Duration::from_millis(1), reload.fired()).await;
        assert!(again.is_err(), "two fires before the wait are one");
        let mut reload = reload.or(Reload::channel().1);
        trigger.fire();
        reload.fired().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_fires_by_content_through_renames_and_not_when_it_vanishes() {
        let dir = std::env::temp_dir().join(format!("staniel-reload-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (path, new) = (dir.join("file"), dir.join("new"));
        std::fs::write(&path, "one").unwrap();
        let mut reload = Reload::file(&path);
        let fires = async |reload: &mut Reload| {
            tokio::time::timeout(Duration::from_secs(5), reload.fired()).await.is_ok()
        };

        assert!(!fires(&mut reload).await);
        std::fs::write(&new, "one").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert!(!fires(&mut reload).await, "another file with the same content is no change");
        std::fs::write(&new, "two").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert!(fires(&mut reload).await);
        std::fs::remove_file(&path).unwrap();
        assert!(!fires(&mut reload).await);
        std::fs::write(&path, "three").unwrap();
        assert!(fires(&mut reload).await);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
