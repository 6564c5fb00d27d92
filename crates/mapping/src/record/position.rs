//! How far a shard of a mapping is.

use serde::{Deserialize, Serialize};

use crate::machine::{BatchEntry, BatchOutcome};

/// The kept position of one shard. Owner and epoch fence: whoever takes a shard over raises the epoch, and the
/// compare-and-set of the former owner fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PositionRecord {
    pub(crate) v: u32,
    /// The process that moves this position.
    pub(crate) owner: String,
    pub(crate) epoch: u64,
    /// The incarnation of the stream that the position belongs to.
    pub(crate) stream: u64,
    /// `ParallelizationFactor`: the number of lanes.
    pub(crate) factor: u32,
    /// For each lane the first position whose outcome is not final. One lane today.
    pub(crate) lanes: Vec<u64>,
    /// The shard has ended and all its outcomes are final: its children may run.
    pub(crate) drained: bool,
    /// The last line of the batch history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<LastBatch>,
}

impl PositionRecord {
    /// The position everything below which is final.
    pub(crate) fn next(&self) -> u64 {
        self.lanes.iter().copied().min().unwrap_or(0)
    }
}

/// A [`BatchEntry`] as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastBatch {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) records: usize,
    pub(crate) event_bytes: usize,
    pub(crate) attempt: u32,
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    pub(crate) outcome: BatchOutcome,
}

impl From<&BatchEntry> for LastBatch {
    fn from(entry: &BatchEntry) -> Self {
        Self {
            first: entry.first.0,
            last: entry.last.0,
            records: entry.records,
            event_bytes: entry.event_bytes,
            attempt: entry.attempt,
            started_ms: entry.started.millis(),
            ended_ms: entry.ended.millis(),
            request_id: entry.request_id.clone(),
            outcome: entry.outcome,
        }
    }
}

impl From<&LastBatch> for BatchEntry {
    fn from(last: &LastBatch) -> Self {
        use millstream_env::Timestamp;
        use millstream_log::Position;
        Self {
            first: Position(last.first),
            last: Position(last.last),
            records: last.records,
            event_bytes: last.event_bytes,
            attempt: last.attempt,
            started: Timestamp::from_millis(last.started_ms),
            ended: Timestamp::from_millis(last.ended_ms),
            request_id: last.request_id.clone(),
            outcome: last.outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FORMAT, decode, encode};

    #[test]
    fn the_sample_of_this_format_loads_and_round_trips() {
        let sample = include_bytes!("../../samples/position-v1.json");
        let record: PositionRecord = decode("sample", sample).unwrap();
        assert_eq!((record.v, record.next(), record.epoch), (FORMAT, 42, 3));
        let last = record.last.as_ref().unwrap();
        assert_eq!(&LastBatch::from(&BatchEntry::from(last)), last);
        assert_eq!(decode::<PositionRecord>("again", &encode(&record)).unwrap(), record);
    }
}
