//! "Did you mean": the known word nearest to what was written.

/// The nearest of `known`, or nothing when even that one is too far away to be a slip.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = folded(written);
    // A third of the word may differ, one character at least. Long words are nobody's slip and cost the square.
    if written.is_empty() || written.len() > 64 {
        return None;
    }
    let within = (written.len() / 3).max(1);
    known
        .into_iter()
        .map(|word| (distance(&written, &folded(word)), word))
        .filter(|&(distance, _)| distance <= within)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

/// Case, `-` and `_` are the commonest slips and cost nothing.
fn folded(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, replacements, and swaps of two neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut two_back: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    let mut before_a = None;
    for (row, &in_a) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(b.len() + 1);
        current.push(row + 1);
        let mut before_b = None;
        for (column, &in_b) in b.iter().enumerate() {
            let at =
                |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&previous, column) + usize::from(in_a != in_b);
            let mut best =
                replaced.min(at(&previous, column + 1) + 1).min(at(&current, column) + 1);
            if column > 0 && before_a == Some(in_b) && before_b == Some(in_a) {
                best = best.min(at(&two_back, column - 1) + 1);
            }
            current.push(best);
            before_b = Some(in_b);
        }
        before_a = Some(in_a);
        two_back = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_find_their_word_and_strangers_do_not() {
        let known = ["address", "cluster", "protocols", "limits", "to"];
        let check = |written: &str, expected: Option<&str>| {
            assert_eq!(nearest(written, known), expected, "{written}")
        };
        check("adress", Some("address"));
        check("addrses", Some("address"));
        check("Cluster", Some("cluster"));
        check("protocol", Some("protocols"));
        check("ot", Some("to"));
        check("backend", None);
        check("", None);
        check(&"x".repeat(10_000), None);
    }
}
