//! The embedded log: all shards interleaved in one segmented log with group commit.
//!
//! ```text
//!  reserve -> slots in the open block -> settled -> pipeline: write, sync, publish in order -> readers, tails, commits
//!              (engine, one short lock)             (two committer threads)
//! ```
//!
//! - [`mod@format`]: what is on the disk. `buffer`: the memory of blocks, the only unsafe code.
//! - [`pipeline`]: the pure machine that decides what is written, synced, published, sealed and failed.
//! - [`engine`]: shards and blocks behind one lock; carries out the machine's commands. It has no threads of its own.
//! - `read`: from the tail cache or the files. [`recovery`]: opening, torn tails, damage.
//!
//! The log recovers alone: creation, settings, seals and deletions of shards are records in it, and every segment begins
//! with a checkpoint of all live shards. It never appends to a segment that an earlier process wrote.
//!
//! Records are kept apart by how long they are kept: [`classes`] puts one such log for each retention class together.
//!
//! Segments go as a whole, when all their records have expired. When space is short, those that are mostly dead are written
//! anew without what is dead ([`rewrite`]). Segment files are not recycled.

mod block;
mod block_cache;
mod buffer;
mod class;
mod classes;
mod engine;
mod files;
mod format;
mod format_file;
mod index_file;
#[cfg(all(test, feature = "loom"))]
mod models;
mod options;
mod order;
mod pipeline;
mod read;
mod read_files;
mod readers;
mod recovery;
mod repair;
mod rewrite;
mod segment_index;
mod shard;
mod slot;
mod space;
mod tail_cache;
#[cfg(test)]
pub(crate) mod tests;
mod threads;
mod unsettled;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_env::{BoxFuture, Disk, HostClock, Random, ServiceClock, Tasks};

use crate::contract::{
    AppendError, Bounds, Entry, Position, ReadBatch, ReadError, ReadFrom, ReadLimit, Reservation, Sealed, ShardConfig,
    ShardError, ShardKey, ShardLog, Tail,
};

pub use class::RetentionClass;
use classes::{Accepted, Classes};
use engine::Engine;
pub use format::store::FormatError;
use format::store::feature;
pub use options::{OpenError, Options};
pub use recovery::{DamagedRecords, RecoveryReport, TornTail};
pub use repair::{RepairError, accept_loss, find_damage};
pub(crate) use slot::DiskSlot;
use threads::Threads;

/// How long closing waits for what was reserved to be stored.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The embedded log. A cheap handle: clones are the same log; dropping the last one ends it without waiting.
#[derive(Clone)]
pub struct DiskLog {
    classes: Arc<Classes>,
    tasks: Tasks,
}

/// What the log depends on beside its options.
#[derive(Clone, Debug)]
pub struct Environment {
    pub disk: Arc<dyn Disk>,
    pub service_clock: ServiceClock,
    pub host_clock: HostClock,
    /// For the store's id.
    pub random: Random,
    /// Where cold reads run.
    pub tasks: Tasks,
}

/// Figures for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub segments: usize,
    /// Content of all segments.
    pub bytes: u64,
    /// Data and partition keys stored since opening.
    pub payload_bytes: u64,
    /// Records that nobody can read any more, kept because others in their segments are: what deleted streams, shortened
    /// retention and shards with different ages leave. Sealed segments are looked at in turn, so it may lag behind.
    pub dead_bytes: u64,
    /// Segments removed before their records had expired, to keep to `log_bytes_max`.
    pub segments_removed_early: u64,
    /// Everything written to files since opening; divided by the payload it is the write amplification.
    pub written_bytes: u64,
    pub blocks: u64,
    pub syncs: u64,
    /// Admitted and not yet stored.
    pub admitted_bytes: usize,
    pub buffer_bytes: usize,
    /// Older blocks kept for readers that catch up.
    pub block_cache_bytes: usize,
    /// Reads that need the disk and are not answered yet.
    pub cold_reads_waiting: usize,
}

/// Whether the log does what it should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why appends are refused now.
    pub refusing: Option<crate::contract::AppendError>,
    /// Acknowledged records that cannot be served.
    pub damaged: Vec<DamagedRecords>,
}

impl Health {
    pub fn is_good(&self) -> bool {
        self.refusing.is_none() && self.damaged.is_empty()
    }
}

impl DiskLog {
    /// Opens the log, or makes it. Reads what must be read, so it blocks: call it off the asynchronous threads.
    pub fn open(options: Options, environment: Environment) -> Result<(Self, RecoveryReport), OpenError> {
        let tasks = environment.tasks.clone();
        let (classes, report) = Classes::open(options, environment, true, &Accepted::new())?;
        Ok((Self { classes, tasks }, report))
    }

    pub fn stats(&self) -> Stats {
        let mut stats = Stats { admitted_bytes: self.classes.admission.in_use(), ..Stats::default() };
        self.classes.engines().for_each(|engine| engine.add_stats(&mut stats));
        stats
    }

    /// Segments, bytes and dead bytes of each class that is in use.
    pub fn classes(&self) -> Vec<(RetentionClass, Stats)> {
        let of = |engine: &Arc<Engine>| {
            let mut stats = Stats::default();
            engine.add_stats(&mut stats);
            (engine.class(), stats)
        };
        self.classes.engines().map(of).collect()
    }

    pub fn health(&self) -> Health {
        let mut health = Health::default();
        for own in self.classes.engines().map(|engine| engine.health()) {
            health.refusing = health.refusing.or(own.refusing);
            health.damaged.extend(own.damaged);
        }
        health
    }

    /// Stops taking records, stores what was reserved, ends the newest segments and waits for the threads.
    pub async fn close(&self) {
        let classes = Arc::clone(&self.classes);
        let closed = self.tasks.blocking(move || {
            classes.engines().for_each(|engine| engine.finish(CLOSE_WAIT));
            classes.threads().for_each(Threads::join);
        });
        if closed.await.is_err() {
            tracing::error!("closing the log was interrupted");
        }
    }

    /// Opens the class that a retention asks for.
    async fn open_class(&self, config: ShardConfig) -> Result<(), ShardError> {
        let class = RetentionClass::of(config.retention);
        if self.classes.is_open(class) {
            return Ok(());
        }
        let classes = Arc::clone(&self.classes);
        let opened = self.tasks.blocking(move || classes.open_class(class)).await;
        let opened = opened.map_err(|error| ShardError::Unavailable(error.to_string()))?;
        opened.map_err(|error| ShardError::Unavailable(error.to_string()))
    }

    /// Returns when the folder says, durably, that it has `feature`.
    async fn require(&self, feature: u64) -> Result<(), AppendError> {
        if self.classes.format().has(feature) {
            return Ok(());
        }
        let classes = Arc::clone(&self.classes);
        let written = self.tasks.blocking(move || classes.format().require(feature)).await;
        written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            tracing::error!(%error, "the format of the log cannot be written");
            if error.kind() == io::ErrorKind::StorageFull { AppendError::Full } else { AppendError::Unavailable }
        })
    }
}

impl Engine {
    fn add_stats(&self, stats: &mut Stats) {
        let state = self.lock();
        let counters = &self.counters;
        stats.segments += state.segments.len();
        stats.bytes += state.segments.values().map(|segment| segment.end).sum::<u64>();
        stats.dead_bytes += state.segments.values().map(|segment| segment.dead_bytes).sum::<u64>();
        stats.segments_removed_early += counters.removed_early.load(Ordering::Relaxed);
        stats.payload_bytes += counters.payload_bytes.load(Ordering::Relaxed);
        stats.written_bytes += counters.written_bytes.load(Ordering::Relaxed);
        stats.blocks += counters.blocks.load(Ordering::Relaxed);
        stats.syncs += counters.syncs.load(Ordering::Relaxed);
        stats.buffer_bytes += self.pool.in_use();
        stats.block_cache_bytes += self.block_cache.bytes();
        stats.cold_reads_waiting += self.turns.reading();
    }

    fn health(&self) -> Health {
        let state = self.lock();
        let damaged = state.shards.values().flat_map(|shard| {
            shard.damaged.iter().map(|(first, last)| DamagedRecords {
                shard: shard.key,
                first: Position(*first),
                last: Position(*last),
            })
        });
        Health { damaged: damaged.collect(), refusing: state.refusal() }
    }
}

/// Waits for the block of a fact. What is not known to have happened is not available.
async fn settled(waiting: Result<Option<Arc<block::BlockTicket>>, ShardError>) -> Result<(), ShardError> {
    match waiting? {
        None => Ok(()),
        Some(ticket) => ticket.outcome().await.map_err(engine::unavailable),
    }
}

impl ShardLog for DiskLog {
    fn create(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        Box::pin(async move {
            self.open_class(config).await?;
            settled(self.classes.create(shard, config)).await
        })
    }

    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        Box::pin(async move {
            self.open_class(config).await?;
            self.classes.configure(shard, config).await
        })
    }

    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation> {
        Box::pin(async move {
            if entries.iter().any(|entry| entry.tag != 0)
                && let Err(error) = self.require(feature::RECORD_TAGS).await
            {
                return Reservation::refused(entries.len(), error);
            }
            self.classes.reserve(entries).await
        })
    }

    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>> {
        Box::pin(self.classes.seal(shard))
    }

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>> {
        Box::pin(self.classes.read(Some(&self.tasks), shard, from, limit))
    }

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError> {
        self.classes.bounds(shard)
    }

    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>> {
        Box::pin(self.classes.delete(shard))
    }

    fn tail(&self, shard: ShardKey) -> Option<Tail> {
        self.classes.tail(shard)
    }
}

impl fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DiskLog").field(&self.classes).finish()
    }
}
