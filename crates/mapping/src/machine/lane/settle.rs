//! `Settling`: what happened has to be durable before anything follows from it, so that a crash costs at most the
//! invocation or the delivery in flight.

use super::{Lane, State, Step};
use crate::machine::table::Cause;

impl Lane {
    /// Asks for what happened to be made durable; the machine does so at the end of the step.
    pub(super) fn settle(&mut self, step: &mut Step<'_>, cause: Cause) {
        let ticket = step.tickets.ask();
        self.enter(State::Settling { ticket }, cause);
    }

    /// Everything up to `kept` is durable.
    pub(in crate::machine) fn kept(&mut self, kept: u64) {
        if matches!(self.state, State::Settling { ticket } if ticket <= kept) {
            self.enter(State::Idle, Cause::Kept);
        }
    }
}
