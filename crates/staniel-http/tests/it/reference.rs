//! HTTP/1 heads read slowly, rule by rule, from the grammar of RFC 9112, RFC 9110 and RFC 3986.
//!
//! Where the RFC leaves a choice, or we are stricter or laxer than its grammar, a comment says "choice".

use std::net::Ipv6Addr;

/// What becomes of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Refused,
    /// No empty line yet.
    Undecided,
    Head(Head),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Method and target, or status and reason.
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
    pub(crate) minor: u8,
    pub(crate) fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// In words: `none`, `chunked`, `close`, or the number.
    pub(crate) framing: String,
    pub(crate) end: usize,
}

// === the grammar ===

// RFC 9110, 5.6.2
fn is_tchar(b: u8) -> bool {
    "!#$%&'*+-.^_`|~".as_bytes().contains(&b) || b.is_ascii_alphanumeric()
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_tchar(b))
}

// RFC 9110, 5.5: field-vchar, SP, HTAB
fn is_field_content(b: u8) -> bool {
    b == b' ' || b == b'\t' || (0x21..=0x7e).contains(&b) || b >= 0x80
}

// RFC 3986, 2.2, 2.3, 3.3. Choice: what browsers send unescaped passes, and so does a `%` without digits.
fn is_target_char(b: u8) -> bool {
    let unreserved = b.is_ascii_alphanumeric() || "-._~".as_bytes().contains(&b);
    let sub_delims = "!$&'()*+,;=".as_bytes().contains(&b);
    let others = ":@/?%[]".as_bytes().contains(&b);
    let browsers = "\\^`{|}".as_bytes().contains(&b);
    unreserved || sub_delims || others || browsers
}

// RFC 3986, 3.2.2 and 3.2.3. Choice: no escapes, no sub-delims, no IPvFuture, not empty, at most 255 bytes, a port fits 16 bits.
fn is_authority(bytes: &[u8]) -> Option<Option<u16>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (host, port) = if let Some(literal) = text.strip_prefix('[') {
        let (inner, rest) = literal.split_once(']')?;
        inner.parse::<Ipv6Addr>().ok()?;
        (&text[..inner.len() + 2], rest)
    } else {
        let end = text.find(':').unwrap_or(text.len());
        let (host, rest) = text.split_at(end);
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)) {
            return None;
        }
        (host, rest)
    };
    if host.is_empty() || host.len() > 255 {
        return None;
    }
    match port {
        "" | ":" => Some(None),
        _ => {
            let digits = port.strip_prefix(':')?;
            if !digits.chars().all(|c| c.is_ascii_digit()) {
                return None;
            }
            Some(Some(digits.parse().ok()?))
        }
    }
}

// RFC 9112, 3.2
fn is_target(method: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || !target.iter().all(|&b| is_target_char(b)) {
        return false;
    }
    let text = std::str::from_utf8(target).unwrap();
    if method == b"CONNECT" {
        return matches!(is_authority(target), Some(Some(_)));
    }
    if text == "*" {
        return method == b"OPTIONS";
    }
    if text.starts_with('/') {
        return true;
    }
    // absolute-form. Choice: http and https only.
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str())
        && is_authority(authority.as_bytes()).is_some()
}

// RFC 9112, 2.3: HTTP-name "/" DIGIT "." DIGIT. Choice: 1.x only.
fn minor(version: &[u8]) -> Option<u8> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', digit] if digit.is_ascii_digit() => {
            Some(u8::from(*digit != b'0'))
        }
        _ => None,
    }
}

// === heads ===

/// The line at `at` without its CRLF. Bare CR and LF are in it and match no rule.
fn line(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let n = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
    Some(&bytes[at..at + n])
}

pub(crate) fn request(bytes: &[u8]) -> Verdict {
    // RFC 9112, 2.2: one empty line before.
    let from = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let Some(first) = line(bytes, from) else { return Verdict::Undecided };
    // Choice: 414.
    if first.len() > 8192 {
        return Verdict::Refused;
    }
    // RFC 9112, 3: method SP request-target SP HTTP-version
    let parts: Vec<&[u8]> = first.split(|&b| b == b' ').collect();
    let [method, target, version] = parts[..] else { return Verdict::Refused };
    let Some(minor) = minor(version) else { return Verdict::Refused };
    if !is_token(method) || !is_target(method, target) {
        return Verdict::Refused;
    }
    let (fields, end) = match fields(bytes, from + first.len() + 2) {
        Ok(fields) => fields,
        Err(verdict) => return verdict,
    };
    // RFC 9112, 3.2
    let hosts = values(&fields, "host");
    if hosts.len() > 1
        || (hosts.is_empty() && minor == 1)
        || hosts.iter().any(|host| is_authority(host).is_none())
    {
        return Verdict::Refused;
    }
    let Some(claim) = claim(&fields, minor) else { return Verdict::Refused };
    let framing = claim.unwrap_or_else(|| "none".to_owned());
    Verdict::Head(Head {
        first: method.to_vec(),
        second: target.to_vec(),
        minor,
        fields,
        framing,
        end,
    })
}

pub(crate) fn response(bytes: &[u8], asked: &str) -> Verdict {
    let Some(first) = line(bytes, 0) else { return Verdict::Undecided };
    if first.len() > 8192 {
        return Verdict::Refused;
    }
    // RFC 9112, 4: HTTP-version SP status-code SP [ reason-phrase ]. Choice: the last SP may be missing; 100 to 999.
    let mut parts = first.splitn(3, |&b| b == b' ');
    let (version, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let reason = parts.next().unwrap_or_default();
    let Some(minor) = minor(version) else { return Verdict::Refused };
    let digits = code.len() == 3 && code.iter().all(u8::is_ascii_digit) && code[0] != b'0';
    if !digits || !reason.iter().all(|&b| is_field_content(b)) {
        return Verdict::Refused;
    }
    let status: u16 = std::str::from_utf8(code).unwrap().parse().unwrap();
    let (fields, end) = match fields(bytes, first.len() + 2) {
        Ok(fields) => fields,
        Err(verdict) => return verdict,
    };
    let Some(claim) = claim(&fields, minor) else { return Verdict::Refused };
    // RFC 9112, 6.3
    let none = asked == "HEAD"
        || status < 200
        || [204, 304].contains(&status)
        || (asked == "CONNECT" && status < 300);
    let framing =
        if none { "none".to_owned() } else { claim.unwrap_or_else(|| "close".to_owned()) };
    Verdict::Head(Head {
        first: code.to_vec(),
        second: reason.to_vec(),
        minor,
        fields,
        framing,
        end,
    })
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

// RFC 9112, 5: *( field-line CRLF ) CRLF; field-line = field-name ":" OWS field-value OWS
fn fields(bytes: &[u8], from: usize) -> Result<(Fields, usize), Verdict> {
    let mut fields = Vec::new();
    let mut at = from;
    loop {
        let line = line(bytes, at).ok_or(Verdict::Undecided)?;
        at += line.len() + 2;
        // Choice: 431.
        if at - from > 32 * 1024 + 2 || (line.is_empty() && at - from > 32 * 1024 + 4) {
            return Err(Verdict::Refused);
        }
        if line.is_empty() {
            return Ok((fields, at));
        }
        let colon = line.iter().position(|&b| b == b':').ok_or(Verdict::Refused)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if !is_token(name) || !value.iter().all(|&b| is_field_content(b)) {
            return Err(Verdict::Refused);
        }
        if fields.len() == 100 {
            return Err(Verdict::Refused);
        }
        let value = std::str::from_utf8(value).map_or_else(
            |_| {
                let blank = |b: &u8| *b == b' ' || *b == b'\t';
                let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
                let end = value.iter().rposition(|b| !blank(b)).map_or(start, |n| n + 1);
                value[start..end].to_vec()
            },
            |text| text.trim_matches([' ', '\t']).as_bytes().to_vec(),
        );
        fields.push((name.to_vec(), value));
    }
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let of_name = fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
    of_name.map(|(_, value)| value.as_slice()).collect()
}

/// What the fields say about the body: nothing, a length, or chunks. `None` is a fault.
fn claim(fields: &Fields, minor: u8) -> Option<Option<String>> {
    // Choice: more options than anybody has use for.
    let options: usize =
        values(fields, "connection").iter().map(|value| value.split(|&b| b == b',').count()).sum();
    if options > 64 {
        return None;
    }
    let (lengths, codings) =
        (values(fields, "content-length"), values(fields, "transfer-encoding"));
    if !lengths.is_empty() && !codings.is_empty() {
        return None;
    }
    if !codings.is_empty() {
        // RFC 9112, 6.1. Choice: only `chunked`, once, in one list; everything else is 400 or 501.
        let all = codings.join(&b","[..]);
        let text = String::from_utf8(all).ok()?;
        let chunked = minor == 1 && text.trim_matches([' ', '\t']).eq_ignore_ascii_case("chunked");
        return chunked.then(|| Some("chunked".to_owned()));
    }
    match lengths[..] {
        [] => Some(None),
        [length] => {
            // RFC 9112, 6.2: 1*DIGIT. `parse` takes a sign.
            let text = std::str::from_utf8(length).ok()?;
            if !text.chars().all(|c| c.is_ascii_digit()) {
                return None;
            }
            Some(Some(text.parse::<u64>().ok()?.to_string()))
        }
        _ => None,
    }
}

// === chunked bodies ===

/// RFC 9112, 7.1, without limits: the content, the trailer lines, and the length on the wire. `None` if it is not a whole body.
pub(crate) fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, Fields, usize)> {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let size_line = line(bytes, at)?;
        at += size_line.len() + 2;
        let n = size_line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(size_line.len());
        let (digits, extension) = size_line.split_at(n);
        if digits.is_empty() || digits.len() > 15 || !is_extension(extension) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        content.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        if bytes.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    let (fields, end) = fields(bytes, at).ok()?;
    Some((content, fields, end))
}

// *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
fn is_extension(bytes: &[u8]) -> bool {
    fn bws(bytes: &[u8]) -> &[u8] {
        &bytes[bytes.iter().position(|b| !b" \t".contains(b)).unwrap_or(bytes.len())..]
    }
    fn token(bytes: &[u8]) -> Option<&[u8]> {
        let n = bytes.iter().position(|&b| !is_tchar(b)).unwrap_or(bytes.len());
        (n > 0).then(|| &bytes[n..])
    }
    // RFC 9110, 5.6.4
    fn quoted(bytes: &[u8]) -> Option<&[u8]> {
        let mut rest = bytes.strip_prefix(b"\"")?;
        loop {
            rest = match rest {
                [b'"', rest @ ..] => return Some(rest),
                [b'\\', b, rest @ ..] if is_field_content(*b) => rest,
                [b, rest @ ..] if is_field_content(*b) && *b != b'\\' => rest,
                _ => return None,
            }
        }
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(name) = bws(rest).strip_prefix(b";").and_then(|rest| token(bws(rest))) else {
            return false;
        };
        rest = name;
        if let Some(value) = bws(rest).strip_prefix(b"=") {
            let value = bws(value);
            let Some(behind) = token(value).or_else(|| quoted(value)) else { return false };
            rest = behind;
        }
    }
    true
}
