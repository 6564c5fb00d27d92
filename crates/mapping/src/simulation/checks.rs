//! The promises, checked at every step of a [`World`].

use std::collections::BTreeSet;

use millstream_log::Position;

use super::world::{RETENTION_LONG, World};
use crate::event::EVENT_BYTES_MAX;
use crate::machine::Batch;

impl World {
    pub(super) fn check_delivery(&self, shard: u32, batch: &Batch) {
        let stream_shard = &self.shards[shard as usize];
        let now = self.time();
        let seed = self.seed;
        assert!(batch.records().len() <= self.settings.batch_size, "seed {seed}: batch too long");
        assert!(batch.event().len() <= EVENT_BYTES_MAX, "seed {seed}: event too large");
        if let Some(open) = stream_shard.first_open(now, self.retention) {
            assert!(open >= batch.first(), "seed {seed}: {shard} delivers {:?} before {open:?}", batch.first());
        }
        let stored = stream_shard.records.iter().map(|s| &s.record).filter(|r| r.position >= batch.first());
        assert!(batch.records().iter().eq(stored.take(batch.records().len())), "seed {seed}: {shard} skips or alters");
        for parent in &stream_shard.info.parents {
            let parent = &self.shards[parent.0.get() as usize];
            assert_eq!(parent.first_open(now, self.retention), None, "seed {seed}: {shard} runs before its parent");
        }
    }

    pub(super) fn check_checkpoint(&self, shard: u32, next: Position) {
        let seed = self.seed;
        assert!(self.position(shard).next < next.0 || next.0 == 0, "seed {seed}: {shard} goes back to {next:?}");
        if let Some(open) = self.shards[shard as usize].first_open(self.time(), self.retention) {
            assert!(open >= next, "seed {seed}: {shard} checkpoints {next:?}, {open:?} is open");
        }
    }

    pub(super) fn check_drained(&self, shard: u32) {
        let shard = &self.shards[shard as usize];
        assert!(shard.sealed, "seed {}: only a sealed shard is drained", self.seed);
        assert_eq!(shard.first_open(self.time(), self.retention), None, "seed {}: drained too early", self.seed);
    }

    pub(super) fn check_end(&self) {
        let mut waiting_for_poison = BTreeSet::new();
        for shard in &self.shards {
            let waits = shard.poisoned || shard.info.parents.iter().any(|parent| waiting_for_poison.contains(parent));
            if waits {
                waiting_for_poison.insert(shard.info.id);
            }
            let retention = if waits { self.retention } else { RETENTION_LONG };
            let open = shard.first_open(self.time(), retention);
            assert_eq!(open, None, "seed {}: shard {} never processed it", self.seed, shard.info.id);
        }
    }
}
