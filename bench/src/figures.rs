//! Samples and what is made of them.

use serde_json::{Value, json};

use crate::peer::Peer;

/// One proxy in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Microseconds of CPU per request, or bytes per idle connection: what the scenario judges by.
    pub(crate) cost: f64,
    /// Requests per second; 0 where none are counted.
    pub(crate) rate: f64,
    /// Microseconds; 0 where none are counted.
    pub(crate) p50: f64,
    /// Microseconds; 0 where none are counted.
    pub(crate) p99: f64,
    pub(crate) failed: u64,
}

/// All rounds of one proxy, in order.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) peer: Peer,
    pub(crate) samples: Vec<Sample>,
}

// === impl Series ===

impl Series {
    /// The middle of one figure over the rounds.
    pub(crate) fn median(&self, figure: fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(figure).collect())
    }

    /// The lowest cost seen; under noise the fairer absolute figure.
    pub(crate) fn min(&self) -> f64 {
        self.samples.iter().map(|sample| sample.cost).fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn failed(&self) -> u64 {
        self.samples.iter().map(|sample| sample.failed).sum()
    }

    /// The cost of `self` by that of `other`, taken round by round.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        median(
            self.samples
                .iter()
                .zip(&other.samples)
                .map(|(ours, theirs)| ours.cost / theirs.cost)
                .collect(),
        )
    }

    pub(crate) fn json(&self, scenario: &str) -> Value {
        let column =
            |figure: fn(&Sample) -> f64| self.samples.iter().map(figure).collect::<Vec<f64>>();
        json!({
            "scenario": scenario,
            "proxy": self.peer.name(),
            "cost_median": self.median(|sample| sample.cost),
            "cost_min": self.min(),
            "cost": column(|sample| sample.cost),
            "rate": column(|sample| sample.rate),
            "p50_us": column(|sample| sample.p50),
            "p99_us": column(|sample| sample.p99),
            "failed": self.failed(),
        })
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    let at = |i: usize| figures.get(i).copied().unwrap_or(f64::NAN);
    if figures.len() % 2 == 1 {
        at(half)
    } else {
        f64::midpoint(at(half.wrapping_sub(1)), at(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(peer: Peer, costs: &[f64]) -> Series {
        let sample = |&cost| Sample { cost, rate: 0.0, p50: 0.0, p99: 0.0, failed: 0 };
        Series { peer, samples: costs.iter().map(sample).collect() }
    }

    #[test]
    fn ratio_is_taken_inside_a_round() {
        // The machine was slower in the second round, for both alike.
        let ours = series(Peer::Staniel, &[10.0, 20.0, 10.0]);
        let theirs = series(Peer::Nginx, &[20.0, 40.0, 20.0]);
        assert!((ours.ratio(&theirs) - 0.5).abs() < 1e-9);
        assert!((ours.min() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn median_of_even_many_is_between() {
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(Vec::new()).is_nan());
    }
}
