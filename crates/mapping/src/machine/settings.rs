//! What a mapping's configuration says to its shards.

use std::time::Duration;

/// The settings of a shard machine. A changed mapping gets new machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Largest number of records in a batch, 1 to 10,000.
    pub batch_size: usize,
    /// How long records are gathered for a batch that is not full, 0 to 300 s.
    pub batching_window: Duration,
}
