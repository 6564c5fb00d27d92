//! AWS's limits of one shard (Kinesis model and developer guide), enforced with `--shard-limits aws`.

use millstream_env::Timestamp;

use super::bucket::Bucket;

/// Data and partition keys written to a shard in a second.
const WRITE_BYTES_PER_SECOND: i64 = 1024 * 1024;
const WRITE_RECORDS_PER_SECOND: i64 = 1000;
/// Shared by all readers but the enhanced ones. A call may return more, which the next calls have to wait for.
const READ_BYTES_PER_SECOND: i64 = 2 * 1024 * 1024;
const READ_CALLS_PER_SECOND: i64 = 5;
const ITERATORS_PER_SECOND: i64 = 5;

#[derive(Debug)]
pub(crate) struct Limits {
    write_bytes: Bucket,
    write_records: Bucket,
    read_bytes: Bucket,
    read_calls: Bucket,
    iterators: Bucket,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            write_bytes: Bucket::full(WRITE_BYTES_PER_SECOND),
            write_records: Bucket::full(WRITE_RECORDS_PER_SECOND),
            read_bytes: Bucket::full(READ_BYTES_PER_SECOND),
            read_calls: Bucket::full(READ_CALLS_PER_SECOND),
            iterators: Bucket::full(ITERATORS_PER_SECOND),
        }
    }
}

impl Limits {
    /// A record larger than a second's worth needs a full second's worth, and holds up what follows it.
    pub(crate) fn write(&mut self, now: Timestamp, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX / 1000);
        let admitted = self.write_bytes.holds(now, bytes) && self.write_records.holds(now, 1);
        if admitted {
            self.write_bytes.take(bytes);
            self.write_records.take(1);
        }
        admitted
    }

    pub(crate) fn read(&mut self, now: Timestamp) -> bool {
        self.read_bytes.holds(now, 1) && self.read_calls.take_one(now)
    }

    pub(crate) fn charge_read(&mut self, now: Timestamp, bytes: usize) {
        self.read_bytes.holds(now, 0);
        self.read_bytes.take(i64::try_from(bytes).unwrap_or(i64::MAX / 1000));
    }

    pub(crate) fn iterator(&mut self, now: Timestamp) -> bool {
        self.iterators.take_one(now)
    }
}
