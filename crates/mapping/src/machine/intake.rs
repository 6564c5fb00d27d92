//! The records that were read and are not yet in a batch.

use std::collections::VecDeque;
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_log::{Position, ReadBatch, ReadFrom, ReadLimit, Record};

use super::backoff;
use super::settings::Settings;
use crate::event::{EVENT_BYTES_MAX, EventFormat, EventSize};

/// Bytes of keys and data that one read asks for: as much as fits into one event as base64.
const READ_BYTES: usize = EVENT_BYTES_MAX / 4 * 3;

/// Reads ahead at most one batch: it holds fewer than `batch_size` records and less than one event's bytes before each
/// read, and a read adds at most what fills the batch, or a single record of any size.
#[derive(Debug)]
pub(super) struct Intake {
    cursor: ReadFrom,
    progress: Progress,
    records: VecDeque<Waiting>,
    size: EventSize,
}

#[derive(Debug)]
struct Waiting {
    record: Record,
    event_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There may be more to read.
    Ready,
    Reading,
    /// Nothing more until the tail moves.
    CaughtUp,
    Failed {
        until: Timestamp,
        failures: u32,
    },
    /// Nothing will ever follow.
    Ended,
}

/// What the front of the intake makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// Records for one event, at least one.
    Batch(Vec<Record>),
    /// A record that fits into no event.
    TooLarge(Record),
}

impl Intake {
    pub(super) fn new(start: ReadFrom) -> Self {
        Self { cursor: start, progress: Progress::Ready, records: VecDeque::new(), size: EventSize::default() }
    }

    /// The read to begin now, if one is due and there is room.
    pub(super) fn begin_read(&mut self, settings: &Settings) -> Option<(ReadFrom, ReadLimit)> {
        if self.progress != Progress::Ready || self.is_full(settings) {
            return None;
        }
        self.progress = Progress::Reading;
        let limit = ReadLimit { records: settings.batch_size - self.records.len(), bytes: READ_BYTES };
        Some((self.cursor, limit))
    }

    /// Takes the answer to a read.
    pub(super) fn read(&mut self, batch: ReadBatch, format: &EventFormat, now: Timestamp) {
        let stands_still = batch.records.is_empty() && self.cursor == ReadFrom::Position(batch.next);
        self.cursor = ReadFrom::Position(batch.next);
        for record in batch.records {
            let event_bytes = format.record_bytes(&record);
            self.size = self.size.with(event_bytes);
            self.records.push_back(Waiting { record, event_bytes });
        }
        self.progress = match (batch.ended, batch.behind) {
            (true, _) => Progress::Ended,
            (false, None) => Progress::CaughtUp,
            // More is there but does not come: wait a little instead of asking again at once.
            (false, Some(_)) if stands_still => {
                Progress::Failed { until: now.plus(backoff::READ_FAILURE_FIRST), failures: 1 }
            }
            (false, Some(_)) => Progress::Ready,
        };
    }

    pub(super) fn read_failed(&mut self, now: Timestamp, failures: u32) {
        let wait = backoff::doubling(backoff::READ_FAILURE_FIRST, backoff::NOT_DELIVERED_MAX, failures);
        self.progress = Progress::Failed { until: now.plus(wait), failures };
    }

    /// The tail moved.
    pub(super) fn tail(&mut self) {
        if self.progress == Progress::CaughtUp {
            self.progress = Progress::Ready;
        }
    }

    /// Time passed: a failed read may be repeated.
    pub(super) fn time(&mut self, now: Timestamp) {
        if matches!(self.progress, Progress::Failed { until, .. } if until <= now) {
            self.progress = Progress::Ready;
        }
    }

    /// Forgets records that have expired.
    pub(super) fn expire(&mut self, horizon: Position) {
        while self.records.front().is_some_and(|w| w.record.position < horizon) {
            self.records.pop_front();
        }
        self.recount();
    }

    /// Whether a whole batch is here: no further record could join it.
    pub(super) fn is_full(&self, settings: &Settings) -> bool {
        self.records.len() >= settings.batch_size || self.size.bytes() >= EVENT_BYTES_MAX
    }

    /// Takes the records of the next batch: as many as one event may hold. `None` when there are none.
    pub(super) fn take(&mut self, settings: &Settings) -> Option<Front> {
        let mut size = EventSize::default();
        let mut count = 0;
        for waiting in self.records.iter().take(settings.batch_size) {
            let larger = size.with(waiting.event_bytes);
            if !larger.fits() {
                break;
            }
            (size, count) = (larger, count + 1);
        }
        let front = if count == 0 {
            Front::TooLarge(self.records.pop_front()?.record)
        } else {
            Front::Batch(self.records.drain(..count).map(|waiting| waiting.record).collect())
        };
        self.recount();
        Some(front)
    }

    /// The first position that is not yet in a batch; `None` before the first read said where the shard begins.
    pub(super) fn floor(&self) -> Option<Position> {
        match (self.records.front(), self.cursor) {
            (Some(waiting), _) => Some(waiting.record.position),
            (None, ReadFrom::Position(position)) => Some(position),
            (None, ReadFrom::Time(_) | ReadFrom::Tip) => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn wants_tail(&self) -> bool {
        self.progress == Progress::CaughtUp
    }

    /// The shard has ended and everything was taken.
    pub(super) fn is_drained(&self) -> bool {
        self.progress == Progress::Ended && self.records.is_empty()
    }

    /// When a failed read is due again.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Failed { until, .. } => Some(until),
            _ => None,
        }
    }

    fn recount(&mut self) {
        self.size = self.records.iter().fold(EventSize::default(), |size, w| size.with(w.event_bytes));
    }
}

/// When batches that are not full are sent.
///
/// Windows follow each other without a gap from the moment the shard begins or the previous invocation ends (not from
/// the first record: event source mapping reference, section 5). An empty window costs nothing, not even a timer.
#[derive(Debug)]
pub(super) struct Window {
    started: Timestamp,
    length: Duration,
}

impl Window {
    pub(super) fn new(now: Timestamp, length: Duration) -> Self {
        Self { started: now, length }
    }

    /// A batch is finished: the next window begins.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.started = now;
    }

    /// Records came into an empty intake at `now`: finds the window they belong to.
    pub(super) fn first_records(&mut self, now: Timestamp) {
        let length = u64::try_from(self.length.as_millis()).expect("a window has at most 300 s");
        let passed = now.millis().saturating_sub(self.started.millis());
        let windows_passed = passed.checked_div(length).unwrap_or(0);
        self.started = self.started.plus(Duration::from_millis(windows_passed * length));
    }

    /// Whether the window has ended.
    pub(super) fn is_over(&mut self, now: Timestamp) -> bool {
        // A clock that was set back must not make a window longer.
        self.started = self.started.min(now);
        self.end() <= now
    }

    /// When the window ends.
    pub(super) fn end(&self) -> Timestamp {
        self.started.plus(self.length)
    }
}
