//! Reading a shard: find its runs, take them from memory or the files, collect records.
//!
//! What is in memory is answered at once, on the caller's thread. The rest is a cold read: off the asynchronous threads,
//! a bounded number at once ([`COLD_READS_MAX`]), in steps; between two steps of a read the others get their turn, in
//! order. Readers that catch up together so stay together, and share the blocks that are read whole for them.
//!
//! - `source`: the runs. [`plan`]: what is read for them. `fetch`: reading it. `collect`: records, limits, damage.

mod collect;
mod fetch;
mod plan;
mod source;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millstream_env::Tasks;
use tokio::sync::Semaphore;

use crate::contract::{Position, ReadBatch, ReadError, ReadFrom, ReadLimit, ShardKey};

use super::engine::{Engine, State};
use super::format::record::RecordHeader;
use super::pipeline::Event;
use super::shard::DamagedRange;
use collect::Collector;
use source::{Located, SegmentView, Start};

/// Runs looked at in one go, so that a step stays short.
const RUNS_PER_STEP: usize = 1024;
/// Cold reads that take a step at once. Each holds one buffer of the usual size of a block.
pub(super) const COLD_READS_MAX: usize = 8;
/// The same while records are being stored, in small blocks or in large ones: writers keep their share of the disk. Each read
/// has many requests to the disk under way, so a few of them keep it busy.
const BESIDE_SMALL_WRITES_MAX: usize = 2;
const BESIDE_LARGE_WRITES_MAX: usize = 1;
/// A block that belongs to a stream of writes that the disk feels.
const LARGE_WRITE_BYTES: u64 = 256 << 10;
/// Writers are there when something was appended so lately.
const WRITERS_LATELY: Duration = Duration::from_millis(100);
/// While others wait, a step ends behind so many blocks of the log and so many runs of the shard.
const TURN_BLOCKS: u64 = 8;
const TURN_RUNS: usize = 32;
/// Segments looked up ahead of what is known to be needed.
const SEGMENTS_AHEAD_MAX: usize = 32;

/// The turns of cold reads.
#[derive(Debug)]
pub(super) struct Turns {
    permits: Semaphore,
    /// Cold reads under way, waiting ones included.
    reading: AtomicUsize,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { permits: Semaphore::new(COLD_READS_MAX), reading: AtomicUsize::new(0) }
    }

    /// Cold reads that are not answered yet.
    pub(super) fn reading(&self) -> usize {
        self.reading.load(Ordering::Relaxed)
    }

    fn are_contended(&self) -> bool {
        self.reading.load(Ordering::Relaxed) > COLD_READS_MAX
    }
}

/// Counts a cold read while it lasts.
struct Counted<'t>(&'t Turns);

impl<'t> Counted<'t> {
    fn new(turns: &'t Turns) -> Self {
        turns.reading.fetch_add(1, Ordering::Relaxed);
        Self(turns)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a read needs to know of the shard, taken under the lock.
struct View {
    ordinal: u32,
    published: u64,
    last_arrival: Option<millstream_env::Timestamp>,
    sealed: bool,
    /// Records that arrived before are not returned, milliseconds.
    arrival_min: u64,
    damaged: Vec<DamagedRange>,
    /// Damage that the operator has accepted: passed over.
    accepted: Vec<DamagedRange>,
    /// From where reading begins on, oldest first.
    segments: Vec<SegmentView>,
}

/// A read under way.
struct Reading {
    key: ShardKey,
    at: ReadFrom,
    collector: Collector,
    /// Damage that was met once: what is read again and is still damaged, is.
    suspected: Option<DamagedRange>,
}

enum Step {
    Done(Result<ReadBatch, ReadError>),
    Again,
    NeedsDisk,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// All there is.
    End,
    /// A step's worth; there is more.
    More,
    /// The limit of the read.
    Limit,
    NeedsDisk,
}

/// Why a step did not come to its end.
enum Trouble {
    Damaged(DamagedRange),
    Disk(io::Error),
    Read(ReadError),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl Engine {
    /// Reads what can be read now; what is not in memory on threads of `tasks`.
    pub(super) async fn read_async(
        self: &Arc<Self>,
        tasks: &Tasks,
        key: ShardKey,
        from: ReadFrom,
        limit: ReadLimit,
    ) -> Result<ReadBatch, ReadError> {
        if let Some(result) = self.read(key, from, limit, false) {
            return result;
        }
        let _counted = Counted::new(&self.turns);
        let mut reading = Reading::new(key, from, limit);
        loop {
            let part = u32::try_from(COLD_READS_MAX / self.cold_reads_at_once()).expect("a few");
            let Ok(_turn) = self.turns.permits.acquire_many(part).await else {
                return Err(ReadError::Unavailable("the log is closed".to_owned()));
            };
            let engine = Arc::clone(self);
            let step = tasks.blocking(move || {
                let contended = engine.turns.are_contended();
                let step = engine.step(&mut reading, true, contended);
                (step, reading)
            });
            match step.await {
                Ok((Step::Done(result), _)) => return result,
                Ok((_, unfinished)) => reading = unfinished,
                Err(error) => return Err(ReadError::Unavailable(error.to_string())),
            }
        }
    }

    /// Reads what can be read now. `None`: the disk is needed and `may_wait` does not allow it.
    pub(super) fn read(
        &self,
        key: ShardKey,
        from: ReadFrom,
        limit: ReadLimit,
        may_wait: bool,
    ) -> Option<Result<ReadBatch, ReadError>> {
        let mut reading = Reading::new(key, from, limit);
        loop {
            match self.step(&mut reading, may_wait, false) {
                Step::Done(result) => return Some(result),
                Step::Again => {}
                Step::NeedsDisk => return None,
            }
        }
    }

    /// One step. `contended`: other reads wait for their turn.
    fn step(&self, reading: &mut Reading, may_wait: bool, contended: bool) -> Step {
        let _same_files = may_wait.then(|| self.files_change.read().expect("no code panics while holding this lock"));
        let Reading { key, at, collector, suspected } = reading;
        let view = match self.view(*key, *at) {
            Ok(view) => view,
            Err(error) => return Step::Done(Err(error)),
        };
        if *at == ReadFrom::Tip {
            return Step::Done(Ok(collector.finish(&view, view.published)));
        }
        let before = collector.next();
        let progress = match self.collect(&view, *at, collector, may_wait, contended) {
            Ok(progress) => progress,
            Err(Trouble::Read(error)) => return Step::Done(Err(error)),
            Err(Trouble::Disk(error)) if error.kind() == io::ErrorKind::NotFound && self.lost_segments(&view) => {
                // It has expired meanwhile.
                return Step::Again;
            }
            Err(Trouble::Disk(error)) => return Step::Done(Err(ReadError::Unavailable(error.to_string()))),
            Err(Trouble::Damaged(range)) if *suspected != Some(range) => {
                // Memory or the way to the disk may have erred.
                self.block_cache.clear();
                *suspected = Some(range);
                return Step::Again;
            }
            Err(Trouble::Damaged(range)) => {
                self.note_damage(*key, view.ordinal, range);
                return Step::Done(collector.stop_before(range).map(|()| collector.finish(&view, range.0)));
            }
        };
        match progress {
            Progress::NeedsDisk if collector.is_empty() => Step::NeedsDisk,
            Progress::NeedsDisk | Progress::Limit => {
                let next = collector.next().unwrap_or(view.published);
                Step::Done(Ok(collector.finish(&view, next)))
            }
            Progress::End => {
                let start = if let ReadFrom::Position(position) = *at { position.0 } else { 0 };
                let end = view.published.max(start);
                Step::Done(collector.reach(&view.damaged, end).map(|()| {
                    let next = collector.next().unwrap_or(end);
                    collector.finish(&view, next)
                }))
            }
            Progress::More => {
                let next = collector.next().expect("runs were looked at");
                assert!(before.is_none_or(|before| next > before), "a step moves on");
                *at = ReadFrom::Position(Position(next));
                Step::Again
            }
        }
    }

    fn view(&self, key: ShardKey, at: ReadFrom) -> Result<View, ReadError> {
        let now = self.clock.now();
        let state = self.lock();
        let (ordinal, shard) = state.shard(key).map_err(|_| ReadError::NoShard(key))?;
        let cutoff = shard.cutoff(now).millis();
        let (position, arrival_min) = match at {
            ReadFrom::Position(position) => (position.0, cutoff),
            ReadFrom::Time(moment) => (0, cutoff.max(moment.millis())),
            ReadFrom::Tip => (shard.next, cutoff),
        };
        let start = Start { ordinal, position, arrival_min };
        let segments = if position >= shard.next { Vec::new() } else { views(&state, start) };
        Ok(View {
            ordinal,
            published: shard.next,
            last_arrival: shard.last_arrival,
            sealed: shard.sealed.is_some(),
            arrival_min,
            damaged: shard.damaged.clone(),
            accepted: shard.accepted.clone(),
            segments,
        })
    }

    fn collect(
        &self,
        view: &View,
        at: ReadFrom,
        collector: &mut Collector,
        may_wait: bool,
        contended: bool,
    ) -> Result<Progress, Trouble> {
        let position = match at {
            ReadFrom::Position(position) => {
                collector.start(position.0);
                position.0
            }
            _ => collector.next().unwrap_or(0),
        };
        let start = Start { ordinal: view.ordinal, position, arrival_min: view.arrival_min };
        let Some(first) = self.start_segment(view, start, may_wait) else { return Ok(Progress::NeedsDisk) };
        let mut at = first?;
        let mut ahead = 1;
        while at < view.segments.len() {
            let (from, until) = (at, (at + ahead).min(view.segments.len()));
            let start = Start { position: collector.next().unwrap_or(position), ..start };
            let Some(found) = self.look_up(view, from..until, start, may_wait) else { return Ok(Progress::NeedsDisk) };
            let mut runs: Vec<Located> = Vec::new();
            let mut more = false;
            for found in found? {
                runs.extend(found.runs);
                more = found.more || runs.len() >= RUNS_PER_STEP;
                at += 1;
                if more {
                    break;
                }
            }
            let taken = within_limit(&runs, collector.room(), contended);
            let rest = more || taken < runs.len();
            match self.collect_runs(&runs[..taken], view, collector, may_wait)? {
                Progress::End if rest || (contended && taken >= TURN_RUNS && at < view.segments.len()) => {
                    return Ok(Progress::More);
                }
                Progress::End => {}
                other => return Ok(other),
            }
            ahead = segments_ahead(&runs, until - from, collector.room().1);
        }
        Ok(Progress::End)
    }

    /// How many cold reads may take a step at once, now.
    pub(super) fn cold_reads_at_once(&self) -> usize {
        // The load of the disk is real, also where the time of the service stands still.
        let now = self.host_clock.monotonic();
        let state = self.lock();
        if state.last_written.is_none_or(|last| now.saturating_sub(last) >= WRITERS_LATELY) {
            COLD_READS_MAX
        } else if state.last_block_bytes < LARGE_WRITE_BYTES {
            BESIDE_SMALL_WRITES_MAX
        } else {
            BESIDE_LARGE_WRITES_MAX
        }
    }

    /// Whether a segment of the view is not there any more.
    fn lost_segments(&self, view: &View) -> bool {
        let state = self.lock();
        view.segments.iter().any(|segment| !state.segments.contains_key(&segment.id))
    }

    /// Remembers damage met by a read: health tells of it, and the next checkpoint makes it durable.
    fn note_damage(&self, key: ShardKey, ordinal: u32, range: DamagedRange) {
        let state = &mut *self.lock();
        let Some(shard) = state.shards.get_mut(&ordinal) else { return };
        if shard.note_damage(range) {
            let commands = state.pipeline.step(Event::Roll);
            self.carry_out(state, commands);
            tracing::error!(shard = %key, first = range.0, last = range.1, "stored records are damaged");
        }
    }
}

impl Reading {
    fn new(key: ShardKey, from: ReadFrom, limit: ReadLimit) -> Self {
        Self { key, at: from, collector: Collector::new(key, limit), suspected: None }
    }
}

/// How many of the runs a step takes: what the limit allows at most, but no fewer than two. The first may lie before
/// what is wanted.
fn within_limit(runs: &[Located], (records, bytes): (usize, usize), contended: bool) -> usize {
    let Some(first) = runs.first() else { return 0 };
    let mut sum = 0;
    for (index, located) in runs.iter().enumerate() {
        let turn_is_over = contended && index >= TURN_RUNS && located.block >= first.block + TURN_BLOCKS;
        let enough = sum > bytes || located.run.first.saturating_sub(first.end) >= records as u64;
        if index >= 2 && (turn_is_over || enough) {
            return index;
        }
        if index > 0 {
            let headers = usize::try_from(located.end - located.run.first).unwrap_or(usize::MAX);
            sum += (located.run.length as usize).saturating_sub(headers.saturating_mul(RecordHeader::BYTES));
        }
    }
    runs.len()
}

/// How many segments to look up next, when the last ones gave so little.
fn segments_ahead(runs: &[Located], segments: usize, bytes_wanted: usize) -> usize {
    let found: usize = runs.iter().map(|located| located.run.length as usize).sum();
    let each = (found / segments.max(1)).max(1);
    (bytes_wanted / each).saturating_add(1).min(SEGMENTS_AHEAD_MAX)
}

/// The segments a read may need, oldest first: back to one that surely begins before what is wanted.
fn views(state: &State, start: Start) -> Vec<SegmentView> {
    let mut views = Vec::new();
    for (id, segment) in state.segments.iter().rev() {
        let view = SegmentView::new(*id, segment, start, &state.tail);
        let enough = view.begins_before(start) == Some(true);
        views.push(view);
        if enough {
            break;
        }
    }
    views.reverse();
    views
}

/// Positions of a damaged range as the contract names them.
fn damaged(shard: ShardKey, range: DamagedRange) -> ReadError {
    ReadError::Damaged { shard, first: Position(range.0), last: Position(range.1) }
}
