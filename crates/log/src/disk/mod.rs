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
//! What it does not do yet: more than one retention class (a long-lived shard keeps the segments behind its oldest record),
//! rewriting of segments, recycling of segment files.

mod block;
mod block_cache;
mod buffer;
mod engine;
mod features;
mod files;
mod format;
mod index_file;
mod options;
mod pipeline;
mod read;
mod read_files;
mod readers;
mod recovery;
mod repair;
mod segment_index;
mod shard;
mod slot;
mod tail_cache;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use millstream_env::{Access, BoxFuture, Disk, HostClock, Random, ServiceClock, Tasks};

use crate::contract::{
    Bounds, Entry, Position, ReadBatch, ReadError, ReadFrom, ReadLimit, Reservation, Sealed, ShardConfig, ShardError,
    ShardKey, ShardLog, Tail,
};

use engine::Engine;
use features::Features;
pub use format::store::FormatError;
use format::store::{StoreFormat, feature};
pub use options::{OpenError, Options};
pub use recovery::{DamagedRecords, RecoveryReport, TornTail};
pub use repair::{RepairError, accept_loss, find_damage};
pub(crate) use slot::DiskSlot;

/// Threads that write and sync.
const COMMITTERS: usize = 2;
/// How long closing waits for what was reserved to be stored.
const CLOSE_WAIT: Duration = Duration::from_secs(10);

/// The embedded log. A cheap handle: clones are the same log; dropping the last one ends it without waiting.
#[derive(Clone)]
pub struct DiskLog {
    engine: Arc<Engine>,
    threads: Arc<Threads>,
    features: Arc<Features>,
    tasks: Tasks,
}

struct Threads {
    engine: Arc<Engine>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.engine.abandon();
    }
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
        let (tasks, disk, folder) = (environment.tasks.clone(), Arc::clone(&environment.disk), options.folder.clone());
        let (engine, report) = open_engine(options, environment, None)?;
        let threads = Threads { engine: Arc::clone(&engine), handles: Mutex::default() };
        start_threads(&engine, &threads).map_err(|source| {
            let path = engine.options.folder.clone();
            OpenError::Disk { path, source }
        })?;
        let features = Arc::new(Features::load(disk, &folder)?);
        Ok((Self { engine, threads: Arc::new(threads), features, tasks }, report))
    }

    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    pub fn health(&self) -> Health {
        self.engine.health()
    }

    /// Stops taking records, stores what was reserved, ends the newest segment and waits for the threads.
    pub async fn close(&self) {
        let (engine, threads) = (Arc::clone(&self.engine), Arc::clone(&self.threads));
        let closed = self.tasks.blocking(move || {
            engine.finish(CLOSE_WAIT);
            let handles = std::mem::take(&mut *threads.handles.lock().expect("no code panics while holding this lock"));
            for handle in handles {
                if handle.join().is_err() {
                    tracing::error!("a thread of the log had panicked");
                }
            }
        });
        if closed.await.is_err() {
            tracing::error!("closing the log was interrupted");
        }
    }
}

/// Everything of opening but the threads. `accepted`: damage of a shard that the operator gives up.
fn open_engine(
    options: Options,
    environment: Environment,
    accepted: Option<(ShardKey, Vec<shard::DamagedRange>)>,
) -> Result<(Arc<Engine>, RecoveryReport), OpenError> {
    let Environment { disk, service_clock, host_clock, random, .. } = environment;
    let folder = options.folder.clone();
    let failed = |source: io::Error| OpenError::Disk { path: folder.clone(), source };
    let segments = files::segments_folder(&folder);
    make_folders(&*disk, &segments).map_err(failed)?;
    let lock = disk.open(&folder.join("LOCK"), Access::OpenOrCreate, false).map_err(failed)?;
    if !lock.try_lock().map_err(failed)? {
        return Err(OpenError::Locked { folder });
    }
    let store = store_id(&*disk, &folder, &random)?;
    let cache = Arc::new(index_file::PageCache::new(options.index_cache_bytes_max));
    let mut recovered = recovery::recover(&disk, &folder, store, cache)?;
    if let Some((key, ranges)) = accepted
        && let Some(found) = recovered.shards.values_mut().find(|found| found.key == key)
    {
        for range in ranges {
            found.note_damage(range);
        }
        found.accept_damage();
        recovered.report.damaged.retain(|damaged| damaged.shard != key);
    }
    let report = recovered.report.clone();
    for DamagedRecords { shard, first, last } in &report.damaged {
        tracing::error!(
            ?shard,
            first = first.0,
            last = last.0,
            "acknowledged records are damaged and cannot be served"
        );
    }
    Ok((Engine::new(options, disk, service_clock, host_clock, recovered, lock), report))
}

/// Makes the folders and their names durable.
fn make_folders(disk: &dyn Disk, path: &std::path::Path) -> io::Result<()> {
    if !disk.exists(path)? {
        disk.create_dir_all(path)?;
    }
    // Also when they were there: an earlier process may have ended before this.
    for folder in path.ancestors().take(4).filter(|folder| !folder.as_os_str().is_empty()) {
        disk.sync_dir(folder)?;
    }
    Ok(())
}

/// The id in the `FORMAT` file, which is made when the folder is new.
fn store_id(disk: &dyn Disk, folder: &std::path::Path, random: &Random) -> Result<u128, OpenError> {
    let path = features::path(folder);
    let failed = |source: io::Error| OpenError::Disk { path: path.clone(), source };
    if disk.exists(&path).map_err(failed)? {
        return features::read(disk, folder).map(|format| format.store);
    }
    let format = StoreFormat { store: u128::from_le_bytes(random.bytes()), features: 0 };
    disk.write_atomically(&path, format.encode().as_bytes()).map_err(failed)?;
    Ok(format.store)
}

fn start_threads(engine: &Arc<Engine>, threads: &Threads) -> io::Result<()> {
    let mut handles = threads.handles.lock().expect("no code panics while holding this lock");
    for number in 0..COMMITTERS {
        let engine = Arc::clone(engine);
        handles.push(Tasks::thread(&format!("log-commit-{number}"), move || {
            while let Some(work) = engine.wait_for_work() {
                engine.perform(work);
            }
        })?);
    }
    engine.readers.allow(readers::THREADS_MAX);
    let engine = Arc::clone(engine);
    handles.push(Tasks::thread("log-housekeeper", move || {
        loop {
            let (chore, stopping) = engine.wait_for_chore(engine.rest());
            match chore {
                Some(chore) => engine.perform_chore(&chore),
                None if stopping => return,
                None => engine.tick(),
            }
        }
    })?);
    Ok(())
}

impl Engine {
    fn stats(&self) -> Stats {
        let state = self.lock();
        let counters = &self.counters;
        Stats {
            segments: state.segments.len(),
            bytes: state.segments.values().map(|segment| segment.end).sum(),
            payload_bytes: counters.payload_bytes.load(Ordering::Relaxed),
            written_bytes: counters.written_bytes.load(Ordering::Relaxed),
            blocks: counters.blocks.load(Ordering::Relaxed),
            syncs: counters.syncs.load(Ordering::Relaxed),
            admitted_bytes: self.admission.in_use(),
            buffer_bytes: self.pool.in_use(),
            block_cache_bytes: self.block_cache.bytes(),
            cold_reads_waiting: self.turns.reading(),
        }
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
        Box::pin(settled(self.engine.create(shard, config)))
    }

    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        Box::pin(settled(self.engine.configure(shard, config)))
    }

    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation> {
        Box::pin(async move {
            let tagged = !self.features.has(feature::RECORD_TAGS) && entries.iter().any(|entry| entry.tag != 0);
            if tagged && let Err(error) = self.features.add(feature::RECORD_TAGS, &self.tasks).await {
                return Reservation::refused(entries.len(), error);
            }
            match self.engine.admission.admit(entries).await {
                Ok(admitted) => self.engine.reserve(entries, admitted),
                Err(error) => Reservation::refused(entries.len(), error),
            }
        })
    }

    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>> {
        let sealed = self.engine.seal(shard);
        Box::pin(async move {
            let (sealed, waiting) = sealed?;
            settled(Ok(waiting)).await?;
            Ok(sealed)
        })
    }

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>> {
        Box::pin(self.engine.read_async(&self.tasks, shard, from, limit))
    }

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError> {
        self.engine.lock().shard(shard).map(|(_, found)| found.bounds())
    }

    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>> {
        Box::pin(settled(self.engine.delete(shard)))
    }

    fn tail(&self, shard: ShardKey) -> Option<Tail> {
        self.engine.lock().shard(shard).ok().map(|(_, found)| Tail(found.subscribe()))
    }
}

impl fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DiskLog").field(&self.engine).finish()
    }
}
