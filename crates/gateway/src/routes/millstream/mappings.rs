//! How far a mapping is, and what operators do about it.

use millstream_env::Timestamp;
use millstream_mapping::Mappings;
use millstream_mapping::machine::table::LaneState;
use millstream_mapping::operator::{BlockedBy, LaneReport, OperatorError, RewindTarget, ShardPhase, ShardReport};
use millstream_types::{Scope, ShardId};
use millstream_wire::millstream::{
    BlockedBy as WireBlockedBy, DescribeMappingInput, DescribeMappingOutput, Lane, LaneState as WireLaneState,
    ListBatchesInput, ListBatchesOutput, PauseMappingInput, PauseMappingOutput, ResumeMappingInput,
    ResumeMappingOutput, RewindMappingInput, RewindMappingOutput, Shard, ShardPhase as WirePhase, SkipBatchesInput,
    SkipBatchesOutput, SkippedBatch, StepMappingInput, StepMappingOutput,
};

use super::{batches, int, long, on_one_mapping, page_items};
use crate::operation::Table;

pub(super) fn add(table: &mut Table, mappings: &Mappings) {
    on_one_mapping! { table, mappings:
        DescribeMapping => describe;
        ListBatches => list_batches;
        PauseMapping => pause;
        ResumeMapping => resume;
        RewindMapping => rewind;
        SkipBatches => skip;
        StepMapping => step;
    }
}

async fn describe(
    mappings: &Mappings,
    scope: &Scope,
    input: DescribeMappingInput,
) -> Result<DescribeMappingOutput, OperatorError> {
    let after = input.next_token.as_deref().map(|token| token.parse::<ShardId>().map_err(|_| bad_token()));
    let after = after.transpose()?;
    let status = mappings.mapping_status(scope, &input.uuid).await?;
    let reports = mappings.shard_reports(scope, &input.uuid, after, page_items(input.max_results)).await?;
    Ok(DescribeMappingOutput {
        uuid: status.uuid,
        event_source_arn: status.event_source_arn,
        function_arn: status.function_arn,
        state: status.state.to_owned(),
        paused: status.paused,
        rewinding: status.rewinding,
        last_processing_result: status.last_processing_result,
        shards: reports.shards.into_iter().map(shard).collect(),
        next_token: reports.next.map(|shard| shard.to_string()),
    })
}

async fn list_batches(
    mappings: &Mappings,
    scope: &Scope,
    input: ListBatchesInput,
) -> Result<ListBatchesOutput, OperatorError> {
    let (shard, after) = (input.shard_id.as_deref(), input.next_token.as_deref());
    let page = mappings.listed_batches(scope, &input.uuid, shard, after, page_items(input.max_results)).await?;
    let batches = page.batches.into_iter().map(batches::listed).collect();
    Ok(ListBatchesOutput { batches, next_token: page.next })
}

async fn pause(
    mappings: &Mappings,
    scope: &Scope,
    input: PauseMappingInput,
) -> Result<PauseMappingOutput, OperatorError> {
    mappings.pause_mapping(scope, &input.uuid).await?;
    Ok(PauseMappingOutput { uuid: input.uuid.to_ascii_lowercase(), paused: true })
}

async fn resume(
    mappings: &Mappings,
    scope: &Scope,
    input: ResumeMappingInput,
) -> Result<ResumeMappingOutput, OperatorError> {
    mappings.resume_mapping(scope, &input.uuid).await?;
    Ok(ResumeMappingOutput { uuid: input.uuid.to_ascii_lowercase(), paused: false })
}

async fn step(mappings: &Mappings, scope: &Scope, input: StepMappingInput) -> Result<StepMappingOutput, OperatorError> {
    let count = mappings.step_mapping(scope, &input.uuid, input.shard_id.as_deref()).await?;
    Ok(StepMappingOutput { shard_count: int(count) })
}

async fn skip(mappings: &Mappings, scope: &Scope, input: SkipBatchesInput) -> Result<SkipBatchesOutput, OperatorError> {
    let skipped = mappings.skip_batches(scope, &input.uuid, input.shard_id.as_deref()).await?;
    let batches = skipped.into_iter().map(|(shard, first, last)| SkippedBatch {
        shard_id: shard.to_string(),
        first_sequence_number: first.sequence_number,
        last_sequence_number: last.sequence_number,
    });
    Ok(SkipBatchesOutput { batches: batches.collect() })
}

async fn rewind(
    mappings: &Mappings,
    scope: &Scope,
    input: RewindMappingInput,
) -> Result<RewindMappingOutput, OperatorError> {
    let target = target(&input).map_err(OperatorError::Invalid)?;
    let shards = input.shard_ids.unwrap_or_default();
    mappings.rewind_mapping(scope, &input.uuid, &shards, target).await?;
    Ok(RewindMappingOutput { uuid: input.uuid.to_ascii_lowercase(), rewinding: true })
}

/// Where to rewind to, from exactly one of the four members; `false` is none.
fn target(input: &RewindMappingInput) -> Result<RewindTarget, String> {
    let (horizon, latest) = (input.trim_horizon == Some(true), input.latest == Some(true));
    match (&input.sequence_number, input.timestamp, horizon, latest) {
        (Some(number), None, false, false) => Ok(RewindTarget::SequenceNumber(number.clone())),
        (None, Some(moment), false, false) => Ok(RewindTarget::AtTimestamp(moment)),
        (None, None, true, false) => Ok(RewindTarget::TrimHorizon),
        (None, None, false, true) => Ok(RewindTarget::Latest),
        _ => Err("Give exactly one of SequenceNumber, Timestamp, TrimHorizon and Latest.".to_owned()),
    }
}

fn bad_token() -> OperatorError {
    OperatorError::Invalid("The NextToken is not one that an answer gave.".to_owned())
}

fn shard(report: ShardReport) -> Shard {
    let arrival: Option<Timestamp> = report.position.as_ref().map(|place| place.arrival);
    Shard {
        shard_id: report.shard.to_string(),
        phase: match report.phase {
            ShardPhase::WaitingForParents => WirePhase::WaitingForParents,
            ShardPhase::Stopped => WirePhase::Stopped,
            ShardPhase::Running => WirePhase::Running,
            ShardPhase::Suspended => WirePhase::Suspended,
            ShardPhase::Done => WirePhase::Done,
        },
        sequence_number: report.position.map(|place| place.sequence_number),
        approximate_arrival_timestamp: arrival,
        lag_records: long(report.lag_records),
        lag_milliseconds: long(report.lag.as_millis()),
        lanes: report.lanes.into_iter().enumerate().map(|(index, report)| lane(index, report)).collect(),
        last_batch: report.last_batch.map(|entry| batches::of(report.shard, entry)),
    }
}

fn lane(index: usize, report: LaneReport) -> Lane {
    let (first, last) = report.batch.unzip();
    Lane {
        lane: int(index),
        state: match report.state {
            LaneState::Idle => WireLaneState::Idle,
            LaneState::Invoking => WireLaneState::Invoking,
            LaneState::Settling => WireLaneState::Settling,
            LaneState::Waiting => WireLaneState::Waiting,
            LaneState::Discarding => WireLaneState::Discarding,
            LaneState::Deferred => WireLaneState::Deferred,
        },
        first_sequence_number: first.map(|place| place.sequence_number),
        last_sequence_number: last.map(|place| place.sequence_number),
        record_count: int(report.batch_records),
        failures: report.failures.try_into().unwrap_or(i32::MAX),
        next_retry_time: report.next_try,
        waiting_records: int(report.waiting_records),
        blocked_by: report.blocked_by.map(|blocked| match blocked {
            BlockedBy::Failures => WireBlockedBy::FunctionError,
            BlockedBy::NotDelivered => WireBlockedBy::FunctionNotReached,
            BlockedBy::Destination => WireBlockedBy::Destination,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_target_is_given() {
        let none = RewindMappingInput::default;
        let moment = Timestamp::from_seconds(1);
        for (input, expected) in [
            (RewindMappingInput { trim_horizon: Some(true), ..none() }, Some(RewindTarget::TrimHorizon)),
            (RewindMappingInput { latest: Some(true), ..none() }, Some(RewindTarget::Latest)),
            (
                RewindMappingInput { latest: Some(true), trim_horizon: Some(false), ..none() },
                Some(RewindTarget::Latest),
            ),
            (RewindMappingInput { timestamp: Some(moment), ..none() }, Some(RewindTarget::AtTimestamp(moment))),
            (
                RewindMappingInput { sequence_number: Some("1".to_owned()), ..none() },
                Some(RewindTarget::SequenceNumber("1".to_owned())),
            ),
            (none(), None),
            (RewindMappingInput { latest: Some(false), ..none() }, None),
            (RewindMappingInput { latest: Some(true), trim_horizon: Some(true), ..none() }, None),
            (RewindMappingInput { latest: Some(true), timestamp: Some(moment), ..none() }, None),
        ] {
            assert_eq!(target(&input).ok(), expected, "{input:?}");
        }
    }
}
