//! From `Discarding` and `Deferred`: failed batches on their way to where failures are kept.

use std::sync::Arc;

use super::{Lane, State, Step};
use crate::machine::backoff::{self, DELIVERIES_MAX};
use crate::machine::messages::{Command, DeliveryProblem};
use crate::machine::table::Cause;

impl Lane {
    /// The answer to [`Command::Discard`].
    pub(in crate::machine) fn discarded(&mut self, step: &mut Step<'_>, delivered: Result<(), DeliveryProblem>) {
        let State::Discarding { failed, tries } = &self.state else {
            panic!("a discard ended that was never begun");
        };
        let (failed, tries) = (Arc::clone(failed), *tries);
        match delivered {
            Ok(()) => self.end_discard(step, true, Cause::Delivered),
            Err(DeliveryProblem::NotDelivered) if tries >= DELIVERIES_MAX => {
                self.end_discard(step, false, Cause::DeliveryGivenUp);
            }
            Err(DeliveryProblem::NotDelivered | DeliveryProblem::NotKept) => {
                let wait = backoff::doubling(backoff::DELIVERY_FAILURE_FIRST, backoff::NOT_DELIVERED_MAX, tries);
                let until = step.now.plus(wait);
                self.enter(State::Deferred { failed, tries, until }, Cause::DeliveryFailed);
            }
        }
    }

    /// Time passed.
    pub(in crate::machine) fn deliver_again(&mut self, step: &mut Step<'_>) {
        let State::Deferred { failed, tries, until } = &self.state else { return };
        if *until > step.now {
            return;
        }
        let (failed, tries) = (Arc::clone(failed), tries.saturating_add(1));
        step.commands.push(Command::Discard { lane: self.index, failed: Arc::clone(&failed) });
        self.enter(State::Discarding { failed, tries }, Cause::BackOffOver);
    }

    fn end_discard(&mut self, step: &mut Step<'_>, is_delivered: bool, cause: Cause) {
        let piece = self.pieces.pop_front().expect("a batch was given up");
        let (lane, records) = (self.index, piece.records().len());
        step.commands.push(Command::Discarded { lane, records, is_delivered });
        self.window.restart(step.now);
        self.settle(step, cause);
    }
}
