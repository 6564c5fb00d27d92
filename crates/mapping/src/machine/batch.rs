//! A batch as it is sent: the records of one event.

use std::sync::Arc;

use bytes::Bytes;
use millstream_log::{Position, Record};

/// Records that are sent together, in order, and their event. Retries share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// None in the last invocation of a tumbling window.
    records: Arc<Vec<Record>>,
    event: Bytes,
}

impl Batch {
    pub(super) fn new(records: Arc<Vec<Record>>, event: Bytes) -> Self {
        Self { records, event }
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    pub fn event(&self) -> &Bytes {
        &self.event
    }

    /// Position of the first record.
    pub fn first(&self) -> Option<Position> {
        self.records.first().map(|record| record.position)
    }

    /// Position of the last record.
    pub fn last(&self) -> Option<Position> {
        self.records.last().map(|record| record.position)
    }
}
