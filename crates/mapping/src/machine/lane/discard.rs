//! From `Discarding` and `Deferred`: failed batches on their way to where failures are kept.

use std::sync::Arc;

use super::{Discard, Lane, State, Step};
use crate::machine::backoff::{self, DELIVERIES_MAX};
use crate::machine::failed::DiscardReason;
use crate::machine::messages::{Command, DeliveryProblem};
use crate::machine::table::Cause;

impl Lane {
    /// The answer to [`Command::Discard`].
    pub(in crate::machine) fn discarded(&mut self, step: &mut Step<'_>, delivered: Result<(), DeliveryProblem>) {
        let State::Discarding(discard) = &self.state else {
            panic!("a discard ended that was never begun");
        };
        let mut discard = discard.clone();
        // Only what came to the destination is one of its deliveries.
        discard.refusals += u32::from(delivered == Err(DeliveryProblem::NotDelivered));
        match delivered {
            Ok(()) => self.end_discard(step, discard.failed.reason, true, Cause::Delivered),
            Err(_) if discard.refusals >= DELIVERIES_MAX => {
                self.end_discard(step, discard.failed.reason, false, Cause::DeliveryGivenUp);
            }
            Err(_) => {
                let (first, max) = (backoff::DELIVERY_FAILURE_FIRST, backoff::NOT_DELIVERED_MAX);
                let until = step.now.plus(backoff::doubling(first, max, discard.tries));
                self.enter(State::Deferred { discard, until }, Cause::DeliveryFailed);
            }
        }
    }

    /// Time passed.
    pub(in crate::machine) fn deliver_again(&mut self, step: &mut Step<'_>) {
        let State::Deferred { discard, until } = &self.state else { return };
        if *until > step.now {
            return;
        }
        let discard = Discard { tries: discard.tries.saturating_add(1), ..discard.clone() };
        step.commands.push(Command::Discard { lane: self.index, failed: Arc::clone(&discard.failed) });
        self.enter(State::Discarding(discard), Cause::BackOffOver);
    }

    fn end_discard(&mut self, step: &mut Step<'_>, reason: DiscardReason, is_delivered: bool, cause: Cause) {
        let piece = self.pieces.pop_front().expect("a batch was given up");
        let (lane, records) = (self.index, piece.records().len());
        step.commands.push(Command::Discarded { lane, records, reason, is_delivered });
        self.window.restart(step.now);
        self.settle(step, cause);
    }
}
