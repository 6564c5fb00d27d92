//! A failed batch as it is kept: where its records are, and why they were given up.

use millstream_log::Position;
use serde::{Deserialize, Serialize};

use super::FORMAT;
use crate::event::EventFormat;
use crate::machine::{DiscardReason, FailedBatch};

/// What `millstream failed` shows. The records themselves stay in the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRecord {
    v: u32,
    /// Positions of the first and the last record.
    pub first: u64,
    pub last: u64,
    pub start_sequence_number: String,
    pub end_sequence_number: String,
    pub records: usize,
    /// Positions between first and last that do not belong to it, as `(from, to)` with both ends; at most
    /// [`GAPS_MAX`]. With filters or several lanes, other records lie between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<(u64, u64)>,
    pub first_arrival_ms: u64,
    pub last_arrival_ms: u64,
    pub reason: DiscardReason,
    pub invoke_count: u32,
    /// Of the last invocation, or made up when there was none.
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed_version: Option<String>,
    /// The function failed as a whole; otherwise it reported records that failed, or was not invoked.
    pub is_function_error: bool,
    pub at_ms: u64,
    pub delivery: DeliveryState,
}

/// More gaps are not kept: what lies in them is taken for a part of the batch.
const GAPS_MAX: usize = 10_000;

/// Whether a failed batch came to its destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliveryState {
    NoDestination,
    /// Not yet.
    NotDelivered,
    Delivered,
    Failed {
        reason: String,
    },
}

impl FailedRecord {
    pub(crate) fn new(failed: &FailedBatch, format: &EventFormat, request_id: String, delivery: DeliveryState) -> Self {
        let shard = format.shard();
        let invocation = failed.invocation.as_ref();
        Self {
            v: FORMAT,
            first: failed.first().position.0,
            last: failed.last().position.0,
            start_sequence_number: shard.sequence_number(failed.first()).to_string(),
            end_sequence_number: shard.sequence_number(failed.last()).to_string(),
            records: failed.records.len(),
            gaps: gaps(failed),
            first_arrival_ms: failed.first().arrival.millis(),
            last_arrival_ms: failed.last().arrival.millis(),
            reason: failed.reason,
            invoke_count: failed.invoke_count,
            request_id: invocation.map_or(request_id, |invocation| invocation.request_id.clone()),
            executed_version: invocation.and_then(|invocation| invocation.executed_version.clone()),
            is_function_error: invocation.is_some_and(|invocation| invocation.is_function_error),
            at_ms: failed.at.millis(),
            delivery,
        }
    }

    /// Whether the record at `position` belongs to it.
    pub fn holds(&self, position: Position) -> bool {
        let position = position.0;
        // They are in order, so only the last one that begins before it can hold it.
        let gap = self.gaps.partition_point(|(from, _)| *from <= position).checked_sub(1).map(|index| self.gaps[index]);
        (self.first..=self.last).contains(&position) && gap.is_none_or(|(_, to)| position > to)
    }
}

fn gaps(failed: &FailedBatch) -> Vec<(u64, u64)> {
    let positions = failed.records.iter().map(|record| record.position.0);
    let pairs = positions.clone().zip(positions.skip(1));
    pairs.filter(|(a, b)| a + 1 < *b).map(|(a, b)| (a + 1, b - 1)).take(GAPS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    #[test]
    fn the_sample_of_this_format_loads_and_round_trips() {
        let sample = include_bytes!("../../samples/failed-v1.json");
        let record: FailedRecord = decode("sample", sample).unwrap();
        assert_eq!((record.v, record.records, record.invoke_count), (FORMAT, 3, 4));
        assert_eq!(record.reason, DiscardReason::RetryAttemptsExhausted);
        assert_eq!(record.delivery, DeliveryState::Failed { reason: "the queue does not exist".to_owned() });
        let held: Vec<u64> = (38..48).filter(|position| record.holds(Position(*position))).collect();
        assert_eq!(held, [40, 43, 45]);
        assert_eq!(encode(&record), sample.trim_ascii_end(), "written as it was, byte by byte");
    }
}
