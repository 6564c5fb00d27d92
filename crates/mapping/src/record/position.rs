//! How far a shard of a mapping is.

use millstream_env::Timestamp;
use millstream_log::Position;
use serde::{Deserialize, Serialize};

use crate::machine::{
    BatchEntry, BatchOutcome, Decision, FailedOutline, LaneProgress, Progress, WindowProgress, WindowState,
};

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
    /// For each lane the first position whose outcome is not final.
    pub(crate) lanes: Vec<u64>,
    /// For each lane the batches that failed and are tried again; none of them when no lane has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed: Vec<Vec<FailedPart>>,
    /// The tumbling window that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<OpenWindow>,
    /// The shard has ended and all its outcomes are final: its children may run.
    pub(crate) drained: bool,
    /// The last line of the batch history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<LastBatch>,
}

/// A [`FailedOutline`] as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailedPart {
    last: u64,
    records: usize,
    failures: u32,
}

/// A [`WindowProgress`] as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OpenWindow {
    start_ms: u64,
    state: WindowState,
}

impl PositionRecord {
    /// The position everything below which is final.
    pub(crate) fn next(&self) -> u64 {
        self.lanes.iter().copied().min().unwrap_or(0)
    }

    pub(crate) fn progress(&self) -> Progress {
        let failed = |lane: usize| self.failed.get(lane).map_or(&[][..], Vec::as_slice);
        let outline = |part: &FailedPart| FailedOutline {
            last: Position(part.last),
            records: part.records,
            failures: part.failures,
        };
        let lane = |(lane, next): (usize, &u64)| LaneProgress {
            next: Position(*next),
            failed: failed(lane).iter().map(outline).collect(),
        };
        Progress {
            lanes: self.lanes.iter().enumerate().map(lane).collect(),
            window: self.window.as_ref().map(|window| WindowProgress {
                start: Timestamp::from_millis(window.start_ms),
                state: window.state.clone(),
            }),
        }
    }

    pub(crate) fn set_progress(&mut self, progress: &Progress) {
        self.factor = u32::try_from(progress.lanes.len()).expect("at most 10 lanes");
        self.lanes = progress.lanes.iter().map(|lane| lane.next.0).collect();
        let part = |outline: &FailedOutline| FailedPart {
            last: outline.last.0,
            records: outline.records,
            failures: outline.failures,
        };
        self.failed = if progress.lanes.iter().all(|lane| lane.failed.is_empty()) {
            Vec::new()
        } else {
            progress.lanes.iter().map(|lane| lane.failed.iter().map(part).collect()).collect()
        };
        self.window = progress
            .window
            .as_ref()
            .map(|window| OpenWindow { start_ms: window.start.millis(), state: window.state.clone() });
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
    #[serde(default)]
    pub(crate) lane: usize,
    /// Older versions did not keep it.
    #[serde(default = "checkpoint")]
    pub(crate) decision: Decision,
}

fn checkpoint() -> Decision {
    Decision::Checkpoint
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
            lane: entry.lane,
            decision: entry.decision,
        }
    }
}

impl From<&LastBatch> for BatchEntry {
    fn from(last: &LastBatch) -> Self {
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
            lane: last.lane,
            decision: last.decision,
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

    /// Loads a sample and writes it again: from the record, and by way of the machine's progress.
    fn round_trip(sample: &[u8]) -> PositionRecord {
        let record: PositionRecord = decode("sample", sample).unwrap();
        assert_eq!(encode(&record), sample.trim_ascii_end(), "written as it was, byte by byte");
        let mut again = PositionRecord { lanes: Vec::new(), failed: Vec::new(), window: None, ..record.clone() };
        again.set_progress(&record.progress());
        assert_eq!(again, record);
        record
    }

    #[test]
    fn the_sample_with_lanes_and_failed_batches_round_trips() {
        let record = round_trip(include_bytes!("../../samples/position-v1-lanes.json"));
        let progress = record.progress();
        assert_eq!((record.next(), progress.floor()), (40, Position(40)));
        let outline = |last, records, failures| FailedOutline { last: Position(last), records, failures };
        assert_eq!(progress.lanes[1].failed, [outline(45, 3, 2), outline(51, 4, 0)]);
        assert!(progress.lanes[0].failed.is_empty() && progress.lanes[2].failed.is_empty());
        let last = record.last.unwrap();
        assert_eq!((last.lane, last.decision), (1, Decision::Retry));
    }

    #[test]
    fn the_sample_with_a_window_keeps_the_bytes_of_its_state() {
        let window = round_trip(include_bytes!("../../samples/position-v1-window.json")).progress().window.unwrap();
        assert_eq!(window.start, Timestamp::from_millis(1_764_088_080_000));
        assert_eq!(window.state.text(), r#"{"sum": 1.50, "keys":["a"]}"#);
    }
}
