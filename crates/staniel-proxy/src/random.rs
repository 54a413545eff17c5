//! Numbers that need not be unpredictable: which destination is tried first.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0u8) | 1);
}

/// A number below `n`; 0 if `n` is 0.
pub(crate) fn below(n: usize) -> usize {
    STATE.with(|state| {
        // xorshift64*: three shifts and a product, as good as a choice of two needs.
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        let high = x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        ((high * n as u64) >> 32) as usize
    })
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn every_number_has_its_turn() {
        let mut seen = [0u32; 7];
        (0..7000).for_each(|_| seen[below(7)] += 1);
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
        assert_eq!(below(0), 0);
    }
}
