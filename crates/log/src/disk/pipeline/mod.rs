//! The commit pipeline as a pure machine: it decides, others do.
//!
//! ```text
//!   reservations -> open block -> closed, waiting -> in flight (write, then sync) -> published, in order of number
//! ```
//!
//! A block is closed when it is full, or when a place in flight is free. A segment that is full is followed by another:
//! once everything before is published, the new file is made and its checkpoint block is published before any data goes
//! to it. So the first block number in a segment's header says where the segment before it ends.
//!
//! After a write or sync error nothing more is tried on that file: every unpublished block fails, the segment ends at its
//! last published block, and one new segment is tried; when that fails too the log is unavailable until it is opened
//! again. When there is no space for a new segment, appends are refused until there is.
//!
//! The machine knows numbers and lengths only. Events that name a segment it has left are ignored, so late completions
//! of failed blocks do no harm.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::contract::AppendError;

use super::format::PAGE_BYTES;

/// Sizes the machine keeps to, in bytes; multiples of 4 KiB.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Usual capacity of a block.
    pub(super) block: u64,
    /// Data that the first segment after opening takes; each further one takes twice as much up to the second number.
    pub(super) segment_min: u64,
    pub(super) segment_max: u64,
    /// Blocks in flight at once.
    pub(super) in_flight_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A block was closed by `Command::Close` or because it was full; all its slots are settled, or not yet.
    Closed {
        number: u64,
        length: u64,
        settled: bool,
    },
    /// The last slot of a closed block was settled.
    Settled {
        number: u64,
    },
    /// The file of a segment is there and its directory entry is durable.
    Created {
        segment: u64,
        result: Result<(), Failure>,
    },
    /// A checkpoint was built: header page and block have this length.
    CheckpointBuilt {
        segment: u64,
        length: u64,
    },
    Written {
        segment: u64,
        number: u64,
        result: Result<(), Failure>,
    },
    /// Also of blocks that were written and made durable in one request: then `Written` does not come.
    Synced {
        segment: u64,
        number: u64,
        result: Result<(), Failure>,
    },
    /// Nothing was appended for a while.
    Idle,
    /// Time to look whether a segment can be made now.
    Retry,
    /// Reservations have been made: the open block has content.
    Appended,
    /// What checkpoints say has changed by itself: a new segment makes it durable.
    Roll,
}

/// Why something on the disk did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    NoSpace,
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// End the open block and answer with `Event::Closed`.
    Close {
        number: u64,
    },
    /// Make the file of a segment with room for `data` bytes and a checkpoint.
    Create {
        segment: u64,
        data: u64,
    },
    /// Build the checkpoint of what is published, answer with `Event::CheckpointBuilt`, and write it at the file's start.
    Checkpoint {
        segment: u64,
        number: u64,
    },
    /// Freeze a settled block and write it.
    Write {
        segment: u64,
        number: u64,
        offset: u64,
        durable_upto: u64,
    },
    /// Write an empty block.
    WriteClosing {
        segment: u64,
        number: u64,
        offset: u64,
        durable_upto: u64,
    },
    Sync {
        segment: u64,
        number: u64,
    },
    /// Make a durable block visible. `checkpoint`: a segment is now in use.
    Publish {
        segment: u64,
        number: u64,
        offset: u64,
        length: u64,
        checkpoint: bool,
    },
    /// Nothing follows in this segment; its content ends at `end` with block `last`.
    Seal {
        segment: u64,
        end: u64,
        last: u64,
    },
    /// All unpublished blocks are lost; those up to `submitted` may be on the disk nevertheless.
    Fail {
        submitted: u64,
        error: AppendError,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Blocks go to the active segment.
    Running,
    /// Everything before is being published, then the next segment is made.
    Draining,
    /// The file of the next segment is being made.
    Creating,
    /// Its checkpoint is being written.
    Checkpointing,
    /// There is no space for the next segment.
    Full,
    /// Nothing is stored any more.
    Dead,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    /// From here on a new segment is used.
    Segment {
        data: u64,
        checkpoint: u64,
    },
    Block {
        number: u64,
        length: u64,
        settled: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    offset: u64,
    length: u64,
    kind: FlightKind,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlightKind {
    Checkpoint,
    Data,
    Closing,
}

#[derive(Clone, Copy, Debug)]
struct Active {
    segment: u64,
    /// Where the next block goes.
    next_offset: u64,
    /// End of the last published block.
    published_end: u64,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    sizes: Sizes,
    phase: Phase,
    active: Option<Active>,
    /// Id of the segment that is made next.
    next_segment: u64,
    /// Data that the segment for which blocks are opened now can still take.
    planned_left: u64,
    next_segment_data: u64,
    /// Number of the next block opened.
    next_number: u64,
    open: Option<u64>,
    queue: VecDeque<Item>,
    flights: BTreeMap<u64, Flight>,
    published: u64,
    /// The last published block holds something that no later block vouches for.
    uncovered: bool,
    /// A new segment is being tried after a failure.
    recovering: bool,
    /// A new segment is wanted before the present one is full.
    roll_wanted: bool,
    /// A block in flight beside which no other may be: see [`Self::keep_alone`].
    alone: Option<u64>,
}

impl Pipeline {
    /// A machine that goes on after block `published` and makes segment `next_segment` first.
    pub(super) fn new(sizes: Sizes, published: u64, next_segment: u64) -> (Self, Vec<Command>) {
        let mut machine = Self {
            sizes,
            phase: Phase::Draining,
            active: None,
            next_segment,
            planned_left: 0,
            next_segment_data: sizes.segment_min,
            next_number: published + 1,
            open: None,
            queue: VecDeque::new(),
            flights: BTreeMap::new(),
            published,
            uncovered: false,
            recovering: false,
            roll_wanted: false,
            alone: None,
        };
        machine.plan_segment(0);
        let mut commands = Vec::new();
        machine.advance(&mut commands);
        (machine, commands)
    }

    /// Why nothing can be appended now.
    pub(super) fn refusal(&self) -> Option<AppendError> {
        match self.phase {
            Phase::Full => Some(AppendError::Full),
            Phase::Dead => Some(AppendError::Unavailable),
            _ if self.recovering => Some(AppendError::Unavailable),
            _ => None,
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// Nothing is written beside block `number` while it is in flight: its write reaches beyond its end.
    pub(super) fn keep_alone(&mut self, number: u64) {
        assert!(self.flights.len() == 1 && self.flights.contains_key(&number), "it is the only one in flight");
        self.alone = Some(number);
    }

    /// Nothing is open, waiting or in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none() && self.queue.is_empty() && self.flights.is_empty()
    }

    pub(super) fn needs_closing(&self) -> bool {
        self.uncovered && self.phase == Phase::Running && self.is_idle()
    }

    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// Opens a block for at least `bytes`; none may be open. Returns its number and capacity.
    pub(super) fn open_block(&mut self, bytes: u64) -> (u64, u64) {
        assert!(self.open.is_none(), "one block is open at a time");
        let wanted = bytes.next_multiple_of(PAGE_BYTES as u64).max(self.sizes.block);
        let least = bytes.next_multiple_of(PAGE_BYTES as u64).max(self.sizes.block / 4);
        if self.planned_left < least || self.roll_wanted {
            self.plan_segment(wanted);
        }
        let number = self.next_number;
        self.next_number += 1;
        self.open = Some(number);
        (number, wanted.min(self.planned_left))
    }

    pub(super) fn step(&mut self, event: Event) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Closed { number, length, settled } => self.closed(number, length, settled),
            Event::Settled { number } => self.settled(number),
            Event::Created { segment, result } => self.created(segment, result, &mut commands),
            Event::CheckpointBuilt { segment, length } => self.checkpoint_built(segment, length),
            Event::Written { segment, number, result } => self.written(segment, number, result, &mut commands),
            Event::Synced { segment, number, result } => self.synced(segment, number, result, &mut commands),
            Event::Idle => self.idle(&mut commands),
            Event::Retry => self.retry(),
            Event::Appended => {}
            Event::Roll => self.roll_wanted = true,
        }
        self.advance(&mut commands);
        commands
    }

    /// Ends the active segment: for shutting down, when idle.
    pub(super) fn finish(&mut self) -> Option<Command> {
        assert!(self.flights.is_empty(), "nothing is in flight at the end");
        self.phase = Phase::Dead;
        self.seal()
    }

    fn plan_segment(&mut self, data_min: u64) {
        let data = self.next_segment_data.max(data_min);
        self.next_segment_data = (self.next_segment_data * 2).min(self.sizes.segment_max);
        self.queue.push_back(Item::Segment { data, checkpoint: self.next_number });
        self.next_number += 1;
        self.planned_left = data;
        self.roll_wanted = false;
    }

    fn closed(&mut self, number: u64, length: u64, settled: bool) {
        assert_eq!(self.open, Some(number), "only the open block is closed");
        self.open = None;
        self.planned_left = self.planned_left.checked_sub(length).expect("a block keeps to its capacity");
        self.queue.push_back(Item::Block { number, length, settled });
    }

    fn settled(&mut self, number: u64) {
        for item in &mut self.queue {
            if let Item::Block { number: found, settled, .. } = item
                && *found == number
            {
                *settled = true;
            }
        }
    }

    /// Starts whatever can be started.
    fn advance(&mut self, commands: &mut Vec<Command>) {
        if self.phase == Phase::Draining && self.flights.is_empty() {
            self.create(commands);
        }
        self.alone = self.alone.filter(|number| self.flights.contains_key(number));
        let in_flight_max = if self.alone.is_some() { 1 } else { self.sizes.in_flight_max };
        while self.phase == Phase::Running && self.flights.len() < in_flight_max {
            match self.queue.front().copied() {
                Some(Item::Block { number, length, settled: true }) => {
                    self.queue.pop_front();
                    let (segment, offset) = self.launch(number, length, FlightKind::Data);
                    commands.push(Command::Write { segment, number, offset, durable_upto: self.published });
                }
                Some(Item::Block { settled: false, .. }) => return,
                Some(Item::Segment { .. }) => {
                    self.phase = Phase::Draining;
                    if self.flights.is_empty() {
                        self.create(commands);
                    }
                }
                None => {
                    commands.extend(self.open.map(|number| Command::Close { number }));
                    return;
                }
            }
        }
    }

    fn create(&mut self, commands: &mut Vec<Command>) {
        let Some(Item::Segment { data, .. }) = self.queue.front().copied() else {
            unreachable!("only a segment at the head of the queue drains the pipeline")
        };
        commands.extend(self.seal());
        self.phase = Phase::Creating;
        commands.push(Command::Create { segment: self.next_segment, data });
    }

    fn seal(&mut self) -> Option<Command> {
        let Active { segment, published_end: end, .. } = self.active.take()?;
        Some(Command::Seal { segment, end, last: self.published })
    }

    fn created(&mut self, segment: u64, result: Result<(), Failure>, commands: &mut Vec<Command>) {
        if self.phase != Phase::Creating || segment != self.next_segment {
            return;
        }
        // A file that could not be made may have left something under its name.
        self.next_segment += 1;
        match result {
            Ok(()) => {
                let Some(Item::Segment { checkpoint, .. }) = self.queue.pop_front() else {
                    unreachable!("the segment is at the head of the queue until it is made")
                };
                self.phase = Phase::Checkpointing;
                self.active = Some(Active { segment, next_offset: 0, published_end: 0 });
                commands.push(Command::Checkpoint { segment, number: checkpoint });
                self.flights
                    .insert(checkpoint, Flight { offset: 0, length: 0, kind: FlightKind::Checkpoint, done: false });
            }
            Err(Failure::NoSpace) => {
                self.fail_all(AppendError::Full, commands);
                self.phase = Phase::Full;
            }
            Err(Failure::Broken) => self.broken(commands),
        }
    }

    fn checkpoint_built(&mut self, segment: u64, length: u64) {
        let active = self.active.as_mut().filter(|active| active.segment == segment);
        active.expect("checkpoints are built at once").next_offset = length;
        let flight = self.flights.values_mut().next().expect("the checkpoint is in flight");
        flight.length = length;
    }

    fn launch(&mut self, number: u64, length: u64, kind: FlightKind) -> (u64, u64) {
        let active = self.active.as_mut().expect("running means that a segment is active");
        let offset = active.next_offset;
        active.next_offset += length;
        self.flights.insert(number, Flight { offset, length, kind, done: false });
        (active.segment, offset)
    }

    fn in_flight(&self, segment: u64, number: u64) -> bool {
        self.active.is_some_and(|active| active.segment == segment) && self.flights.contains_key(&number)
    }

    fn written(&mut self, segment: u64, number: u64, result: Result<(), Failure>, commands: &mut Vec<Command>) {
        if !self.in_flight(segment, number) {
            return;
        }
        match result {
            Ok(()) => commands.push(Command::Sync { segment, number }),
            Err(_) => self.broken(commands),
        }
    }

    fn synced(&mut self, segment: u64, number: u64, result: Result<(), Failure>, commands: &mut Vec<Command>) {
        if !self.in_flight(segment, number) {
            return;
        }
        if result.is_err() {
            return self.broken(commands);
        }
        if let Some(flight) = self.flights.get_mut(&number) {
            flight.done = true;
        }
        while let Some(entry) = self.flights.first_entry().filter(|entry| entry.get().done) {
            let (number, flight) = entry.remove_entry();
            self.publish(segment, number, flight, commands);
        }
    }

    fn publish(&mut self, segment: u64, number: u64, flight: Flight, commands: &mut Vec<Command>) {
        let Flight { offset, length, kind, .. } = flight;
        self.published = number;
        self.uncovered = kind == FlightKind::Data;
        let active = self.active.as_mut().expect("what is published is in the active segment");
        active.published_end = offset + length;
        if kind == FlightKind::Checkpoint {
            self.phase = Phase::Running;
            self.recovering = false;
        }
        let checkpoint = kind == FlightKind::Checkpoint;
        commands.push(Command::Publish { segment, number, offset, length, checkpoint });
    }

    fn idle(&mut self, commands: &mut Vec<Command>) {
        let length = PAGE_BYTES as u64;
        if !self.needs_closing() || self.planned_left < length {
            return;
        }
        self.planned_left -= length;
        let number = self.next_number;
        self.next_number += 1;
        let (segment, offset) = self.launch(number, length, FlightKind::Closing);
        commands.push(Command::WriteClosing { segment, number, offset, durable_upto: self.published });
    }

    fn retry(&mut self) {
        if self.phase == Phase::Full {
            self.restart_segments();
        } else if self.roll_wanted && self.phase == Phase::Running && self.open.is_none() {
            self.plan_segment(0);
        }
    }

    /// A write or sync failed: the segment is left as it is, and one new one is tried.
    fn broken(&mut self, commands: &mut Vec<Command>) {
        let again = self.recovering;
        self.fail_all(AppendError::Unavailable, commands);
        if self.active.is_some_and(|active| active.published_end == 0) {
            // Not even its checkpoint was published: to the next one it does not exist.
            self.active = None;
        }
        commands.extend(self.seal());
        if again {
            self.phase = Phase::Dead;
        } else {
            self.recovering = true;
            self.restart_segments();
        }
    }

    fn restart_segments(&mut self) {
        self.next_segment_data = self.sizes.segment_min;
        self.plan_segment(0);
        self.phase = Phase::Draining;
    }

    /// Forgets everything unpublished. Numbers go on after the last published one: the next segment's header says so.
    fn fail_all(&mut self, error: AppendError, commands: &mut Vec<Command>) {
        let submitted = self.flights.keys().next_back().copied().unwrap_or(self.published);
        self.flights.clear();
        self.queue.clear();
        self.open = None;
        self.planned_left = 0;
        self.next_number = self.published + 1;
        commands.push(Command::Fail { submitted, error });
    }
}
