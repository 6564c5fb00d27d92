//! From `Invoking`: what the end of an invocation means.

use millstream_functions::{InvokeReport, Outcome};

use super::{Lane, State, Step};
use crate::machine::failed::{DiscardReason, FailedInvocation};
use crate::machine::history::{BatchOutcome, Decision};
use crate::machine::messages::Command;
use crate::machine::progress::WindowState;
use crate::machine::response::{Answer, Verdict};
use crate::machine::table::Cause;
use crate::result::ProcessingResult;

impl Lane {
    /// The invocation in flight ended.
    pub(in crate::machine) fn invoked(&mut self, step: &mut Step<'_>, report: &InvokeReport) {
        assert!(matches!(self.state, State::Invoking), "an invocation ended that was never begun");
        let request_id = report.request_id.clone();
        let failed = |is_function_error| FailedInvocation {
            request_id: report.request_id.clone(),
            executed_version: report.executed_version.clone(),
            is_function_error,
        };
        let result = match &report.outcome {
            Outcome::Ok(payload) => {
                let records = self.pieces.front().expect("a batch is in flight").records();
                let answer = Answer::read(payload, records, &step.rules.settings, &step.rules.format);
                match answer.verdict {
                    Verdict::Success => self.succeeded(step, request_id, answer.state),
                    Verdict::FailedFrom(position) => {
                        let is_first = self.pieces.front().and_then(super::Piece::first) == Some(position);
                        if is_first {
                            self.failed(step, failed(false), BatchOutcome::PartlyFailed, false);
                        } else {
                            self.partly_failed(step, &request_id, position, answer.state);
                        }
                    }
                    Verdict::Failed => self.failed(step, failed(false), BatchOutcome::PartlyFailed, true),
                    Verdict::NoState => self.failed(step, failed(true), BatchOutcome::FunctionFailed, true),
                }
                match answer.verdict {
                    Verdict::Success => ProcessingResult::Ok,
                    _ => ProcessingResult::FunctionFailed,
                }
            }
            Outcome::FunctionError { .. } => {
                self.failed(step, failed(true), BatchOutcome::FunctionFailed, true);
                ProcessingResult::FunctionFailed
            }
            Outcome::Throttled { .. } => self.not_delivered(step, request_id, ProcessingResult::Throttled),
            Outcome::NotPermitted(_) => self.not_delivered(step, request_id, ProcessingResult::NotPermitted),
            Outcome::NotFound(_) => self.not_delivered(step, request_id, ProcessingResult::FunctionMissing),
            Outcome::NotReady(_) => self.not_delivered(step, request_id, ProcessingResult::NotReady),
            Outcome::ServiceError(_) => self.not_delivered(step, request_id, ProcessingResult::ServiceError),
        };
        step.commands.push(Command::Result(result));
        self.window.restart(step.now);
    }

    fn succeeded(&mut self, step: &mut Step<'_>, request_id: String, state: Option<WindowState>) {
        self.tell(step, BatchOutcome::Succeeded, Decision::Checkpoint, request_id);
        let piece = self.pieces.pop_front().expect("a batch was in flight");
        if let Some(window) = &mut self.tumbling {
            if piece.is_final() {
                window.close();
            } else if let Some(state) = state {
                window.set_state(state);
            }
        }
        self.enter(State::Idle, Cause::Succeeded);
    }

    /// Records before `position` are processed.
    fn partly_failed(
        &mut self,
        step: &mut Step<'_>,
        request_id: &str,
        position: millstream_log::Position,
        state: Option<WindowState>,
    ) {
        self.tell(step, BatchOutcome::PartlyFailed, Decision::RetryRest, request_id.to_owned());
        let piece = self.pieces.pop_front().expect("a batch was in flight");
        let mut rest = piece.rest_from(position, step.now);
        // It has failed once, though that is not counted.
        rest.wait_until(step.now.plus(crate::machine::backoff::FUNCTION_FAILURE_FIRST));
        self.pieces.push_front(rest);
        if let (Some(window), Some(state)) = (&mut self.tumbling, state) {
            window.set_state(state);
        }
        self.settle(step, Cause::Failed);
    }

    /// The batch as a whole failed in the function. `may_bisect` is false when the function said where.
    fn failed(&mut self, step: &mut Step<'_>, invocation: FailedInvocation, outcome: BatchOutcome, may_bisect: bool) {
        let settings = &step.rules.settings;
        let request_id = invocation.request_id.clone();
        let piece = self.pieces.front_mut().expect("a batch was in flight");
        piece.count_failure(invocation);
        let wait = piece.wait_after_failure();
        if may_bisect && settings.bisect && piece.records().len() > 1 {
            self.tell(step, outcome, Decision::Bisect, request_id);
            let piece = self.pieces.pop_front().expect("just seen");
            let (first, second) = piece.halves();
            self.pieces.push_front(second);
            self.pieces.push_front(first);
            self.settle(step, Cause::Failed);
        } else if piece.is_final() || settings.may_retry(piece.failures()) {
            // A window's last invocation has no records that could be given up: it is tried until it succeeds.
            piece.wait_until(step.now.plus(wait));
            self.tell(step, outcome, Decision::Retry, request_id);
            self.settle(step, Cause::Failed);
        } else {
            self.tell(step, outcome, Decision::DiscardRetriesExhausted, request_id);
            self.discard_told(step, DiscardReason::RetryAttemptsExhausted, Cause::RetriesExhausted);
        }
    }

    /// The function was not reached: this uses up no retry.
    fn not_delivered(&mut self, step: &mut Step<'_>, request_id: String, result: ProcessingResult) -> ProcessingResult {
        self.tell(step, BatchOutcome::NotDelivered, Decision::RetryNotCounted, request_id);
        let piece = self.pieces.front_mut().expect("a batch was in flight");
        let wait = piece.count_not_delivered();
        self.enter(State::Waiting { until: step.now.plus(wait) }, Cause::NotDelivered);
        result
    }

    fn tell(&self, step: &mut Step<'_>, outcome: BatchOutcome, decision: Decision, request_id: String) {
        let piece = self.pieces.front().expect("a batch was in flight");
        let entry = piece.entry(self.index, outcome, decision, Some(request_id), step.now);
        step.commands.push(Command::History(entry));
    }
}
