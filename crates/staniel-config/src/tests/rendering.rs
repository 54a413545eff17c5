//! Full renderings, letter by letter, and the reference.

use super::{SERVES, load};
use crate::{Code, Diagnostic, Format, Severity, reference, render, summary};

/// Compares the full rendering; the expected text begins and ends with a line end of its own.
fn check(text: &str, expected: &str) {
    let (source, loaded) = load(text);
    let full = render(&loaded.diagnostics, &source, Format::Full, false);
    assert_eq!(full, expected.trim_start_matches('\n'));
}

const TWO: &str = r#"[listen.web]
address = ":80"
[route.api]
cluster = "backend"
[cluster.backends]
load_balancing = "roundrobin"
destinations = ["a:1"]
[cluster.old]
destinations = ["b:1"]
"#;

#[test]
fn names_and_words() {
    check(
        TWO,
        r#"
error[unknown-cluster]: route `api` names an unknown cluster
 --> s.toml:4:11
  |
4 | cluster = "backend"
  |           ^^^^^^^^^ no such cluster
  |
  = help: did you mean `backends`?
  = help: allowed: backends, old

error[unknown-policy]: unknown load-balancing policy `roundrobin`
 --> s.toml:6:18
  |
6 | load_balancing = "roundrobin"
  |                  ^^^^^^^^^^^^ not one of the known words
  |
  = help: did you mean `round-robin`?
  = help: allowed: round-robin, random, least-requests, power-of-two

warning[unused-cluster]: cluster `old` is not used
 --> s.toml:8:10
  |
8 | [cluster.old]
  |          ^^^ no route and no listener names it
  |
  = help: name it in a route: `cluster = …`, or remove it
"#,
    );
}

#[test]
fn word_that_is_no_number() {
    check(
        &format!("{SERVES}[server]\nmax_connections = \"lots\"\n"),
        r#"
error[wrong-type]: `"lots"` is not a whole number
 --> s.toml:6:19
  |
6 | max_connections = "lots"
  |                   ^^^^^^ expected a whole number from 1 to 10000000, or `"auto"`
"#,
    );
}

#[test]
fn way_out_of_a_shadow_leads_to_no_other_problem() {
    check(
        &format!("{SERVES}[route.later]\nto = \"http://a\"\norder = 2\n"),
        r#"
warning[shadowed-route]: route `later` can never match
 --> s.toml:5:8
  |
3 | [route.web]
  |        --- order 0 takes all of its requests first
4 | to = "http://127.0.0.1:1"
5 | [route.later]
  |        ^^^^^ order 2
  |
  = help: give `later` a lower `order` than `web`, or another host, path or method
"#,
    );
}

#[test]
fn two_places() {
    check(
        "[listen.a]\naddress = \":80\"\n[listen.b]\naddress = [\n  \"127.0.0.1:81\",\n  \":80\",\n]\n[route.a]\nto = \"http://a\"\n",
        r#"
error[duplicate-address]: `:80` is taken twice over TCP
 --> s.toml:6:3
  |
2 | address = ":80"
  |           ----- listener `a` has it
...
6 |   ":80",
  |   ^^^^^ and here again
  |
  = help: one address belongs to one listener; requests are told apart by routes
"#,
    );
}

#[test]
fn nothing_at_all() {
    check(
        "",
        r#"
error[no-listeners]: the config has no listener
 --> s.toml:1:1
  |
1 |
  | ^
  |
  = help: add one: `[listen.web]` with `address = ":8080"`
"#,
    );
}

#[test]
fn broken_lines_are_said_once() {
    check(
        "[log]\nlevel = loud\n[listen.web\naddress = [\":80\"\nprotocols = 1\n",
        r#"
error[syntax]: this is not TOML: string values must be quoted
 --> s.toml:2:9
  |
2 | level = loud
  |         ^^^^ a string needs quotes

error[syntax]: this is not TOML: unclosed table
 --> s.toml:3:12
  |
3 | [listen.web
  |            ^ expected `]`

error[syntax]: this is not TOML: missing comma between array elements
 --> s.toml:5:1
  |
5 | protocols = 1
  | ^ expected `,`
"#,
    );
}

#[test]
fn foreign_letters_and_line_ends() {
    check(
        "[listen.web]\r\naddress = \"\u{1f9d1}:80\" # é\r\n[route.a]\r\nto = \"http://a\"\r\n",
        "
error[bad-address]: `\u{1f9d1}:80` is not an address to listen on
 --> s.toml:2:11
  |
2 | address = \"\u{1f9d1}:80\" # é
  |           ^^^^^^^ a listener needs an IP address, not a name
  |
  = help: to listen on every address of the machine, write `\":80\"`
  = help: to serve this name only, give it to a route: `host = …`
",
    );
}

#[test]
fn found_later_by_someone_else() {
    let (source, loaded) = load(&format!("{SERVES}[listen.b]\naddress = \"127.0.0.1:81\"\n"));
    let address = &loaded.config.unwrap().listeners[1].addresses[0];
    let busy = Diagnostic::new(Code::AddressInUse, format!("`{address}` is in use"))
        .label(address.span, "bind: address already in use")
        .at("listen.b.address");
    let nowhere =
        Diagnostic::new(Code::CannotOpen, "`./a\nb.log` cannot be opened").help("see there");
    assert_eq!(
        render(&[busy, nowhere], &source, Format::Full, false),
        r#"error[address-in-use]: `127.0.0.1:81` is in use
 --> s.toml:6:11
  |
6 | address = "127.0.0.1:81"
  |           ^^^^^^^^^^^^^^ bind: address already in use

error[cannot-open]: `./a\nb.log` cannot be opened
 |
 = help: see there
"#
    );
}

#[test]
fn colour_is_only_around_the_same_text() {
    let (source, loaded) = load(TWO);
    let styled = render(&loaded.diagnostics, &source, Format::Full, true);
    assert!(styled.contains("\u{1b}["), "{styled}");
    assert!(!render(&loaded.diagnostics, &source, Format::Full, false).contains('\u{1b}'));
}

#[test]
fn as_json() {
    let (source, loaded) = load(TWO);
    let json = render(&loaded.diagnostics, &source, Format::Json, false);
    let first = r#"{"code":"unknown-cluster","severity":"error","message":"route `api` names an unknown cluster","file":"s.toml","line":4,"column":11,"path":"route.api.cluster","help":["did you mean `backends`?"],"allowed":["backends","old"],"labels":[{"line":4,"column":11,"end_line":4,"end_column":20,"text":"no such cluster"}]},"#;
    assert_eq!(json.lines().nth(1), Some(first));
    assert_eq!(
        (json.lines().count(), json.lines().next(), json.lines().last()),
        (5, Some("["), Some("]"))
    );
    assert_eq!(render(&[], &source, Format::Json, false), "[]\n");
}

#[test]
fn in_one_line() {
    let (_, loaded) = load(TWO);
    let all = &loaded.diagnostics[..];
    assert_eq!(
        summary(all, "Nothing was applied."),
        "3 problems (2 errors, 1 warning). Nothing was applied."
    );
    assert_eq!(all[2].severity(), Severity::Warning);
    assert_eq!(summary(&all[2..], ""), "1 problem (1 warning).");
    assert_eq!(summary(&[], ""), "0 problems.");
}

#[test]
fn the_reference_in_docs_is_the_one_of_the_declarations() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
    if std::env::var_os("STANIEL_BLESS").is_some() {
        std::fs::write(path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "{path} is stale: STANIEL_BLESS=1 cargo test -p staniel-config"
    );
}
