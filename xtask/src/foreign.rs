//! The programs that tests and benches talk to and that cargo does not bring.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::repo;

/// When this variable is `1`, a missing program is a failure; otherwise its tests are left out and say so.
const REQUIRED: &str = "STANIEL_REQUIRE_FOREIGN";

/// A program, where it comes from and what it is for.
struct Program {
    /// The name by which tests ask for it.
    name: &'static str,
    from: &'static str,
    /// What it serves besides tests.
    beside: Option<&'static str>,
    found: fn(&str) -> bool,
}

const PROGRAMS: [Program; 8] = [
    Program { name: "curl", from: "Debian: curl", beside: None, found: on_path },
    Program {
        name: "nginx",
        from: "Debian: nginx-light",
        beside: Some("the bench against it"),
        found: on_path,
    },
    Program {
        name: "haproxy",
        from: "Debian: haproxy",
        beside: Some("the bench against it"),
        found: on_path,
    },
    Program { name: "socat", from: "Debian: socat", beside: None, found: on_path },
    Program { name: "wrk", from: "Debian: wrk", beside: None, found: on_path },
    Program { name: "nc", from: "Debian: netcat-openbsd", beside: None, found: on_path },
    Program { name: "python3", from: "Debian: python3", beside: None, found: on_path },
    Program { name: "websockets", from: "PyPI: websockets", beside: None, found: python_module },
];

/// Prints a line for every program that is missing, with what that leaves out.
///
/// # Errors
///
/// If one is missing and `STANIEL_REQUIRE_FOREIGN=1`.
pub(crate) fn check() -> Result<()> {
    let missing: Vec<&Program> =
        PROGRAMS.iter().filter(|program| !(program.found)(program.name)).collect();
    if missing.is_empty() {
        println!("foreign programs: all {} are here", PROGRAMS.len());
        return Ok(());
    }
    println!("foreign programs: {} of {} are missing", missing.len(), PROGRAMS.len());
    println!("  {:<11} {:<24} leaves out", "program", "comes with");
    for program in &missing {
        println!("  {:<11} {:<24} {}", program.name, program.from, left_out(program)?);
    }
    if std::env::var_os(REQUIRED).is_some_and(|value| value == "1") {
        let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
        return Err(format!("missing and required ({REQUIRED}=1): {}", names.join(", ")).into());
    }
    Ok(())
}

/// The test files that ask for `program`, read from the sources so that the list cannot go stale.
fn left_out(program: &Program) -> Result<String> {
    let calls =
        [format!("require(\"{}\")", program.name), format!("require_python(\"{}\")", program.name)];
    let asks = |file: &&String| {
        repo::text(file).is_some_and(|text| calls.iter().any(|call| text.contains(call)))
    };
    let mut users: Vec<String> = repo::files()?
        .iter()
        .filter(|file| file.starts_with("crates/") && file.ends_with(".rs"))
        .filter(asks)
        .cloned()
        .collect();
    users.extend(program.beside.map(str::to_owned));
    Ok(if users.is_empty() { "nothing today".to_owned() } else { users.join(", ") })
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in sbin, which is not on everyone's path.
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(sbin).any(|folder| Path::new(&folder).join(name).is_file())
}

fn python_module(name: &str) -> bool {
    Command::new("python3")
        .args(["-c", &format!("import {name}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
