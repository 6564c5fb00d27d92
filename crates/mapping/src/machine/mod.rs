//! What happens to the records of one shard under one mapping: a state machine without I/O and without a clock.
//!
//! [`ShardMachine::step`] takes the time and an [`Event`] and returns [`Command`]s; the driver and the simulation carry
//! them out. Between steps only two things matter to them: [`ShardMachine::deadline`] and
//! [`ShardMachine::wants_tail`].
//!
//! ```text
//!   log --Read--> intake --(full, or window over)--> batch --Invoke--> lane --+-- Ok ----------> Checkpoint
//!                 one batch                                              ^    +-- expired -----> Checkpoint
//!                 ahead                                                  |    |
//!                                                                        +----+ anything else: wait, again
//! ```
//!
//! - [`intake`](self): what was read and waits for a batch, and the batching window.
//! - [`lane`](self): the batch in flight and its retries. One at a time, so a shard's order is kept.
//! - [`backoff`]: the constants of waiting.
//!
//! The checkpoint is computed, never counted: the lowest position that is in the lane, in the intake or unread. It can
//! therefore not pass a record whose outcome is open.

pub mod backoff;
mod batch;
mod intake;
mod lane;
mod messages;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_functions::InvokeReport;
use millstream_log::{Position, ReadBatch, ReadFrom, Record};

pub use batch::Batch;
pub use messages::{BatchEntry, BatchOutcome, Command, Event};
pub use settings::Settings;

use crate::event::EventFormat;
use crate::result::ProcessingResult;
use intake::{Front, Intake, Window};
use lane::{Lane, Retry};

/// The machine of one shard.
#[derive(Debug)]
pub struct ShardMachine {
    settings: Settings,
    format: EventFormat,
    intake: Intake,
    window: Window,
    lane: Lane,
    /// The last position sent in a [`Command::Checkpoint`].
    checkpoint: Option<Position>,
    /// Reads that failed since the last one that succeeded.
    read_failures: u32,
    suspended: bool,
    ending: Ending,
    drained: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    Asked,
    Told,
}

impl ShardMachine {
    /// A machine that begins at `start`. With `kept`, everything below that position is known to be final already.
    pub fn new(
        settings: Settings,
        format: EventFormat,
        start: ReadFrom,
        kept: Option<Position>,
        now: Timestamp,
    ) -> Self {
        assert!(settings.batch_size > 0, "the model demands a batch size of at least 1");
        Self {
            settings,
            format,
            intake: Intake::new(start),
            window: Window::new(now, settings.batching_window),
            lane: Lane::Idle,
            checkpoint: kept,
            read_failures: 0,
            suspended: false,
            ending: Ending::No,
            drained: false,
        }
    }

    /// Takes in what happened at `now` and says what to do.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Read(batch) => self.on_read(now, batch),
            Event::ReadFailed(problem) => {
                self.read_failures = self.read_failures.saturating_add(1);
                self.intake.read_failed(now, self.read_failures);
                commands.push(Command::Result(problem));
            }
            Event::Tail => self.intake.tail(),
            Event::Invoked(report) => self.on_invoked(now, report, &mut commands),
            Event::Time { horizon } => self.on_time(now, horizon, &mut commands),
            Event::Suspend => self.suspended = true,
            Event::Resume => self.suspended = false,
            Event::Stop if self.ending == Ending::No => self.ending = Ending::Asked,
            Event::Start | Event::Stop => {}
        }
        self.advance(now, &mut commands);
        commands
    }

    /// When the machine wants [`Event::Time`], at the latest. `None` while only events can bring it further.
    pub fn deadline(&self) -> Option<Timestamp> {
        if !self.may_begin() {
            return None;
        }
        let window = (self.lane.is_idle() && !self.intake.is_empty()).then(|| self.window.end());
        [self.lane.deadline(), self.intake.deadline(), window].into_iter().flatten().min()
    }

    /// What happens at the [`ShardMachine::deadline`].
    pub fn deadline_reason(&self) -> &'static str {
        match (self.lane.deadline(), self.intake.deadline()) {
            (Some(_), _) => "a batch that failed is tried again",
            (None, Some(_)) => "a read that failed is tried again",
            (None, None) => "the batching window ends",
        }
    }

    /// Whether the machine has read everything and waits for the shard's tail to move.
    pub fn wants_tail(&self) -> bool {
        self.may_begin() && self.intake.wants_tail() && !self.intake.is_full(&self.settings)
    }

    fn may_begin(&self) -> bool {
        !self.suspended && self.ending == Ending::No
    }

    fn on_read(&mut self, now: Timestamp, batch: ReadBatch) {
        self.read_failures = 0;
        let was_empty = self.intake.is_empty();
        self.intake.read(batch, &self.format, now);
        if was_empty && !self.intake.is_empty() {
            self.window.first_records(now);
        }
    }

    fn on_invoked(&mut self, now: Timestamp, report: InvokeReport, commands: &mut Vec<Command>) {
        let (outcome, result) = messages::judge(&report.outcome);
        let entry = self.lane.ended(outcome, report.request_id, now);
        commands.push(Command::History(entry));
        commands.push(Command::Result(result));
        if self.lane.is_idle() {
            self.window.restart(now);
        }
    }

    fn on_time(&mut self, now: Timestamp, horizon: Position, commands: &mut Vec<Command>) {
        if !self.may_begin() {
            return;
        }
        self.intake.time(now);
        self.intake.expire(horizon);
        match self.lane.retry(now, horizon, &self.format) {
            Retry::NotDue => {}
            Retry::Again(batch) => commands.push(Command::Invoke(batch)),
            Retry::Expired(entry) => {
                commands.push(Command::History(entry));
                self.window.restart(now);
            }
        }
    }

    /// Begins what can begin, then tells how far everything is.
    fn advance(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.may_begin() {
            self.send_batch(now, commands);
            self.read_on(commands);
        }
        self.tell_checkpoint(commands);
        if !self.drained && self.lane.is_idle() && self.intake.is_drained() {
            self.drained = true;
            commands.push(Command::Drained);
        }
        if self.ending == Ending::Asked && !self.lane.is_invoking() {
            self.ending = Ending::Told;
            commands.push(Command::Stopped);
        }
    }

    fn send_batch(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        while self.lane.is_idle() && self.is_batch_due(now) {
            match self.intake.take(&self.settings) {
                None => return,
                Some(Front::TooLarge(record)) => self.pass_over(now, &record, commands),
                Some(Front::Batch(records)) => {
                    let batch = self.lane.begin(Batch::new(records, &self.format), now);
                    commands.push(Command::Invoke(batch));
                }
            }
        }
    }

    fn is_batch_due(&mut self, now: Timestamp) -> bool {
        !self.intake.is_empty() && (self.intake.is_full(&self.settings) || self.window.is_over(now))
    }

    /// No event can carry this record, now or later: its outcome is final.
    fn pass_over(&self, now: Timestamp, record: &Record, commands: &mut Vec<Command>) {
        commands.push(Command::History(BatchEntry {
            first: record.position,
            last: record.position,
            records: 1,
            event_bytes: self.format.record_bytes(record),
            attempt: 0,
            started: now,
            ended: now,
            request_id: None,
            outcome: BatchOutcome::TooLarge,
        }));
        commands.push(Command::Result(ProcessingResult::RecordTooLarge));
    }

    fn read_on(&mut self, commands: &mut Vec<Command>) {
        // A shard that fails holds only the failing batch, so that many failing shards do not fill the memory.
        if self.lane.is_smooth()
            && let Some((from, limit)) = self.intake.begin_read(&self.settings)
        {
            commands.push(Command::Read { from, limit });
        }
    }

    fn tell_checkpoint(&mut self, commands: &mut Vec<Command>) {
        let Some(floor) = self.lane.floor().or_else(|| self.intake.floor()) else { return };
        if self.checkpoint.is_none_or(|told| told < floor) {
            self.checkpoint = Some(floor);
            commands.push(Command::Checkpoint(floor));
        }
    }
}

/// The parts that the machine is built from hold no thread-bound state: drivers may move it between threads.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<ShardMachine>();
    is_send::<Arc<Batch>>();
};
