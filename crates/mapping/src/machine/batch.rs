//! A batch: the records of one event.

use bytes::Bytes;
use millstream_log::{Position, Record};

use crate::event::EventFormat;

/// Records that are sent together, in order, and their event. Retries share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// At least one.
    records: Vec<Record>,
    event: Bytes,
}

impl Batch {
    /// `records` must not be empty.
    pub(super) fn new(records: Vec<Record>, format: &EventFormat) -> Self {
        assert!(!records.is_empty(), "a batch has at least one record");
        let event = format.build(&records);
        Self { records, event }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn event(&self) -> &Bytes {
        &self.event
    }

    pub fn first(&self) -> Position {
        self.records.first().expect("a batch has at least one record").position
    }

    pub fn last(&self) -> Position {
        self.records.last().expect("a batch has at least one record").position
    }

    /// This batch without the records below `horizon`; `None` when nothing is left.
    pub(super) fn without_expired(&self, horizon: Position, format: &EventFormat) -> Option<Self> {
        let kept: Vec<Record> = self.records.iter().filter(|r| r.position >= horizon).cloned().collect();
        (!kept.is_empty()).then(|| Self::new(kept, format))
    }
}
