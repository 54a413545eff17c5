//! The table against a list that is searched from top to bottom, and against what the words of the configuration promise.

use proptest::prelude::*;
use staniel_config::{HostPattern, PathPattern, Source, read};

use super::RouteTable;

/// Routes as `HOST PATH [METHOD] [order]`, named by their place.
fn configured(routes: &[String]) -> Vec<staniel_config::Route> {
    let mut text = "[listen.web]\naddress = \":0\"\n".to_owned();
    for (place, route) in routes.iter().enumerate() {
        text += &format!("[route.r{place}]\nto = \"http://127.0.0.1:1\"\n{route}\n");
    }
    let loaded = read(&Source::new("test", text));
    loaded.config.map(|config| config.routes).unwrap_or_default()
}

fn table(routes: &[staniel_config::Route]) -> RouteTable<String> {
    let mut table = RouteTable::new();
    for route in routes {
        table.add(route, &route.name.as_str().to_owned());
    }
    table
}

#[track_caller]
fn check(routes: &[&str], asked: (&str, &str, &str), expected: Option<&str>) {
    let routes = configured(&routes.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(!routes.is_empty());
    let (host, path, method) = asked;
    let table = table(&routes);
    let found = table.find(Some(host.as_bytes()), path.as_bytes(), method.as_bytes());
    assert_eq!(found.map(String::as_str), expected, "{asked:?}");
}

#[test]
fn the_more_specific_route_wins() {
    let routes = [
        r#"path = "/api/*""#,
        r#"path = "/api""#,
        r#"host = "a.example""#,
        r#"host = "*.example""#,
        r#"host = "a.example"
path = "/api/v1/*""#,
        r#"path = "/m"
method = "POST""#,
        r#"path = "/m""#,
        r#"path = "/o"
order = 1"#,
        r#"path = "/o"
order = -1"#,
        r#"host = "*.b.example""#,
    ];
    check(&routes, ("x", "/api", "GET"), Some("r1"));
    check(&routes, ("x", "/api/", "GET"), Some("r0"));
    check(&routes, ("x", "/api/deep/er", "GET"), Some("r0"));
    check(&routes, ("x", "/apis", "GET"), None);
    check(&routes, ("a.example", "/api", "GET"), Some("r2"));
    check(&routes, ("a.example", "/api/v1", "GET"), Some("r4"));
    check(&routes, ("a.example", "/api/v1/x", "GET"), Some("r4"));
    check(&routes, ("c.example", "/", "GET"), Some("r3"));
    check(&routes, ("d.c.example", "/", "GET"), Some("r3"));
    check(&routes, ("d.b.example", "/", "GET"), Some("r9"));
    check(&routes, ("example", "/", "GET"), None);
    check(&routes, ("x", "/m", "POST"), Some("r5"));
    check(&routes, ("x", "/m", "GET"), Some("r6"));
    check(&routes, ("x", "/o", "GET"), Some("r8"));
}

/// The promise word for word: all routes, best first, the first that takes it.
fn naive<'a>(
    routes: &'a [staniel_config::Route],
    host: &str,
    path: &str,
    method: &str,
) -> Option<&'a str> {
    let host_rank = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(_) => usize::MAX,
        HostPattern::Below(parent) => 1 + parent.len(),
        _ => 0,
    };
    let path_rank = |pattern: &PathPattern| match pattern {
        PathPattern::Exact(_) => usize::MAX,
        PathPattern::Below(prefix) => 1 + prefix.len(),
        _ => 0,
    };
    let mut candidates: Vec<_> = routes
        .iter()
        .enumerate()
        .flat_map(|(place, route)| {
            let pairs = route
                .hosts
                .iter()
                .flat_map(|host| route.paths.iter().map(move |path| (host, path)));
            pairs.map(move |(host, path)| (place, route, host, path))
        })
        .filter(|(_, route, hosts, paths)| {
            hosts.matches(host)
                && paths.matches(path)
                && (route.methods.is_empty()
                    || route.methods.iter().any(|one| one.as_str() == method))
        })
        .collect();
    candidates.sort_by_key(|(place, route, host, path)| {
        let specific = (std::cmp::Reverse(host_rank(host)), std::cmp::Reverse(path_rank(path)));
        (specific, route.order, route.methods.is_empty(), *place)
    });
    candidates.first().map(|(_, route, ..)| route.name.as_str())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_table_finds_what_the_list_finds(
        routes in proptest::collection::vec(
            ("(|a\\.x|b\\.a\\.x|\\*\\.x|\\*\\.a\\.x)", "(|/|/p|/p/\\*|/p/q|/p/q/\\*|/p/q/r)", "(|GET|POST)", -1..2i32), 1..8),
        host in "(a\\.x|b\\.a\\.x|c\\.b\\.a\\.x|x|y)",
        path in "(/|/p|/p/|/p/q|/p/q/r|/pq)",
        method in "(GET|POST|PUT)",
    ) {
        let quoted = |key: &str, value: &str| {
            if value.is_empty() { String::new() } else { format!("{key} = \"{value}\"\n") }
        };
        let texts: Vec<_> = routes
            .iter()
            .map(|(h, p, m, order)| format!("{}{}{}order = {order}", quoted("host", h), quoted("path", p), quoted("method", m)))
            .collect();
        // Sets with equal routes are refused as a whole, and tell nothing here.
        let routes = configured(&texts);
        prop_assume!(!routes.is_empty());
        let table = table(&routes);
        let found = table.find(Some(host.as_bytes()), path.as_bytes(), method.as_bytes());
        prop_assert_eq!(found.map(String::as_str), naive(&routes, &host, &path, &method));
    }
}
