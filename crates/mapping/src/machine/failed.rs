//! A batch that is given up.

use bytes::Bytes;
use millstream_env::Timestamp;
use millstream_log::{Position, Record};
use serde::{Deserialize, Serialize};

use super::history::{BatchOutcome, Decision};

/// Records that will not be sent any more, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedBatch {
    /// At least one.
    pub records: Vec<Record>,
    pub reason: DiscardReason,
    /// How often the function was tried with it, this last time included.
    pub invoke_count: u32,
    /// Of the last invocation; `None` when there was none.
    pub invocation: Option<FailedInvocation>,
    /// The event of the last invocation; `None` when there was none.
    pub event: Option<Bytes>,
    /// When it was given up.
    pub at: Timestamp,
    /// By which lane, and how many that has given up before in this life: names it among those of the same moment.
    pub lane: usize,
    pub number: u64,
}

impl FailedBatch {
    pub fn first(&self) -> &Record {
        self.records.first().expect("a failed batch has records")
    }

    pub fn last(&self) -> &Record {
        self.records.last().expect("a failed batch has records")
    }

    pub fn first_position(&self) -> Position {
        self.first().position
    }
}

/// Why records are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DiscardReason {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
    /// No event can carry it. AWS's records know no such condition; they say that the retries are used up.
    TooLarge,
    /// By an operator. Not sent to the destination.
    Skipped,
}

impl DiscardReason {
    /// AWS's word for it in a failure record.
    pub const fn condition(self) -> &'static str {
        match self {
            Self::RetryAttemptsExhausted | Self::TooLarge => "RetryAttemptsExhausted",
            Self::RecordAgeExceeded => "RecordAgeExceeded",
            Self::Skipped => "Skipped",
        }
    }

    /// Whether a failure record says how the last invocation ended (recorded: not when the records were too old).
    pub const fn has_response(self) -> bool {
        matches!(self, Self::RetryAttemptsExhausted)
    }

    pub(super) const fn outcome(self) -> BatchOutcome {
        match self {
            Self::RetryAttemptsExhausted => BatchOutcome::FunctionFailed,
            Self::RecordAgeExceeded => BatchOutcome::TooOld,
            Self::TooLarge => BatchOutcome::TooLarge,
            Self::Skipped => BatchOutcome::Skipped,
        }
    }

    pub(super) const fn decision(self) -> Decision {
        match self {
            Self::RetryAttemptsExhausted => Decision::DiscardRetriesExhausted,
            Self::RecordAgeExceeded => Decision::DiscardTooOld,
            Self::TooLarge => Decision::DiscardTooLarge,
            Self::Skipped => Decision::DiscardSkipped,
        }
    }
}

/// The invocation after which a batch is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedInvocation {
    pub request_id: String,
    /// The version that ran; `None` when nothing ran.
    pub executed_version: Option<String>,
    /// The function failed as a whole; otherwise it reported records that failed.
    pub is_function_error: bool,
}
