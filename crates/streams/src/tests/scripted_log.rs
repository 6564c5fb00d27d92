use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_env::BoxFuture;
use millstream_log::{
    Bounds, Entry, MemoryLog, ReadBatch, ReadError, ReadFrom, ReadLimit, Reservation, Sealed, ShardConfig, ShardError,
    ShardKey, ShardLog, Tail,
};

/// A log that counts its reads and can be told to fail them.
#[derive(Debug)]
pub(super) struct Scripted {
    inner: MemoryLog,
    pub(super) reads: AtomicUsize,
    /// What every read answers.
    pub(super) failure: Mutex<Option<ReadError>>,
}

impl Scripted {
    pub(super) fn over(inner: MemoryLog) -> Self {
        Self { inner, reads: AtomicUsize::new(0), failure: Mutex::default() }
    }
}

impl ShardLog for Scripted {
    fn create(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.create(shard, config)
    }

    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.configure(shard, config)
    }

    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation> {
        self.inner.reserve(entries)
    }

    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>> {
        self.inner.seal(shard)
    }

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        match self.failure.lock().unwrap().clone() {
            Some(error) => Box::pin(std::future::ready(Err(error))),
            None => self.inner.read(shard, from, limit),
        }
    }

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError> {
        self.inner.bounds(shard)
    }

    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.delete(shard)
    }

    fn tail(&self, shard: ShardKey) -> Option<Tail> {
        self.inner.tail(shard)
    }
}
