//! What the cases share.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use millstream_env::{Timestamp, VirtualTime};
use millstream_types::Payload;

use crate::contract::{
    AppendError, Entry, Position, ReadBatch, ReadFrom, ReadLimit, Record, ShardConfig, ShardKey, SharedLog, Stored,
};

/// What a case asks of its log.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub admitted_bytes_max: usize,
    pub admission_wait_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { admitted_bytes_max: 64 << 20, admission_wait_max: Duration::from_secs(10) }
    }
}

/// An empty log whose service clock stands at [`START`].
pub struct Fixture {
    pub log: SharedLog,
    pub time: VirtualTime,
    /// What must live as long as the log: a folder, a task tree.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixture({:?})", self.log)
    }
}

/// Where the fixture's clock stands.
pub const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

pub const SHARD: ShardKey = ShardKey { stream: 7, shard: 0 };
pub const OTHER: ShardKey = ShardKey { stream: 7, shard: 1 };
pub const DAY: ShardConfig = ShardConfig { retention: Duration::from_hours(24) };
pub const ALL: ReadLimit = ReadLimit { records: usize::MAX, bytes: usize::MAX };

/// A fixture with default settings whose `SHARD` and `OTHER` exist.
pub async fn started<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) -> Fixture {
    let fixture = make(Settings::default()).await;
    for shard in [SHARD, OTHER] {
        fixture.log.create(shard, DAY).await.expect("a new log takes shards");
    }
    fixture
}

/// Appends raw records under the key `k` in one batch.
pub async fn append(log: &SharedLog, shard: ShardKey, payloads: &[&[u8]]) -> Vec<Result<Stored, AppendError>> {
    let entries: Vec<_> =
        payloads.iter().map(|data| Entry { shard, partition_key: "k", payload_bytes: data.len(), tag: 0 }).collect();
    let mut reservation = log.reserve(&entries).await;
    for (slot, data) in reservation.slots.iter_mut().zip(payloads) {
        if let Ok(slot) = slot {
            slot.fill(Payload::Raw(data));
        }
    }
    reservation.commit().await
}

/// Appends one record that must be stored.
pub async fn put(log: &SharedLog, shard: ShardKey, data: &[u8]) -> Stored {
    append(log, shard, &[data]).await[0].expect("the log stores")
}

pub async fn read(log: &SharedLog, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> ReadBatch {
    log.read(shard, from, limit).await.expect("the shard can be read")
}

/// Every record readable now, by following `next`.
pub async fn read_all(log: &SharedLog, shard: ShardKey) -> Vec<Record> {
    let (mut all, mut from) = (Vec::new(), Position(0));
    loop {
        let batch = read(log, shard, ReadFrom::Position(from), ALL).await;
        all.extend(batch.records);
        if batch.behind.is_none() {
            return all;
        }
        assert!(batch.next > from, "a read that is behind moves on");
        from = batch.next;
    }
}

pub fn positions(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.position.0).collect()
}
