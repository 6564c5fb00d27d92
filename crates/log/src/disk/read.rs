//! Reading a shard: find its runs, take them from the tail cache or the file, collect records.

mod collect;
mod source;

use crate::contract::{Position, ReadBatch, ReadError, ReadFrom, ReadLimit, ShardKey};

use super::engine::{Engine, State};
use super::shard::DamagedRange;
use collect::Collector;
use source::SegmentView;

/// Runs looked at in one go, so that a step under the lock stays short.
const RUNS_PER_STEP: usize = 1024;

/// What a read needs to know of the shard, taken under the lock.
struct View {
    ordinal: u32,
    published: u64,
    last_arrival: Option<millstream_env::Timestamp>,
    sealed: bool,
    /// Records that arrived before are not returned, milliseconds.
    arrival_min: u64,
    damaged: Vec<DamagedRange>,
    /// From where reading begins on, oldest first.
    segments: Vec<SegmentView>,
}

impl Engine {
    /// Reads what can be read now. `None`: the disk is needed and `may_wait` does not allow it.
    pub(super) fn read(
        &self,
        key: ShardKey,
        from: ReadFrom,
        limit: ReadLimit,
        may_wait: bool,
    ) -> Option<Result<ReadBatch, ReadError>> {
        let mut collector = Collector::new(key, limit);
        let mut at = from;
        loop {
            let view = match self.view(key, at) {
                Ok(view) => view,
                Err(error) => return Some(Err(error)),
            };
            if at == ReadFrom::Tip {
                return Some(Ok(collector.finish(&view, view.published)));
            }
            let before = collector.next();
            match self.collect(&view, at, &mut collector, may_wait) {
                Ok(Progress::NeedsDisk) if collector.is_empty() => return None,
                Ok(Progress::NeedsDisk | Progress::Limit) => {
                    let next = collector.next().unwrap_or(view.published);
                    return Some(Ok(collector.finish(&view, next)));
                }
                Ok(Progress::End) => {
                    let start = if let ReadFrom::Position(position) = at { position.0 } else { 0 };
                    let end = view.published.max(start);
                    return Some(collector.reach(&view.damaged, end).map(|()| {
                        let next = collector.next().unwrap_or(end);
                        collector.finish(&view, next)
                    }));
                }
                Ok(Progress::More) => {
                    let next = collector.next().expect("runs were looked at");
                    assert!(before.is_none_or(|before| next > before), "a step moves on");
                    at = ReadFrom::Position(Position(next));
                }
                Err(error) => return Some(Err(error)),
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
        let segments = if position >= shard.next { Vec::new() } else { views(&state, ordinal, position, arrival_min) };
        Ok(View {
            ordinal,
            published: shard.next,
            last_arrival: shard.last_arrival,
            sealed: shard.sealed.is_some(),
            arrival_min,
            damaged: shard.damaged.clone(),
            segments,
        })
    }

    fn collect(
        &self,
        view: &View,
        at: ReadFrom,
        collector: &mut Collector,
        may_wait: bool,
    ) -> Result<Progress, ReadError> {
        let position = match at {
            ReadFrom::Position(position) => {
                collector.start(position.0);
                position.0
            }
            _ => collector.next().unwrap_or(0),
        };
        let start = match self.start_segment(view, position, may_wait) {
            Some(start) => start?,
            None => return Ok(Progress::NeedsDisk),
        };
        for segment in &view.segments[start..] {
            let from = collector.next().unwrap_or(position);
            let Some(found) = self.runs(segment, view.ordinal, from, view.arrival_min, may_wait) else {
                return Ok(Progress::NeedsDisk);
            };
            let (runs, more) = found?;
            if runs.is_empty() {
                continue;
            }
            match self.collect_runs(segment, &runs, view, collector, may_wait)? {
                Progress::End if more => return Ok(Progress::More),
                Progress::End => {}
                other => return Ok(other),
            }
        }
        Ok(Progress::End)
    }
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// All there is.
    End,
    /// A step's worth of runs; there are more.
    More,
    /// The limit of the read.
    Limit,
    NeedsDisk,
}

/// The segments a read may need, oldest first: back to one that surely begins before what is wanted.
fn views(state: &State, ordinal: u32, position: u64, arrival_min: u64) -> Vec<SegmentView> {
    let mut views = Vec::new();
    for (id, segment) in state.segments.iter().rev() {
        let view = SegmentView::new(*id, segment, ordinal, position, arrival_min, &state.tail);
        let enough = view.begins_before(position, arrival_min) == Some(true);
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
