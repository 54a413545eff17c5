//! Records as lines.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

use staniel_core::calendar::Civil;

use super::record::{Facts, Kind, Text, Texts};

/// One JSON object and a line end.
pub(super) fn json(facts: &Facts, texts: &Texts<'_>, out: &mut String) {
    let kind = match facts.kind {
        Kind::Http => "http",
        Kind::Tcp => "tcp",
        Kind::Udp => "udp",
    };
    // Writing to a string does not fail.
    let _ = write!(
        out,
        r#"{{"ts":"{}","kind":"{kind}","conn":"{}""#,
        Civil::of(facts.since).rfc3339(),
        facts.conn
    );
    let text = |text: Text, out: &mut String| {
        if let Some(bytes) = texts.get(text) {
            let _ = write!(out, r#","{}":""#, text.name());
            escape(bytes, out);
            out.push('"');
        }
    };
    [Text::Listener, Text::Route, Text::Cluster, Text::Destination]
        .into_iter()
        .for_each(|one| text(one, out));
    match facts.client.as_ip() {
        Some(addr) => drop(write!(out, r#","client_ip":"{}""#, addr.ip())),
        None => drop(write!(out, r#","client_ip":"{}""#, facts.client)),
    }
    let _ = write!(out, r#","peer":"{}""#, facts.peer);
    if facts.kind == Kind::Http {
        let _ = write!(out, r#","protocol":"HTTP/1.{}""#, facts.minor);
    }
    [Text::Method, Text::Host, Text::Path, Text::Query].into_iter().for_each(|one| text(one, out));
    if facts.status != 0 {
        let _ = write!(out, r#","status":{}"#, facts.status);
    }
    let _ = write!(out, r#","bytes_in":{},"bytes_out":{}"#, facts.bytes_in, facts.bytes_out);
    let _ = write!(out, r#","duration":{}"#, Seconds(facts.duration));
    for (name, time) in [("t_connect", facts.connect), ("t_response", facts.response)] {
        if let Some(time) = time {
            let _ = write!(out, r#","{name}":{}"#, Seconds(time));
        }
    }
    if facts.kind == Kind::Http {
        let _ = write!(out, r#","retries":{}"#, facts.retries);
    }
    let _ = write!(out, r#","end":"{}","end_by":"{}""#, facts.end, facts.end_by);
    [Text::UserAgent, Text::Referer].into_iter().for_each(|one| text(one, out));
    out.push_str("}\n");
}

/// One line for people.
pub(super) fn text(facts: &Facts, texts: &Texts<'_>, out: &mut String) {
    let get = |text: Text| {
        let mut shown = String::new();
        texts.get(text).into_iter().for_each(|bytes| escape(bytes, &mut shown));
        shown
    };
    let time = Civil::of(facts.since).rfc3339();
    let time = time.get(11..23).unwrap_or_default();
    let client =
        facts.client.as_ip().map_or_else(|| facts.client.to_string(), |addr| addr.ip().to_string());
    let _ = write!(out, "{time} {} {client} ", get(Text::Listener));
    match facts.kind {
        Kind::Http => {
            let query = texts.get(Text::Query).map(|_| "?").unwrap_or_default();
            let status =
                if facts.status == 0 { "-".into() } else { Cow::from(facts.status.to_string()) };
            let _ = write!(
                out,
                "{} {}{}{query}{} {status}",
                get(Text::Method),
                get(Text::Host),
                get(Text::Path),
                get(Text::Query)
            );
        }
        Kind::Tcp => out.push_str("tcp"),
        Kind::Udp => out.push_str("udp"),
    }
    let took = facts.duration.as_secs_f64() * 1000.0;
    let _ = write!(out, " in {}B out {}B {took:.1}ms", facts.bytes_in, facts.bytes_out);
    if texts.get(Text::Destination).is_some() {
        let _ = write!(out, " -> {} {}", get(Text::Cluster), get(Text::Destination));
    }
    let _ = writeln!(out, " {}", facts.end);
}

/// Seconds with six decimals.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// Text from the network as the inside of a JSON string that no terminal and no log reader can be fooled with: controls of
/// both sets, DEL, line and paragraph separators and marks of direction are escaped, what is no UTF-8 is replaced.
fn escape(bytes: &[u8], out: &mut String) {
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use staniel_core::{Addr, Connection};

    use super::super::record::Buffer;
    use super::*;

    fn lines(format: fn(&Facts, &Texts<'_>, &mut String)) -> String {
        let (conn, _client) = Connection::in_memory();
        let facts = Facts {
            kind: Kind::Http,
            since: UNIX_EPOCH + Duration::from_millis(784_111_777_123),
            duration: Duration::from_micros(1500),
            connect: None,
            response: Some(Duration::from_micros(900)),
            conn: conn.meta().id(),
            client: Addr::Ip(([192, 0, 2, 7], 4321).into()),
            peer: Addr::Ip(([192, 0, 2, 7], 4321).into()),
            status: 200,
            minor: 1,
            retries: 0,
            bytes_in: 120,
            bytes_out: 345,
            end: "ok",
            end_by: "client",
        };
        let mut buffer = Buffer::default();
        let hostile = "/\"\r\n\x1b[31m\u{202e}\u{7f}\\".as_bytes();
        assert!(buffer.push(
            &facts,
            &[(Text::Path, hostile), (Text::Method, b"GET"), (Text::Listener, b"web")]
        ));
        assert!(buffer.push(
            &facts,
            &[(Text::Path, b"/second\xff"), (Text::Query, b"a=b"), (Text::Destination, b"d:1")]
        ));
        let mut out = String::new();
        buffer.take().iter().for_each(|(facts, texts)| format(facts, &texts, &mut out));
        out.replace(&conn.meta().id().to_string(), "CONN")
    }

    #[test]
    fn json_lines_parse_and_hold_nothing_that_a_terminal_obeys() {
        let lines = lines(json);
        assert!(lines.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')));
        let all: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(all[0]["path"], "/\"\r\n\x1b[31m\u{202e}\u{7f}\\");
        assert_eq!(
            (&all[0]["listener"], &all[0]["method"], &all[0]["query"]),
            (&"web".into(), &"GET".into(), &serde_json::Value::Null)
        );
        assert_eq!(
            (&all[1]["path"], &all[1]["query"], &all[1]["duration"]),
            (&"/second\u{fffd}".into(), &"a=b".into(), &0.0015.into())
        );
        assert_eq!(all[0]["ts"], "1994-11-06T08:49:37.123Z");
    }

    #[test]
    fn text_lines_are_for_people() {
        let lines = lines(text);
        let second = lines.lines().nth(1).unwrap();
        assert_eq!(
            second,
            "08:49:37.123  192.0.2.7  /second\u{fffd}?a=b 200 in 120B out 345B 1.5ms ->  d:1 ok"
        );
    }
}
