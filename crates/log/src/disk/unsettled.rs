//! How the last of several threads learns that a block is complete.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// Slots of a block that are not settled, and one more while the block is open.
#[derive(Debug)]
pub(super) struct Unsettled(AtomicUsize);

impl Unsettled {
    /// Of a block without slots, that is open.
    pub(super) fn of_open_block() -> Self {
        Self(AtomicUsize::new(1))
    }

    /// A slot more. The block is open, so nobody can be the last meanwhile, and nothing needs to be ordered.
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one away; true, for one caller alone, when it was the last: the block is closed, and what was done before
    /// each of the others is visible to this one.
    pub(super) fn settle_one(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
