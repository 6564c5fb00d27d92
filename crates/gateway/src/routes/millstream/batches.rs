//! A line of the batch history on the wire.

use millstream_mapping::machine::{BatchEntry, BatchOutcome, Decision};
use millstream_mapping::operator::ListedBatch;
use millstream_wire::millstream::{Batch, BatchDecision, BatchOutcome as WireOutcome};

use super::{int, long};

pub(super) fn listed(batch: ListedBatch) -> Batch {
    let ListedBatch { shard, entry, first_sequence_number, last_sequence_number } = batch;
    Batch { first_sequence_number, last_sequence_number, ..of(shard, entry) }
}

/// Without sequence numbers.
pub(super) fn of(shard: millstream_types::ShardId, entry: BatchEntry) -> Batch {
    Batch {
        shard_id: shard.to_string(),
        lane: int(entry.lane),
        first_position: long(entry.first.0),
        last_position: long(entry.last.0),
        first_sequence_number: None,
        last_sequence_number: None,
        record_count: int(entry.records),
        event_bytes: long(entry.event_bytes),
        attempt: entry.attempt.try_into().unwrap_or(i32::MAX),
        start_time: entry.started,
        end_time: entry.ended,
        duration_milliseconds: long(entry.ended.since(entry.started).as_millis()),
        request_id: entry.request_id,
        outcome: outcome(entry.outcome),
        decision: decision(entry.decision),
        setting: entry.decision.setting().map(str::to_owned),
    }
}

fn outcome(outcome: BatchOutcome) -> WireOutcome {
    match outcome {
        BatchOutcome::Succeeded => WireOutcome::Succeeded,
        BatchOutcome::FunctionFailed => WireOutcome::FunctionFailed,
        BatchOutcome::PartlyFailed => WireOutcome::PartlyFailed,
        BatchOutcome::NotDelivered => WireOutcome::NotDelivered,
        BatchOutcome::Expired => WireOutcome::Expired,
        BatchOutcome::TooLarge => WireOutcome::TooLarge,
        BatchOutcome::TooOld => WireOutcome::TooOld,
        BatchOutcome::Skipped => WireOutcome::Skipped,
    }
}

fn decision(decision: Decision) -> BatchDecision {
    match decision {
        Decision::Checkpoint => BatchDecision::Checkpoint,
        Decision::Retry => BatchDecision::Retry,
        Decision::RetryNotCounted => BatchDecision::RetryNotCounted,
        Decision::Bisect => BatchDecision::Bisect,
        Decision::RetryRest => BatchDecision::RetryRest,
        Decision::DiscardRetriesExhausted => BatchDecision::DiscardRetriesExhausted,
        Decision::DiscardTooOld => BatchDecision::DiscardTooOld,
        Decision::DiscardTooLarge => BatchDecision::DiscardTooLarge,
        Decision::DiscardSkipped => BatchDecision::DiscardSkipped,
        Decision::Forget => BatchDecision::Forget,
    }
}
