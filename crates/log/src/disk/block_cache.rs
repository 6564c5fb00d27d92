//! Whole blocks of sealed data for readers that catch up together, and the memory of who wanted what lately.
//!
//! A lone reader of one shard among many wants a few records of each block: it reads just those. When the requests that
//! were made for a block lately have cost as much as a good part of reading it whole, it is read whole and kept: readers
//! of several shards at about the same place then share one sequential read. What is remembered of blocks that are not
//! kept covers little more than what could be kept, so one reader after another through the whole log does not count
//! as several at one place.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use millstream_env::Timestamp;

use super::buffer::Frozen;

/// A block is read whole once the requests for parts of it cost this part of it.
const WORTH_PARTS: u64 = 4;
/// Wanted blocks remembered, for each block that fits into the cache.
const REMEMBERED_FACTOR: usize = 2;

#[derive(Debug)]
pub(super) struct BlockCache {
    bytes_max: usize,
    remembered_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Least recently used first.
    blocks: VecDeque<(u64, Arc<Kept>)>,
    bytes: usize,
    /// Blocks that are not kept, and what requests for their parts have cost.
    wanted: VecDeque<(u64, u64)>,
    last_used: Option<Timestamp>,
}

/// A block that is kept, or being read by the first who wanted it.
#[derive(Debug)]
pub(super) struct Kept {
    length: usize,
    loading: Mutex<()>,
    content: OnceLock<Frozen>,
}

impl Kept {
    /// Its content; read by `load` when nobody has yet. Others who want it meanwhile wait for it.
    pub(super) fn content(&self, load: impl FnOnce() -> io::Result<Frozen>) -> io::Result<Frozen> {
        if let Some(content) = self.content.get() {
            return Ok(content.clone());
        }
        let _one = self.loading.lock().expect("no code panics while holding this lock");
        match self.content.get() {
            Some(content) => Ok(content.clone()),
            None => load().map(|content| self.content.get_or_init(|| content).clone()),
        }
    }
}

impl BlockCache {
    /// A cache for blocks of usually `block_bytes`.
    pub(super) fn new(bytes_max: usize, block_bytes: usize) -> Self {
        let remembered_max = (bytes_max / block_bytes.max(1)) * REMEMBERED_FACTOR;
        Self { bytes_max, remembered_max, state: Mutex::default() }
    }

    /// Asks for parts of a block of `length` bytes, which would cost as much as reading `cost` bytes. `None`: read the
    /// parts. Otherwise the block is there, or is to be read whole.
    pub(super) fn want(&self, number: u64, length: usize, cost: u64, now: Timestamp) -> Option<Arc<Kept>> {
        let mut state = self.lock();
        state.last_used = Some(now);
        if let Some(index) = state.blocks.iter().rposition(|(kept, _)| *kept == number) {
            let found = state.blocks.remove(index)?;
            let kept = Arc::clone(&found.1);
            state.blocks.push_back(found);
            return Some(kept);
        }
        if length > self.bytes_max {
            return None;
        }
        let known = state.wanted.iter().position(|(wanted, _)| *wanted == number);
        let before = known.and_then(|index| state.wanted.remove(index)).map_or(0, |(_, cost)| cost);
        if (before + cost) * WORTH_PARTS < length as u64 {
            state.wanted.push_back((number, before + cost));
            while state.wanted.len() > self.remembered_max {
                state.wanted.pop_front();
            }
            return None;
        }
        let kept = Arc::new(Kept { length, loading: Mutex::default(), content: OnceLock::new() });
        state.bytes += length;
        state.blocks.push_back((number, Arc::clone(&kept)));
        while state.bytes > self.bytes_max {
            let Some((_, oldest)) = state.blocks.pop_front() else { break };
            state.bytes -= oldest.length;
        }
        Some(kept)
    }

    /// Forgets a block that could not be read, so that the next who wants it tries again.
    pub(super) fn forget(&self, number: u64) {
        let mut state = self.lock();
        if let Some(index) = state.blocks.iter().position(|(kept, _)| *kept == number)
            && let Some((_, gone)) = state.blocks.remove(index)
        {
            state.bytes -= gone.length;
        }
    }

    /// Gives the memory back when nobody asked since `before`. True when nobody did.
    pub(super) fn shrink(&self, before: Timestamp) -> bool {
        let mut state = self.lock();
        let idle = state.last_used.is_none_or(|used| used < before);
        if idle {
            *state = State::default();
        }
        idle
    }

    /// Forgets all blocks.
    pub(super) fn clear(&self) {
        *self.lock() = State::default();
    }

    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::buffer::Pool;
    use super::*;

    const NOW: Timestamp = Timestamp::EPOCH;
    const BLOCK: usize = 64 << 10;

    fn cache(blocks: usize) -> BlockCache {
        BlockCache::new(blocks * BLOCK, BLOCK)
    }

    fn fill(kept: &Kept) {
        kept.content(|| Ok(Pool::new(BLOCK, 0).copy(b"content"))).unwrap();
    }

    #[test]
    fn small_requests_add_up_until_the_block_is_worth_reading() {
        let cache = cache(4);
        for _ in 0..3 {
            assert!(cache.want(7, BLOCK, BLOCK as u64 / 16, NOW).is_none());
        }
        fill(&cache.want(7, BLOCK, BLOCK as u64 / 16, NOW).expect("a quarter was asked for"));
        let kept = cache.want(7, BLOCK, 1, NOW).expect("it is there");
        let again = kept.content(|| unreachable!("it was read already")).unwrap();
        assert_eq!(&again.as_ref()[..7], b"content");
        assert!(cache.want(8, BLOCK, BLOCK as u64 / 4, NOW).is_some(), "a good part at once");
    }

    #[test]
    fn one_reader_after_another_through_everything_reads_no_whole_blocks() {
        let cache = cache(4);
        for _ in 0..100 {
            for block in 0..50 {
                assert!(cache.want(block, BLOCK, BLOCK as u64 / 64, NOW).is_none());
            }
        }
    }

    #[test]
    fn memory_stays_within_its_bound_and_is_given_back() {
        let cache = cache(4);
        for block in 0..20 {
            fill(&cache.want(block, BLOCK, BLOCK as u64, NOW).expect("all of it is wanted"));
            assert!(cache.bytes() <= 4 * BLOCK);
        }
        assert!(cache.want(19, BLOCK, 1, NOW).is_some() && cache.want(3, BLOCK, 1, NOW).is_none());
        assert!(cache.want(99, 5 * BLOCK, u64::MAX / 8, NOW).is_none(), "larger than the cache");
        assert!(!cache.shrink(NOW) && cache.bytes() > 0);
        assert!(cache.shrink(NOW.plus(Duration::from_millis(1))) && cache.bytes() == 0);
    }

    #[test]
    fn a_block_that_could_not_be_read_is_tried_again() {
        let cache = cache(4);
        let kept = cache.want(1, BLOCK, BLOCK as u64, NOW).expect("all of it is wanted");
        assert!(kept.content(|| Err(io::ErrorKind::Other.into())).is_err());
        cache.forget(1);
        fill(&cache.want(1, BLOCK, BLOCK as u64, NOW).expect("all of it is wanted"));
        assert_eq!(cache.bytes(), BLOCK);
    }

    #[test]
    fn two_who_want_a_block_at_once_read_it_once() {
        let cache = cache(4);
        let reads = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let kept = cache.want(1, BLOCK, BLOCK as u64, NOW).expect("all of it is wanted");
                    kept.content(|| {
                        reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok(Pool::new(BLOCK, 0).copy(b"content"))
                    })
                    .unwrap();
                });
            }
        });
        assert_eq!(reads.into_inner(), 1);
    }
}
