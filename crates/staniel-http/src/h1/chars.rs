//! Which byte may stand where.

/// RFC 9110, section 5.6.2: `tchar`.
pub(crate) const TOKEN: u8 = 1;
/// A `tchar` but `_`, which some origins read as `-`.
pub(crate) const PLAIN: u8 = 2;
/// What may stand in a request target (see [`crate::h1::Target`]).
pub(crate) const TARGET: u8 = 4;
/// What may stand in a registered name of a `Host`.
pub(crate) const HOST: u8 = 8;
/// RFC 3986, section 2.3: what never needs an escape.
pub(crate) const UNRESERVED: u8 = 16;

static CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "evaluated at compile time; `b` is below 256")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        let alphanumeric = byte.is_ascii_alphanumeric();
        if alphanumeric
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        {
            table[b] |= if byte == b'_' { TOKEN } else { TOKEN | PLAIN };
        }
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>') {
            table[b] |= TARGET;
        }
        if alphanumeric || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            table[b] |= HOST | UNRESERVED;
        }
        b += 1;
    }
    table
}

/// The classes of `byte`, as bits.
#[inline]
pub(crate) fn class(byte: u8) -> u8 {
    // 256 entries: the compiler drops the check.
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// The classes that all of `bytes` have. There is no way out of the loop, so that the look-ups can overlap.
#[inline]
pub(crate) fn common(bytes: &[u8]) -> u8 {
    bytes.iter().fold(u8::MAX, |classes, &b| classes & class(b))
}

/// The place of the first colon.
#[inline]
pub(crate) fn colon(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let zero_at_colon = u64::from_le_bytes(*word) ^ (ONES * 0x3a);
        // As in `first_control`: only the lowest hit is sure, and it is the one that counts.
        let hits = zero_at_colon.wrapping_sub(ONES) & !zero_at_colon & HIGH;
        if hits != 0 {
            return Some(i * 8 + (hits.trailing_zeros() / 8) as usize);
        }
    }
    let n = tail.iter().position(|&b| b == b':')?;
    Some(words.len() * 8 + n)
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// Whether `bytes` is a `token`.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| class(b) & TOKEN != 0)
}

/// Whether `bytes` may be a field value: visible ASCII, `obs-text`, SP and HTAB (RFC 9110, section 5.5).
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    value_len(bytes) == bytes.len()
}

/// The length of the part at the front of `bytes` that may be a field value; all of it if nothing ends it.
#[inline]
pub(crate) fn value_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let Some(rest) = bytes.get(at..) else { return bytes.len() };
        match first_control(rest) {
            None => return bytes.len(),
            Some(n) if rest.get(n) == Some(&b'\t') => at += n + 1,
            Some(n) => return at + n,
        }
    }
}

/// The first byte below SP, or DEL. Eight bytes at a time; a CR is found on the way, so a value is looked at once.
#[inline]
fn first_control(bytes: &[u8]) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let not_del = word ^ (ONES * 0x7f);
        let del = not_del.wrapping_sub(ONES) & !not_del;
        // A borrow makes false hits only above a true one, and the lowest is taken.
        let hits = (below_space | del) & HIGH;
        if hits != 0 {
            return Some(i * 8 + (hits.trailing_zeros() / 8) as usize);
        }
    }
    let n = tail.iter().position(|&b| b < 0x20 || b == 0x7f)?;
    Some(words.len() * 8 + n)
}

/// Takes SP and HTAB off both ends (RFC 9110, section 5.6.3: OWS).
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let Some((b' ' | b'\t', rest)) = bytes.split_first() {
        bytes = rest;
    }
    while let Some((b' ' | b'\t', rest)) = bytes.split_last() {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed; empty ones as well.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_byte_ends_a_value_wherever_it_stands() {
        for len in 0..40 {
            for at in 0..len {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![0x80_u8.wrapping_add(at as u8); len];
                    bytes[at] = byte;
                    let ends = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                    assert_eq!(
                        value_len(&bytes),
                        if ends { at } else { len },
                        "{byte} at {at} of {len}"
                    );
                }
            }
        }
    }
}
