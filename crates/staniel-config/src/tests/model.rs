//! What valid texts mean.

use std::time::Duration;

use super::{SERVES, config};
use crate::{
    AccessLog, Auto, Cidr, Config, DestinationHost, HostPattern, HostRule, Limit, ListenLimits,
    ListenTimeouts, LoadBalancing, LogFormat, LogLevel, PathPattern, Scheme, Server, Traffic,
};

const EVERYTHING: &str = include_str!("../../tests/corpus/everything.toml");

#[test]
fn everything() {
    let Config { server, log, listeners, routes, clusters } = config(EVERYTHING);
    assert_eq!((server.workers, server.max_connections), (Auto::Set(2), Auto::Set(8000)));
    assert_eq!(
        (server.shutdown_timeout, server.drain_idle),
        (Duration::from_secs(20), Duration::from_millis(1500))
    );
    assert_eq!(log.access.value, AccessLog::File("./access.log".into()));
    assert_eq!((log.format, log.level), (LogFormat::Json, LogLevel::Debug));

    let [web, db, dns] = &listeners[..] else { panic!("{listeners:?}") };
    let addresses: Vec<_> = web.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, [":8080", "localhost:8081", "[2001:db8::1]:8082"]);
    assert_eq!(web.traffic, Traffic::Http);
    assert_eq!(
        web.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "::1"]
    );
    assert_eq!((web.limits.request_line, web.limits.min_rate), (16 << 10, Limit::Off));
    assert_eq!(web.timeouts.tunnel_idle, Limit::Off);
    let Traffic::Forward { tcp: true, udp: false, cluster } = &db.traffic else { panic!("{db:?}") };
    assert_eq!(cluster.as_str(), "db");
    assert!(matches!(dns.traffic, Traffic::Forward { tcp: true, udp: true, .. }));
    assert_eq!(dns.limits.max_sessions, Auto::Set(1000));

    let [api, rest] = &routes[..] else { panic!("{routes:?}") };
    assert_eq!(api.listeners, ["web".into()]);
    assert_eq!(
        api.hosts,
        [HostPattern::Exact("api.example.com".into()), HostPattern::Below("example.org".into())]
    );
    assert_eq!(
        api.paths,
        [PathPattern::Below("/api".into()), PathPattern::Exact("/a%2Fb~".into())]
    );
    assert_eq!(
        api.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
        ["GET", "HEAD"]
    );
    assert_eq!(
        (api.order, api.limits.body, api.limits.min_rate),
        (-5, Limit::At(10_000_000), false)
    );
    assert_eq!(
        (&rest.hosts[..], &rest.paths[..]),
        (&[HostPattern::Any][..], &[PathPattern::Any][..])
    );
    assert_eq!(rest.cluster.as_str(), "route:rest");

    let [cluster, ..] = &clusters[..] else { panic!("{clusters:?}") };
    assert_eq!(
        (cluster.load_balancing, cluster.host, cluster.retries),
        (LoadBalancing::RoundRobin, HostRule::Destination, 2)
    );
    assert_eq!((cluster.pool.max_idle, cluster.pool.idle), (16, Duration::from_secs(30)));
    let [first, second] = &cluster.destinations[..] else { panic!("{cluster:?}") };
    assert_eq!(
        (first.address.scheme, first.address.port, first.address.authority().as_str()),
        (Scheme::Http, 80, "10.0.0.1")
    );
    assert_eq!(second.address.host, DestinationHost::Name("b.internal".into()));
    assert_eq!(second.host.as_ref().map(|host| host.as_str()), Some("override.example:8443"));

    let timeouts = api.timeouts.over(&cluster.timeouts);
    assert_eq!(timeouts.connect, Duration::from_secs(3));
    assert_eq!(
        (timeouts.response_head, timeouts.idle),
        (Limit::Off, Limit::At(Duration::from_secs(90)))
    );
    let implied = config(SERVES).clusters.remove(0);
    assert_eq!((implied.name.as_str(), implied.retries), ("route:web", 1));
}

#[test]
fn what_is_absent_has_its_default() {
    let config = config(SERVES);
    assert_eq!(config.server, Server::default());
    let listener = config.listener(&"web".into()).unwrap();
    assert_eq!(listener.limits, ListenLimits::default());
    assert_eq!(listener.timeouts, ListenTimeouts::default());
    assert_eq!(listener.limits.headers_total, 32_768);
    assert_eq!(listener.timeouts.keep_alive, Duration::from_secs(130));
    let cluster = config.cluster(&config.routes[0].cluster).unwrap();
    assert_eq!(
        (cluster.load_balancing, cluster.host),
        (LoadBalancing::PowerOfTwo, HostRule::Client)
    );
}

#[test]
fn moving_a_line_is_no_change_and_a_new_value_is() {
    let before = config(SERVES);
    assert_eq!(before, config(&format!("# moved\n\n{SERVES}")));
    assert_ne!(before, config(&SERVES.replace(":80", ":81")));
}

#[test]
fn hosts_match_by_label() {
    let check = |pattern: &str, host: &str, expected: bool| {
        assert_eq!(
            pattern.parse::<HostPattern>().unwrap().matches(host),
            expected,
            "{pattern} {host}"
        );
    };
    check("*", "", true);
    check("a.b", "A.b", true);
    check("a.b", "x.a.b", false);
    check("*.a.b", "x.a.b", true);
    check("*.a.b", "y.X.A.B", true);
    check("*.a.b", "a.b", false);
    check("*.a.b", ".a.b", false);
    check("*.a.b", "xa.b", false);
    check("*.a.b", "éa.b", false);
    check("[0:0::1]", "[::1]", true);
}

#[test]
fn paths_match_by_segment() {
    let check = |pattern: &str, path: &str, expected: bool| {
        assert_eq!(
            pattern.parse::<PathPattern>().unwrap().matches(path),
            expected,
            "{pattern} {path}"
        );
    };
    check("/*", "/", true);
    check("/*", "*", true);
    check("/", "/x", false);
    check("/api", "/api", true);
    check("/api", "/api/", false);
    check("/api/*", "/api", true);
    check("/api/*", "/api/", true);
    check("/api/*", "/api/x", true);
    check("/api/*", "/apis", false);
    check("/%7Ea%2f/*", "/~a%2F/x", true);
    check("/é", "/%C3%A9", true);
}

#[test]
fn networks_hold_their_addresses() {
    let check = |cidr: &str, address: &str, expected: bool| {
        assert_eq!(
            cidr.parse::<Cidr>().unwrap().contains(address.parse().unwrap()),
            expected,
            "{cidr} {address}"
        );
    };
    check("10.0.0.0/8", "10.255.0.1", true);
    check("10.0.0.0/8", "11.0.0.1", false);
    check("10.0.0.0/8", "::ffff:10.0.0.1", true);
    check("::ffff:10.0.0.0/104", "10.1.1.1", true);
    check("0.0.0.0/0", "192.0.2.1", true);
    check("0.0.0.0/0", "::1", false);
    check("::/0", "2001:db8::1", true);
    check("::/0", "192.0.2.1", false);
    check("192.0.2.1", "192.0.2.1", true);
    check("2001:db8::/33", "2001:db8:8000::1", false);
}
