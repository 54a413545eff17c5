//! Problems between keys: what is named, taken twice, or never reached.

use super::{check, check_more};

#[test]
fn addresses_taken_twice() {
    let two = |one: &str, other: &str, expected: &str| {
        let cluster =
            "cluster = \"c\"\n[cluster.c]\ndestinations = \"c:1\"\n[route.a]\nto = \"http://a\"\n";
        check(&format!("[listen.a]\n{one}\n[listen.b]\n{other}\n{cluster}"), expected);
    };
    let (tcp, udp) = ("protocols = [\"tcp\"]", "protocols = [\"udp\"]");
    let taken = |address: &str, over: &str| {
        format!("4:11: error[duplicate-address]: `{address}` is taken twice over {over}")
    };
    two("address = \":80\"", &format!("address = \":80\"\n{tcp}"), &taken(":80", "TCP"));
    two("address = \":80\"", &format!("address = \"[::]:80\"\n{tcp}"), &taken("[::]:80", "TCP"));
    two(
        "address = \"127.0.0.1:80\"",
        &format!("address = \"localhost:80\"\n{tcp}"),
        &taken("localhost:80", "TCP"),
    );
    two("address = \":80\"", &format!("address = \":80\"\n{udp}"), "");
    two("address = \":0\"", &format!("address = \":0\"\n{tcp}"), "");
    two("address = \":80\"", &format!("address = \"10.0.0.1:80\"\n{tcp}"), "");
    two(
        "address = \":81\"",
        &format!("address = [\"10.0.0.1:80\", \"10.0.0.1:80\"]\n{tcp}"),
        "4:27: error[duplicate-address]: `10.0.0.1:80` is taken twice over TCP",
    );
}

#[test]
fn protocols_and_their_clusters() {
    let listen = |keys: &str, expected: &str| {
        check(
            &format!(
                "[listen.db]\naddress = \":1\"\n{keys}\n[cluster.db]\ndestinations = \"db:1\"\n[listen.x]\naddress = \":2\"\n[route.x]\ncluster = \"db\"\n"
            ),
            expected,
        );
    };
    listen("protocols = \"tcp\"\ncluster = \"db\"", "");
    listen("protocols = [\"tcp\", \"udp\"]\ncluster = \"db\"", "");
    listen(
        "protocols = [\"http3\"]",
        "3:14: error[not-yet]: the protocol `http3` is for a later version",
    );
    listen("protocols = [\"http\"]", "3:14: error[unknown-value]: unknown protocol `http`");
    listen(
        "protocols = \"upd\"\ncluster = \"db\"",
        "3:13: error[unknown-value]: unknown protocol `upd`",
    );
    listen("tls = {}", "3:1: error[not-yet]: `tls` is for a later version");
    listen("protocols = [\"tcp\"]", "1:9: error[missing-key]: `listen.db` has no `cluster`");
    listen(
        "protocols = [\"tcp\"]\ncluster = 1",
        "4:11: error[wrong-type]: `cluster` cannot be a whole number",
    );
    listen(
        "cluster = \"db\"",
        "3:1: error[conflict]: listener `db` speaks HTTP and names a cluster",
    );
    listen(
        "protocols = [\"http1\", \"tcp\"]\ncluster = \"db\"",
        "3:23: error[conflict]: listener `db` cannot speak `http1` and `tcp`",
    );
    listen(
        "protocols = [\"tcp\"]\ncluster = \"bd\"",
        "4:11: error[unknown-cluster]: listener `db` names an unknown cluster",
    );
    listen(
        "protocols = [\"tcp\"]\ncluster = \"db\"\ntrusted_proxies = [\"::1\"]\n[listen.db.limits]\nmax_sessions = 1\nmax_connections = 1",
        "5:1: warning[no-effect]: `trusted_proxies` has no effect here
         7:1: warning[no-effect]: `max_sessions` has no effect here",
    );
    listen(
        "trusted_proxies = [\"10.0.0.1/8\", \"x\", \"::1/129\"]",
        "
         3:20: error[bad-cidr]: `10.0.0.1/8` is not an address or network
         3:34: error[bad-cidr]: `x` is not an address or network
         3:39: error[bad-cidr]: `::1/129` is not an address or network",
    );
}

#[test]
fn routes_and_what_they_name() {
    let route = |keys: &str, expected: &str| {
        check(
            &format!(
                "[listen.web]\naddress = \":1\"\n[listen.dns]\naddress = \":53\"\nprotocols = \"udp\"\ncluster = \"dns\"\n\
            [cluster.dns]\ndestinations = [\"udp://dns:53\"]\n[route.api]\n{keys}\n[route.rest]\norder = 1\nto = \"http://a\"\n"
            ),
            expected,
        );
    };
    route("to = \"http://b\"\npath = \"/a\"", "");
    route("path = \"/a\"", "9:8: error[missing-key]: `route.api` does not say where requests go");
    route(
        "path = \"/a\"\nto = \"http://b\"\ncluster = \"dns\"",
        "11:1: error[conflict]: route `api` has both `cluster` and `to`",
    );
    route(
        "path = \"/a\"\ncluster = \"dsn\"",
        "11:11: error[unknown-cluster]: route `api` names an unknown cluster",
    );
    route(
        "path = \"/a\"\ncluster = \"dns\"",
        "8:17: error[wrong-scheme]: `udp://dns:53` is not for route `api`",
    );
    route(
        "path = \"/a\"\nto = \"http://b\"\nlisten = \"wbe\"",
        "12:10: error[unknown-listener]: route `api` names an unknown listener",
    );
    route(
        "path = \"/a\"\nto = \"http://b\"\nlisten = [\"web\", \"dns\"]",
        "12:18: error[wrong-listener]: route `api` names a listener that has no requests",
    );
    route(
        "path = \"/a\"\nto = \"http://b\"\nlisten = []",
        "12:10: error[empty-list]: `listen` is an empty list",
    );
    route(
        "order = 1\nto = \"http://b\"",
        "12:8: error[duplicate-route]: routes `api` and `rest` take the same requests",
    );
    route("order = 1\nto = \"http://b\"\nmethod = \"GET\"", "");
    route("to = \"http://b\"", "11:8: warning[shadowed-route]: route `rest` can never match");
    route("to = \"http://b\"\nhost = \"*.a.b\"", "");
}

#[test]
fn routes_that_meet_in_part() {
    let two = |one: &str, other: &str, expected: &str| {
        check(
            &format!(
                "[listen]\na = {{ address = \":1\" }}\nb = {{ address = \":2\" }}\n\
                [cluster]\nc = {{ destinations = \"c:1\" }}\n\
                [route]\none = {{ cluster = \"c\", {one} }}\ntwo = {{ cluster = \"c\", {other} }}\n\
                rest = {{ cluster = \"c\", order = 9 }}\n"
            ),
            expected,
        );
    };
    let same = "8:1: error[duplicate-route]: routes `one` and `two` take the same requests";
    two("host = [\"a.b\", \"c.d\"]", "host = [\"C.D.\", \"e.f\"]", same);
    two("host = \"a.b\", listen = \"a\"", "host = \"a.b\", listen = \"b\"", "");
    two("path = \"/%61\"", "path = \"/a\"", same);
    two("path = \"/a/*\"", "path = \"/a\"", "");
    two("method = [\"GET\", \"PUT\"], path = \"/a\"", "method = [\"PUT\"], path = \"/a\"", same);
    two("host = \"*.a.b\", order = -1", "host = \"x.a.b\", path = \"/x\"", "");
    two(
        "path = \"/a\", order = -1",
        "path = \"/a\", method = \"GET\"",
        "8:1: warning[shadowed-route]: route `two` can never match",
    );
}

#[test]
fn what_serves_nobody() {
    check(
        "[listen.web]\naddress = \":80\"\n",
        "1:9: warning[no-routes]: no route serves listener `web`",
    );
    check(
        "[listen.db]\naddress = \":1\"\nprotocols = \"tcp\"\ncluster = \"db\"\n[cluster.db]\ndestinations = \"tcp://db:1\"\n[route.a]\nto = \"http://a\"\n",
        "7:8: warning[unreachable-route]: no listener can serve route `a`",
    );
    check_more(
        "[cluster.old]\ndestinations = \"a:1\"\n",
        "5:10: warning[unused-cluster]: cluster `old` is not used",
    );
}
