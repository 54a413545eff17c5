//! The table for people and the lines for programs.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use crate::Result;
use crate::figures::Series;
use crate::peer::Peer;
use crate::scenario::{Scenario, Work};

/// Prints the figures of one scenario.
pub(crate) fn table(scenario: &Scenario, all: &[Series]) {
    match scenario.work {
        Work::KeepAlive { connections, body } => {
            println!("\n{}: {body} B answers, {connections} keep-alive connections", scenario.name);
            println!(
                "  {:<8} {:>12} {:>8} {:>10} {:>8} {:>8} {:>7} {:>13}",
                "", "CPU µs/req", "min", "req/s", "p50 µs", "p99 µs", "failed", "staniel/peer"
            );
        }
        Work::Idle { connections } => {
            println!("\n{}: {connections} connections, one request each", scenario.name);
            println!("  {:<8} {:>12} {:>8} {:>44}", "", "KiB/conn", "min", "staniel/peer");
        }
    }
    let staniel = all.iter().find(|series| series.peer == Peer::Staniel);
    for series in all {
        let ratio = staniel
            .filter(|ours| ours.peer != series.peer)
            .map(|ours| format!("{:.2}", ours.ratio(series)));
        let (name, ratio) = (series.peer.name(), ratio.unwrap_or_default());
        match scenario.work {
            Work::KeepAlive { .. } => println!(
                "  {name:<8} {:>12.2} {:>8.2} {:>10.0} {:>8.0} {:>8.0} {:>7} {ratio:>13}",
                series.median(|sample| sample.cost),
                series.min(),
                series.median(|sample| sample.rate),
                series.median(|sample| sample.p50),
                series.median(|sample| sample.p99),
                series.failed(),
            ),
            Work::Idle { .. } => {
                let kib = |bytes: f64| bytes / 1024.0;
                let (median, min) = (kib(series.median(|sample| sample.cost)), kib(series.min()));
                println!("  {name:<8} {median:>12.2} {min:>8.2} {ratio:>44}");
            }
        }
    }
}

/// Writes `lines` into a new file under `bench/results`.
///
/// # Errors
///
/// If it cannot be written.
pub(crate) fn save(lines: &[Value]) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    fs::create_dir_all(&folder)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let name = format!("{now}-{}.jsonl", std::process::id());
    let mut file = fs::File::create(folder.join(&name))?;
    for line in lines {
        writeln!(file, "{line}")?;
    }
    println!("\nall samples: bench/results/{name}");
    Ok(())
}
