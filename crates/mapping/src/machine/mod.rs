//! What happens to the records of one shard under one mapping: a state machine without I/O and without a clock.
//!
//! [`ShardMachine::step`] takes the time and an [`Event`] and returns [`Command`]s; the driver and the simulation carry
//! them out. Between steps only two things matter to them: [`ShardMachine::deadline`] and
//! [`ShardMachine::wants_tail`].
//!
//! ```text
//!   log --Read--> filter --> lane 0: intake --(full, or window over)--> batch --Invoke--> outcome
//!                        \-> lane 1: …                                                      |
//!                         \-> lane 2: …      Keep <-- done | again, halves, rest <----------+
//!                                            Discard <-- given up <-------------------------+
//! ```
//!
//! - [`reader`]: where the shard is read, for all lanes and for those that have fallen behind.
//! - [`aggregated`]: records that hold records; [`route`]: which lane takes a record.
//! - [`lane`]: a row of batches with their retries, one file for each family of transitions; [`table`] has them all.
//! - [`intake`], [`window`], [`tumbling`]: what was read and waits, and for how long.
//! - [`response`]: what a function's answer says.
//! - [`progress`]: what is remembered; [`failed`]: what is given up; [`history`]: what a person is told.
//! - [`backoff`]: the constants of waiting.
//!
//! Progress is computed, never counted: for each lane the lowest position that is in a batch, in the intake or unread. It
//! can therefore not pass a record whose outcome is open.

mod aggregated;
pub mod backoff;
mod batch;
mod failed;
mod history;
mod intake;
mod lane;
mod messages;
mod progress;
mod reader;
mod response;
mod route;
mod settings;
pub mod table;
#[cfg(test)]
mod tests;
mod tumbling;
mod window;

use millstream_env::Timestamp;
use millstream_log::{Position, ReadBatch, ReadFrom, Record};

pub(crate) use aggregated::take_apart;
pub use batch::Batch;
pub use failed::{DiscardReason, FailedBatch, FailedInvocation};
pub use history::{BatchEntry, BatchOutcome, Decision};
pub use lane::LaneStatus;
pub use messages::{Command, DeliveryProblem, Event};
pub use progress::{FailedOutline, LaneProgress, Progress, WindowProgress, WindowState};
pub(crate) use response::is_success;
pub use settings::Settings;

use crate::event::EventFormat;
use crate::filter::RecordView;
use lane::{Lane, Rules, Step, Tickets};
use reader::{Reader, Reading};
#[cfg(test)]
pub(crate) use route::lane_of;
use tumbling::TumblingWindow;

/// The machine of one shard.
#[derive(Debug)]
pub struct ShardMachine {
    rules: Rules,
    reader: Reader,
    lanes: Vec<Lane>,
    /// What the last [`Command::Keep`] told.
    told: Option<Progress>,
    tickets: Tickets,
    horizon: Position,
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

/// Where a machine begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing is known of the shard yet.
    At(ReadFrom),
    /// Where an earlier machine came to.
    Kept(Progress),
}

/// What a shard does, for a person who looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// How far the shard was read for all lanes that keep up.
    pub read_to: Option<Position>,
    /// Everything has been read.
    pub is_caught_up: bool,
    pub is_suspended: bool,
    pub lanes: Vec<LaneStatus>,
}

impl ShardMachine {
    /// A machine that begins at `start`.
    pub fn new(settings: Settings, format: EventFormat, start: Start, now: Timestamp) -> Self {
        assert!(settings.batch_size > 0, "the model demands a batch size of at least 1");
        assert!(settings.lanes > 0, "the model demands a factor of at least 1");
        assert!(settings.lanes == 1 || settings.tumbling_window.is_none(), "a window's state is that of the shard");
        let (from, kept) = match start {
            Start::At(from) => (from, None),
            Start::Kept(progress) => {
                let progress = progress.with_lanes(settings.lanes);
                (ReadFrom::Position(progress.floor()), Some(progress))
            }
        };
        let mut window = kept.as_ref().and_then(|kept| kept.window.clone());
        let mut lanes =
            kept.as_ref().map_or_else(|| vec![LaneProgress::default(); settings.lanes], |k| k.lanes.clone());
        let lanes = lanes.drain(..).enumerate().map(|(index, progress)| {
            let tumbling = settings.tumbling_window.map(|length| TumblingWindow::new(length, window.take()));
            Lane::new(index, progress, tumbling, &settings, now)
        });
        Self {
            reader: Reader::new(from, now),
            lanes: lanes.collect(),
            rules: Rules { settings, format },
            told: kept,
            tickets: Tickets::default(),
            horizon: Position(0),
            suspended: false,
            ending: Ending::No,
            drained: false,
        }
    }

    /// Takes in what happened at `now` and says what to do.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Read(batch) => self.on_read(now, batch, &mut commands),
            Event::ReadFailed(problem) => {
                self.reader.end();
                self.reader.failed(now);
                commands.push(Command::Result(problem));
            }
            Event::Tail => self.reader.tail(),
            Event::Invoked { lane, report } => {
                self.with_lane(now, lane, &mut commands, |lane, step| lane.invoked(step, &report));
            }
            Event::Discarded { lane, delivered } => {
                self.with_lane(now, lane, &mut commands, |lane, step| lane.discarded(step, delivered));
            }
            Event::Kept(ticket) => self.lanes.iter_mut().for_each(|lane| lane.kept(ticket)),
            Event::Time { horizon } => self.on_time(now, horizon, &mut commands),
            Event::Suspend => self.suspended = true,
            Event::Resume => {
                self.suspended = false;
                // What a step has left over is not for the next suspension.
                self.lanes.iter_mut().for_each(Lane::withdraw_permit);
            }
            Event::Step | Event::Skip if self.ending != Ending::No => {}
            Event::Step => {
                self.lanes.iter_mut().for_each(Lane::permit);
                self.each_lane(now, &mut commands, Lane::wait);
            }
            Event::Skip => self.each_lane(now, &mut commands, |lane, step| {
                lane.skip(step);
            }),
            Event::Stop if self.ending == Ending::No => self.ending = Ending::Asked,
            Event::Start | Event::Stop => {}
        }
        self.advance(now, &mut commands);
        commands
    }

    /// When the machine wants [`Event::Time`], at the latest. `None` while only events can bring it further.
    pub fn deadline(&self) -> Option<Timestamp> {
        let settings = &self.rules.settings;
        let lanes = self.lanes.iter().filter_map(|lane| lane.deadline(self.may_begin(), settings, &self.reader));
        let reader = self.reader.deadline().filter(|_| self.wants_read());
        let held_back = self.held_back_until().filter(|_| self.wants_read() && self.reader.is_ready());
        lanes.chain(reader).chain(held_back).min()
    }

    /// What happens at the [`ShardMachine::deadline`].
    pub fn deadline_reason(&self) -> &'static str {
        let due = |lane: &&Lane| lane.deadline(self.may_begin(), &self.rules.settings, &self.reader);
        let first = self.lanes.iter().filter(|lane| due(lane).is_some()).min_by_key(due);
        match first.map(Lane::state) {
            Some(table::LaneState::Waiting) => "a batch that failed is tried again",
            Some(table::LaneState::Deferred) => "the delivery of a failed batch is tried again",
            Some(_) => "a batching window or a tumbling window ends",
            None => "the shard is read again",
        }
    }

    /// What is being carried out for it, if anything is.
    pub fn busy_with(&self) -> &'static str {
        let is_any = |state| self.lanes.iter().any(|lane| lane.state() == state);
        if is_any(table::LaneState::Invoking) {
            "invoking"
        } else if is_any(table::LaneState::Discarding) {
            "bringing a failed batch to its destination"
        } else {
            "reading, or keeping what happened"
        }
    }

    /// Whether the machine has read everything and waits for the shard's tail to move.
    pub fn wants_tail(&self) -> bool {
        self.may_read() && self.reader.is_caught_up() && self.shard_room().is_some()
    }

    /// The lanes whose batch [`Event::Skip`] gives up.
    pub fn skippable(&self) -> Vec<LaneStatus> {
        let is_waiting = |lane: &LaneStatus| lane.state == table::LaneState::Waiting && self.ending == Ending::No;
        self.status().lanes.into_iter().filter(is_waiting).collect()
    }

    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// What it does at the moment.
    pub fn status(&self) -> ShardStatus {
        let read_to = self.reader.position();
        ShardStatus {
            read_to,
            is_caught_up: self.reader.is_caught_up() || self.reader.has_ended(),
            is_suspended: self.suspended,
            lanes: self.lanes.iter().map(|lane| lane.status(read_to)).collect(),
        }
    }

    /// The transitions since the last call.
    #[cfg(test)]
    pub(crate) fn transitions(&mut self) -> Vec<(table::LaneState, table::Cause, table::LaneState)> {
        self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.seen)).collect()
    }

    /// How its events are made.
    pub fn format(&self) -> &EventFormat {
        &self.rules.format
    }

    /// Whether some lane has room for what a read could bring.
    fn wants_read(&self) -> bool {
        let settings = &self.rules.settings;
        let shard = || self.reader.may_have_more() && self.shard_room().is_some();
        self.may_read() && (shard() || self.lanes.iter().any(|lane| lane.own_room(settings).is_some()))
    }

    fn may_begin(&self) -> bool {
        !self.suspended && self.ending == Ending::No
    }

    fn may_read(&self) -> bool {
        self.ending == Ending::No && (!self.suspended || self.lanes.iter().any(Lane::has_permit))
    }

    fn on_read(&mut self, now: Timestamp, batch: ReadBatch, commands: &mut Vec<Command>) {
        match self.reader.end() {
            Reading::Shard => self.on_shard_read(now, batch, commands),
            Reading::Lane(index) => self.on_lane_read(now, index, batch),
        }
    }

    fn on_shard_read(&mut self, now: Timestamp, batch: ReadBatch, commands: &mut Vec<Command>) {
        let (is_empty, is_only_lane) = (batch.records.is_empty(), self.lanes.len() == 1);
        let mut filtered_out = 0;
        let apart = self.rules.settings.taken_apart;
        let records = take_apart(batch.records, apart);
        let polled = records.len();
        for record in records {
            if self.passes(&record) {
                let lane = self.lane_of(&record);
                self.lanes[lane].offer(record, now, &self.rules, is_only_lane);
            } else {
                filtered_out += 1;
            }
        }
        self.reader.shard_read(now, batch.next, is_empty, batch.behind.is_none(), batch.ended);
        commands.push(Command::Polled { records: polled, filtered_out });
    }

    fn on_lane_read(&mut self, now: Timestamp, index: usize, batch: ReadBatch) {
        let Some(joins) = self.reader.position() else { return };
        let stands_still = batch.records.is_empty() && !self.lanes[index].is_before(batch.next) && batch.next < joins;
        let apart = self.rules.settings.taken_apart;
        let records = take_apart(batch.records, apart).into_iter();
        let own: Vec<Record> = records.filter(|r| self.lane_of(r) == index && self.passes(r)).collect();
        self.lanes[index].catch_up(own, batch.next, joins, now, &self.rules);
        if stands_still {
            self.reader.failed(now);
        } else {
            self.reader.succeeded();
        }
    }

    fn passes(&self, record: &Record) -> bool {
        let filters = &self.rules.settings.filters;
        filters.is_empty() || {
            filters.matches(&RecordView {
                partition_key: std::str::from_utf8(&record.partition_key).expect("the log holds UTF-8 partition keys"),
                sequence_number: &self.rules.format.shard().sequence_number(record),
                arrival: record.arrival,
                data: &record.data,
            })
        }
    }

    fn lane_of(&self, record: &Record) -> usize {
        route::lane_of(&record.partition_key, self.lanes.len())
    }

    fn on_time(&mut self, now: Timestamp, horizon: Position, commands: &mut Vec<Command>) {
        self.horizon = self.horizon.max(horizon);
        self.lanes.iter_mut().for_each(|lane| lane.expire(horizon));
        self.each_lane(now, commands, Lane::deliver_again);
        if self.may_begin() {
            self.each_lane(now, commands, Lane::wait);
        }
    }

    /// Begins what can begin, then tells how far everything is.
    fn advance(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        if self.ending == Ending::No {
            let may_begin = self.may_begin();
            self.each_lane(now, commands, |lane, step| {
                if may_begin || lane.has_permit() {
                    lane.begin(step);
                } else {
                    lane.rest(step);
                }
            });
        }
        if self.may_read() {
            self.read_on(now, commands);
        }
        self.tell_progress(commands);
        if !self.drained && self.reader.has_ended() && self.lanes.iter().all(Lane::is_empty) {
            self.drained = true;
            commands.push(Command::Drained);
        }
        if self.ending == Ending::Asked && !self.lanes.iter().any(Lane::is_busy) {
            self.ending = Ending::Told;
            commands.push(Command::Stopped);
        }
    }

    fn read_on(&mut self, now: Timestamp, commands: &mut Vec<Command>) {
        let shard_cursor = self.reader.position();
        self.lanes.iter_mut().for_each(|lane| lane.rejoin(shard_cursor));
        let settings = &self.rules.settings;
        let shard_room = self.shard_room().filter(|_| self.held_back_until().is_none_or(|until| until <= now));
        let behind: Vec<_> = self
            .lanes
            .iter()
            .enumerate()
            .filter_map(|(index, lane)| lane.own_room(settings).map(|(cursor, room)| (index, cursor, room)))
            .collect();
        if let Some((from, limit)) = self.reader.begin(now, shard_room, &behind) {
            commands.push(Command::Read { from, limit });
        }
    }

    /// Records that the next read of the shard's cursor may bring: as many as each lane has room for that has any.
    fn shard_room(&self) -> Option<usize> {
        self.lanes.iter().filter_map(|lane| lane.shard_room(&self.rules.settings)).min()
    }

    /// Until when the shard's cursor waits for a full lane that works well.
    fn held_back_until(&self) -> Option<Timestamp> {
        if self.lanes.len() == 1 {
            return None;
        }
        self.lanes.iter().filter_map(|lane| lane.holds_back_until(&self.rules.settings)).max()
    }

    fn tell_progress(&mut self, commands: &mut Vec<Command>) {
        let ticket = self.tickets.take();
        let progress = self.progress().or_else(|| self.told.clone());
        let Some(progress) = progress.filter(|progress| ticket.is_some() || self.told.as_ref() != Some(progress))
        else {
            return;
        };
        self.told = Some(progress.clone());
        commands.push(Command::Keep { progress, ticket });
    }

    /// What is to be remembered now; `None` when what was told last has to stand.
    fn progress(&self) -> Option<Progress> {
        let window = self.lanes[0].window();
        if window.is_some_and(TumblingWindow::is_overfull) {
            // Such a state is too large to be kept: until its window has ended, what was before counts.
            return None;
        }
        let window = window.and_then(|window| window.open().cloned());
        let shard_cursor = self.reader.position();
        let lanes: Option<Vec<LaneProgress>> = self.lanes.iter().map(|lane| lane.progress(shard_cursor)).collect();
        Some(Progress { lanes: lanes?, window })
    }

    fn with_lane(
        &mut self,
        now: Timestamp,
        index: usize,
        commands: &mut Vec<Command>,
        act: impl FnOnce(&mut Lane, &mut Step<'_>),
    ) {
        let Self { rules, reader, tickets, horizon, .. } = self;
        act(&mut self.lanes[index], &mut Step { now, rules, reader, commands, tickets, horizon: *horizon });
    }

    fn each_lane(
        &mut self,
        now: Timestamp,
        commands: &mut Vec<Command>,
        mut act: impl FnMut(&mut Lane, &mut Step<'_>),
    ) {
        for index in 0..self.lanes.len() {
            self.with_lane(now, index, commands, &mut act);
        }
    }
}

/// The parts that the machine is built from hold no thread-bound state: drivers may move it between threads.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<ShardMachine>();
    is_send::<std::sync::Arc<Batch>>();
};
