//! The reference of every key and diagnostic, made from their declarations.

use std::fmt::Write;

use crate::code::Code;
use crate::schema::{Fallback, KeyDoc, RuleDoc, Section};
use crate::validate::Root;

/// What holds for every key.
const INTRODUCTION: &str = r#"# Configuration

<!-- Generated from the declarations in `crates/staniel-config`. Do not edit: the test of that crate rewrites it with
`STANIEL_BLESS=1 cargo test -p staniel-config`. -->

The smallest file that does something:

```toml
[listen.web]
address = ":8080"

[route.web]
to = "http://127.0.0.1:9000"
```

- The file is TOML 1.1. A key that is not listed here is an error, and a file with an error is refused as a whole.
- A **duration** is a whole number and a unit: `"250ms"`, `"30s"`, `"5m"`, `"1h"`, `"1d"`.
- A **size** is a number of bytes, or a number and a unit: `"64KiB"` (65 536), `"10MB"` (10 000 000).
- `"off"` switches a limit off, where it can be off; `"auto"` leaves a value to the program.
- A name (of a listener, route or cluster) has 1 to 64 ASCII letters, digits, `-` and `_`.
- Where a limit or timeout can be set in several places, the more particular one holds: route, then cluster.
"#;

/// The page `docs/reference/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for key in Root::document() {
        table(&mut page, "", &key);
    }
    page.push_str("\n## Diagnostics\n\nWhat `staniel check` can say. An error refuses the file, a warning does not.\n");
    for code in Code::ALL {
        let _ = write!(page, "\n### `{code}` ({})\n\n{}\n", code.severity(), code.explain());
    }
    page
}

/// The section of a table, and those of the tables inside it.
fn table(page: &mut String, outer: &str, key: &KeyDoc) {
    let RuleDoc::Table { named, doc, keys } = &key.rule else { return };
    let dot = if outer.is_empty() { "" } else { "." };
    let name = named.map(|name| format!(".{name}")).unwrap_or_default();
    let path = format!("{outer}{dot}{}{name}", key.key);
    let _ = write!(page, "\n## `[{path}]`\n\n{}\n\n", flowing(doc));
    rows(page, keys);
    for key in keys {
        if let RuleDoc::Value { table: inner, .. } = &key.rule
            && !inner.is_empty()
        {
            let _ = write!(page, "\nOne of `{}` as a table:\n\n", key.key);
            rows(page, inner);
        }
    }
    for key in keys {
        table(page, &path, key);
    }
}

fn rows(page: &mut String, keys: &[KeyDoc]) {
    page.push_str("| Key | Value | Default | What it does |\n|---|---|---|---|\n");
    for KeyDoc { key, doc, rule } in keys {
        let RuleDoc::Value { accepts, default, only, .. } = rule else { continue };
        let (default, why) = match default {
            Fallback::Value { spelled, why } => {
                (format!("`{spelled}`"), format!(" *Why this default:* {}.", flowing(why)))
            }
            Fallback::Required => ("required".to_owned(), String::new()),
            Fallback::Says(absent) => ((*absent).to_owned(), String::new()),
        };
        let words: Vec<_> = only.iter().map(|protocol| format!("`{protocol}`")).collect();
        let only = if words.is_empty() {
            String::new()
        } else {
            format!("Only for {}. ", words.join(" and "))
        };
        let _ = writeln!(page, "| `{key}` | {accepts} | {default} | {only}{}{why} |", flowing(doc));
    }
}

/// A text without its line ends.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
