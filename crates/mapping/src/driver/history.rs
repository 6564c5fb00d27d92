//! The last batches of each shard, for a person who wants to see what happened.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use millstream_types::ShardId;

use crate::machine::BatchEntry;

/// Entries kept for a shard, in memory. The last one is kept in the catalog as well.
const ENTRIES_PER_SHARD: usize = 100;

/// The histories of all mappings, by UUID. Each has a lock of its own, so that whoever looks at one holds up no other.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<HashMap<Arc<str>, Arc<Mutex<Shards>>>>);

/// The history of one mapping.
#[derive(Debug, Default)]
struct Shards {
    /// In order of their numbers.
    rings: BTreeMap<ShardId, VecDeque<Numbered>>,
    /// What happened is numbered in its order: moments do not tell, many batches end in the same millisecond.
    last_number: u64,
}

#[derive(Debug)]
struct Numbered {
    number: u64,
    entry: BatchEntry,
}

/// A line of the history with its number and shard.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) shard: ShardId,
    pub(crate) entry: BatchEntry,
}

impl History {
    pub(crate) fn add(&self, uuid: &Arc<str>, shard: ShardId, entry: BatchEntry) {
        self.change(uuid, |shards| shards.add(shard, entry));
    }

    /// Begins with what the catalog kept of an earlier life.
    pub(crate) fn recall(&self, uuid: &Arc<str>, mut last_batches: Vec<(ShardId, BatchEntry)>) {
        last_batches.sort_by_key(|(_, entry)| entry.ended);
        self.change(uuid, |shards| {
            for (shard, entry) in last_batches {
                if !shards.rings.contains_key(&shard) {
                    shards.add(shard, entry);
                }
            }
        });
    }

    /// Lines of a mapping, or of one of its shards, newest first: at most `limit`, with numbers below `before`.
    pub(crate) fn newest(&self, uuid: &str, shard: Option<ShardId>, before: Option<u64>, limit: usize) -> Vec<Line> {
        self.look(uuid, |shards| shards.newest(shard, before, limit)).unwrap_or_default()
    }

    /// The newest entry of a shard.
    pub(crate) fn last(&self, uuid: &str, shard: ShardId) -> Option<BatchEntry> {
        self.look(uuid, |shards| Some(shards.rings.get(&shard)?.back()?.entry.clone()))?
    }

    /// All there is, oldest first.
    pub(crate) fn of(&self, uuid: &str) -> BTreeMap<ShardId, Vec<BatchEntry>> {
        let entries = |ring: &VecDeque<Numbered>| ring.iter().map(|numbered| numbered.entry.clone()).collect();
        let all = |shards: &mut Shards| shards.rings.iter().map(|(shard, ring)| (*shard, entries(ring))).collect();
        self.look(uuid, all).unwrap_or_default()
    }

    /// Forgets a shard that has left the stream.
    pub(crate) fn forget_shard(&self, uuid: &str, shard: ShardId) {
        self.look(uuid, |shards| shards.rings.remove(&shard));
    }

    pub(crate) fn forget(&self, uuid: &str) {
        self.0.lock().expect("no code panics while holding this lock").remove(uuid);
    }

    fn change<T>(&self, uuid: &Arc<str>, change: impl FnOnce(&mut Shards) -> T) -> T {
        let mut mappings = self.0.lock().expect("no code panics while holding this lock");
        let shards = Arc::clone(mappings.entry(Arc::clone(uuid)).or_default());
        drop(mappings);
        change(&mut shards.lock().expect("no code panics while holding this lock"))
    }

    fn look<T>(&self, uuid: &str, look: impl FnOnce(&mut Shards) -> T) -> Option<T> {
        let shards = self.0.lock().expect("no code panics while holding this lock").get(uuid).cloned()?;
        let mut shards = shards.lock().expect("no code panics while holding this lock");
        Some(look(&mut shards))
    }
}

impl Shards {
    fn add(&mut self, shard: ShardId, entry: BatchEntry) {
        self.last_number += 1;
        let ring = self.rings.entry(shard).or_default();
        if ring.len() == ENTRIES_PER_SHARD {
            ring.pop_front();
        }
        ring.push_back(Numbered { number: self.last_number, entry });
    }

    fn newest(&self, shard: Option<ShardId>, before: Option<u64>, limit: usize) -> Vec<Line> {
        let before = before.unwrap_or(u64::MAX);
        // The newest that is left of each ring.
        let mut heads: BinaryHeap<(u64, Reverse<ShardId>, usize)> = BinaryHeap::new();
        for (id, ring) in self.rings.iter().filter(|(id, _)| shard.is_none_or(|shard| shard == **id)) {
            let end = ring.partition_point(|numbered| numbered.number < before);
            heads.extend(end.checked_sub(1).map(|index| (ring[index].number, Reverse(*id), index)));
        }
        let mut lines = Vec::new();
        while lines.len() < limit
            && let Some((number, Reverse(shard), index)) = heads.pop()
        {
            let ring = &self.rings[&shard];
            lines.push(Line { number, shard, entry: ring[index].entry.clone() });
            heads.extend(index.checked_sub(1).map(|index| (ring[index].number, Reverse(shard), index)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use millstream_env::Timestamp;
    use millstream_log::Position;
    use millstream_types::ShardIndex;

    use super::*;
    use crate::machine::{BatchOutcome, Decision};

    fn shard(index: u32) -> ShardId {
        ShardId(ShardIndex::new(index).unwrap())
    }

    fn entry(first: u64, last: u64, ended: u64) -> BatchEntry {
        BatchEntry {
            lane: 0,
            first: Position(first),
            last: Position(last),
            records: 1,
            event_bytes: 1,
            attempt: 1,
            started: Timestamp::from_millis(0),
            ended: Timestamp::from_millis(ended),
            request_id: None,
            outcome: BatchOutcome::FunctionFailed,
            decision: Decision::Bisect,
        }
    }

    fn positions(lines: &[Line]) -> Vec<(u64, u64)> {
        lines.iter().map(|line| (line.entry.first.0, line.entry.last.0)).collect()
    }

    #[test]
    fn what_ends_in_one_millisecond_is_told_in_the_order_in_which_it_happened() {
        let (history, uuid) = (History::default(), Arc::from("u"));
        for (first, last) in [(1, 10), (1, 5), (6, 10)] {
            history.add(&uuid, shard(0), entry(first, last, 7));
        }
        assert_eq!(positions(&history.newest("u", None, None, 10)), [(6, 10), (1, 5), (1, 10)]);
    }

    #[test]
    fn pages_lose_nothing_and_repeat_nothing() {
        let (history, uuid) = (History::default(), Arc::from("u"));
        // Equal in everything, in turns in three shards; one has more than is kept.
        for number in 0..30 {
            history.add(&uuid, shard(number % 3), entry(1, 1, 7));
        }
        (0..150).for_each(|_| history.add(&uuid, shard(9), entry(2, 2, 7)));
        let (mut numbers, mut before) = (Vec::new(), None);
        loop {
            let page = history.newest("u", None, before, 7);
            let Some(last) = page.last() else { break };
            before = Some(last.number);
            numbers.extend(page.iter().map(|line| line.number));
        }
        let expected: Vec<u64> = (81..=180).rev().chain((1..=30).rev()).collect();
        assert_eq!(numbers, expected);
        let one = history.newest("u", Some(shard(1)), None, 100);
        assert!(one.len() == 10 && one.iter().all(|line| line.shard == shard(1)));
    }

    #[test]
    fn what_was_kept_comes_before_what_happens_and_a_shard_can_be_forgotten() {
        let (history, uuid) = (History::default(), Arc::from("u"));
        history.recall(&uuid, vec![(shard(0), entry(1, 1, 9)), (shard(1), entry(2, 2, 8))]);
        history.recall(&uuid, vec![(shard(0), entry(5, 5, 9))]);
        history.add(&uuid, shard(1), entry(3, 3, 9));
        assert_eq!(positions(&history.newest("u", None, None, 10)), [(3, 3), (1, 1), (2, 2)]);
        history.forget_shard("u", shard(1));
        assert_eq!(positions(&history.newest("u", None, None, 10)), [(1, 1)]);
        assert_eq!(history.last("u", shard(1)), None);
        history.forget("u");
        assert!(history.newest("u", None, None, 10).is_empty());
    }
}
