//! The simulated stream: what was stored, what has expired, and which outcomes are final.

use std::time::Duration;

use bytes::Bytes;
use millstream_env::Timestamp;
use millstream_log::{Position, ReadBatch, ReadFrom, ReadLimit, Record, ShardKey};
use millstream_types::{HashKeyRange, ShardId, ShardIndex};

use crate::topology::ShardInfo;

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) info: ShardInfo,
    pub(super) records: Vec<Stored>,
    pub(super) sealed: bool,
    /// The version of the tail: grows with every change.
    pub(super) version: u64,
    /// The function fails on some of its records for ever.
    pub(super) poisoned: bool,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Stored {
    pub(super) record: Record,
    /// It passes the filters of the mapping as it is now.
    pub(super) passes: bool,
    /// The filters of an earlier configuration dropped it.
    pub(super) dropped: bool,
    pub(super) processed: u32,
    /// The mapping knows that it was processed, and has not lost that in a crash.
    pub(super) known: bool,
    /// Invocations with it that failed in the function.
    pub(super) failures: u32,
    pub(super) discarded: u32,
    /// Invocations that it is part of at this moment.
    pub(super) in_flight: u32,
}

impl Stored {
    pub(super) fn is_final(&self) -> bool {
        !self.passes || self.dropped || self.processed > 0 || self.discarded > 0
    }
}

impl Shard {
    pub(super) fn new(index: u32, parents: &[u32], poisoned: bool) -> Self {
        let id = |index| ShardId(ShardIndex::new(index).expect("few shards"));
        let info = ShardInfo {
            id: id(index),
            key: ShardKey { stream: 1, shard: index },
            created_seconds: 1_600_000_000,
            hash_key_range: HashKeyRange::whole(),
            parents: parents.iter().copied().map(id).collect(),
        };
        Self { info, records: Vec::new(), sealed: false, version: 0, poisoned, next: 0 }
    }

    /// Stores a record after `gap` void positions.
    pub(super) fn put(&mut self, now: Timestamp, gap: u64, key: &'static str, data: Bytes, passes: bool) {
        assert!(!self.sealed, "only open shards are written to");
        let position = self.next + gap;
        self.next = position + 1;
        self.version += 1;
        let record = Record {
            position: Position(position),
            arrival: now,
            partition_key: Bytes::from_static(key.as_bytes()),
            data,
            tag: 0,
        };
        self.records.push(Stored {
            record,
            passes,
            dropped: false,
            processed: 0,
            known: false,
            failures: 0,
            discarded: 0,
            in_flight: 0,
        });
    }

    pub(super) fn seal(&mut self) {
        self.sealed = true;
        self.version += 1;
    }

    /// Whether the function fails on this record for ever.
    pub(super) fn is_poison(&self, record: &Record) -> bool {
        self.poisoned && record.position.0 % 16 == 11
    }

    /// The oldest position that has not expired.
    pub(super) fn horizon(&self, now: Timestamp, retention: Duration) -> Position {
        let alive = self.records.iter().find(|s| s.record.arrival.plus(retention) > now);
        Position(alive.map_or(self.next, |stored| stored.record.position.0))
    }

    pub(super) fn read(&self, now: Timestamp, retention: Duration, from: ReadFrom, limit: ReadLimit) -> ReadBatch {
        let ReadFrom::Position(from) = from else { panic!("the simulation starts at positions") };
        let from = from.max(self.horizon(now, retention));
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut rest = self.records.iter().filter(|s| s.record.position >= from).peekable();
        while let Some(stored) = rest.peek() {
            bytes += stored.record.data.len();
            if records.len() >= limit.records || (bytes > limit.bytes && !records.is_empty()) {
                break;
            }
            records.push(stored.record.clone());
            rest.next();
        }
        let at_tip = rest.peek().is_none();
        let next = match records.last() {
            _ if at_tip => Position(self.next.max(from.0)),
            Some(last) => Position(last.position.0 + 1),
            None => from,
        };
        let behind = (!at_tip).then(|| self.records.last().expect("there is more").record.arrival);
        ReadBatch { records, next, behind, ended: at_tip && self.sealed }
    }

    /// The records whose outcome is open.
    pub(super) fn open(&self, now: Timestamp, retention: Duration) -> impl Iterator<Item = &Stored> {
        self.records.iter().filter(move |s| !s.is_final() && s.record.arrival.plus(retention) > now)
    }

    /// The first record whose outcome is open.
    pub(super) fn first_open(&self, now: Timestamp, retention: Duration) -> Option<Position> {
        self.open(now, retention).next().map(|stored| stored.record.position)
    }

    pub(super) fn stored(&mut self, position: Position) -> &mut Stored {
        let found = self.records.binary_search_by_key(&position, |stored| stored.record.position);
        &mut self.records[found.expect("only stored records are delivered")]
    }
}
