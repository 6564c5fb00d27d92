//! What goes into and out of each shard, and what is asked about streams.
//!
//! - [`Traffic`]: counters of a shard, and the load that on-demand streams scale by (`scaler`).
//! - `limits`: AWS's limits of one shard. `calls`: AWS's limits of calls per second.

pub(crate) mod bucket;
pub(crate) mod calls;
pub(crate) mod limits;
mod scaler;
mod table;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use millstream_env::Timestamp;

use limits::Limits;
pub(crate) use table::TrafficTable;

/// One shard's traffic since this process first saw it. Shared by all that look at the shard.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    incoming: Counters,
    outgoing: Counters,
    write_throttled: AtomicU64,
    read_throttled: AtomicU64,
    /// Age of the last record of the newest read; 0 when that read caught up.
    iterator_age_ms: AtomicU64,
    limits: Mutex<Limits>,
    minutes: Mutex<Minutes>,
}

#[derive(Debug, Default)]
struct Counters {
    records: AtomicU64,
    bytes: AtomicU64,
}

/// A shard's counters at one moment. All but the age only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardCounters {
    pub(crate) incoming_records: u64,
    /// Data and partition keys.
    pub(crate) incoming_bytes: u64,
    pub(crate) outgoing_records: u64,
    /// Data and partition keys.
    pub(crate) outgoing_bytes: u64,
    /// Records that a per-shard limit refused.
    pub(crate) write_throttled: u64,
    /// Calls that a per-shard limit refused.
    pub(crate) read_throttled: u64,
    /// Milliseconds between the last record that the newest read returned and that read; 0 when it caught up.
    pub(crate) iterator_age_ms: u64,
}

/// Load over the last minutes, newest at the back.
#[derive(Debug, Default)]
struct Minutes {
    counted: (u64, u64),
    load: VecDeque<(u64, u64)>,
}

impl Counters {
    fn add(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Traffic {
    /// A record was stored; `bytes` of data and partition key.
    pub(crate) fn stored(&self, bytes: usize) {
        self.incoming.add(1, bytes);
    }

    /// Records were read; how far behind the tip they end.
    pub(crate) fn read(&self, records: usize, bytes: usize, iterator_age_ms: u64) {
        self.outgoing.add(records, bytes);
        self.iterator_age_ms.store(iterator_age_ms, Ordering::Relaxed);
    }

    /// Whether a record may be stored now, by AWS's limits; counts it when not.
    pub(crate) fn admits_write(&self, now: Timestamp, bytes: usize) -> bool {
        let admitted = self.limits().write(now, bytes);
        self.write_throttled.fetch_add(u64::from(!admitted), Ordering::Relaxed);
        admitted
    }

    /// Whether `GetRecords` may read now, by AWS's limits; counts it when not.
    pub(crate) fn admits_read(&self, now: Timestamp) -> bool {
        let admitted = self.limits().read(now);
        self.read_throttled.fetch_add(u64::from(!admitted), Ordering::Relaxed);
        admitted
    }

    /// Whether `GetShardIterator` may be called now, by AWS's limits.
    pub(crate) fn admits_iterator(&self, now: Timestamp) -> bool {
        self.limits().iterator(now)
    }

    /// Charges what a read has returned to the limit of the reads to come.
    pub(crate) fn charge_read(&self, now: Timestamp, bytes: usize) {
        self.limits().charge_read(now, bytes);
    }

    pub(crate) fn counters(&self) -> ShardCounters {
        let (incoming_records, incoming_bytes) = self.incoming.get();
        let (outgoing_records, outgoing_bytes) = self.outgoing.get();
        ShardCounters {
            incoming_records,
            incoming_bytes,
            outgoing_records,
            outgoing_bytes,
            write_throttled: self.write_throttled.load(Ordering::Relaxed),
            read_throttled: self.read_throttled.load(Ordering::Relaxed),
            iterator_age_ms: self.iterator_age_ms.load(Ordering::Relaxed),
        }
    }

    /// Ends a minute, and forgets those before the last `kept` ones.
    fn end_minute(&self, kept: usize) {
        let total = self.incoming.get();
        let mut minutes = self.minutes();
        let counted = std::mem::replace(&mut minutes.counted, total);
        minutes.load.push_back((total.0 - counted.0, total.1 - counted.1));
        while minutes.load.len() > kept {
            minutes.load.pop_front();
        }
    }

    /// Forgets all minutes and what was stored in this one: the load counts from now on.
    fn begin_minutes(&self) {
        *self.minutes() = Minutes { counted: self.incoming.get(), load: VecDeque::new() };
    }

    /// Records and bytes stored in the minutes that are kept.
    fn load(&self) -> (u64, u64) {
        self.minutes().load.iter().fold((0, 0), |sum, minute| (sum.0 + minute.0, sum.1 + minute.1))
    }

    fn minutes(&self) -> MutexGuard<'_, Minutes> {
        self.minutes.lock().expect("no code panics while holding this lock")
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().expect("no code panics while holding this lock")
    }
}
