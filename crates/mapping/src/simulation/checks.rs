//! The promises, checked at every step of a [`World`].

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_log::Position;
use serde_json::Value;

use super::world::{RETENTION_LONG, World};
use crate::event::EVENT_BYTES_MAX;
use crate::machine::{Batch, DiscardReason, FailedBatch, Progress};

impl World {
    pub(super) fn check_delivery(&self, shard: u32, batch: &Batch) {
        let stream_shard = &self.shards[shard as usize];
        let (now, seed, settings) = (self.time(), self.seed, &self.settings);
        assert!(batch.records().len() <= self.batch_size_max, "seed {seed}: batch too long");
        assert!(batch.event().len() <= EVENT_BYTES_MAX, "seed {seed}: event too large");
        let positions: Vec<Position> = batch.records().iter().map(|record| record.position).collect();
        assert!(positions.is_sorted_by(|a, b| a < b), "seed {seed}: {shard} mixes up its records");
        for record in batch.records() {
            let found = stream_shard.records.iter().find(|stored| stored.record.position == record.position);
            let stored = found.expect("only what was stored is delivered");
            assert_eq!(&stored.record, record, "seed {seed}: {shard} alters a record");
            assert!(stored.passes, "seed {seed}: {shard} delivers what the filters drop");
            assert_eq!(stored.in_flight, 0, "seed {seed}: {shard} delivers {:?} twice at once", record.position);
            if let Some(age) = settings.record_age_max {
                assert!(record.arrival.plus(age) > now, "seed {seed}: {shard} delivers a record that is too old");
            }
        }
        self.check_order(shard, batch);
        if let Some(first) = batch.records().first() {
            let failures = self.ledger.failures(shard, &positions);
            assert!(
                settings.retries_max.is_none_or(|max| failures <= max + self.crashes),
                "seed {seed}: {shard} tries {:?} after {failures} failures",
                first.position
            );
        }
        if let Some(length) = settings.tumbling_window {
            self.check_window(shard, batch, length);
        }
    }

    /// Every earlier record that shares a key with this batch (any, if the shard has one lane) has its outcome.
    fn check_order(&self, shard: u32, batch: &Batch) {
        let (now, seed) = (self.time(), self.seed);
        let stream_shard = &self.shards[shard as usize];
        let own: BTreeSet<Position> = batch.records().iter().map(|record| record.position).collect();
        for record in batch.records() {
            for earlier in stream_shard.open(now, self.retention).take_while(|s| s.record.position < record.position) {
                let concerns = self.settings.lanes == 1 || earlier.record.partition_key == record.partition_key;
                assert!(
                    !concerns || own.contains(&earlier.record.position),
                    "seed {seed}: {shard} delivers {:?} before {:?}",
                    record.position,
                    earlier.record.position
                );
            }
        }
        for parent in &stream_shard.info.parents {
            let parent = &self.shards[parent.0.get() as usize];
            assert_eq!(parent.first_open(now, self.retention), None, "seed {seed}: {shard} runs before its parent");
        }
    }

    fn check_window(&self, shard: u32, batch: &Batch, length: Duration) {
        let seed = self.seed;
        let event: Value = serde_json::from_slice(batch.event()).expect("events are JSON");
        let is_final = event["isFinalInvokeForWindow"].as_bool().expect("the event of a window");
        assert_eq!(is_final, batch.records().is_empty(), "seed {seed}: only the last invocation is empty");
        let length = u64::try_from(length.as_millis()).unwrap();
        let start_of = |moment: Timestamp| moment.millis() / length * length;
        let starts: BTreeSet<u64> = batch.records().iter().map(|record| start_of(record.arrival)).collect();
        let start = event["window"]["start"].as_str().unwrap();
        for expected in &starts {
            assert_eq!(crate::dates::seconds(Timestamp::from_millis(*expected)), start, "seed {seed}: {shard} window");
        }
        let seen: Vec<u64> =
            event["state"]["seen"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        assert!(seen.is_sorted_by(|a, b| a < b), "seed {seed}: {shard} counts records twice in a window: {seen:?}");
        if is_final {
            let is_inside = |stored: &&super::stream::Stored| {
                crate::dates::seconds(Timestamp::from_millis(start_of(stored.record.arrival))) == start
            };
            let known =
                self.shards[shard as usize].records.iter().filter(is_inside).filter(|s| s.known && s.discarded == 0);
            let known: Vec<u64> = known.map(|stored| stored.record.position.0).collect();
            let missing: Vec<&u64> = known.iter().filter(|position| !seen.contains(position)).collect();
            assert!(missing.is_empty(), "seed {seed}: {shard} closes a window without {missing:?}");
        }
    }

    pub(super) fn check_discard(&self, shard: u32, failed: &FailedBatch) {
        let (now, seed, settings) = (self.time(), self.seed, &self.settings);
        let positions: Vec<Position> = failed.records.iter().map(|record| record.position).collect();
        match failed.reason {
            DiscardReason::RetryAttemptsExhausted => {
                let max = settings.retries_max.expect("only a limit exhausts");
                let failures = self.ledger.failures(shard, &positions);
                assert_eq!(failed.invoke_count, max + 1, "seed {seed}: {shard} gives up too early");
                let exact = self.crashes == 0 && !self.filters_changed;
                assert!(
                    !exact || failures == max + 1,
                    "seed {seed}: {shard} gives {positions:?} up after {failures} failures, {max} retries"
                );
                let stored = self.shards[shard as usize].records.iter();
                let given_up = stored.filter(|stored| positions.contains(&stored.record.position));
                let (tried, early): (Vec<_>, Vec<_>) = given_up.partition(|stored| stored.failures > max);
                // A batch keeps its count where other filters let further records into its place (decision 0009).
                assert!(
                    early.is_empty() || (self.filters_changed && !tried.is_empty()),
                    "seed {seed}: {shard} gives {:?} up after fewer than {max} retries",
                    early.iter().map(|stored| (stored.record.position, stored.failures)).collect::<Vec<_>>()
                );
            }
            DiscardReason::RecordAgeExceeded => {
                let age = settings.record_age_max.expect("only a limit is exceeded");
                let all_old = failed.records.iter().all(|record| record.arrival.plus(age) <= now);
                assert!(all_old, "seed {seed}: {shard} gives up what is not too old");
            }
            DiscardReason::TooLarge => assert_eq!(failed.records.len(), 1, "seed {seed}: one record is too large"),
            DiscardReason::Skipped => assert!(self.skipped, "seed {seed}: nobody asked to skip"),
        }
    }

    /// Without a crash and without other lanes every outcome is given once.
    pub(super) fn check_once(&self, shard: u32, position: Position) {
        let shard_records = &self.shards[shard as usize].records;
        let stored = shard_records.iter().find(|stored| stored.record.position == position).expect("stored");
        let outcomes = stored.processed + stored.discarded;
        assert!(
            self.crashes > 0 || self.lanes_changed || outcomes == 1,
            "seed {}: {shard} {position:?} has {outcomes} outcomes without any crash",
            self.seed
        );
        assert!(
            self.lanes_changed || stored.discarded <= 1 + self.crashes,
            "seed {}: {shard} {position:?} was given up {} times",
            self.seed,
            stored.discarded
        );
    }

    pub(super) fn check_progress(&self, shard: u32, before: &Progress, progress: &Progress) {
        let (seed, now) = (self.seed, self.time());
        assert!(before.floor() <= progress.floor(), "seed {seed}: {shard} goes back to {progress:?}");
        let lanes = progress.lanes.len();
        for (lane, kept) in progress.lanes.iter().enumerate() {
            assert!(kept.failed.len() <= 32, "seed {seed}: {shard} remembers {} parts", kept.failed.len());
            let is_own =
                |stored: &&super::stream::Stored| crate::machine::lane_of(&stored.record.partition_key, lanes) == lane;
            let open = self.shards[shard as usize].open(now, self.retention).find(is_own);
            if let Some(open) = open {
                let open = open.record.position;
                assert!(
                    open >= kept.next,
                    "seed {seed}: {shard} keeps {:?} in lane {lane}, {open:?} is open",
                    kept.next
                );
            }
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
