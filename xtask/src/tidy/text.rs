//! What may stand in a Rust file, by where the file lies.

use super::Finding;
use crate::source::{Kind, Source, is_word};

/// Files longer than this get a second look.
const MAX_LINES: usize = 600;

/// Files that hold one idea although they are longer, each with its reason.
const LONG: [(&str, &str); 0] = [];

/// Test files that may sleep: they talk to another process, have no event to wait for, and poll until a deadline.
const POLLING: [&str; 0] = [];

/// A thing that has one home.
struct Rule {
    name: &'static str,
    needles: &'static [&'static str],
    /// Path prefixes inside the product where it is at home.
    home: &'static [&'static str],
    /// Whether tests, examples and tools are free to use it.
    product_only: bool,
    advice: &'static str,
}

const RULES: [Rule; 6] = [
    Rule {
        name: "sockets",
        needles: &["TcpListener::bind", "UdpSocket::bind", "TcpStream::connect"],
        home: &[
            "crates/staniel-core/src/transport.rs",
            "crates/staniel-core/src/transport/",
            "crates/staniel-core/src/connect.rs",
            "crates/staniel-core/src/connect/",
        ],
        product_only: true,
        advice: "listen through the transport manager, connect through the connector: only they open sockets",
    },
    Rule {
        name: "tasks",
        needles: &["tokio::spawn", "tokio::task::spawn", "spawn_local"],
        home: &["crates/staniel-core/src/task.rs"],
        product_only: true,
        advice: "use staniel_core::task: every task is owned and drained",
    },
    Rule {
        name: "unsafe",
        needles: &["unsafe"],
        home: &["crates/staniel-core/src/sys.rs", "crates/staniel-core/src/sys/"],
        product_only: false,
        advice: "unsafe code lives in staniel-core's sys module and nowhere else",
    },
    Rule {
        name: "process",
        needles: &[
            "println!",
            "print!",
            "eprintln!",
            "eprint!",
            "process::exit",
            "process::abort",
            "std::env",
            "env::var",
            "env::args",
        ],
        home: &["crates/staniel-cli/"],
        product_only: true,
        advice: "libraries do not print, exit or read the environment: return it, or let the binary do it",
    },
    Rule {
        name: "unfinished",
        needles: &["todo!", "unimplemented!"],
        home: &[],
        product_only: false,
        advice: "finish it, or refuse the case with an error that says so",
    },
    Rule {
        name: "ignored",
        needles: &["#[ignore"],
        home: &[],
        product_only: false,
        advice: "a test runs or goes; one that needs a foreign program asks staniel_test::foreign",
    },
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = whole(source);
    for (line, code, test) in source.lines() {
        for rule in &RULES {
            if broken(rule, source, code, test) {
                findings.push(Finding::new(&source.file, line, rule.name, rule.advice));
            }
        }
        if test && sleeps(source, line, code) {
            let advice = "wait for the event, pause the clock, or list the file in xtask/src/tidy/text.rs if it polls a foreign process";
            findings.push(Finding::new(&source.file, line, "sleep", advice));
        }
    }
    findings
}

fn whole(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let file = source.file.as_str();
    if file.ends_with("/mod.rs") {
        findings.push(Finding::new(
            file,
            0,
            "layout",
            "name the file after the module: `foo.rs` beside `foo/`",
        ));
    }
    let lines = source.text.lines().count();
    if lines > MAX_LINES && !LONG.iter().any(|(long, _)| *long == file) {
        let advice =
            format!("{lines} lines: split it, or list it with a reason in xtask/src/tidy/text.rs");
        findings.push(Finding::new(file, 0, "length", advice));
    }
    findings
}

fn broken(rule: &Rule, source: &Source, code: &str, test: bool) -> bool {
    let free = rule.product_only && (test || source.kind != Kind::Product);
    !free
        && !rule.home.iter().any(|home| source.file.starts_with(home))
        && rule.needles.iter().any(|needle| has_word(code, needle))
}

/// A call of anything named `sleep`, outside a test on a paused clock.
fn sleeps(source: &Source, line: usize, code: &str) -> bool {
    let call = code
        .match_indices("sleep(")
        .any(|(at, _)| !code.get(..at).is_some_and(|head| head.ends_with(is_word)));
    let paused = !has_word(code, "thread::sleep") && source.on_paused_clock(line);
    call && !paused && !POLLING.contains(&source.file.as_str())
}

/// Whether `needle` stands in `code` as a word of its own; it may be the tail of a longer path.
fn has_word(code: &str, needle: &str) -> bool {
    code.match_indices(needle).any(|(at, _)| {
        let before = code.get(..at).and_then(|head| head.chars().next_back());
        let after = code.get(at + needle.len()..).and_then(|tail| tail.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, text: &str, rules: &[&str]) {
        let source = Source::new(file, text.to_owned());
        let names: Vec<&str> = check(&source).iter().map(|finding| finding.rule).collect();
        assert_eq!(names, rules, "{file}: {text:?}");
    }

    #[test]
    fn socket_opened_outside_core_is_found() {
        let text = "let l = tokio::net::TcpListener::bind(at).await?;\n";
        found("crates/staniel-http/src/server.rs", text, &["sockets"]);
        found("crates/staniel-core/src/transport/tcp.rs", text, &[]);
        found("crates/staniel-http/tests/it/main.rs", text, &[]);
        found("crates/staniel-test/src/raw.rs", text, &[]);
        found("bench/src/origin.rs", text, &[]);
    }

    #[test]
    fn task_without_an_owner_is_found() {
        found("crates/staniel-http/src/a.rs", "tokio::spawn(f);\n", &["tasks"]);
        found("crates/staniel-core/src/task.rs", "tokio::spawn(f);\n", &[]);
        found("crates/staniel-http/src/a.rs", "task::spawn(f); // not tokio::spawn\n", &[]);
    }

    #[test]
    fn unsafe_is_found_even_in_tests() {
        found("crates/staniel-core/src/sys/pipe.rs", "unsafe { f() }\n", &[]);
        found("crates/staniel-core/src/relay.rs", "unsafe { f() }\n", &["unsafe"]);
        found("crates/staniel-core/tests/it/main.rs", "unsafe { f() }\n", &["unsafe"]);
        found("crates/staniel-core/src/lib.rs", "#![deny(unsafe_code)]\n", &[]);
    }

    #[test]
    fn library_that_prints_or_reads_the_environment_is_found() {
        found("crates/staniel-proxy/src/a.rs", "println!(\"x\");\n", &["process"]);
        found(
            "crates/staniel-proxy/src/a.rs",
            "let home = std::env::var(\"HOME\");\n",
            &["process"],
        );
        found(
            "crates/staniel-proxy/src/a.rs",
            "const V: &str = env!(\"CARGO_PKG_VERSION\");\n",
            &[],
        );
        found("crates/staniel-cli/src/main.rs", "println!(\"x\");\n", &[]);
        found("crates/staniel/examples/echo.rs", "println!(\"x\");\n", &[]);
    }

    #[test]
    fn test_that_waits_for_the_wall_clock_is_found() {
        let sleep = "tokio::time::sleep(SECOND).await;\n";
        found("crates/a/tests/it/b.rs", sleep, &["sleep"]);
        found(
            "crates/a/tests/it/b.rs",
            &format!("#[tokio::test(start_paused = true)]\n{sleep}"),
            &[],
        );
        found(
            "crates/a/tests/it/b.rs",
            &format!("#[tokio::test(start_paused = true)]\n#[tokio::test]\n{sleep}"),
            &["sleep"],
        );
        found(
            "crates/a/tests/it/b.rs",
            "use tokio::time::sleep;\nsleep(SECOND).await;\n",
            &["sleep"],
        );
        found("crates/a/tests/it/b.rs", "never_sleep(1);\n", &[]);
        found("crates/a/src/b.rs", sleep, &[]);
        found(
            "crates/a/tests/it/b.rs",
            "#[tokio::test(start_paused = true)]\nstd::thread::sleep(x);\n",
            &["sleep"],
        );
    }

    #[test]
    fn unfinished_and_switched_off_code_is_found() {
        found("xtask/src/a.rs", "todo!()\n", &["unfinished"]);
        found(
            "crates/a/src/b.rs",
            "#[cfg(test)]\nmod tests {\n#[ignore = \"x\"]\n}\n",
            &["ignored"],
        );
    }

    #[test]
    fn layout_and_length_are_found() {
        found("crates/a/src/b/mod.rs", "", &["layout"]);
        found("crates/a/src/b.rs", &"\n".repeat(MAX_LINES + 1), &["length"]);
    }
}
