//! Buffers that belong to the thread that polls, so that a connection which waits owns none.
//!
//! A read borrows a block of the thread inside one poll and keeps it only if bytes came (`Io::poll_fill`).
//! What has to outlive a wait moves into the smallest class that holds it ([`Lease::settle`]), and every lease goes
//! back to the free list of the thread that drops it. The lists are bounded; what does not fit is freed.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;

/// The sizes in which buffers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a size class more changes every table that is indexed by it"
)]
pub enum Class {
    /// 512 B: the head of a small request that waits for its answer.
    Half,
    /// 2 KiB: an ordinary head.
    Two,
    /// 16 KiB: a large head, a datagram burst.
    Head,
    /// 64 KiB: a read from a socket.
    Block,
}

impl Class {
    const ALL: [Self; 4] = [Self::Half, Self::Two, Self::Head, Self::Block];

    /// The bytes that a buffer of this class holds.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Half => 512,
            Self::Two => 2 * 1024,
            Self::Head => 16 * 1024,
            Self::Block => 64 * 1024,
        }
    }

    /// The smallest class that holds `len` bytes; `None` above 64 KiB.
    #[must_use]
    pub fn holding(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|class| len <= class.size())
    }

    /// How many free buffers of this class a thread keeps: at most 1 MiB of each, 128 KiB of the smallest.
    const fn kept(self) -> usize {
        match self {
            Self::Half => 256,
            Self::Two => 512,
            Self::Head => 64,
            Self::Block => 16,
        }
    }
}

thread_local! {
    static FREE: RefCell<[Vec<Vec<u8>>; 4]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new(), Vec::new()]) };
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A buffer on loan from the thread's pool: `start..end` of it is filled, behind that is room.
///
/// Dropping it gives it back to the pool of the thread that drops it.
pub struct Lease {
    bytes: Vec<u8>,
    start: u32,
    end: u32,
}

// === impl Lease ===

impl Lease {
    /// An empty buffer of `class`.
    #[must_use]
    pub fn take(class: Class) -> Self {
        let bytes = FREE
            .try_with(|free| {
                free.try_borrow_mut().ok().and_then(|mut free| free.get_mut(class as usize)?.pop())
            })
            .ok()
            .flatten()
            .unwrap_or_else(|| vec![0; class.size()]);
        Self { bytes, start: 0, end: 0 }
    }

    /// A copy of `bytes` in the smallest buffer that holds them. Above 64 KiB the buffer is of exactly that size.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut lease = match Class::holding(bytes.len()) {
            Some(class) => Self::take(class),
            None => Self { bytes: vec![0; bytes.len()], start: 0, end: 0 },
        };
        lease.extend(bytes);
        lease
    }

    /// The filled part.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The room behind the filled part.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end as usize..).unwrap_or_default()
    }

    /// How many bytes fit behind the filled part.
    #[must_use]
    pub fn room(&self) -> usize {
        self.bytes.len() - self.end as usize
    }

    /// Counts the first `n` bytes of the room as filled; more than the room is taken as all of it.
    pub fn filled(&mut self, n: usize) {
        self.end += n.min(self.room()) as u32;
    }

    /// Takes `n` bytes off the front; more than there are is taken as all of them.
    pub fn consume(&mut self, n: usize) {
        self.start += n.min(self.as_slice().len()) as u32;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Shortens the filled part to its first `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.start + n.min(self.as_slice().len()) as u32;
    }

    /// Appends as many of `bytes` as fit and says how many those were.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let n = bytes.len().min(self.room());
        if let (Some(to), Some(from)) = (self.spare_mut().get_mut(..n), bytes.get(..n)) {
            to.copy_from_slice(from);
        }
        self.filled(n);
        n
    }

    /// The same bytes in the smallest class that holds them, for what has to outlive a wait.
    #[must_use]
    pub fn settle(self) -> Self {
        match Class::holding(self.len()) {
            Some(class) if class.size() < self.bytes.len() => Self::copy_of(&self),
            _ => self,
        }
    }

    /// Cuts the filled part at `at`: this keeps what is before, the copy that is returned holds what is behind.
    /// `None` if nothing is behind.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Option<Self> {
        let rest = self.as_slice().get(at..).filter(|rest| !rest.is_empty()).map(Self::copy_of);
        self.truncate(at);
        rest
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(class) =
            Class::holding(self.bytes.len()).filter(|class| class.size() == self.bytes.len())
        else {
            return;
        };
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that is ending has no pool any more; the buffer is then simply freed.
        let _ = FREE.try_with(|free| {
            if let Ok(mut free) = free.try_borrow_mut()
                && let Some(list) = free.get_mut(class as usize)
                && list.len() < class.kept()
            {
                list.push(bytes);
            }
        });
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("filled", &self.len()).field("room", &self.room()).finish()
    }
}

/// Lends the thread's output buffer, empty, for one synchronous step.
///
/// A call inside `f` gets a buffer of its own. A buffer that grew over 64 KiB is not kept.
pub fn scratch<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let mut buffer = SCRATCH.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let result = f(&mut buffer);
    if buffer.capacity() <= Class::Block.size() {
        let _ = SCRATCH.try_with(|cell| cell.set(buffer));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_consumed_makes_way_and_what_is_split_off_is_kept() {
        let mut lease = Lease::copy_of(b"head|body");
        assert_eq!(lease.bytes.len(), 512);
        let rest = lease.split_off(5).unwrap();
        assert_eq!((&lease[..], &rest[..]), (&b"head|"[..], &b"body"[..]));
        lease.consume(5);
        assert_eq!(
            (lease.len(), lease.room()),
            (0, 512),
            "an emptied buffer starts again at its front"
        );
        assert!(lease.split_off(0).is_none());
    }

    #[test]
    fn settle_moves_to_the_smallest_class() {
        let mut block = Lease::take(Class::Block);
        block.extend(&[7; 600]);
        let small = block.settle();
        assert_eq!((small.bytes.len(), small.len()), (2048, 600));
    }

    #[test]
    fn buffers_come_back_to_the_thread_and_the_list_is_bounded() {
        std::thread::spawn(|| {
            drop((0..40).map(|_| Lease::take(Class::Block)).collect::<Vec<_>>());
            FREE.with(|free| {
                assert_eq!(free.borrow()[Class::Block as usize].len(), Class::Block.kept())
            });
        })
        .join()
        .unwrap();
    }

    #[test]
    fn scratch_nests() {
        scratch(|outer| {
            outer.extend_from_slice(b"outer");
            scratch(|inner| assert!(inner.is_empty()));
            assert_eq!(outer, b"outer");
        });
        scratch(|again| assert!(again.is_empty()));
    }
}
