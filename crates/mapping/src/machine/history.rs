//! What a person is told of a batch.

use millstream_env::Timestamp;
use millstream_log::Position;
use serde::{Deserialize, Serialize};

/// One line of a shard's batch history: a try of a batch, or the end of a batch without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchEntry {
    /// Counts from 0 to `ParallelizationFactor` - 1.
    pub lane: usize,
    /// Position of the first record; of the next one in the last invocation of a tumbling window.
    pub first: Position,
    /// Position of the last record.
    pub last: Position,
    pub records: usize,
    pub event_bytes: usize,
    /// Counts invocations of this batch, from 1; 0 when it was never sent.
    pub attempt: u32,
    pub started: Timestamp,
    pub ended: Timestamp,
    pub request_id: Option<String>,
    pub outcome: BatchOutcome,
    pub decision: Decision,
}

/// How one try of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BatchOutcome {
    Succeeded,
    FunctionFailed,
    /// The function reported records that failed.
    PartlyFailed,
    /// The function was not reached; the try is repeated and uses up no retry.
    NotDelivered,
    /// The records left the stream before they were processed.
    Expired,
    /// The record is larger than an event may be.
    TooLarge,
    /// The records were older than `MaximumRecordAgeInSeconds`.
    TooOld,
    /// The records were passed over by an operator.
    Skipped,
}

/// What follows from an outcome, and which setting says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// The records are done with.
    Checkpoint,
    /// The same batch again: `MaximumRetryAttempts` allows it.
    Retry,
    /// The same batch again: the function was not reached.
    RetryNotCounted,
    /// Two halves: `BisectBatchOnFunctionError`.
    Bisect,
    /// From the first record that failed on: `ReportBatchItemFailures`.
    RetryRest,
    /// Given up, the retries are used up: `MaximumRetryAttempts`.
    DiscardRetriesExhausted,
    /// Given up: `MaximumRecordAgeInSeconds`.
    DiscardTooOld,
    /// Given up: no event can carry it.
    DiscardTooLarge,
    /// Given up by an operator.
    DiscardSkipped,
    /// The stream's retention has passed: nothing is left to send.
    Forget,
}

impl Decision {
    /// The setting of the mapping that says so, by AWS's name; `None` when it follows from none.
    pub const fn setting(self) -> Option<&'static str> {
        match self {
            Self::Retry | Self::DiscardRetriesExhausted => Some("MaximumRetryAttempts"),
            Self::Bisect => Some("BisectBatchOnFunctionError"),
            Self::RetryRest => Some("ReportBatchItemFailures"),
            Self::DiscardTooOld => Some("MaximumRecordAgeInSeconds"),
            Self::Checkpoint | Self::RetryNotCounted | Self::DiscardTooLarge | Self::DiscardSkipped | Self::Forget => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_name_the_setting_that_caused_them() {
        assert_eq!(Decision::Bisect.setting(), Some("BisectBatchOnFunctionError"));
        assert_eq!(Decision::RetryRest.setting(), Some("ReportBatchItemFailures"));
        assert_eq!(Decision::DiscardTooOld.setting(), Some("MaximumRecordAgeInSeconds"));
        for decision in [Decision::Retry, Decision::DiscardRetriesExhausted] {
            assert_eq!(decision.setting(), Some("MaximumRetryAttempts"), "{decision:?}");
        }
        for decision in [Decision::Checkpoint, Decision::RetryNotCounted, Decision::DiscardSkipped, Decision::Forget] {
            assert_eq!(decision.setting(), None, "{decision:?}");
        }
    }
}
