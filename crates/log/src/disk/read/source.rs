//! Where the runs of a shard are: copied under the lock from an index in memory, or found in index files.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contract::ReadError;

use super::super::buffer::Frozen;
use super::super::engine::{Engine, Index, Segment};
use super::super::index_file::{Access, IndexError, IndexFile};
use super::super::segment_index::{Extent, Run, SegmentIndex, start_run};
use super::super::tail_cache::TailCache;
use super::{RUNS_PER_STEP, View};

/// Index files asked at once.
const LOOK_UPS_MAX: usize = 32;

pub(super) struct SegmentView {
    pub(super) id: u64,
    index: IndexView,
    /// Blocks of these runs that are in memory, by number.
    pub(super) cached: BTreeMap<u64, Frozen>,
}

enum IndexView {
    /// The shard is not in this segment.
    Absent,
    Runs {
        extent: Extent,
        found: Found,
    },
    File(Arc<IndexFile>),
}

/// The next runs of a shard in a segment, and whether more follow.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) runs: Vec<Located>,
    pub(super) more: bool,
}

/// A run and where its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Located {
    /// Index of the segment among those of the read.
    pub(super) segment: usize,
    pub(super) run: Run,
    /// One past the last position it may hold.
    pub(super) end: u64,
    /// Number of its block, and where that begins and ends in the file.
    pub(super) block: u64,
    pub(super) block_start: u32,
    pub(super) block_end: u32,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) ordinal: u32,
    pub(super) position: u64,
    pub(super) arrival_min: u64,
}

impl SegmentView {
    pub(super) fn new(id: u64, segment: &Segment, start: Start, tail: &TailCache) -> Self {
        let mut view = Self { id, index: IndexView::Absent, cached: BTreeMap::new() };
        match &segment.index {
            Index::Active(index) => view.copy(index, start, tail),
            Index::Memory(index) => view.copy(index, start, tail),
            Index::File(file) => view.index = IndexView::File(Arc::clone(file)),
        }
        view
    }

    fn copy(&mut self, index: &SegmentIndex, start: Start, tail: &TailCache) {
        let Some(shard) = index.shards.get(&start.ordinal) else { return };
        let found = memory_runs(index, start);
        for located in &found.runs {
            if let Some(block) = tail.get(located.block) {
                self.cached.entry(located.block).or_insert_with(|| block.clone());
            }
        }
        self.index = IndexView::Runs { extent: shard.extent, found };
    }

    /// Whether nothing wanted lies in older segments. `None` when only the index file knows.
    pub(super) fn begins_before(&self, start: Start) -> Option<bool> {
        match &self.index {
            IndexView::Absent => Some(false),
            IndexView::Runs { extent, .. } => Some(begins_before(extent, start)),
            IndexView::File(_) => None,
        }
    }
}

fn begins_before(extent: &Extent, start: Start) -> bool {
    extent.first <= start.position || extent.arrival_before_ms < start.arrival_min
}

impl Engine {
    /// Index of the segment where reading begins. `None` when the disk is needed and may not be waited for.
    pub(super) fn start_segment(&self, view: &View, start: Start, may_wait: bool) -> Option<Result<usize, ReadError>> {
        // Older segments begin earlier: the last one that begins before what is wanted is where it starts. Several are
        // looked at in one go, since each may take a wait for the disk.
        let (mut low, mut high) = (0, view.segments.len());
        while low < high {
            let step = (high - low).div_ceil(LOOK_UPS_MAX);
            let probes: Vec<usize> = (low + step - 1..high).step_by(step).collect();
            let begin = match self.begin(view, &probes, start, may_wait)? {
                Ok(begin) => begin,
                Err(error) => return Some(Err(error)),
            };
            let yes = begin.iter().take_while(|begins| **begins).count();
            if let Some(no) = probes.get(yes) {
                high = *no;
            }
            if let Some(last) = yes.checked_sub(1) {
                low = probes[last] + 1;
            } else if probes.is_empty() || step == 1 {
                break;
            }
        }
        Some(Ok(low.saturating_sub(1)))
    }

    /// Whether each of some segments begins before what is wanted.
    fn begin(
        &self,
        view: &View,
        probes: &[usize],
        start: Start,
        may_wait: bool,
    ) -> Option<Result<Vec<bool>, ReadError>> {
        let files = probes.iter().filter_map(|probe| view.segments[*probe].index.file());
        let entries = self.ask(files, may_wait, start, |file, start, access| file.entry(start.ordinal, access));
        let mut entries = entries?.into_iter();
        let begins = probes.iter().map(|probe| match &view.segments[*probe].index {
            IndexView::Runs { extent, .. } => Ok(begins_before(extent, start)),
            // The shard is younger than this segment, or is not in this young one yet.
            IndexView::Absent => Ok(probe + 1 < view.segments.len()),
            IndexView::File(_) => {
                let entry = entries.next().expect("one for each file");
                let extent = match entry {
                    Ok(entry) => entry.map(|entry| entry.extent),
                    Err(_) => self
                        .rebuild_index(view.segments[*probe].id)
                        .map_err(|error| unavailable(&error))?
                        .shards
                        .get(&start.ordinal)
                        .map(|shard| shard.extent),
                };
                Ok(extent.is_none_or(|extent| begins_before(&extent, start)))
            }
        });
        Some(begins.collect())
    }

    /// Asks index files: on this thread when the answer is in memory, all others at once. `None` when the disk is needed
    /// and may not be waited for.
    fn ask<'f, R: Send + 'static>(
        &self,
        files: impl Iterator<Item = &'f Arc<IndexFile>>,
        may_wait: bool,
        start: Start,
        question: fn(&IndexFile, Start, Access) -> Result<R, IndexError>,
    ) -> Option<Vec<Result<R, IndexError>>> {
        let mut answers = Vec::new();
        let mut unanswered = Vec::new();
        for file in files {
            let answer = question(file, start, Access::Memory);
            if matches!(answer, Err(IndexError::NotInMemory)) {
                unanswered.push((answers.len(), Arc::clone(file), start, question));
            }
            answers.push(answer);
        }
        if unanswered.is_empty() {
            return Some(answers);
        }
        if !may_wait {
            return None;
        }
        let late = self
            .readers
            .each(unanswered, |(index, file, start, question)| (index, question(&file, start, Access::Disk)));
        for (index, answer) in late {
            answers[index] = answer;
        }
        Some(answers)
    }

    /// The next runs of the shard in some segments, which begin with number `first` of the view. `None` when the disk is
    /// needed and may not be waited for.
    pub(super) fn look_up(
        &self,
        view: &View,
        segments: std::ops::Range<usize>,
        start: Start,
        may_wait: bool,
    ) -> Option<Result<Vec<Found>, ReadError>> {
        let files = view.segments[segments.clone()].iter().filter_map(|segment| segment.index.file());
        let mut from_files = self.ask(files, may_wait, start, file_runs)?.into_iter();
        let found = segments.map(|number| {
            let mut found = match &view.segments[number].index {
                IndexView::Absent => Found::default(),
                IndexView::Runs { found, .. } => found.clone(),
                IndexView::File(_) => {
                    if let Ok(found) = from_files.next().expect("one for each file") {
                        found
                    } else {
                        let index =
                            self.rebuild_index(view.segments[number].id).map_err(|error| unavailable(&error))?;
                        memory_runs(&index, start)
                    }
                }
            };
            for located in &mut found.runs {
                located.segment = number;
            }
            Ok(found)
        });
        Some(found.collect())
    }
}

impl IndexView {
    fn file(&self) -> Option<&Arc<IndexFile>> {
        match self {
            Self::File(file) => Some(file),
            Self::Absent | Self::Runs { .. } => None,
        }
    }
}

fn file_runs(file: &IndexFile, start: Start, access: Access) -> Result<Found, IndexError> {
    let Some(entry) = file.entry(start.ordinal, access)? else { return Ok(Found::default()) };
    let (runs, more) = file.runs(entry, start.position, start.arrival_min, RUNS_PER_STEP, access)?;
    let mut pages = file.pages(access);
    locate(&runs, more, entry.extent.next, |offset| pages.block_of(offset))
}

fn memory_runs(index: &SegmentIndex, start: Start) -> Found {
    let Some(shard) = index.shards.get(&start.ordinal) else { return Found::default() };
    let first = start_run(&shard.runs, start.position, start.arrival_min);
    let runs = &shard.runs[first..shard.runs.len().min(first + RUNS_PER_STEP)];
    let more = first + runs.len() < shard.runs.len();
    let located = locate(runs, more, shard.extent.next, |offset| Ok::<_, ()>(index.block_of(offset)));
    located.expect("an index in memory can be read")
}

/// Completes runs, of which the last only says where the one before it ends when more follow.
fn locate<E>(
    runs: &[Run],
    more: bool,
    next: u64,
    mut block_of: impl FnMut(u32) -> Result<(u64, u32, u32), E>,
) -> Result<Found, E> {
    let ends = runs.iter().skip(1).map(|run| run.first).chain([next].into_iter().filter(|_| !more));
    let located = runs.iter().zip(ends).map(|(run, end)| {
        let (block, block_start, block_end) = block_of(run.offset)?;
        Ok(Located { segment: 0, run: *run, end, block, block_start, block_end })
    });
    Ok(Found { runs: located.collect::<Result<_, E>>()?, more })
}

fn unavailable(error: &IndexError) -> ReadError {
    ReadError::Unavailable(error.to_string())
}
