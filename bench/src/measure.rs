//! One run: every scenario, every proxy, round by round.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Result;
use crate::args::Options;
use crate::figures::{Sample, Series};
use crate::machine::{self, Place, placed};
use crate::peer::{PEERS, Peer, Settings, build_staniel};
use crate::process::Helper;
use crate::proxy::{Launch, Proxy, TempDir, free_port};
use crate::report;
use crate::scenario::{SCENARIOS, Scenario, Work};
use crate::{hold, leash, load, origin};

/// A program that can be measured.
struct Contender {
    peer: Peer,
    program: PathBuf,
}

/// What all scenarios of a run share.
struct Run<'a> {
    options: &'a Options,
    dir: TempDir,
    /// This program, where the user who runs the proxies finds it.
    leash: PathBuf,
    /// The limit of descriptors.
    descriptors: usize,
    contenders: Vec<Contender>,
    /// What keeps the run from being a comparison.
    troubles: Vec<String>,
}

/// Measures what `options` ask for and prints it.
///
/// # Errors
///
/// If the load side fails, staniel does not run, or a request through staniel failed. A peer that is missing is said and
/// left out.
pub(crate) fn run(options: &Options) -> Result<()> {
    let descriptors = machine::raise_descriptors();
    let dir = TempDir::new()?;
    let leash = leash::copy(&std::env::current_exe()?, dir.path(), "leash")?;
    let mut run =
        Run { options, dir, leash, descriptors, contenders: Vec::new(), troubles: Vec::new() };
    run.find()?;
    let mut lines = vec![run.machine()];
    for (n, scenario) in SCENARIOS.iter().enumerate() {
        if options.only.is_empty() || options.only.iter().any(|name| name == scenario.name) {
            let scenario = run.fitted(*scenario);
            let all = run.scenario(n, &scenario)?;
            report::table(&scenario, &all);
            lines.extend(all.iter().map(|series| series.json(scenario.name)));
        }
    }
    report::save(&lines)?;
    if run.troubles.is_empty() { Ok(()) } else { Err(run.troubles.join("\nbench: ").into()) }
}

// === impl Run ===

impl Run<'_> {
    fn find(&mut self) -> Result<()> {
        for peer in PEERS {
            let found = match peer {
                Peer::Staniel => Some(build_staniel()?),
                peer => peer.installed(),
            };
            let Some(mut program) = found else {
                println!("{} is not installed and left out", peer.name());
                continue;
            };
            if self.options.user.is_some() && peer == Peer::Staniel {
                program = leash::copy(&program, self.dir.path(), "staniel")?;
            }
            self.contenders.push(Contender { peer, program });
        }
        Ok(())
    }

    /// Says on what and how this runs.
    fn machine(&self) -> Value {
        let options = self.options;
        let machine = machine::line();
        let mode = if options.free { "2 workers, free" } else { "1 worker, pinned" };
        let versions: Vec<String> = self
            .contenders
            .iter()
            .map(|contender| {
                format!("{} {}", contender.peer.name(), contender.peer.version(&contender.program))
            })
            .collect();
        println!("{machine}; {}", versions.join(", "));
        println!("{mode}; {} rounds of {:?}", options.rounds, options.sample);
        json!({
            "machine": machine, "versions": versions, "mode": mode, "rounds": options.rounds,
            "seconds": options.sample.as_secs_f64(),
        })
    }

    const fn place(&self, place: Place) -> Option<Place> {
        if self.options.free { None } else { Some(place) }
    }

    /// Fewer idle connections where the limit of descriptors or the time is short.
    fn fitted(&self, mut scenario: Scenario) -> Scenario {
        if let Work::Idle { connections } = &mut scenario.work {
            // A proxy may hold as many connections to the origin.
            let fits = (self.descriptors / 2).saturating_sub(1000);
            *connections = (*connections)
                .min(fits)
                .min(if self.options.minimal { 500 } else { usize::MAX })
                .max(1);
        }
        scenario
    }

    fn scenario(&mut self, n: usize, scenario: &Scenario) -> Result<Vec<Series>> {
        let mut origin = placed(self.place(Place::Load), || Helper::start(&[origin::CHILD]))?;
        let origin_port: u16 = origin.line()?.parse()?;
        let mut proxies = Vec::new();
        for contender in &self.contenders {
            let settings = Settings {
                port: free_port()?,
                origin: origin_port,
                workers: self.options.workers(),
                descriptors: self.descriptors,
                idle: matches!(scenario.work, Work::Idle { .. }),
                root: rustix::process::geteuid().is_root() && self.options.user.is_none(),
                dir: self.dir.path().join(format!("{n}-{}", contender.peer.name())),
            };
            let launch = Launch {
                leash: &self.leash,
                user: self.options.user.as_ref(),
                place: self.place(Place::Proxy),
            };
            match Proxy::start(contender.peer, &contender.program, &settings, launch) {
                Ok(proxy) => proxies.push(proxy),
                Err(why) => {
                    let trouble =
                        format!("{}: {} did not start", scenario.name, contender.peer.name());
                    println!("{trouble}: {why}");
                    self.troubles.push(trouble);
                }
            }
        }
        let all = match scenario.work {
            Work::KeepAlive { connections, body } => {
                self.keep_alive(&proxies, connections, body)?
            }
            Work::Idle { connections } => self.idle(&proxies, connections)?,
        };
        for series in all.iter().filter(|series| series.failed() > 0) {
            self.troubles.push(format!(
                "{}: {} failed {} requests",
                scenario.name,
                series.peer.name(),
                series.failed()
            ));
        }
        Ok(all)
    }

    fn keep_alive(
        &self,
        proxies: &[Proxy],
        connections: usize,
        body: usize,
    ) -> Result<Vec<Series>> {
        self.rounds(proxies, self.options.rounds, |proxy| {
            let (addr, connections, body) =
                (proxy.addr.to_string(), connections.to_string(), body.to_string());
            let millis = self.options.sample.as_millis().to_string();
            let words = [load::CHILD, &addr, &connections, &body, &millis];
            let mut load = placed(self.place(Place::Load), || Helper::start(&words))?;
            load.line()?;
            let before = proxy.cpu();
            load.go()?;
            let told: Value = serde_json::from_str(&load.line()?)?;
            let spent = proxy.cpu() - before;
            let figure = |key: &str| told.get(key).and_then(Value::as_f64).unwrap_or_default();
            Ok(Sample {
                cost: spent * 1e6 / figure("completed"),
                rate: figure("completed") / figure("seconds"),
                p50: figure("p50_us"),
                p99: figure("p99_us"),
                failed: told.get("failed").and_then(Value::as_u64).unwrap_or_default(),
            })
        })
    }

    /// Memory does not repeat: what a proxy has once taken it keeps, so there is one round.
    fn idle(&self, proxies: &[Proxy], connections: usize) -> Result<Vec<Series>> {
        // A proxy may hold as many connections to the origin.
        let most = (self.descriptors / 2).saturating_sub(1000);
        let connections =
            connections.min(most).min(if self.options.minimal { 500 } else { usize::MAX });
        let hold = |proxy: &Proxy, connections: usize| -> Result<Helper> {
            let (addr, connections) = (proxy.addr.to_string(), connections.to_string());
            let mut held = placed(self.place(Place::Load), || {
                Helper::start(&[hold::CHILD, &addr, &connections])
            })?;
            held.line()?;
            Ok(held)
        };
        self.rounds(proxies, 1, |proxy| {
            // The first few make what every process makes once.
            drop(hold(proxy, 16)?);
            let before = proxy.memory();
            let _held = hold(proxy, connections)?;
            let grown = proxy.memory().saturating_sub(before);
            Ok(Sample {
                cost: grown as f64 / connections as f64,
                rate: 0.0,
                p50: 0.0,
                p99: 0.0,
                failed: 0,
            })
        })
    }

    /// A B C, then C B A, so that a machine that gets slower or faster does so for everyone.
    fn rounds(
        &self,
        proxies: &[Proxy],
        n_rounds: usize,
        mut sample: impl FnMut(&Proxy) -> Result<Sample>,
    ) -> Result<Vec<Series>> {
        let mut all: Vec<Series> =
            proxies.iter().map(|proxy| Series { peer: proxy.peer, samples: Vec::new() }).collect();
        for round in 0..n_rounds {
            let pairs = proxies.iter().zip(all.iter_mut());
            let order: Vec<_> =
                if round % 2 == 0 { pairs.collect() } else { pairs.rev().collect() };
            for (proxy, series) in order {
                let sample =
                    sample(proxy).map_err(|err| format!("{}: {err}", proxy.peer.name()))?;
                series.samples.push(sample);
            }
        }
        Ok(all)
    }
}
