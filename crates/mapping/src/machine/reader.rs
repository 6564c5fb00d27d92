//! Where the machine reads: one cursor for the shard, and one for each lane that has fallen behind it.
//!
//! The shard's cursor feeds every lane that keeps up with it. A lane that cannot take a record (its buffer is full, or
//! its batch fails) falls behind: from then on it has a cursor of its own, reads the shard for itself when it has room
//! again, and joins when it has reached the shard's cursor. So neither memory nor other lanes depend on a slow one.

use millstream_env::Timestamp;
use millstream_log::{Position, ReadFrom, ReadLimit};

use super::backoff;
use crate::event::EVENT_BYTES_MAX;

/// Bytes of keys and data that one read asks for: as much as fits into one event as base64.
pub(super) const READ_BYTES: usize = EVENT_BYTES_MAX / 4 * 3;

/// Records that a read asks for at least: a small batch size must not mean small reads.
pub(super) const READ_RECORDS_MIN: usize = 64;

/// For whom something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Shard,
    Lane(usize),
}

#[derive(Debug)]
pub(super) struct Reader {
    cursor: ReadFrom,
    state: ReadState,
    in_flight: Option<Reading>,
    /// Reads that failed since the last one that succeeded, and when the next may begin.
    failures: u32,
    not_before: Option<Timestamp>,
    /// When the last read of the shard's cursor that succeeded was begun.
    looked_at: Timestamp,
    begun_at: Timestamp,
    /// Which lane is next among those that are behind.
    turn: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadState {
    /// There may be more to read.
    Ready,
    /// Nothing more until the tail moves.
    CaughtUp,
    /// Nothing will ever follow.
    Ended,
}

impl Reader {
    pub(super) fn new(start: ReadFrom, now: Timestamp) -> Self {
        Self {
            cursor: start,
            state: ReadState::Ready,
            in_flight: None,
            failures: 0,
            not_before: None,
            looked_at: now,
            begun_at: now,
            turn: 0,
        }
    }

    /// The next position of the shard's cursor; `None` before the first read said where the shard begins.
    pub(super) fn position(&self) -> Option<Position> {
        match self.cursor {
            ReadFrom::Position(position) => Some(position),
            ReadFrom::Time(_) | ReadFrom::Tip => None,
        }
    }

    /// Begins a read if none runs. `shard_records` is how many the lanes have room for that keep up, `behind` the lanes
    /// that have fallen behind and have room, with their cursors.
    pub(super) fn begin(
        &mut self,
        now: Timestamp,
        shard_records: Option<usize>,
        behind: &[(usize, Position, usize)],
    ) -> Option<(ReadFrom, ReadLimit)> {
        self.not_before = self.not_before.filter(|moment| *moment > now);
        if self.in_flight.is_some() || self.not_before.is_some() {
            return None;
        }
        let shard_records = shard_records.filter(|_| self.state == ReadState::Ready);
        let choices = behind.len() + usize::from(shard_records.is_some());
        if choices == 0 {
            return None;
        }
        self.turn = (self.turn + 1) % choices;
        self.begun_at = now;
        let (reading, from, records) = match (behind.get(self.turn), shard_records) {
            (Some((lane, cursor, records)), _) => (Reading::Lane(*lane), ReadFrom::Position(*cursor), *records),
            (None, records) => (Reading::Shard, self.cursor, records.expect("counted above")),
        };
        self.in_flight = Some(reading);
        Some((from, ReadLimit { records, bytes: READ_BYTES }))
    }

    /// The read that runs has ended.
    pub(super) fn end(&mut self) -> Reading {
        self.in_flight.take().expect("only a read that was begun can end")
    }

    /// A read of the shard's cursor succeeded: it came to `next` and found `records`.
    pub(super) fn shard_read(&mut self, now: Timestamp, next: Position, is_empty: bool, is_at_tip: bool, ended: bool) {
        let stands_still = is_empty && self.cursor == ReadFrom::Position(next);
        self.cursor = ReadFrom::Position(next);
        self.looked_at = self.begun_at;
        self.succeeded();
        if ended {
            self.state = ReadState::Ended;
        } else if is_at_tip {
            self.state = ReadState::CaughtUp;
        } else if stands_still {
            // More is there but does not come: wait a little instead of asking again at once.
            self.not_before = Some(now.plus(backoff::READ_FAILURE_FIRST));
        }
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    pub(super) fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::doubling(backoff::READ_FAILURE_FIRST, backoff::NOT_DELIVERED_MAX, self.failures);
        self.not_before = Some(now.plus(wait));
    }

    /// The tail moved.
    pub(super) fn tail(&mut self) {
        if self.state == ReadState::CaughtUp {
            self.state = ReadState::Ready;
        }
    }

    /// There may be more to read at the shard's cursor.
    pub(super) fn may_have_more(&self) -> bool {
        self.state == ReadState::Ready
    }

    /// There may be more to read, and nothing is in the way.
    pub(super) fn is_ready(&self) -> bool {
        self.may_have_more() && self.in_flight.is_none() && self.not_before.is_none()
    }

    pub(super) fn is_caught_up(&self) -> bool {
        self.state == ReadState::CaughtUp && self.in_flight != Some(Reading::Shard)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state == ReadState::Ended
    }

    /// Whether everything that arrived before `moment` has been read. Looks again if that is not known.
    pub(super) fn has_read_until(&mut self, moment: Timestamp) -> bool {
        if self.has_ended() {
            return true;
        }
        if self.state != ReadState::CaughtUp || self.in_flight.is_some() {
            return false;
        }
        if self.looked_at < moment {
            self.state = ReadState::Ready;
            return false;
        }
        true
    }

    /// When a read is due that had to wait.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.not_before.filter(|_| self.in_flight.is_none())
    }
}
