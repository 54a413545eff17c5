//! The kinds of problem, each with its word and a page that explains it.

use std::fmt;
use std::str::FromStr;

use crate::diagnostic::Severity;
use crate::suggest::nearest;

macro_rules! codes {
    ($( $Code:ident = $word:literal, $Severity:ident, $explanation:literal; )+) => {
        /// A kind of problem. Its word is stable: scripts may look for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(
                #[doc = $explanation]
                $Code,
            )+
        }

        impl Code {
            /// Every code, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$Code),+];

            /// The word, such as `unknown-key`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$Code => $word,)+
                }
            }

            /// Whether a config with this problem is refused.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$Code => Severity::$Severity,)+
                }
            }

            /// The page that `staniel check --why CODE` prints, in Markdown.
            #[must_use]
            pub const fn explain(self) -> &'static str {
                match self {
                    $(Self::$Code => $explanation,)+
                }
            }
        }
    };
}

codes! {
    Syntax = "syntax", Error,
"The text is not TOML.

Everything before the mark was understood. Common causes are a string without its closing quote, a value that should be
quoted (`address = \":8080\"`, not `address = :8080`), and a missing comma in a list. What else is wrong in the file is
reported as far as it can be told; names are only checked when the syntax is right.";
    DuplicateKey = "duplicate-key", Error,
"A table or key stands in the file twice.

TOML has no rule for which of the two holds, so neither does. Two tables of the same name are often two listeners or
routes of which one was copied: give the second its own name.";
    UnknownKey = "unknown-key", Error,
"The table has no such key.

A key that means nothing is refused, not skipped: a misspelt limit would otherwise be no limit. The message lists the keys
that are known at this place.";
    NotYet = "not-yet", Error,
"The config asks for something that this version cannot do.

It is refused, because a listener without its TLS, or a route without its rewrite, is not what was asked for.";
    WrongType = "wrong-type", Error,
"The value is of another type than the key takes: a string where a number belongs, a number where a list belongs.";
    OutOfRange = "out-of-range", Error,
"The value is of the right kind, but too small or too large. The message has the range.";
    UnknownValue = "unknown-value", Error,
"The key takes one of some words, and this is none of them. The message lists them.";
    UnknownPolicy = "unknown-policy", Error,
"There is no load-balancing policy of this name.

- `round-robin`: one destination after the other;
- `random`: by chance;
- `least-requests`: the one with the fewest requests in flight;
- `power-of-two`: of two chosen by chance, the one with fewer requests in flight (the default).";
    BadDuration = "bad-duration", Error,
"A duration is a whole number and a unit in one string: `\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"1h\"`, `\"1d\"`.

A number alone is refused: it may be meant as seconds or as milliseconds. For one and a half seconds write `\"1500ms\"`.";
    BadSize = "bad-size", Error,
"A size is a number of bytes (`65536`), or a number and a unit in one string.

`KB`, `MB`, `GB` count in thousands, `KiB`, `MiB`, `GiB` in 1024s.";
    BadAddress = "bad-address", Error,
"A listener needs an address of this machine and a port.

- `\":8080\"` or `\"*:8080\"`: every address, IPv4 and IPv6;
- `\"localhost:8080\"`: both loopback addresses;
- `\"192.0.2.1:8080\"`, `\"[2001:db8::1]:8080\"`: this address alone.

Other names are refused: what they stand for can change between two starts. To serve a name, give it to a route.";
    BadCidr = "bad-cidr", Error,
"A network is an address and the number of its leading bits that count: `\"10.0.0.0/8\"`, `\"2001:db8::/32\"`. An address
without a number is that address alone. Bits behind the prefix must be zero, so that a slip is seen.";
    BadHost = "bad-host", Error,
"A host is a name or an address without scheme, port or path: `\"api.example.com\"`. `\"*.example.com\"` is every name below
`example.com`, and `\"*\"` is any host. An IPv6 address stands in brackets. A name with other letters than ASCII is written
in the form that travels on the wire, which begins with `xn--`.";
    BadPath = "bad-path", Error,
"A path begins with `/`. `\"/api\"` is that path alone, `\"/api/*\"` is `/api` and everything below it, `\"/*\"` is every path.

Paths are compared after their escapes and dot segments were put in order, so `.` and `..` cannot be matched. A query is
no part of the path.";
    BadMethod = "bad-method", Error,
"A method is one word as it stands on the wire; `get` is another method than `GET`, and no client sends it.";
    BadDestination = "bad-destination", Error,
"A destination is a host and a port: `\"http://10.0.0.1:8080\"` (the port is 80 if absent), or for TCP and UDP
`\"10.0.0.1:5432\"`. It has no path, query, user or password: the request's own path is sent on.";
    BadName = "bad-name", Error,
"The name of a listener, route or cluster becomes a log field and a metric label, so it has 1 to 64 ASCII letters,
digits, `-` and `_`.";
    EmptyList = "empty-list", Error,
"An empty list would match or reach nothing. Leave the key out to have its default, or remove the table.";
    MissingKey = "missing-key", Error,
"The table cannot do without this key: there is no default that would be right for most.";
    NoListeners = "no-listeners", Error,
"A config without a listener serves nobody. The smallest that does something:

```toml
[listen.web]
address = \":8080\"

[route.web]
to = \"http://127.0.0.1:9000\"
```";
    UnknownCluster = "unknown-cluster", Error,
"A route or listener names a cluster that the file does not have. `cluster = \"api\"` needs `[cluster.api]`.";
    UnknownListener = "unknown-listener", Error,
"A route names a listener that the file does not have. `listen = [\"web\"]` needs `[listen.web]`.";
    WrongListener = "wrong-listener", Error,
"A route matches requests, and a listener that forwards TCP or UDP sees none. It names its cluster itself:

```toml
[listen.db]
address = \":5432\"
protocols = [\"tcp\"]
cluster = \"db\"
```";
    WrongScheme = "wrong-scheme", Error,
"A destination says what is spoken there (`http://`, `tcp://`, `udp://`), and a route or listener that sends to it speaks
something else. A destination without a scheme is for all.";
    Conflict = "conflict", Error,
"Two keys or values that cannot hold together, such as `cluster` and `to` in one route, or `http1` and `tcp` on one listener.";
    DuplicateAddress = "duplicate-address", Error,
"Two listeners (or one, twice) want the same address and port over the same transport. HTTP/1.1 and TCP share one; UDP has
its own. `\":80\"` includes `0.0.0.0:80` and `[::]:80`. One listener can serve many hosts: tell them apart with routes.";
    DuplicateRoute = "duplicate-route", Error,
"Two routes take the same host, path and method on the same listener with the same `order`, so nothing says which one is
meant. Give one of them a lower `order`, or remove it.";
    UnusedCluster = "unused-cluster", Warning,
"No route and no listener sends to this cluster. It may be left over, or the route that names it is missing.";
    NoRoutes = "no-routes", Warning,
"An HTTP listener that no route serves answers every request with 404.";
    UnreachableRoute = "unreachable-route", Warning,
"There is no HTTP listener, so no request can reach the route.";
    ShadowedRoute = "shadowed-route", Warning,
"Another route of the same host and path has a lower `order` and takes every request that this one could take. `order`
decides only between such routes: a more specific host or path wins whatever the order.";
    DuplicateDestination = "duplicate-destination", Warning,
"The same address stands in a cluster twice, so it is picked twice as often as the others.";
    NoEffect = "no-effect", Warning,
"The key is known, but means nothing for what this listener speaks, such as `max_sessions` (UDP) on an HTTP listener.";
    AddressInUse = "address-in-use", Error,
"Another program, or an older instance of this one, listens on the address already. `ss -ltnup` shows which one.";
    CannotBind = "cannot-bind", Error,
"The system refused to listen on the address. Ports below 1024 need a privilege (`CAP_NET_BIND_SERVICE`) or a lower
`net.ipv4.ip_unprivileged_port_start`; an address must belong to this machine.";
    CannotOpen = "cannot-open", Error,
"The configuration itself, or a file that it names, cannot be opened or created. The reason of the system stands beside it.

Without a name, `staniel.toml` in the current directory is read; `staniel init` writes one to start from. The user that runs
the program needs to read the file and to enter its directories, and to write the file that `log.access` names.";
}

/// The word is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no diagnostic is called `{word}`")]
pub struct UnknownCode {
    word: String,
    /// The code whose word is nearest, if one is near.
    pub nearest: Option<Code>,
}

// === impl Code ===

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(word: &str) -> Result<Self, UnknownCode> {
        let find = |word: &str| Self::ALL.iter().copied().find(|code| code.word() == word);
        find(word).ok_or_else(|| UnknownCode {
            word: word.to_owned(),
            nearest: nearest(word, Self::ALL.iter().map(|code| code.word())).and_then(find),
        })
    }
}
