//! A batch with its past: what a lane works on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::Timestamp;
use millstream_log::{Position, Record};

use super::Rules;
use crate::event::{EventFormat, EventSize, WindowMembers};
use crate::machine::backoff;
use crate::machine::batch::Batch;
use crate::machine::failed::{DiscardReason, FailedBatch, FailedInvocation};
use crate::machine::history::{BatchEntry, BatchOutcome, Decision};
use crate::machine::progress::FailedOutline;
use crate::machine::settings::Settings;

#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// None in the last invocation of a tumbling window.
    records: Arc<Vec<Record>>,
    /// What the records take in an event, where that is known.
    record_bytes: Option<usize>,
    kind: Kind,
    /// As it was sent last; retries send the same.
    batch: Option<Arc<Batch>>,
    /// Where a last invocation of a window stands in the shard.
    next: Position,
    started: Timestamp,
    attempts: u32,
    /// Failures of the function: what `MaximumRetryAttempts` counts.
    failures: u32,
    /// Tries in a row that did not reach the function.
    not_delivered: u32,
    /// The function failed on it, or on the batch that it is a part of.
    has_failed: bool,
    /// Must be made again as it is after a restart.
    is_outlined: bool,
    not_before: Option<Timestamp>,
    last: Option<FailedInvocation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Records,
    TooLarge,
    /// The last invocation of a tumbling window.
    Final,
}

impl Piece {
    pub(super) fn new(records: Vec<Record>, now: Timestamp) -> Self {
        let next = records.first().expect("a batch has at least one record").position;
        Self::fresh(records, Kind::Records, next, now)
    }

    /// Records that take so many bytes in an event.
    pub(super) fn cut(records: Vec<Record>, record_bytes: usize, now: Timestamp) -> Self {
        Self { record_bytes: Some(record_bytes), ..Self::new(records, now) }
    }

    pub(super) fn too_large(record: Record, now: Timestamp) -> Self {
        Self { kind: Kind::TooLarge, ..Self::new(vec![record], now) }
    }

    /// The last invocation of a window. What follows it begins at `next`.
    pub(super) fn closing(next: Position, now: Timestamp) -> Self {
        Self::fresh(Vec::new(), Kind::Final, next, now)
    }

    fn fresh(records: Vec<Record>, kind: Kind, next: Position, now: Timestamp) -> Self {
        Self {
            records: Arc::new(records),
            record_bytes: None,
            kind,
            batch: None,
            next,
            started: now,
            attempts: 0,
            failures: 0,
            not_delivered: 0,
            has_failed: false,
            is_outlined: false,
            not_before: None,
            last: None,
        }
    }

    /// Makes a batch of an earlier life again.
    pub(super) fn restored(records: Vec<Record>, failures: u32, settings: &Settings, now: Timestamp) -> Self {
        // What is used up was not yet told to anybody: one more try says why.
        let failures = settings.retries_max.map_or(failures, |max| failures.min(max));
        Self { failures, has_failed: true, is_outlined: true, ..Self::new(records, now) }
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn first(&self) -> Option<Position> {
        self.records.first().map(|record| record.position)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    pub(super) fn is_not_delivered(&self) -> bool {
        self.not_delivered > 0
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.kind == Kind::TooLarge
    }

    pub(super) fn is_final(&self) -> bool {
        self.kind == Kind::Final
    }

    /// It was never sent before this time.
    pub(super) fn is_fresh(&self) -> bool {
        self.attempts <= 1 && !self.is_outlined
    }

    pub(super) fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    pub(super) fn outline(&self) -> Option<FailedOutline> {
        let last = self.records.last()?.position;
        let (records, failures) = (self.records.len(), self.failures);
        self.is_outlined.then_some(FailedOutline { last, records, failures })
    }

    /// When its first record becomes too old.
    pub(super) fn too_old_at(&self, settings: &Settings) -> Option<Timestamp> {
        Some(self.records.first()?.arrival.plus(settings.record_age_max?))
    }

    /// How many of its first records fit into an event with further members of `members_bytes`.
    pub(super) fn fitting(&self, format: &EventFormat, members_bytes: usize) -> usize {
        let mut size = EventSize::with_members(members_bytes);
        let grows = |record: &&Record| {
            size = size.with(format.record_bytes(record));
            size.fits()
        };
        self.records.iter().take_while(grows).count()
    }

    /// Its one record turns out to fit into no event.
    pub(super) fn turn_too_large(&mut self) {
        assert_eq!(self.records.len(), 1, "others are split first");
        self.kind = Kind::TooLarge;
    }

    /// Begins a try and returns what to send.
    pub(super) fn send(&mut self, rules: &Rules, window: Option<&WindowMembers<'_>>, now: Timestamp) -> Arc<Batch> {
        let batch = self.batch.take().unwrap_or_else(|| {
            let event = match self.record_bytes {
                Some(bytes) => rules.format.build_sized(&self.records, bytes, window),
                None => rules.format.build(&self.records, window),
            };
            Arc::new(Batch::new(Arc::clone(&self.records), event))
        });
        self.batch = Some(Arc::clone(&batch));
        self.started = now;
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = None;
        batch
    }

    /// The function failed.
    pub(super) fn count_failure(&mut self, invocation: FailedInvocation) {
        self.failures = self.failures.saturating_add(1);
        self.not_delivered = 0;
        self.has_failed = true;
        self.is_outlined = true;
        self.last = Some(invocation);
    }

    /// How long it waits after a failure that was counted.
    pub(super) fn wait_after_failure(&self) -> Duration {
        backoff::doubling(backoff::FUNCTION_FAILURE_FIRST, backoff::FUNCTION_FAILURE_MAX, self.failures)
    }

    /// The function was not reached. Returns how long to wait.
    pub(super) fn count_not_delivered(&mut self) -> Duration {
        self.not_delivered = self.not_delivered.saturating_add(1);
        backoff::doubling(backoff::NOT_DELIVERED_FIRST, backoff::NOT_DELIVERED_MAX, self.not_delivered)
    }

    pub(super) fn wait_until(&mut self, moment: Timestamp) {
        self.not_before = Some(moment);
    }

    /// Cuts it before the record at `index`. The second part keeps what was counted.
    pub(super) fn split_at(mut self, index: usize) -> (Self, Self) {
        (self.batch, self.record_bytes) = (None, None);
        let rest = Arc::make_mut(&mut self.records).split_off(index);
        assert!(!self.records.is_empty() && !rest.is_empty(), "both parts have records");
        self.is_outlined = true;
        let next = rest[0].position;
        let second = Self { records: Arc::new(rest), next, ..self.clone() };
        (self, second)
    }

    /// Two halves after a failure. The failure that split it is not counted (reference 6.1).
    pub(super) fn halves(mut self) -> (Self, Self) {
        self.failures = self.failures.saturating_sub(1);
        let middle = self.records.len().div_ceil(2);
        let (mut first, mut second) = self.split_at(middle);
        (first.attempts, second.attempts) = (0, 0);
        (first, second)
    }

    /// The rest from `position` on, after everything before was processed: a new batch with all its retries.
    pub(super) fn rest_from(&self, position: Position, now: Timestamp) -> Self {
        let rest: Vec<Record> = self.records.iter().filter(|r| r.position >= position).cloned().collect();
        Self { has_failed: true, is_outlined: true, ..Self::new(rest, now) }
    }

    /// Without the records below `horizon`; `None` when nothing is left.
    pub(super) fn without_expired(&self, horizon: Position) -> Option<Self> {
        let kept: Vec<Record> = self.records.iter().filter(|r| r.position >= horizon).cloned().collect();
        let next = kept.first()?.position;
        Some(Self { records: Arc::new(kept), record_bytes: None, batch: None, next, ..self.clone() })
    }

    /// How many of its first records are too old to be sent.
    pub(super) fn too_old(&self, settings: &Settings, now: Timestamp) -> usize {
        let Some(age_max) = settings.record_age_max else { return 0 };
        self.records.iter().take_while(|record| record.arrival.plus(age_max) <= now).count()
    }

    pub(super) fn failed(&self, reason: DiscardReason, lane: usize, number: u64, at: Timestamp) -> FailedBatch {
        // The try that found the records too old counts as one (recorded: 1 without any invocation).
        let invoke_count = match reason {
            DiscardReason::RecordAgeExceeded | DiscardReason::TooLarge => self.failures.saturating_add(1),
            DiscardReason::RetryAttemptsExhausted | DiscardReason::Skipped => self.failures,
        };
        FailedBatch {
            records: self.records.to_vec(),
            reason,
            invoke_count,
            invocation: self.last.clone(),
            event: self.batch.as_ref().map(|batch| Bytes::clone(batch.event())),
            at,
            lane,
            number,
        }
    }

    /// Its line for the history.
    pub(super) fn entry(
        &self,
        lane: usize,
        outcome: BatchOutcome,
        decision: Decision,
        request_id: Option<String>,
        now: Timestamp,
    ) -> BatchEntry {
        let first = self.first().unwrap_or(self.next);
        BatchEntry {
            lane,
            first,
            last: self.records.last().map_or(first, |record| record.position),
            records: self.records.len(),
            event_bytes: self.batch.as_ref().map_or(0, |batch| batch.event().len()),
            attempt: self.attempts,
            started: if request_id.is_some() { self.started } else { now },
            ended: now,
            request_id,
            outcome,
            decision,
        }
    }
}
