//! The batch that is being worked on, and its retries.
//!
//! A shard has one lane today. Several (`ParallelizationFactor`) are several values of this type, each fed with its own
//! partition keys; the checkpoint is the lowest [`Lane::floor`].

use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_log::Position;

use super::batch::Batch;
use super::{BatchEntry, BatchOutcome, backoff};
use crate::event::EventFormat;

#[derive(Debug)]
pub(super) enum Lane {
    Idle,
    Invoking(Work),
    /// Failed, to be tried again.
    Waiting {
        work: Work,
        until: Timestamp,
    },
}

/// A batch and what happened to it so far.
#[derive(Clone, Debug)]
pub(super) struct Work {
    batch: Arc<Batch>,
    started: Timestamp,
    attempts: u32,
    /// Failures of the function: what `MaximumRetryAttempts` counts.
    failures: u32,
    /// Tries in a row that did not reach the function.
    not_delivered: u32,
}

impl Lane {
    /// Begins a batch.
    pub(super) fn begin(&mut self, batch: Batch, now: Timestamp) -> Arc<Batch> {
        assert!(matches!(self, Self::Idle), "one batch is in flight at a time");
        let batch = Arc::new(batch);
        let work = Work { batch: Arc::clone(&batch), started: now, attempts: 1, failures: 0, not_delivered: 0 };
        *self = Self::Invoking(work);
        batch
    }

    /// The invocation ended. Returns the line for the history.
    pub(super) fn ended(&mut self, outcome: BatchOutcome, request_id: String, now: Timestamp) -> BatchEntry {
        let Self::Invoking(mut work) = std::mem::replace(self, Self::Idle) else {
            panic!("an invocation ended that was never begun");
        };
        let entry = work.entry(outcome, Some(request_id), now);
        if outcome != BatchOutcome::Succeeded {
            let until = now.plus(work.wait_after(outcome));
            *self = Self::Waiting { work, until };
        }
        entry
    }

    /// Tries the waiting batch again if it is time. Records below `horizon` have left the stream: their outcome is
    /// final, and the batch goes on without them.
    pub(super) fn retry(&mut self, now: Timestamp, horizon: Position, format: &EventFormat) -> Retry {
        let Self::Waiting { work, until } = self else { return Retry::NotDue };
        if *until > now {
            return Retry::NotDue;
        }
        let mut work = work.clone();
        if work.batch.first() < horizon {
            let Some(rest) = work.batch.without_expired(horizon, format) else {
                *self = Self::Idle;
                return Retry::Expired(work.entry(BatchOutcome::Expired, None, now));
            };
            work.batch = Arc::new(rest);
        }
        work.started = now;
        work.attempts = work.attempts.saturating_add(1);
        let batch = Arc::clone(&work.batch);
        *self = Self::Invoking(work);
        Retry::Again(batch)
    }

    /// The first position whose outcome is not final.
    pub(super) fn floor(&self) -> Option<Position> {
        match self {
            Self::Idle => None,
            Self::Invoking(work) | Self::Waiting { work, .. } => Some(work.batch.first()),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    pub(super) fn is_invoking(&self) -> bool {
        matches!(self, Self::Invoking(_))
    }

    /// Whether the batch has never failed: only then is it worth holding the next one in memory as well.
    pub(super) fn is_smooth(&self) -> bool {
        match self {
            Self::Idle => true,
            Self::Invoking(work) => work.attempts == 1,
            Self::Waiting { .. } => false,
        }
    }

    /// When the waiting batch is due.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Waiting { until, .. } => Some(*until),
            _ => None,
        }
    }
}

/// What became of a waiting batch.
#[derive(Debug)]
pub(super) enum Retry {
    NotDue,
    Again(Arc<Batch>),
    /// All of its records have left the stream.
    Expired(BatchEntry),
}

impl Work {
    fn wait_after(&mut self, outcome: BatchOutcome) -> std::time::Duration {
        if outcome == BatchOutcome::FunctionFailed {
            self.not_delivered = 0;
            self.failures = self.failures.saturating_add(1);
            backoff::doubling(backoff::FUNCTION_FAILURE_FIRST, backoff::FUNCTION_FAILURE_MAX, self.failures)
        } else {
            self.not_delivered = self.not_delivered.saturating_add(1);
            backoff::doubling(backoff::NOT_DELIVERED_FIRST, backoff::NOT_DELIVERED_MAX, self.not_delivered)
        }
    }

    fn entry(&self, outcome: BatchOutcome, request_id: Option<String>, now: Timestamp) -> BatchEntry {
        BatchEntry {
            first: self.batch.first(),
            last: self.batch.last(),
            records: self.batch.records().len(),
            event_bytes: self.batch.event().len(),
            attempt: self.attempts,
            started: self.started,
            ended: now,
            request_id,
            outcome,
        }
    }
}
