//! `staniel check`: all that is wrong with a configuration.

use std::io;

use staniel_config::{Code, Config, Diagnostic, render, summary};

use crate::args::{Check, Format};
use crate::exit::Exit;
use crate::file::{self, Checked};
use crate::say::{self, count};

pub(crate) fn check(args: &Check) -> Exit {
    if let Some(code) = args.why {
        say::out(&page(code));
        return Exit::Fine;
    }
    let Checked { source, loaded } = file::check(args.named.path());
    let diagnostics = &loaded.diagnostics;
    let problems = render(diagnostics, &source, args.format.into(), say::has_color(&io::stdout()));
    say::out(&problems);
    let refused = match &loaded.config {
        None => Some(""),
        Some(_) if args.strict && !diagnostics.is_empty() => {
            Some("Refused, since --strict takes warnings for errors.")
        }
        Some(_) => None,
    };
    // A reader of JSON wants the array and nothing else.
    if args.format != Format::Json {
        let gap = if args.format == Format::Full && !diagnostics.is_empty() { "\n" } else { "" };
        let last = match (&loaded.config, refused) {
            (Some(config), None) => fine(&source.name, config, diagnostics),
            (_, ending) => summary(diagnostics, ending.unwrap_or_default()),
        };
        say::out(&format!("{gap}{last}\n"));
    }
    if refused.is_some() { Exit::Config } else { Exit::Fine }
}

/// `OK: staniel.toml has 1 listener, 1 route and 1 destination`
fn fine(name: &str, config: &Config, warnings: &[Diagnostic]) -> String {
    let destinations = config.clusters.iter().map(|cluster| cluster.destinations.len()).sum();
    let listeners = count(config.listeners.len(), "listener");
    let routes = count(config.routes.len(), "route");
    let mut line =
        format!("OK: {name} has {listeners}, {routes} and {}", count(destinations, "destination"));
    if !warnings.is_empty() {
        line.push_str(&format!("; {}", count(warnings.len(), "warning")));
    }
    line
}

/// What a code means, at length.
fn page(code: Code) -> String {
    format!("{code} ({})\n\n{}\n", code.severity(), code.explain())
}
