//! From `Waiting`: again, too old, gone, or passed over.

use super::{Lane, State, Step};
use crate::machine::failed::DiscardReason;
use crate::machine::history::{BatchOutcome, Decision};
use crate::machine::messages::Command;
use crate::machine::table::Cause;

impl Lane {
    /// Time passed.
    pub(in crate::machine) fn wait(&mut self, step: &mut Step<'_>) {
        let State::Waiting { until } = self.state else { return };
        if !self.drop_expired(step) || self.give_up_too_old(step, Cause::TooOld) {
            return;
        }
        if self.permit {
            self.send(step, Cause::Stepped);
        } else if until <= step.now {
            self.send(step, Cause::BackOffOver);
        }
    }

    /// Passes over the batch that waits. `false` when none does.
    pub(in crate::machine) fn skip(&mut self, step: &mut Step<'_>) -> bool {
        if !matches!(self.state, State::Waiting { .. }) {
            return false;
        }
        if self.pieces.front().is_some_and(super::Piece::is_final) {
            // A window's last invocation has no records to give up: its state is dropped.
            let piece = self.pieces.pop_front().expect("just seen");
            let (outcome, decision) = (BatchOutcome::Skipped, Decision::DiscardSkipped);
            step.commands.push(Command::History(piece.entry(self.index, outcome, decision, None, step.now)));
            self.tumbling.as_mut().expect("it had a last invocation").close();
            self.settle(step, Cause::WindowSkipped);
        } else {
            self.discard(step, DiscardReason::Skipped, Cause::Skipped);
        }
        true
    }

    /// Forgets records of the front piece that have left the stream. `false` when nothing is left of it.
    pub(super) fn drop_expired(&mut self, step: &mut Step<'_>) -> bool {
        let piece = self.pieces.front_mut().expect("the caller saw one");
        if piece.first().is_none_or(|first| first >= step.horizon) {
            return true;
        }
        if let Some(rest) = piece.without_expired(step.horizon) {
            *piece = rest;
            return true;
        }
        let entry = piece.entry(self.index, BatchOutcome::Expired, Decision::Forget, None, step.now);
        step.commands.push(Command::History(entry));
        self.pieces.pop_front();
        self.window.restart(step.now);
        self.enter(State::Idle, Cause::LeftStream);
        false
    }
}
