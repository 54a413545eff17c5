//! What the person asked for.

use std::time::Duration;

use crate::Result;
use crate::machine::User;
use crate::scenario::SCENARIOS;

pub(crate) const HELP: &str = "\
usage: cargo run --release -p staniel-bench -- [OPTIONS]

  --only NAME      only this scenario; may be given more than once
  --rounds N       rounds per scenario (default 5)
  --seconds S      length of one sample (default 1.5)
  --minimal        1 round of 0.3 s: shows that everything runs, not how fast
  --free           two workers on whatever CPUs the kernel likes, instead of one worker alone on its CPU
  --user NAME      run the proxies as this user (needs root)

scenarios: h1_128_c64, h1_1k_c256, h1_16k_c64, idle
";

/// One run of the bench.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Names of scenarios; empty for all.
    pub(crate) only: Vec<String>,
    /// How often every proxy is measured.
    pub(crate) rounds: usize,
    /// How long one sample takes.
    pub(crate) sample: Duration,
    /// Whether this run only shows that everything works.
    pub(crate) minimal: bool,
    /// Whether the kernel chooses the CPUs.
    pub(crate) free: bool,
    /// Who runs the proxies.
    pub(crate) user: Option<User>,
}

// === impl Options ===

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    ///
    /// If a word is unknown or its value wrong.
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            only: Vec::new(),
            rounds: 5,
            sample: Duration::from_millis(1500),
            minimal: false,
            free: false,
            user: None,
        };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("`{word}` needs a value"));
            match word {
                "--only" => options.only.push(known(value()?)?),
                "--rounds" => {
                    options.rounds =
                        value()?.parse::<usize>().map_err(|err| format!("--rounds: {err}"))?.max(1)
                }
                "--seconds" => options.sample = seconds(value()?)?,
                "--minimal" => {
                    options.minimal = true;
                    (options.rounds, options.sample) = (1, Duration::from_millis(300));
                }
                "--free" => options.free = true,
                "--user" => options.user = Some(User::named(value()?)?),
                unknown => return Err(format!("`{unknown}` is unknown\n\n{HELP}").into()),
            }
        }
        Ok(options)
    }

    /// How many workers each proxy gets.
    pub(crate) const fn workers(&self) -> usize {
        if self.free { 2 } else { 1 }
    }
}

fn known(name: &str) -> Result<String> {
    if SCENARIOS.iter().any(|scenario| scenario.name == name) {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    Err(format!("no scenario is called `{name}`; there are {}", names.join(", ")).into())
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse().map_err(|err| format!("--seconds: {err}"))?;
    Duration::try_from_secs_f64(seconds).map_err(|err| format!("--seconds: {err}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_and_scenarios_are_refused() {
        assert!(Options::parse(&["--fast"]).is_err());
        assert!(Options::parse(&["--only", "h9"]).is_err());
        assert!(Options::parse(&["--rounds"]).is_err());
        assert!(Options::parse(&["--seconds", "-1"]).is_err());
    }

    #[test]
    fn later_options_win_over_minimal() {
        let options = Options::parse(&["--minimal", "--seconds", "0.1"]).unwrap();
        assert_eq!((options.rounds, options.sample), (1, Duration::from_millis(100)));
    }

    #[test]
    fn help_names_every_scenario() {
        for scenario in &SCENARIOS {
            assert!(HELP.contains(scenario.name), "{}", scenario.name);
        }
    }
}
