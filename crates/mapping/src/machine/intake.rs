//! The records of one lane that were read and are not yet in a batch.

use std::collections::VecDeque;

use millstream_log::{Position, Record};

use super::settings::Settings;
use crate::event::{EVENT_BYTES_MAX, EventFormat, EventSize};

/// Holds about one batch ahead; its bounds are kept by whoever fills it.
#[derive(Debug, Default)]
pub(super) struct Intake {
    records: VecDeque<Waiting>,
    size: EventSize,
}

#[derive(Debug)]
struct Waiting {
    record: Record,
    event_bytes: usize,
}

/// What the front of the intake makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// Records for one event, at least one, and the bytes that they take in it.
    Batch(Vec<Record>, usize),
    /// A record that fits into no event.
    TooLarge(Record),
}

impl Intake {
    pub(super) fn push(&mut self, record: Record, format: &EventFormat) {
        let event_bytes = format.record_bytes(&record);
        self.size = self.size.with(event_bytes);
        self.records.push_back(Waiting { record, event_bytes });
    }

    /// Takes back what has this position, at the end.
    pub(super) fn withdraw(&mut self, position: Position) {
        while self.records.back().is_some_and(|waiting| waiting.record.position == position) {
            let waiting = self.records.pop_back().expect("just seen");
            self.size = self.size.without(waiting.event_bytes);
        }
    }

    /// Forgets records that have left the stream.
    pub(super) fn expire(&mut self, horizon: Position) {
        while self.records.front().is_some_and(|w| w.record.position < horizon) {
            self.pop();
        }
    }

    /// Whether a whole batch is here: no further record could join it.
    pub(super) fn is_full(&self, settings: &Settings) -> bool {
        self.records.len() >= settings.batch_size || self.has_event_of_bytes()
    }

    /// Whether there are as many bytes as one event holds.
    pub(super) fn has_event_of_bytes(&self) -> bool {
        self.size.bytes() >= EVENT_BYTES_MAX
    }

    /// Takes records from the front as long as `belongs` says so: at most `records_max`, and as many as fit into an
    /// event with further members of `members_bytes`. `None` when there is none.
    pub(super) fn take(
        &mut self,
        records_max: usize,
        members_bytes: usize,
        belongs: impl Fn(&Record) -> bool,
    ) -> Option<Front> {
        let mut size = EventSize::with_members(members_bytes);
        let mut count = 0;
        for waiting in self.records.iter().take(records_max).take_while(|waiting| belongs(&waiting.record)) {
            let larger = size.with(waiting.event_bytes);
            if !larger.fits() {
                break;
            }
            (size, count) = (larger, count + 1);
        }
        if count == 0 {
            return if belongs(self.front()?) { self.pop().map(Front::TooLarge) } else { None };
        }
        Some(Front::Batch((0..count).filter_map(|_| self.pop()).collect(), size.record_bytes()))
    }

    pub(super) fn front(&self) -> Option<&Record> {
        self.records.front().map(|waiting| &waiting.record)
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn pop(&mut self) -> Option<Record> {
        let Waiting { record, event_bytes } = self.records.pop_front()?;
        self.size = self.size.without(event_bytes);
        Some(record)
    }
}
