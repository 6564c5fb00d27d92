//! The engine: shards, segments and blocks behind one lock, and the carrying out of what the pipeline decides.
//!
//! Commands that touch memory only (close, publish, fail, build a checkpoint) are carried out at once under the lock.
//! Those that touch the disk become [`Work`] for the committer threads or [`Chore`]s for the housekeeper; the engine has
//! no threads of its own, so a simulation carries them out one by one in any order.

mod append;
mod commands;
mod control;
mod housekeeping;
mod lone;
mod moves;
mod perform;
mod rewrite;
mod space;

pub(super) use control::{Waiting, unavailable};
pub(super) use lone::Offer;
pub(super) use moves::{Departure, Part};

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, Weak};
use std::time::Duration;

use lone::{Lone, SpaceAhead};
use millstream_env::{Disk, DiskFile, HostClock, ServiceClock, Timestamp};

use crate::contract::{ShardError, ShardKey};

use super::block::PendingBlock;
use super::block_cache::BlockCache;
use super::buffer::{Frozen, Pool};
use super::class::RetentionClass;
use super::files::ClassFolder;
use super::format_file::FormatFile;
use super::index_file::{IndexFile, PageCache};
use super::options::Options;
use super::order::Layout;
use super::pipeline::{Command, Pipeline, Sizes};
use super::read::Turns;
use super::readers::Readers;
use super::recovery::Recovered;
use super::segment_index::SegmentIndex;
use super::shard::Shard;
use super::space::Space;
use super::tail_cache::TailCache;

/// Blocks in flight at once: one is written while the other is synced.
const IN_FLIGHT_MAX: usize = 2;

pub(super) struct Engine {
    /// For what outlives a call and must not keep the engine alive.
    pub(super) me: Weak<Self>,
    pub(super) options: Options,
    pub(super) folder: ClassFolder,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: ServiceClock,
    pub(super) host_clock: HostClock,
    pub(super) pool: Arc<Pool>,
    pub(super) index_cache: Arc<PageCache>,
    pub(super) block_cache: BlockCache,
    pub(super) readers: Readers,
    pub(super) turns: Turns,
    /// Held by readers while they look at files, and alone while files are replaced.
    pub(super) files_change: RwLock<()>,
    pub(super) store: u128,
    state: Mutex<State>,
    /// The work that waits is for the caller of a commit, who comes for it.
    left_to_caller: AtomicBool,
    /// Something to do for committers, for the housekeeper; the pipeline came to rest.
    pub(super) work_ready: Condvar,
    pub(super) chores_ready: Condvar,
    pub(super) at_rest: Condvar,
    pub(super) counters: Counters,
    /// What all classes take together.
    space: Arc<Space>,
    format: Arc<FormatFile>,
    /// Held as long as the engine lives.
    _lock: Arc<dyn DiskFile>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Data and partition keys stored.
    pub(super) payload_bytes: AtomicU64,
    /// Everything written to files.
    pub(super) written_bytes: AtomicU64,
    pub(super) blocks: AtomicU64,
    pub(super) syncs: AtomicU64,
    /// Segments removed before their records had expired, to keep to the size.
    pub(super) removed_early: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, value: u64) {
        counter.fetch_add(value, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) ordinals: HashMap<ShardKey, u32>,
    pub(super) shards: BTreeMap<u32, Shard>,
    next_ordinal: u32,
    pub(super) pipeline: Pipeline,
    open: Option<PendingBlock>,
    /// Closed or in flight, by number.
    blocks: BTreeMap<u64, PendingBlock>,
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) tail: TailCache,
    work: VecDeque<Work>,
    lone: Lone,
    chores: VecDeque<Chore>,
    /// Files to be removed once a new segment is in use.
    obsolete: Vec<u64>,
    /// Segments found at opening that want their end cut and their index written then.
    unsealed: Vec<u64>,
    /// Shards that went on in another class, durably.
    departed: BTreeSet<u32>,
    /// Free space is below the minimum.
    low_space: bool,
    /// Of the newest segment.
    space_ahead: SpaceAhead,
    direct: bool,
    life: Life,
    /// By the clock of the service.
    pub(super) last_append: Timestamp,
    /// When something was appended last, by the monotonic clock of the host.
    pub(super) last_written: Option<Duration>,
    /// Of the newest block that was published.
    pub(super) last_block_bytes: u64,
    expiry_due: Timestamp,
    /// The segment whose dead bytes were counted last.
    looked_at: u64,
}

/// Whether the log is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// Nothing more is taken; what was taken is stored.
    Closing,
    /// The threads end.
    Stopping,
}

/// A segment that readers may use.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: Option<Arc<dyn DiskFile>>,
    pub(super) index: Index,
    pub(super) end: u64,
    /// When it was begun; 0 when that is not known.
    pub(super) begun_ms: u64,
    /// Records that nobody can read any more, as far as was seen when it was last looked at.
    pub(super) dead_bytes: u64,
    /// It was not found that it cannot be rewritten.
    pub(super) rewritable: bool,
}

#[derive(Debug)]
pub(super) enum Index {
    /// Grows with every published block.
    Active(SegmentIndex),
    /// Sealed; its file is not written yet.
    Memory(Arc<SegmentIndex>),
    File(Arc<IndexFile>),
}

/// What committers do.
#[derive(Debug)]
pub(super) enum Work {
    Create {
        segment: u64,
        bytes: u64,
        direct: bool,
    },
    /// With a layout the block may be put in another order first.
    Write {
        segment: u64,
        number: u64,
        offset: u64,
        file: Arc<dyn DiskFile>,
        bytes: Frozen,
        layout: Option<Layout>,
        /// Bytes behind the block that are written as zeros with it.
        zeros: u64,
    },
    Sync {
        segment: u64,
        number: u64,
        file: Arc<dyn DiskFile>,
    },
}

/// What the housekeeper does.
#[derive(Debug)]
pub(super) enum Chore {
    /// Cut the file at its end and write its index.
    Seal {
        segment: u64,
    },
    Remove {
        segment: u64,
    },
}

/// What the logs of all classes have in common.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) space: Arc<Space>,
    pub(super) format: Arc<FormatFile>,
    pub(super) host_clock: HostClock,
    /// Held as long as any of them lives.
    pub(super) lock: Arc<dyn DiskFile>,
}

impl Engine {
    pub(super) fn new(
        options: Options,
        folder: ClassFolder,
        disk: Arc<dyn Disk>,
        clock: ServiceClock,
        recovered: Recovered,
        shared: Shared,
    ) -> Arc<Self> {
        let sizes = Sizes {
            block: round(options.block_bytes as u64),
            segment_min: round(options.segment_bytes_min),
            // Offsets in a segment have 32 bits.
            segment_max: round(options.segment_bytes_max.min(1 << 30)),
            in_flight_max: IN_FLIGHT_MAX,
        };
        let block = usize::try_from(sizes.block).expect("a block fits into memory");
        let (pipeline, commands) = Pipeline::new(sizes, recovered.last_block, recovered.next_segment);
        let now = clock.now();
        let state = State {
            ordinals: recovered.shards.iter().map(|(ordinal, shard)| (shard.key, *ordinal)).collect(),
            next_ordinal: recovered.next_ordinal,
            pipeline,
            open: None,
            blocks: BTreeMap::new(),
            segments: recovered.segments,
            tail: TailCache::new(options.tail_cache_bytes_max),
            work: VecDeque::new(),
            lone: Lone::new(&options),
            chores: VecDeque::new(),
            obsolete: recovered.obsolete,
            unsealed: recovered.unsealed,
            departed: BTreeSet::new(),
            low_space: false,
            space_ahead: SpaceAhead::default(),
            direct: options.direct,
            life: Life::Open,
            last_append: now,
            last_written: None,
            last_block_bytes: 0,
            expiry_due: Timestamp::EPOCH,
            looked_at: 0,
            shards: recovered.shards,
        };
        let engine = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            pool: Pool::new(block, options.tail_cache_bytes_max / block + IN_FLIGHT_MAX + 1),
            index_cache: recovered.index_cache,
            block_cache: BlockCache::new(options.block_cache_bytes_max, block),
            readers: Readers::default(),
            turns: Turns::new(),
            files_change: RwLock::default(),
            store: recovered.store,
            options,
            folder,
            disk,
            clock,
            host_clock: shared.host_clock,
            state: Mutex::new(state),
            left_to_caller: AtomicBool::new(false),
            work_ready: Condvar::new(),
            chores_ready: Condvar::new(),
            at_rest: Condvar::new(),
            counters: Counters::default(),
            space: shared.space,
            format: shared.format,
            _lock: shared.lock,
        });
        engine.carry_out(&mut engine.lock(), commands);
        engine
    }

    pub(super) fn class(&self) -> RetentionClass {
        self.folder.class
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }

    pub(super) fn carry_out(&self, state: &mut State, commands: Vec<Command>) {
        commands::carry_out(self, state, commands);
    }
}

fn round(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(16 * 1024)
}

impl State {
    pub(super) fn shard(&self, key: ShardKey) -> Result<(u32, &Shard), ShardError> {
        let ordinal = self.ordinals.get(&key).ok_or(ShardError::NoShard(key))?;
        let shard = self.shards.get(ordinal).filter(|shard| shard.created);
        Ok((*ordinal, shard.ok_or(ShardError::NoShard(key))?))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Engine")
            .field("folder", &self.options.folder)
            .field("shards", &state.shards.len())
            .field("segments", &state.segments.len())
            .field("pipeline", &state.pipeline)
            .finish_non_exhaustive()
    }
}
