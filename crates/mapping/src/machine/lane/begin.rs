//! From `Idle`: which batch is next, and whether it may be sent.

use millstream_log::Record;

use super::piece::Piece;
use super::{Lane, State, Step};
use crate::machine::failed::DiscardReason;
use crate::machine::intake::Front;
use crate::machine::messages::Command;
use crate::machine::table::Cause;

impl Lane {
    /// Begins what can begin.
    pub(in crate::machine) fn begin(&mut self, step: &mut Step<'_>) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        if self.pieces.is_empty() {
            self.next_pieces(step);
        }
        if self.pieces.front().is_some() && self.drop_expired(step) {
            self.refit(step);
            self.begin_front(step);
        }
    }

    /// Cuts the front piece for the state that its window has now: it may have grown since the piece was cut. One that has
    /// outgrown its bound ends its window first; the records are the beginning of a new one.
    fn refit(&mut self, step: &Step<'_>) {
        let (Some(window), Some(piece)) = (&mut self.tumbling, self.pieces.front()) else { return };
        let Some(record) = piece.records().first() else { return };
        if window.is_overfull() {
            self.pieces.push_front(Piece::closing(record.position, step.now));
            return;
        }
        window.open_for(record);
        let fitting = piece.fitting(&step.rules.format, window.members_bytes(&step.rules.format));
        if fitting == piece.records().len() {
            return;
        }
        let mut piece = self.pieces.pop_front().expect("just seen");
        if piece.records().len() > 1 {
            let (first, rest) = piece.split_at(fitting.max(1));
            self.pieces.push_front(rest);
            piece = first;
        }
        if fitting == 0 {
            piece.turn_too_large();
        }
        self.pieces.push_front(piece);
    }

    /// Nothing new may begin: a batch that is to be tried again waits where an operator can skip it.
    pub(in crate::machine) fn rest(&mut self, step: &Step<'_>) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        self.refit(step);
        // What fits into no event is never sent: it is given up once something may begin.
        if let Some(piece) = self.pieces.front().filter(|piece| !piece.is_too_large()) {
            let until = piece.not_before().unwrap_or(step.now);
            self.enter(State::Waiting { until }, Cause::NotYet);
        }
    }

    fn begin_front(&mut self, step: &mut Step<'_>) {
        if self.give_up_too_old(step, Cause::TooOld) {
            return;
        }
        let piece = self.pieces.front_mut().expect("the caller saw one");
        if piece.is_too_large() {
            self.discard(step, DiscardReason::TooLarge, Cause::TooLarge);
            return;
        }
        if !self.permit
            && let Some(until) = piece.not_before().filter(|moment| *moment > step.now)
        {
            self.enter(State::Waiting { until }, Cause::NotYet);
            return;
        }
        self.send(step, Cause::BatchDue);
    }

    /// Sends the front piece.
    pub(super) fn send(&mut self, step: &mut Step<'_>, cause: Cause) {
        let piece = self.pieces.front_mut().expect("something is sent");
        let window = self.tumbling.as_ref().and_then(|window| window.members(piece.is_final()));
        let batch = piece.send(step.rules, window.as_ref(), step.now);
        self.permit = false;
        self.began = step.now;
        step.commands.push(Command::Invoke { lane: self.index, batch });
        self.enter(State::Invoking, cause);
    }

    /// Gives up what is too old at the front: the rest goes on without it. `false` when nothing is.
    pub(super) fn give_up_too_old(&mut self, step: &mut Step<'_>, cause: Cause) -> bool {
        let piece = self.pieces.front().expect("the caller saw one");
        let too_old = piece.too_old(&step.rules.settings, step.now);
        if too_old == 0 {
            return false;
        }
        if too_old < piece.records().len() {
            let piece = self.pieces.pop_front().expect("just seen");
            let (old, rest) = piece.split_at(too_old);
            self.pieces.push_front(rest);
            self.pieces.push_front(old);
        }
        self.discard(step, DiscardReason::RecordAgeExceeded, cause);
        true
    }

    /// Takes the next batch from what was read, if it is complete or its time has come.
    fn next_pieces(&mut self, step: &mut Step<'_>) {
        if !self.outlines.is_empty() {
            self.restore(step);
            return;
        }
        if self.closes_window(step) {
            let next = self.floor(step.reader.position()).unwrap_or_default();
            self.pieces.push_back(Piece::closing(next, step.now));
            return;
        }
        let is_due = !self.intake.is_empty()
            && (self.permit || self.intake.is_full(&step.rules.settings) || self.window.is_over(step.now));
        if !is_due {
            return;
        }
        if let (Some(window), Some(record)) = (&mut self.tumbling, self.intake.front()) {
            window.open_for(record);
        }
        let members_bytes = self.tumbling.as_ref().map_or(0, |window| window.members_bytes(&step.rules.format));
        let tumbling = &self.tumbling;
        let belongs = |record: &Record| tumbling.as_ref().is_none_or(|window| window.holds(record));
        match self.intake.take(step.rules.settings.batch_size, members_bytes, belongs) {
            Some(Front::Batch(records, bytes)) => self.pieces.push_back(Piece::cut(records, bytes, step.now)),
            Some(Front::TooLarge(record)) => self.pieces.push_back(Piece::too_large(record, step.now)),
            None => {}
        }
    }

    /// Makes the next batch of an earlier life again, once all of it has been read, or as many records as it had. (Other
    /// filters may let more or fewer of them through now.)
    fn restore(&mut self, step: &mut Step<'_>) {
        while let Some(outline) = self.outlines.front().copied() {
            let is_last_read = self.behind.or(step.reader.position()).is_some_and(|cursor| cursor > outline.last)
                || step.reader.has_ended();
            let is_enough = self.intake.len() >= outline.records || self.intake.has_event_of_bytes();
            if !is_last_read && !is_enough {
                return;
            }
            let belongs = |record: &Record| record.position <= outline.last;
            let members_bytes = self.tumbling.as_ref().map_or(0, |window| window.members_bytes(&step.rules.format));
            match self.intake.take(outline.records, members_bytes, belongs) {
                Some(Front::Batch(records, _)) => {
                    let settings = &step.rules.settings;
                    self.pieces.push_back(Piece::restored(records, outline.failures, settings, step.now));
                }
                Some(Front::TooLarge(record)) => self.pieces.push_back(Piece::too_large(record, step.now)),
                None => {}
            }
            // What else lies before its end makes another batch with the same past.
            if self.intake.front().map_or(is_last_read, |record| record.position > outline.last) {
                self.outlines.pop_front();
            }
            if !self.pieces.is_empty() {
                return;
            }
        }
    }

    /// Whether the open tumbling window is over.
    fn closes_window(&self, step: &mut Step<'_>) -> bool {
        let Some(window) = &self.tumbling else { return false };
        let Some(closing_time) = window.closing_time() else { return false };
        if window.is_overfull() {
            return true;
        }
        match self.intake.front() {
            Some(record) => !window.holds(record),
            None if step.reader.has_ended() => true,
            None => closing_time <= step.now && step.reader.has_read_until(closing_time),
        }
    }
}
