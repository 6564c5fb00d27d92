//! One segment as a read sees it: runs copied under the lock, or the index file; cached blocks, or the file.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use millstream_env::{Access, DiskFile};

use crate::contract::ReadError;

use super::super::buffer::Frozen;
use super::super::engine::{Engine, Index, Segment};
use super::super::index_file::{IndexError, IndexFile};
use super::super::segment_index::{Extent, Run, SegmentIndex, start_run};
use super::super::tail_cache::TailCache;
use super::{RUNS_PER_STEP, View};

/// Runs of other shards between two of ours that are read along rather than skipped.
const GAP_BYTES_MAX: u32 = 64 * 1024;
/// Read at once from a file.
const READ_BYTES_MAX: u32 = 1024 * 1024;

pub(super) struct SegmentView {
    pub(super) id: u64,
    path: PathBuf,
    /// Opened when it is first needed.
    file: OnceLock<Arc<dyn DiskFile>>,
    index: IndexView,
    /// Blocks of these runs that are in memory: number, start in the file.
    cached: BTreeMap<u64, Frozen>,
    blocks: Vec<(u64, u32)>,
}

enum IndexView {
    /// The shard is not in this segment.
    Absent,
    Runs {
        extent: Extent,
        runs: Vec<Run>,
        more: bool,
    },
    File(Arc<IndexFile>),
}

/// A run and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    pub(super) run: Run,
    /// Number of its block, and where that begins in the file.
    pub(super) block: u64,
    block_start: u32,
}

impl SegmentView {
    pub(super) fn new(
        id: u64,
        segment: &Segment,
        ordinal: u32,
        position: u64,
        arrival_min: u64,
        tail: &TailCache,
    ) -> Self {
        let mut view = Self {
            id,
            path: segment.path.clone(),
            file: OnceLock::new(),
            index: IndexView::Absent,
            cached: BTreeMap::new(),
            blocks: Vec::new(),
        };
        match &segment.index {
            Index::Active(index) => view.copy(index, ordinal, position, arrival_min, tail),
            Index::Memory(index) => view.copy(index, ordinal, position, arrival_min, tail),
            Index::File(file) => view.index = IndexView::File(Arc::clone(file)),
        }
        view
    }

    fn copy(&mut self, index: &SegmentIndex, ordinal: u32, position: u64, arrival_min: u64, tail: &TailCache) {
        let Some(shard) = index.shards.get(&ordinal) else { return };
        let start = start_run(&shard.runs, position, arrival_min);
        let runs: Vec<Run> = shard.runs.iter().skip(start).take(RUNS_PER_STEP).copied().collect();
        for run in &runs {
            let (number, block_start) = index.block_of(run.offset);
            self.blocks.push((number, block_start));
            if let Some(block) = tail.get(number) {
                self.cached.entry(number).or_insert_with(|| block.clone());
            }
        }
        let more = start + runs.len() < shard.runs.len();
        self.index = IndexView::Runs { extent: shard.extent, runs, more };
    }

    /// Whether nothing wanted lies in older segments. `None` when only the index file knows.
    pub(super) fn begins_before(&self, position: u64, arrival_min: u64) -> Option<bool> {
        match &self.index {
            IndexView::Absent => Some(false),
            IndexView::Runs { extent, .. } => Some(begins_before(extent, position, arrival_min)),
            IndexView::File(_) => None,
        }
    }
}

fn begins_before(extent: &Extent, position: u64, arrival_min: u64) -> bool {
    extent.first <= position || extent.arrival_before_ms < arrival_min
}

impl Engine {
    /// Index of the segment where reading begins. `None` when the disk is needed and may not be waited for.
    pub(super) fn start_segment(&self, view: &View, position: u64, may_wait: bool) -> Option<Result<usize, ReadError>> {
        // Older segments begin earlier: the last one that begins before what is wanted is where it starts.
        let (mut low, mut high) = (0, view.segments.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let begins = match &view.segments[middle].index {
                IndexView::Runs { extent, .. } => begins_before(extent, position, view.arrival_min),
                // The shard is younger than this segment, or is not in this young one yet.
                IndexView::Absent => middle + 1 < view.segments.len(),
                IndexView::File(_) if !may_wait => return None,
                IndexView::File(file) => match self.entry(view.segments[middle].id, file, view.ordinal) {
                    Ok(Some(extent)) => begins_before(&extent, position, view.arrival_min),
                    Ok(None) => true,
                    Err(error) => return Some(Err(unavailable(&error))),
                },
            };
            if begins { low = middle + 1 } else { high = middle }
        }
        Some(Ok(low.saturating_sub(1)))
    }

    fn entry(&self, segment: u64, file: &IndexFile, ordinal: u32) -> Result<Option<Extent>, IndexError> {
        match file.entry(ordinal) {
            Ok(entry) => Ok(entry.map(|entry| entry.extent)),
            Err(_) => Ok(self.rebuild_index(segment)?.shards.get(&ordinal).map(|shard| shard.extent)),
        }
    }

    /// The next runs of the shard in a segment, and whether more follow.
    pub(super) fn runs(
        &self,
        segment: &SegmentView,
        ordinal: u32,
        position: u64,
        arrival_min: u64,
        may_wait: bool,
    ) -> Option<Result<(Vec<Located>, bool), ReadError>> {
        match &segment.index {
            IndexView::Absent => Some(Ok((Vec::new(), false))),
            IndexView::Runs { runs, more, .. } => {
                let located = runs.iter().zip(&segment.blocks).map(|(run, (block, block_start))| Located {
                    run: *run,
                    block: *block,
                    block_start: *block_start,
                });
                Some(Ok((located.collect(), *more)))
            }
            IndexView::File(_) if !may_wait => None,
            IndexView::File(file) => Some(
                file_runs(file, ordinal, position, arrival_min)
                    .or_else(|_| {
                        let index = self.rebuild_index(segment.id)?;
                        Ok(memory_runs(&index, ordinal, position, arrival_min))
                    })
                    .map_err(|error: IndexError| unavailable(&error)),
            ),
        }
    }

    fn file_of<'s>(&self, segment: &'s SegmentView) -> io::Result<&'s Arc<dyn DiskFile>> {
        if let Some(file) = segment.file.get() {
            return Ok(file);
        }
        let file = self.disk.open(&segment.path, Access::Read, false)?;
        file.advise_random();
        Ok(segment.file.get_or_init(|| file))
    }

    /// The bytes of runs, each with the checksum still to be looked at when it comes from the file. Reads neighbours
    /// together. `None` when the disk is needed and may not be waited for.
    pub(super) fn fetch(
        &self,
        segment: &SegmentView,
        runs: &[Located],
        bytes_wanted: usize,
        may_wait: bool,
    ) -> Option<io::Result<Vec<(Bytes, bool)>>> {
        let first = runs.first()?;
        if let Some(block) = segment.cached.get(&first.block) {
            let pinned_max =
                self.options.tail_cache_bytes_max + self.options.pinned_bytes_max + self.options.admitted_bytes_max;
            let start = (first.run.offset - first.block_start) as usize;
            let range = start..start + first.run.length as usize;
            let bytes = if self.pool.in_use() > pinned_max {
                Bytes::copy_from_slice(&block.as_ref()[range])
            } else {
                Bytes::from_owner(block.clone()).slice(range)
            };
            return Some(Ok(vec![(bytes, true)]));
        }
        if !may_wait {
            return None;
        }
        let bytes_max = u32::try_from(bytes_wanted).unwrap_or(u32::MAX).clamp(GAP_BYTES_MAX, READ_BYTES_MAX);
        let mut end = first.run.offset + first.run.length;
        let mut count = 1;
        for next in &runs[1..] {
            let near = next.run.offset >= end && next.run.offset - end <= GAP_BYTES_MAX;
            let small = next.run.offset + next.run.length - first.run.offset <= bytes_max;
            if !near || !small || segment.cached.contains_key(&next.block) {
                break;
            }
            end = next.run.offset + next.run.length;
            count += 1;
        }
        let read = || {
            let file = self.file_of(segment)?;
            let mut buffer = vec![0; (end - first.run.offset) as usize];
            let mut got = 0;
            // A file that was cut short gives what it has; the checksums tell the rest.
            while got < buffer.len() {
                match file.read_at(&mut buffer[got..], u64::from(first.run.offset) + got as u64)? {
                    0 => break,
                    count => got += count,
                }
            }
            Ok(Bytes::from(buffer))
        };
        Some(read().map(|bytes: Bytes| {
            let slice = |located: &Located| {
                let start = (located.run.offset - first.run.offset) as usize;
                (bytes.slice(start..start + located.run.length as usize), false)
            };
            runs[..count].iter().map(slice).collect()
        }))
    }
}

fn file_runs(
    file: &IndexFile,
    ordinal: u32,
    position: u64,
    arrival_min: u64,
) -> Result<(Vec<Located>, bool), IndexError> {
    let Some(entry) = file.entry(ordinal)? else { return Ok((Vec::new(), false)) };
    let (runs, more) = file.runs(entry, position, arrival_min, RUNS_PER_STEP)?;
    let located = runs.into_iter().map(|run| {
        let (block, block_start) = file.block_of(run.offset)?;
        Ok(Located { run, block, block_start })
    });
    Ok((located.collect::<Result<_, IndexError>>()?, more))
}

fn memory_runs(index: &SegmentIndex, ordinal: u32, position: u64, arrival_min: u64) -> (Vec<Located>, bool) {
    let Some(shard) = index.shards.get(&ordinal) else { return (Vec::new(), false) };
    let start = start_run(&shard.runs, position, arrival_min);
    let located = shard.runs[start..].iter().take(RUNS_PER_STEP).map(|run| {
        let (block, block_start) = index.block_of(run.offset);
        Located { run: *run, block, block_start }
    });
    let located: Vec<_> = located.collect();
    let more = start + located.len() < shard.runs.len();
    (located, more)
}

fn unavailable(error: &IndexError) -> ReadError {
    ReadError::Unavailable(error.to_string())
}
