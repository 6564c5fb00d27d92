//! One queue: its record, where its messages stand, and who waits for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_catalog::Revision;
use millstream_env::Timestamp;
use tokio::sync::Notify;

use super::index::Index;
use super::names::QueueKey;
use super::record::QueueRecord;

#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) key: QueueKey,
    /// That of its record; it never changes.
    pub(crate) id: String,
    record: Mutex<(Revision, Arc<QueueRecord>)>,
    index: Mutex<Index>,
    changed: Notify,
    deleted: AtomicBool,
}

impl Queue {
    pub(crate) fn new(key: QueueKey, revision: Revision, record: QueueRecord, index: Index) -> Self {
        Self {
            key,
            id: record.id.clone(),
            record: Mutex::new((revision, Arc::new(record))),
            index: Mutex::new(index),
            changed: Notify::new(),
            deleted: AtomicBool::new(false),
        }
    }

    pub(crate) fn record(&self) -> Arc<QueueRecord> {
        Arc::clone(&self.record.lock().expect("no code panics while holding this lock").1)
    }

    /// Takes over a record that was stored; an older one than what is known already changes nothing.
    pub(crate) fn publish(&self, revision: Revision, record: QueueRecord) {
        let mut current = self.record.lock().expect("no code panics while holding this lock");
        if current.0 < revision {
            *current = (revision, Arc::new(record));
        }
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no code panics while holding this lock but on a broken invariant")
    }

    /// Messages may be visible that were not before, or the queue is gone.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// One more message is visible: one of those that wait is enough. Whoever leaves some wakes the next one.
    pub(crate) fn wake_one(&self) {
        self.changed.notify_one();
    }

    /// Completes at the next [`Queue::wake`] after this call, also before it is first polled.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The messages whose retention is over, which are gone from the index and have to be deleted.
    pub(crate) fn expire(&self, now: Timestamp) -> Vec<super::index::Sequence> {
        let retention = std::time::Duration::from_secs(self.record().settings.retention_seconds.into());
        self.index().expire(now, retention)
    }
}
