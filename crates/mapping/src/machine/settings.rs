//! What a mapping's configuration says to its shards.

use std::sync::Arc;
use std::time::Duration;

use millstream_types::HashKeyRange;

use crate::filter::Filters;

/// The settings of a shard machine. A changed mapping gets new machines.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest number of records in a batch, 1 to 10,000.
    pub batch_size: usize,
    /// How long records are gathered for a batch that is not full, 0 to 300 s.
    pub batching_window: Duration,
    /// `ParallelizationFactor`: batches in flight at once, 1 to 10. One when `tumbling_window` is set.
    pub lanes: usize,
    /// Tries after the first; `None` until the records leave the stream.
    pub retries_max: Option<u32>,
    /// Records older than this are not sent any more; `None` for no limit.
    pub record_age_max: Option<Duration>,
    /// A batch that fails in the function is split in two.
    pub bisect: bool,
    /// The function may report which records failed (`ReportBatchItemFailures`).
    pub partial_failures: bool,
    /// Length of the windows that a state is carried through; `None` without.
    pub tumbling_window: Option<Duration>,
    /// Where the event source is a consumer: the keys of the shard. Records that hold records are taken apart.
    pub taken_apart: Option<HashKeyRange>,
    /// Records that match none of them are final without being sent.
    pub filters: Arc<Filters>,
}

impl Settings {
    /// Whether a batch that failed so often in the function may be sent again.
    pub(super) fn may_retry(&self, failures: u32) -> bool {
        self.retries_max.is_none_or(|max| failures <= max)
    }
}
