//! The last batches of each shard, for a person who wants to see what happened.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_types::ShardId;

use crate::machine::BatchEntry;

/// Entries kept for a shard, in memory. The last one is kept in the catalog as well.
const ENTRIES_PER_SHARD: usize = 100;

type Rings = HashMap<Arc<str>, BTreeMap<ShardId, VecDeque<BatchEntry>>>;

/// The histories of all mappings, by UUID.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Rings>);

impl History {
    pub(crate) fn add(&self, uuid: &Arc<str>, shard: ShardId, entry: BatchEntry) {
        let mut rings = self.lock();
        let ring = rings.entry(Arc::clone(uuid)).or_default().entry(shard).or_default();
        if ring.len() == ENTRIES_PER_SHARD {
            ring.pop_front();
        }
        ring.push_back(entry);
    }

    /// Begins with what the catalog kept of an earlier life.
    pub(crate) fn recall(&self, uuid: &Arc<str>, shard: ShardId, entry: BatchEntry) {
        let mut rings = self.lock();
        let ring = rings.entry(Arc::clone(uuid)).or_default().entry(shard).or_default();
        if ring.is_empty() {
            ring.push_back(entry);
        }
    }

    /// Oldest first.
    pub(crate) fn of(&self, uuid: &str) -> BTreeMap<ShardId, Vec<BatchEntry>> {
        let rings = self.lock();
        let Some(shards) = rings.get(uuid) else { return BTreeMap::new() };
        shards.iter().map(|(shard, ring)| (*shard, ring.iter().cloned().collect())).collect()
    }

    /// The newest entry of a shard.
    pub(crate) fn last(&self, uuid: &str, shard: ShardId) -> Option<BatchEntry> {
        self.lock().get(uuid)?.get(&shard)?.back().cloned()
    }

    pub(crate) fn forget(&self, uuid: &str) {
        self.lock().remove(uuid);
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
