//! Problems of texts, keys and single values.

use super::{SERVES, check, check_more, config, load};
use crate::{Code, Severity};

#[test]
fn broken_toml() {
    check("", "1:1: error[no-listeners]: the config has no listener");
    check("# nothing\n", "1:1: error[no-listeners]: the config has no listener");
    check(
        "[server]\nworkers =\n",
        "2:10: error[syntax]: this is not TOML: string values must be quoted",
    );
    check("[server\nworkers = 1\n", "1:8: error[syntax]: this is not TOML: unclosed table");
    check("x = \"a\n", "1:7: error[syntax]: this is not TOML: invalid basic string");
    check_more(
        "[server]\nworkers = 1\nworkers = 2\n",
        "7:1: error[duplicate-key]: `workers` is defined twice",
    );
    check_more("[listen.web]\n", "5:9: error[duplicate-key]: `web` is defined twice");
    // What else is wrong is said beside a syntax error, unless it may follow from it.
    check(
        "[server]\nworkers = 0\n[log]\nlevel = loud\nformat = \"jsno\"\n[listen.web]\n",
        "2:11: error[out-of-range]: `workers` is out of range
         4:9: error[syntax]: this is not TOML: string values must be quoted
         5:10: error[unknown-value]: unknown log format `jsno`",
    );
}

#[test]
fn unknown_keys() {
    check_more("[serve]\n", "5:2: error[unknown-key]: unknown key `serve`");
    check_more("[server]\n\"a\\nb\" = 1\n", "6:1: error[unknown-key]: unknown key `a\\nb`");
    check_more("[log]\nacess = \"off\"\n", "6:1: error[unknown-key]: unknown key `acess`");
    check_more("[route.web.limits]\nbdy = 1\n", "6:1: error[unknown-key]: unknown key `bdy`");
    check_more("[sni.a]\n", "5:2: error[not-yet]: `sni` is for a later version");
    let (_, loaded) = load(&format!("{SERVES}[log]\nacess = 1\n"));
    assert_eq!(loaded.diagnostics[0].help_lines(), ["did you mean `access`?"]);
    assert_eq!(loaded.diagnostics[0].allowed_values(), ["access", "format", "level"]);
    assert_eq!(loaded.diagnostics[0].path(), "log.acess");
}

#[test]
fn values_of_the_wrong_type() {
    check_more(
        "[log]\nformat = {}\n[cluster]\na = 1\n[route.a]\nlisten = [1]\norder = 1.5\nto = 1979-05-27\n",
        "6:10: error[wrong-type]: `format` cannot be a table
         8:5: error[wrong-type]: `a` cannot be a whole number
         10:11: error[wrong-type]: `listen` cannot be a whole number
         11:9: error[wrong-type]: `order` cannot be a decimal number
         12:6: error[wrong-type]: `to` cannot be a date or time",
    );
    check(
        "server = \"x\"\nlisten = []\n",
        "
        1:1: error[no-listeners]: the config has no listener
        1:10: error[wrong-type]: `server` cannot be a string
        2:10: error[wrong-type]: `listen` cannot be a list",
    );
}

#[test]
fn values_out_of_range() {
    check_more(
        "[server]\nworkers = 1025\nmax_connections = 99999999999999999999999999999999999999999999\nshutdown_timeout = \"2d\"\n\
         [listen.web.limits]\nrequest_line = \"1B\"\nheader_count = -1\nmin_rate = 0\n[route.web.limits]\nbody = \"2000000GB\"\n",
        "6:11: error[out-of-range]: `workers` is out of range
         7:19: error[out-of-range]: `max_connections` is out of range
         8:20: error[out-of-range]: `shutdown_timeout` is out of range
         10:16: error[out-of-range]: `request_line` is out of range
         11:16: error[out-of-range]: `header_count` is out of range
         12:12: error[out-of-range]: `min_rate` is out of range
         14:8: error[out-of-range]: `body` is out of range",
    );
}

#[test]
fn durations_and_sizes() {
    check_more(
        "[server]\nshutdown_timeout = 30\ndrain_idle = \"1.5s\"\n[listen.web.timeouts]\nkeep_alive = \"2 minutes\"\nrequest_head = true\n\
         tunnel_idle = \"none\"\n[route.web.limits]\nbody = \"10 XB\"\n",
        "6:20: error[bad-duration]: `30` is not a duration
         7:14: error[bad-duration]: `1.5s` is not a duration
         9:14: error[bad-duration]: `2 minutes` is not a duration
         10:16: error[wrong-type]: `request_head` cannot be a boolean
         11:15: error[bad-duration]: `none` is not a duration
         13:8: error[bad-size]: `10 XB` is not a size",
    );
}

#[test]
fn words() {
    check_more(
        "[log]\naccess = \"stderr\"\nlevel = \"Info\"\nformat = 1\n[cluster.a]\nload_balancing = \"maglev\"\nhost = \"x\"\ndestinations = \"a:1\"\n\
         [route.a]\npath = \"/a\"\ncluster = \"a\"\n",
        "6:10: error[unknown-value]: unknown access log `stderr`
         7:9: error[unknown-value]: unknown log level `Info`
         8:10: error[wrong-type]: `format` cannot be a whole number
         10:18: error[not-yet]: the load-balancing policy `maglev` is for a later version
         11:8: error[unknown-value]: unknown host rule `x`",
    );
}

#[test]
fn addresses() {
    let address = |address: &str, expected: &str| {
        let rest = "[route.web]\nto = \"http://127.0.0.1:1\"\n";
        check(&format!("[listen.web]\naddress = {address}\n{rest}"), expected);
    };
    address("[]", "2:11: error[empty-list]: `address` is an empty list");
    address("80", "2:11: error[wrong-type]: `address` cannot be a whole number");
    for bad in [
        "80",
        "127.0.0.1",
        "::1",
        "::1:80",
        "example.com:80",
        ":70000",
        ":+1",
        "tcp://127.0.0.1:80",
        "[::1]",
        "",
        ":",
    ] {
        address(
            &format!("\"{bad}\""),
            &format!("2:11: error[bad-address]: `{bad}` is not an address to listen on"),
        );
    }
    address(
        "\"unix:/run/x\"",
        "2:11: error[not-yet]: listening on a Unix socket is for a later version",
    );
    address("[\":80\", 1]", "2:19: error[wrong-type]: `address` cannot be a whole number");
    check(
        "[listen.web]\n[route.web]\nto = \"http://a\"\n",
        "1:9: error[missing-key]: `listen.web` has no `address`",
    );
}

#[test]
fn hosts_paths_and_methods() {
    for bad in [
        "example.com:80",
        "http://example.com",
        "*.com.*",
        "a*",
        "exa mple",
        "::1",
        "a..b",
        "-a",
        "",
        "*.",
        "é.com",
        "*.[::1]",
    ] {
        check_more(
            &format!("[route.a]\nto = \"http://a\"\nhost = \"{bad}\"\n"),
            &format!("7:8: error[bad-host]: `{bad}` is not a host"),
        );
    }
    for bad in [
        "api",
        "",
        "/a*",
        "/*/a",
        "/a?x=1",
        "/a#b",
        "/%",
        "/%4",
        "/%zz",
        "/%00",
        "/a/../b",
        "/a/%2E%2e",
        "/./*",
    ] {
        check_more(
            &format!("[route.a]\nto = \"http://a\"\npath = \"{bad}\"\n"),
            &format!("7:8: error[bad-path]: `{bad}` is not a path to match"),
        );
    }
    for bad in ["get", "", "GET POST"] {
        check_more(
            &format!("[route.a]\nto = \"http://a\"\nmethod = [\"{bad}\"]\n"),
            &format!("7:11: error[bad-method]: `{bad}` is not a request method"),
        );
    }
}

#[test]
fn destinations() {
    let to = |to: &str, expected: &str| {
        check(&format!("[listen.a]\naddress = \":1\"\n[route.a]\nto = {to}\n"), expected)
    };
    for bad in [
        "http://",
        "http://a/",
        "http://a?x",
        "http://u@a",
        "a",
        "a:0",
        "ftp://a",
        "http://a:99999",
        "http://::1",
        "",
        "http:/a:1",
    ] {
        to(
            &format!("\"{bad}\""),
            &format!("4:6: error[bad-destination]: `{bad}` is not a destination"),
        );
    }
    to("\"https://a\"", "4:6: error[not-yet]: `https://` destinations are for a later version");
    to(
        "\"unix:/a\"",
        "4:6: error[not-yet]: destinations behind a Unix socket are for a later version",
    );
    to("\"tcp://a:1\"", "4:6: error[wrong-scheme]: `tcp://a:1` is not for route `a`");
    to(
        "[\"http://a\", \"a:80\"]",
        "4:19: warning[duplicate-destination]: route `a` has `a:80` twice",
    );
    check_more(
        "[cluster.a]\ndestinations = [{ host = \"b\" }, { address = \"a\", weight = 1 }, {address = \"a:1\", host = \"b:x\"}]\n[route.a]\npath = \"/a\"\ncluster = \"a\"\n",
        "6:17: error[missing-key]: `cluster.a.destinations` has no `address`
         6:45: error[bad-destination]: `a` is not a destination
         6:50: error[not-yet]: `weight` is for a later version
         6:89: error[bad-host]: `b:x` is not a `Host` header",
    );
    check_more("[cluster.a]\n", "5:10: error[missing-key]: `cluster.a` has no `destinations`");
}

#[test]
fn names() {
    for bad in ["", "a.b", "a b", "é", "a\\nb"] {
        check_more(
            &format!("[listen.\"{bad}\"]\naddress = \":1\"\n"),
            &format!("5:9: error[bad-name]: `{bad}` cannot be a name"),
        );
    }
    config(&SERVES.replace("web", &"w".repeat(64)));
}

#[test]
fn every_code_has_a_word_a_page_and_a_way_back() {
    for &code in Code::ALL {
        assert_eq!(code.word().parse(), Ok(code));
        assert!(
            code.word().bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()),
            "{code}"
        );
        assert!(
            code.explain().len() > 60 && code.explain().trim_end().ends_with(['.', '`']),
            "{code}"
        );
    }
    let error = "unknown-clutser".parse::<Code>().unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.nearest),
        ("no diagnostic is called `unknown-clutser`", Some(Code::UnknownCluster))
    );
    assert_eq!(Code::UnusedCluster.severity(), Severity::Warning);
}
