//! What a mapping counts of its work (event source mapping reference, section 11).

use millstream_env::Timestamp;

use crate::machine::{Batch, BatchEntry, BatchOutcome};

/// The metrics of one mapping. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {}

impl Meters {
    /// Records were read, and some of them match no filter.
    pub(super) fn polled(&self, _now: Timestamp, _records: usize, _filtered_out: usize) {}

    /// A batch is sent.
    pub(super) fn invoked(&self, _now: Timestamp, _batch: &Batch) {}

    /// A try ended.
    pub(super) fn ended(&self, entry: &BatchEntry) {
        let _failed = matches!(entry.outcome, BatchOutcome::FunctionFailed | BatchOutcome::PartlyFailed);
    }

    /// Records were given up: at the destination, or not.
    pub(super) fn discarded(&self, _now: Timestamp, _records: usize, _is_delivered: bool) {}

    /// A delivery to the destination failed.
    pub(super) fn delivery_failed(&self, _now: Timestamp) {}
}
