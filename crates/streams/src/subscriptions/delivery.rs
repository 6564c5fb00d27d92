//! AWS's limit of what a consumer receives from a shard in a second, enforced with `--shard-limits aws`.

use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::Timestamp;

use crate::traffic::bucket::Bucket;

/// Data and partition keys, of each consumer for itself (Kinesis developer guide).
const BYTES_PER_SECOND: i64 = 2 * 1024 * 1024;

/// What a consumer may still receive from a shard. Its subscriptions follow each other on the same one.
#[derive(Clone, Debug)]
pub(super) struct Delivery(Arc<Mutex<Bucket>>);

impl Delivery {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Bucket::full(BYTES_PER_SECOND))))
    }

    /// The moment before which no event is due; `None` when one is now. An event may hold more than is left: the next
    /// one waits for it.
    pub(super) fn waits_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.bucket().holds_at(now, 1)).filter(|due| *due > now)
    }

    pub(super) fn charge(&self, bytes: usize) {
        self.bucket().take(i64::try_from(bytes).expect("an event is smaller than a mebibyte and a record"));
    }

    /// It is as good as new.
    pub(super) fn is_whole(&self, now: Timestamp) -> bool {
        self.bucket().is_full(now)
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
