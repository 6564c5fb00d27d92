//! A lane: one row of batches, one in flight at a time, so that the order of its records is kept.
//!
//! A shard has as many lanes as `ParallelizationFactor` says; a record's partition key decides which one takes it. What
//! a lane may do is the table in [`super::table`]; each file here is one family of its transitions:
//!
//! - [`begin`]: from `Idle`: which batch is next, and whether it may be sent.
//! - [`outcome`]: from `Invoking`: what the end of an invocation means.
//! - [`settle`]: from `Settling`: a failure was remembered; what follows from it.
//! - [`wait`]: from `Waiting`: again, too old, or passed over.
//! - [`discard`]: from `Discarding` and `Deferred`: failed batches on their way to the destination.

mod begin;
mod discard;
mod outcome;
mod piece;
mod settle;
mod wait;

use std::collections::VecDeque;
use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_log::{Position, Record};

use super::failed::{DiscardReason, FailedBatch};
use super::intake::Intake;
use super::messages::Command;
use super::progress::{FAILED_BATCHES_MAX, FailedOutline, LaneProgress};
use super::reader::{READ_RECORDS_MIN, Reader};
use super::settings::Settings;
use super::table::{Cause, LaneState};
use super::tumbling::TumblingWindow;
use super::window::BatchingWindow;
use crate::event::EventFormat;
use crate::result::ProcessingResult;
use piece::Piece;

/// What is the same for all lanes of a shard.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) settings: Settings,
    pub(super) format: EventFormat,
}

/// What a lane is told with every step.
pub(super) struct Step<'a> {
    pub(super) now: Timestamp,
    pub(super) rules: &'a Rules,
    /// How far the shard has been read.
    pub(super) reader: &'a mut Reader,
    pub(super) commands: &'a mut Vec<Command>,
    pub(super) tickets: &'a mut Tickets,
    /// The oldest position that has not expired, as far as that was told.
    pub(super) horizon: Position,
}

/// Tickets of [`Command::Keep`].
#[derive(Debug, Default)]
pub(super) struct Tickets {
    last: u64,
    is_asked: bool,
}

impl Tickets {
    /// The ticket of this step.
    pub(super) fn ask(&mut self) -> u64 {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.last += 1;
        }
        self.last
    }

    /// Ends a step: its ticket, if somebody asked.
    pub(super) fn take(&mut self) -> Option<u64> {
        std::mem::take(&mut self.is_asked).then_some(self.last)
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    index: usize,
    state: State,
    /// Batches that are worked on: the front one first. More than one after a split.
    pieces: VecDeque<Piece>,
    /// Batches of an earlier life that are to be made again as they were.
    outlines: VecDeque<FailedOutline>,
    intake: Intake,
    /// Everything below is final.
    done_below: Position,
    /// Its own place in the shard, once it has fallen behind the shard's cursor.
    behind: Option<Position>,
    window: BatchingWindow,
    tumbling: Option<TumblingWindow>,
    /// It may begin one invocation although the machine is suspended.
    permit: bool,
    /// When the invocation in flight began.
    began: Timestamp,
    /// Batches that were given up in this life.
    given_up: u64,
    /// Where each state came from: filled in tests only.
    #[cfg(test)]
    pub(super) seen: Vec<(LaneState, Cause, LaneState)>,
}

/// The states of [`LaneState`] with what belongs to them.
#[derive(Debug)]
enum State {
    Idle,
    Invoking,
    Settling { ticket: u64 },
    Waiting { until: Timestamp },
    Discarding(Discard),
    Deferred { discard: Discard, until: Timestamp },
}

/// A failed batch on its way.
#[derive(Clone, Debug)]
struct Discard {
    failed: Arc<FailedBatch>,
    /// Tries so far, this one included.
    tries: u32,
    /// Those that failed at the destination.
    refusals: u32,
}

impl State {
    const fn name(&self) -> LaneState {
        match self {
            Self::Idle => LaneState::Idle,
            Self::Invoking => LaneState::Invoking,
            Self::Settling { .. } => LaneState::Settling,
            Self::Waiting { .. } => LaneState::Waiting,
            Self::Discarding(_) => LaneState::Discarding,
            Self::Deferred { .. } => LaneState::Deferred,
        }
    }
}

/// What a lane does, for a person who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    pub state: LaneState,
    /// The first position whose outcome is not final; `None` until the shard was read for the first time.
    pub next: Option<Position>,
    /// First and last record of the batch that is worked on.
    pub batch: Option<(Record, Record)>,
    pub batch_records: usize,
    /// Failures of that batch that count as tries.
    pub failures: u32,
    /// The function failed on it, or on the batch that it is a part of, counted or not.
    pub has_failed: bool,
    /// The last tries did not reach the function.
    pub is_not_delivered: bool,
    /// When it is tried again, or its delivery is.
    pub until: Option<Timestamp>,
    /// Records that were read and wait for a batch.
    pub waiting_records: usize,
}

impl Lane {
    pub(super) fn new(
        index: usize,
        progress: LaneProgress,
        tumbling: Option<TumblingWindow>,
        settings: &Settings,
        now: Timestamp,
    ) -> Self {
        Self {
            index,
            state: State::Idle,
            pieces: VecDeque::new(),
            outlines: progress.failed.into(),
            intake: Intake::default(),
            done_below: progress.next,
            behind: None,
            window: BatchingWindow::new(now, settings.batching_window),
            tumbling,
            permit: false,
            began: now,
            given_up: 0,
            #[cfg(test)]
            seen: Vec::new(),
        }
    }

    /// Takes a record of this lane that was read by the shard's cursor, or lets it go and falls behind.
    pub(super) fn offer(&mut self, record: Record, now: Timestamp, rules: &Rules, is_only_lane: bool) {
        if record.position < self.done_below || self.behind.is_some() {
            return;
        }
        if is_only_lane || self.room(&rules.settings, 2).is_some() {
            self.push(record, now, rules);
        } else {
            // All of an aggregated record or nothing: it is read again from its beginning.
            self.intake.withdraw(record.position);
            self.behind = Some(record.position);
        }
    }

    /// Takes what was read from its own cursor on: `records` are those of this lane, up to the shard's cursor `joins`.
    pub(super) fn catch_up(
        &mut self,
        records: Vec<Record>,
        next: Position,
        joins: Position,
        now: Timestamp,
        rules: &Rules,
    ) {
        for record in records.into_iter().filter(|record| record.position < joins) {
            if record.position >= self.done_below {
                self.push(record, now, rules);
            }
        }
        self.behind = Some(next).filter(|next| *next < joins);
    }

    fn push(&mut self, record: Record, now: Timestamp, rules: &Rules) {
        if self.intake.is_empty() {
            self.window.first_records(now);
        }
        self.intake.push(record, &rules.format);
    }

    /// How many more records it can hold; `None` for none. `batches` is how many it may hold ahead.
    fn room(&self, settings: &Settings, batches: usize) -> Option<usize> {
        if !self.is_smooth() || self.intake.has_event_of_bytes() {
            // A lane that fails holds only the failing batch, so that many of them do not fill the memory.
            return None;
        }
        // The batch size of an earlier life may have been larger.
        let restored = self.outlines.front().map_or(0, |outline| outline.records);
        let capacity = (settings.batch_size.max(READ_RECORDS_MIN) * batches).max(restored);
        capacity.checked_sub(self.intake.len()).filter(|room| *room > 0)
    }

    /// Room for a read of the shard's cursor, if it keeps up with it.
    pub(super) fn shard_room(&self, settings: &Settings) -> Option<usize> {
        if self.behind.is_some() { None } else { self.room(settings, 1) }
    }

    /// Whether its own cursor lies before `position`.
    pub(super) fn is_before(&self, position: Position) -> bool {
        self.behind.is_some_and(|own| own < position)
    }

    /// Joins the others if it has reached the shard's cursor.
    pub(super) fn rejoin(&mut self, shard_cursor: Option<Position>) {
        if shard_cursor.is_some_and(|cursor| self.behind.is_some_and(|own| own >= cursor)) {
            self.behind = None;
        }
    }

    /// Its own cursor with the room for a read from there, if it has fallen behind.
    pub(super) fn own_room(&self, settings: &Settings) -> Option<(Position, usize)> {
        Some((self.behind?, self.room(settings, 1)?))
    }

    /// Until when the others should wait for it rather than leave it behind: it is full, but works well.
    pub(super) fn holds_back_until(&self, settings: &Settings) -> Option<Timestamp> {
        let holds = self.behind.is_none() && self.is_smooth() && self.shard_room(settings).is_none();
        (holds && matches!(self.state, State::Invoking)).then(|| self.began.plus(super::backoff::SLOW_LANE))
    }

    /// Forgets what has left the stream.
    pub(super) fn expire(&mut self, horizon: Position) {
        self.intake.expire(horizon);
    }

    /// The first position whose outcome is not final.
    pub(super) fn floor(&self, shard_cursor: Option<Position>) -> Option<Position> {
        let in_batch = self.pieces.iter().find_map(Piece::first);
        let open = in_batch.or_else(|| self.intake.front().map(|record| record.position));
        open.or(self.behind).or(shard_cursor).map(|position| position.max(self.done_below))
    }

    /// What to remember of it, if that is known yet.
    pub(super) fn progress(&self, shard_cursor: Option<Position>) -> Option<LaneProgress> {
        let next = self.floor(shard_cursor)?;
        let pieces = self.pieces.iter().filter_map(Piece::outline);
        let failed: Vec<FailedOutline> = pieces.chain(self.outlines.iter().copied()).collect();
        debug_assert!(failed.len() <= FAILED_BATCHES_MAX, "splits leave few parts");
        Some(LaneProgress { next, failed })
    }

    pub(super) fn window(&self) -> Option<&TumblingWindow> {
        self.tumbling.as_ref()
    }

    /// Whether something of it must end before the machine may stop.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle | State::Waiting { .. })
    }

    /// Nothing in hand: neither batches nor records.
    pub(super) fn is_empty(&self) -> bool {
        let window_is_open = self.tumbling.as_ref().is_some_and(|window| window.open().is_some());
        matches!(self.state, State::Idle)
            && self.pieces.is_empty()
            && self.intake.is_empty()
            && self.behind.is_none()
            && !window_is_open
    }

    /// Whether its batch has never failed: only then is it worth holding the next one in memory as well.
    fn is_smooth(&self) -> bool {
        match self.state {
            State::Idle => self.pieces.is_empty(),
            State::Invoking => self.pieces.len() == 1 && self.pieces[0].is_fresh(),
            _ => false,
        }
    }

    /// When it wants the time, at the latest. Deliveries go on while nothing new may begin.
    pub(super) fn deadline(&self, may_begin: bool, settings: &Settings, reader: &Reader) -> Option<Timestamp> {
        match &self.state {
            State::Deferred { until, .. } => Some(*until),
            State::Waiting { until } if may_begin => {
                let too_old = self.pieces.front().and_then(|piece| piece.too_old_at(settings));
                Some(too_old.map_or(*until, |moment| moment.min(*until)))
            }
            State::Idle if may_begin => {
                let batch = (!self.intake.is_empty() && self.outlines.is_empty()).then(|| self.window.end());
                // Until everything is read, the end of a read brings it further.
                let closing = self.tumbling.as_ref().and_then(TumblingWindow::closing_time);
                let closing = closing.filter(|_| self.intake.is_empty() && reader.is_caught_up());
                batch.into_iter().chain(closing).min()
            }
            _ => None,
        }
    }

    pub(super) fn state(&self) -> LaneState {
        self.state.name()
    }

    pub(super) fn permit(&mut self) {
        self.permit = true;
    }

    pub(super) fn withdraw_permit(&mut self) {
        self.permit = false;
    }

    pub(super) fn has_permit(&self) -> bool {
        self.permit
    }

    pub(super) fn status(&self, shard_cursor: Option<Position>) -> LaneStatus {
        let piece = self.pieces.front();
        let records = piece.map_or(&[][..], Piece::records);
        LaneStatus {
            state: self.state.name(),
            next: self.floor(shard_cursor),
            batch: records.first().cloned().zip(records.last().cloned()),
            batch_records: records.len(),
            failures: piece.map_or(0, Piece::failures),
            has_failed: piece.is_some_and(Piece::has_failed),
            is_not_delivered: piece.is_some_and(Piece::is_not_delivered),
            until: match &self.state {
                State::Waiting { until } | State::Deferred { until, .. } => Some(*until),
                _ => None,
            },
            waiting_records: self.intake.len(),
        }
    }

    fn enter(&mut self, state: State, cause: Cause) {
        #[cfg(test)]
        self.seen.push((self.state.name(), cause, state.name()));
        debug_assert!(
            super::table::allows(self.state.name(), cause, state.name()),
            "no row of the table: {:?} {cause:?} {:?}",
            self.state.name(),
            state.name()
        );
        self.state = state;
    }

    /// Gives the front piece up.
    fn discard(&mut self, step: &mut Step<'_>, reason: DiscardReason, cause: Cause) {
        let piece = self.pieces.front().expect("something is given up");
        let entry = piece.entry(self.index, reason.outcome(), reason.decision(), None, step.now);
        step.commands.push(Command::History(entry));
        self.discard_told(step, reason, cause);
        if reason == DiscardReason::TooLarge {
            step.commands.push(Command::Result(ProcessingResult::RecordTooLarge));
        }
    }

    /// The same when the history has its line already.
    fn discard_told(&mut self, step: &mut Step<'_>, reason: DiscardReason, cause: Cause) {
        let piece = self.pieces.front().expect("something is given up");
        let failed = Arc::new(piece.failed(reason, self.index, self.given_up, step.now));
        self.given_up += 1;
        step.commands.push(Command::Discard { lane: self.index, failed: Arc::clone(&failed) });
        self.enter(State::Discarding(Discard { failed, tries: 1, refusals: 0 }), cause);
    }
}
