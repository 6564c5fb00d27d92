//! Aligned memory for blocks: carved into regions that are filled by several threads, then frozen and shared.
//!
//! The only unsafe code of the crate. What keeps it sound: an [`Arena`] hands out [`Region`]s that never overlap, each
//! the only way to its bytes; [`Arena::freeze`] succeeds only when no region is left, and consumes the arena, so that
//! nothing can be written once a [`Frozen`] exists.
#![expect(unsafe_code, reason = "several threads fill disjoint parts of one aligned buffer")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;

use super::format::PAGE_BYTES;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, Mutex, MutexGuard};

/// Memory of a multiple of 4 KiB at an address that is one too. Always initialised.
struct Raw {
    start: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a `Raw` owns its memory; who may touch which part of it is settled by `Arena`, `Region` and `Frozen`.
unsafe impl Send for Raw {}
// SAFETY: as above: sharing a `Raw` alone gives no access to its bytes.
unsafe impl Sync for Raw {}

impl Raw {
    fn new(capacity: usize) -> Self {
        let layout = Self::layout(capacity);
        // SAFETY: the layout is not of size zero (`layout` checks).
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Self { start, capacity }
    }

    fn layout(capacity: usize) -> Layout {
        assert!(capacity > 0, "a buffer has bytes");
        Layout::from_size_align(capacity, PAGE_BYTES).expect("block sizes are far below the address space")
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this very layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), Self::layout(self.capacity)) }
    }
}

/// Where buffers of the usual size come from and go back to. Keeps at most `spare_max` of them.
pub(super) struct Pool {
    usual_capacity: usize,
    spare_max: usize,
    spare: Mutex<Vec<Raw>>,
    /// Bytes of all buffers that are in use.
    in_use: AtomicUsize,
}

impl Pool {
    pub(super) fn new(usual_capacity: usize, spare_max: usize) -> Arc<Self> {
        Arc::new(Self { usual_capacity, spare_max, spare: Mutex::default(), in_use: AtomicUsize::new(0) })
    }

    pub(super) fn usual_capacity(&self) -> usize {
        self.usual_capacity
    }

    /// An arena of at least `capacity` bytes.
    pub(super) fn arena(self: &Arc<Self>, capacity: usize) -> Arena {
        let capacity = capacity.next_multiple_of(PAGE_BYTES).max(self.usual_capacity);
        let spare = if capacity == self.usual_capacity { self.spare().pop() } else { None };
        Arena { memory: self.memory(spare.unwrap_or_else(|| Raw::new(capacity))), used: 0 }
    }

    /// A frozen copy, as small as can be.
    pub(super) fn copy(self: &Arc<Self>, bytes: &[u8]) -> Frozen {
        let raw = Raw::new(bytes.len().max(1).next_multiple_of(PAGE_BYTES));
        let mut arena = Arena { memory: self.memory(raw), used: 0 };
        let mut region = arena.carve(bytes.len()).expect("as large as its content");
        region.bytes_mut().copy_from_slice(bytes);
        drop(region);
        arena.freeze().unwrap_or_else(|_| unreachable!("its only region is dropped"))
    }

    pub(super) fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Gives spare memory back to the system.
    pub(super) fn shrink(&self) {
        self.spare().clear();
    }

    fn memory(self: &Arc<Self>, raw: Raw) -> sync::Arc<Memory> {
        self.in_use.fetch_add(raw.capacity, Ordering::Relaxed);
        sync::Arc::new(Memory { raw: Some(raw), pool: Arc::clone(self) })
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Raw>> {
        self.spare.lock().expect("no code panics while holding this lock")
    }

    fn take_back(&self, raw: Raw) {
        self.in_use.fetch_sub(raw.capacity, Ordering::Relaxed);
        let mut spare = self.spare();
        if raw.capacity == self.usual_capacity && spare.len() < self.spare_max {
            spare.push(raw);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} bytes in use)", self.in_use())
    }
}

/// A buffer, shared by the parts made of it; goes back to its pool with the last of them.
struct Memory {
    /// Taken only while dropping.
    raw: Option<Raw>,
    pool: Arc<Pool>,
}

impl Memory {
    fn raw(&self) -> &Raw {
        self.raw.as_ref().expect("there until dropped")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.pool.take_back(raw);
        }
    }
}

/// A buffer that is being carved up.
pub(super) struct Arena {
    memory: sync::Arc<Memory>,
    used: usize,
}

impl Arena {
    /// The next `length` bytes, or `None` when there are not so many left.
    pub(super) fn carve(&mut self, length: usize) -> Option<Region> {
        let start = self.used;
        let end = start.checked_add(length).filter(|end| *end <= self.memory.raw().capacity)?;
        self.used = end;
        Some(Region { memory: sync::Arc::clone(&self.memory), start, length })
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn remaining(&self) -> usize {
        self.memory.raw().capacity - self.used
    }

    /// Ends the carving: what was carved, padded with zeros to a multiple of 4 KiB. Gives the arena back while regions
    /// are alive.
    pub(super) fn freeze(mut self) -> Result<Frozen, Self> {
        // Regions share the memory until they are dropped; being alone with it, this also sees all that they wrote.
        if sync::Arc::get_mut(&mut self.memory).is_none() {
            return Err(self);
        }
        let length = self.used.next_multiple_of(PAGE_BYTES);
        assert!(length <= self.memory.raw().capacity, "capacities are multiples of 4 KiB");
        // SAFETY: within the buffer; no region is alive and this arena, consumed here, was the only way to make one.
        unsafe { self.memory.raw().start.as_ptr().add(self.used).write_bytes(0, length - self.used) }
        Ok(Frozen { memory: self.memory, length })
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} bytes used)", self.used)
    }
}

/// A part of an arena, writable through this value alone.
pub(super) struct Region {
    memory: sync::Arc<Memory>,
    start: usize,
    length: usize,
}

impl Region {
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `Arena::carve` checked the bounds and gives each range to one region only; nothing is frozen while this
        // region lives, so this is the only reference to these bytes.
        unsafe { std::slice::from_raw_parts_mut(self.memory.raw().start.as_ptr().add(self.start), self.length) }
    }
}

/// Bytes that never change any more. Clones share them.
#[derive(Clone)]
pub(super) struct Frozen {
    memory: sync::Arc<Memory>,
    length: usize,
}

impl Frozen {
    /// Whether both are the same memory.
    pub(super) fn is(&self, other: &Self) -> bool {
        sync::Arc::ptr_eq(&self.memory, &other.memory)
    }

    /// Bytes of memory held, which may be more than its length.
    pub(super) fn capacity(&self) -> usize {
        self.memory.raw().capacity
    }
}

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: made by `Arena::freeze` only: in bounds, and nothing writes to this memory any more.
        unsafe { std::slice::from_raw_parts(self.memory.raw().start.as_ptr(), self.length) }
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Region")
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frozen({} bytes)", self.as_ref().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_filled_by_several_threads_and_frozen_together() {
        let pool = Pool::new(2 * PAGE_BYTES, 1);
        let mut arena = pool.arena(1);
        let mut regions: Vec<_> = (0..8).map(|_| arena.carve(700).expect("there is room")).collect();
        std::thread::scope(|scope| {
            for (fill, region) in (1..).zip(&mut regions) {
                scope.spawn(move || region.bytes_mut().fill(fill));
            }
        });
        let arena = arena.freeze().expect_err("regions are alive");
        drop(regions);
        let frozen = arena.freeze().expect("no region is left");
        let bytes = frozen.as_ref();
        assert_eq!(bytes.len(), 2 * PAGE_BYTES);
        assert!((1..=8).all(|fill| bytes[(fill as usize - 1) * 700..fill as usize * 700].iter().all(|b| *b == fill)));
        assert!(bytes[5600..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn recycled_memory_is_padded_with_zeros_and_counted() {
        let pool = Pool::new(PAGE_BYTES, 1);
        let mut arena = pool.arena(10);
        arena.carve(PAGE_BYTES).expect("there is room").bytes_mut().fill(9);
        assert!(arena.carve(1).is_none() && arena.remaining() == 0);
        drop(arena);
        assert_eq!(pool.in_use(), 0);
        let mut again = pool.arena(10);
        drop(again.carve(10));
        let frozen = again.freeze().expect("no region is left");
        assert!(frozen.as_ref()[10..].iter().all(|byte| *byte == 0));
        assert_eq!((pool.in_use(), frozen.capacity()), (PAGE_BYTES, PAGE_BYTES));
        assert_eq!(pool.copy(b"abc").as_ref()[..3], *b"abc");
    }
}
