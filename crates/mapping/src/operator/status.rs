//! How far each shard of a mapping is, what it waits for, and what blocks it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use millstream_env::Timestamp;
use millstream_log::{Position, ReadFrom, ReadLimit, Record};
use millstream_types::{Scope, ShardId};
use tokio::sync::oneshot;

use super::{OperatorError, find};
use crate::driver::worker::Request;
use crate::event::ShardIdentity;
use crate::machine::table::LaneState;
use crate::machine::{BatchEntry, LaneStatus, Progress, ShardStatus};
use crate::mappings::{Mappings, Shared};
use crate::names::EventSource;
use crate::record::{MappingRecord, PositionRecord};
use crate::topology::{self, ShardInfo};

/// Shards in one answer at most.
const SHARDS_MAX: usize = 1000;
/// Shards that are asked at once.
const ASKED_AT_ONCE: usize = 32;
/// How long a worker may take to answer: it is busy for moments only.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// A mapping as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingStatus {
    pub uuid: String,
    pub event_source_arn: String,
    pub function_arn: String,
    /// As AWS shows it.
    pub state: &'static str,
    pub last_processing_result: String,
    /// An operator has paused it.
    pub paused: bool,
    /// A rewind is asked for and not yet done.
    pub rewinding: bool,
}

/// Shards of a mapping, and where the list goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReports {
    pub shards: Vec<ShardReport>,
    /// Pass it as `after` for the next ones.
    pub next: Option<ShardId>,
}

/// One shard of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    pub shard: ShardId,
    pub phase: ShardPhase,
    /// The first record whose outcome is not final; `None` when all there are have one.
    pub position: Option<RecordPlace>,
    /// Records behind the newest one, counted by position: those that filters drop are among them.
    pub lag_records: u64,
    /// How long ago the record at `position` was put; zero without one.
    pub lag: Duration,
    pub lanes: Vec<LaneReport>,
    /// The newest entry of its history.
    pub last_batch: Option<BatchEntry>,
}

/// What a shard is doing as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardPhase {
    /// It waits until its parents are done with.
    WaitingForParents,
    /// Nobody works on it: the mapping is disabled, suspended or about to begin.
    Stopped,
    Running,
    /// Paused or suspended.
    Suspended,
    /// It has ended and everything is processed.
    Done,
}

/// A record, to find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPlace {
    pub position: Position,
    pub sequence_number: String,
    pub arrival: Timestamp,
}

/// One lane of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneReport {
    pub state: LaneState,
    /// The batch it works on, first and last record.
    pub batch: Option<(RecordPlace, RecordPlace)>,
    pub batch_records: usize,
    /// Failures of that batch so far that count as tries.
    pub failures: u32,
    /// When the batch, or its delivery to the destination, is tried again.
    pub next_try: Option<Timestamp>,
    pub waiting_records: usize,
    /// What keeps it from going on.
    pub blocked_by: Option<BlockedBy>,
}

/// Why a lane does not go on: the records of its batch are the suspects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedBy {
    /// The function fails on the batch.
    Failures,
    /// The function is not reached.
    NotDelivered,
    /// The destination of failed batches is not reached.
    Destination,
}

impl Mappings {
    /// A mapping as its operator sees it.
    pub async fn mapping_status(&self, scope: &Scope, uuid: &str) -> Result<MappingStatus, OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        Ok(MappingStatus {
            function_arn: record.function.arn(&key.scope),
            uuid: key.uuid,
            event_source_arn: record.event_source_arn,
            state: record.state.text(),
            last_processing_result: record.last_processing_result,
            paused: record.paused,
            rewinding: record.rewind.is_some(),
        })
    }

    /// The shards of a mapping in order, those after `after`; at most `limit`, and [`SHARDS_MAX`].
    pub async fn shard_reports(
        &self,
        scope: &Scope,
        uuid: &str,
        after: Option<ShardId>,
        limit: usize,
    ) -> Result<ShardReports, OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        let Some(stream) = stream_of(&self.shared, &record).await? else {
            return Ok(ShardReports { shards: Vec::new(), next: None });
        };
        let mut shards = stream;
        shards.sort_by_key(|shard| shard.id);
        let limit = limit.clamp(1, SHARDS_MAX);
        let kept = kept_positions(&self.shared, &key.uuid).await?;
        let drained: BTreeSet<ShardId> =
            kept.iter().filter(|(_, kept)| kept.drained).map(|(shard, _)| *shard).collect();
        let ready: BTreeSet<ShardId> = topology::ready(&shards, &drained).iter().map(|shard| shard.id).collect();
        let mut page: Vec<ShardInfo> =
            shards.into_iter().filter(|shard| after.is_none_or(|id| shard.id > id)).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|shard| shard.id);
        let reports = futures_util::stream::iter(page).map(|shard| {
            let last_batch = self.shared.history.last(&key.uuid, shard.id);
            let kept = kept.get(&shard.id);
            let phase = match () {
                () if drained.contains(&shard.id) => ShardPhase::Done,
                () if !ready.contains(&shard.id) => ShardPhase::WaitingForParents,
                () => ShardPhase::Stopped,
            };
            report(&self.shared, &key.uuid, shard, phase, kept, last_batch)
        });
        Ok(ShardReports { shards: reports.buffered(ASKED_AT_ONCE).collect().await, next })
    }
}

/// The shards of a mapping's stream; `None` when it is gone.
pub(super) async fn stream_of(
    shared: &Shared,
    record: &MappingRecord,
) -> Result<Option<Vec<ShardInfo>>, OperatorError> {
    let source = EventSource::parse(&record.event_source_arn);
    let Some(stream) = source.stream() else { return Ok(None) };
    Ok(shared.source.stream(&stream.arn()).await?.map(|stream| stream.shards))
}

async fn kept_positions(shared: &Shared, uuid: &str) -> Result<BTreeMap<ShardId, PositionRecord>, OperatorError> {
    let kept = shared.records.positions(uuid).await?;
    let shard = |key: &str| key.rsplit('/').next().and_then(|text| text.parse::<ShardId>().ok());
    Ok(kept.into_iter().filter_map(|(key, _, record)| Some((shard(&key)?, record))).collect())
}

async fn report(
    shared: &Shared,
    uuid: &str,
    shard: ShardInfo,
    phase: ShardPhase,
    kept: Option<&PositionRecord>,
    last_batch: Option<BatchEntry>,
) -> ShardReport {
    let identity = ShardIdentity { id: shard.id, created_seconds: shard.created_seconds };
    let running = ask(shared, uuid, shard.id).await;
    let progress = shared.positions.progress(uuid, shard.id).or_else(|| kept.map(PositionRecord::progress));
    let running_floor = running.as_ref().and_then(|status| status.lanes.iter().filter_map(|lane| lane.next).min());
    let floor = running_floor.or_else(|| progress.as_ref().map(Progress::floor));
    let bounds = shared.log.bounds(shard.key).ok();
    let lag_records = match (floor, &bounds) {
        _ if phase == ShardPhase::Done => 0,
        (floor, Some(bounds)) => bounds.next.0.saturating_sub(floor.unwrap_or(bounds.horizon).max(bounds.horizon).0),
        (_, None) => 0,
    };
    let position = match floor {
        Some(floor) if lag_records > 0 => record_at(shared, &shard, floor).await.map(|record| place(identity, &record)),
        _ => None,
    };
    ShardReport {
        shard: shard.id,
        phase: match &running {
            Some(status) if status.is_suspended => ShardPhase::Suspended,
            Some(_) => ShardPhase::Running,
            None => phase,
        },
        lag: position.as_ref().map_or(Duration::ZERO, |place| shared.clock.now().since(place.arrival)),
        position,
        lag_records,
        lanes: running.iter().flat_map(|status| &status.lanes).map(|lane| lane_report(identity, lane)).collect(),
        last_batch,
    }
}

/// What the shard's worker says; `None` when nobody works on it.
pub(super) async fn ask(shared: &Shared, uuid: &str, shard: ShardId) -> Option<ShardStatus> {
    let line = shared.directory.of(uuid).remove(&shard)?;
    let (answer, answered) = oneshot::channel();
    let asking = async {
        line.send(Request::Status(answer)).await.ok()?;
        answered.await.ok()
    };
    shared.host_clock.timeout(ANSWER_MAX, asking).await.flatten()
}

pub(super) async fn record_at(shared: &Shared, shard: &ShardInfo, position: Position) -> Option<Record> {
    let log = Arc::clone(&shared.log);
    let limit = ReadLimit { records: 1, bytes: 1 };
    log.read(shard.key, ReadFrom::Position(position), limit).await.ok()?.records.into_iter().next()
}

pub(super) fn place(shard: ShardIdentity, record: &Record) -> RecordPlace {
    RecordPlace {
        position: record.position,
        sequence_number: shard.sequence_number(record).to_string(),
        arrival: record.arrival,
    }
}

fn lane_report(shard: ShardIdentity, lane: &LaneStatus) -> LaneReport {
    LaneReport {
        state: lane.state,
        batch: lane.batch.as_ref().map(|(first, last)| (place(shard, first), place(shard, last))),
        batch_records: lane.batch_records,
        failures: lane.failures,
        next_try: lane.until,
        waiting_records: lane.waiting_records,
        blocked_by: match lane.state {
            LaneState::Deferred => Some(BlockedBy::Destination),
            _ if lane.is_not_delivered => Some(BlockedBy::NotDelivered),
            _ if lane.has_failed => Some(BlockedBy::Failures),
            _ => None,
        },
    }
}
