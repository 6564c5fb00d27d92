//! What is known in memory of one segment.

use std::collections::HashMap;

use super::frame::Frame;

/// A segment stops growing at this size.
pub(super) const SEGMENT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One segment and the times of the events in it.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    /// Grows with each segment of the group.
    pub(super) number: u64,
    pub(super) bytes: u64,
    /// Written since the last sync.
    pub(super) unsynced: bool,
    pub(super) times: Times,
    pub(super) streams: HashMap<u64, Times>,
}

/// Bounds of the times of some events; `first` is above `last` while there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) last_ingestion: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self { first: u64::MAX, last: 0, last_ingestion: 0 }
    }
}

impl Times {
    pub(super) fn add(&mut self, timestamp: u64, ingestion: u64) {
        self.first = self.first.min(timestamp);
        self.last = self.last.max(timestamp);
        self.last_ingestion = self.last_ingestion.max(ingestion);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.last_ingestion = self.last_ingestion.max(other.last_ingestion);
    }
}

impl Segment {
    pub(super) fn new(number: u64) -> Self {
        Self { number, bytes: 0, unsynced: false, times: Times::default(), streams: HashMap::new() }
    }

    pub(super) fn name(&self) -> String {
        segment_name(self.number)
    }

    pub(super) fn add(&mut self, frame: &Frame<'_>) {
        self.times.add(frame.key.timestamp, frame.key.ingestion);
        self.streams.entry(frame.stream).or_default().add(frame.key.timestamp, frame.key.ingestion);
    }
}

pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}.log")
}

pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}
