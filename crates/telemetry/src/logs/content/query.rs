//! Reading events in order of time.
//!
//! Segments are nearly, not wholly, in order of time. A page is found by looking at the segments in order of their first
//! event and keeping the events that come first, no more of them than fit the page.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};
use std::io;

use super::event::{Event, EventKey};
use super::frame::{self, Frame};
use super::segment::{Segment, Times, segment_name};
use super::storage::Files;

/// Bytes looked at for one page; with more, the page ends where it has come to and a later one goes on.
const SCANNED_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The first events come first.
    Forward,
    /// The last events are kept. They are still answered in order of time.
    Backward,
}

/// Which events are wanted.
pub(crate) struct Query {
    /// Milliseconds, inclusive.
    pub(crate) start: u64,
    /// Milliseconds, exclusive.
    pub(crate) end: u64,
    /// All streams when `None`.
    pub(crate) streams: Option<HashSet<u64>>,
    /// Only events behind this one.
    pub(crate) after: Option<EventKey>,
    /// Only events before this one.
    pub(crate) before: Option<EventKey>,
    pub(crate) direction: Direction,
    pub(crate) events_max: usize,
    /// Bytes of messages; one event is answered however large it is.
    pub(crate) bytes_max: usize,
    pub(crate) matches: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// One page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// In order.
    pub(crate) events: Vec<Event>,
    /// Forward only: where the next page goes on, when there may be more.
    pub(crate) more_after: Option<EventKey>,
}

/// What a query needs to know of a segment.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    number: u64,
    bytes: u64,
    times: Times,
}

impl Query {
    /// The segments that can hold wanted events, in the order in which they are to be looked at.
    pub(super) fn candidates(&self, segments: &[Segment]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = segments
            .iter()
            .filter_map(|segment| {
                let mut times = segment.times;
                if let Some(streams) = &self.streams {
                    times = Times::default();
                    let wanted = segment.streams.iter().filter(|(stream, _)| streams.contains(stream));
                    wanted.for_each(|(_, of_stream)| times.merge(of_stream));
                }
                let wanted = times.first <= times.last && self.may_want(&times);
                wanted.then_some(Candidate { number: segment.number, bytes: segment.bytes, times })
            })
            .collect();
        match self.direction {
            Direction::Forward => candidates.sort_by_key(|segment| segment.times.first),
            Direction::Backward => candidates.sort_by_key(|segment| std::cmp::Reverse(segment.times.last)),
        }
        candidates
    }

    /// Reads the page. Blocks.
    pub(super) fn run(&self, files: &Files, folder: &str, candidates: &[Candidate]) -> io::Result<Found> {
        let mut page = Page::new(self);
        let mut scanned = 0;
        for (i, segment) in candidates.iter().enumerate() {
            if page.is_beyond(&segment.times) {
                page.truncated = true;
                break;
            }
            let begin = EventKey::first_at(segment.times.first);
            let progress = Some(begin) > self.after && segment.times.first > self.start;
            if i > 0 && scanned >= SCANNED_BYTES_MAX && progress && self.direction == Direction::Forward {
                return Ok(page.finish_before(begin));
            }
            scanned += segment.bytes;
            let bytes = match files.read(folder, &segment_name(segment.number)) {
                Ok(bytes) => bytes,
                // Expired since the candidates were chosen.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let settled = usize::try_from(segment.bytes).unwrap_or(usize::MAX).min(bytes.len());
            frame::read_all(&bytes[..settled], |frame| {
                if self.wants(&frame) {
                    page.offer(&frame);
                }
            });
        }
        Ok(page.finish())
    }

    fn may_want(&self, times: &Times) -> bool {
        times.last >= self.start
            && times.first < self.end
            && self.after.is_none_or(|after| times.last >= after.timestamp)
            && self.before.is_none_or(|before| times.first <= before.timestamp)
    }

    fn wants(&self, frame: &Frame<'_>) -> bool {
        (self.start..self.end).contains(&frame.key.timestamp)
            && self.after.is_none_or(|after| frame.key > after)
            && self.before.is_none_or(|before| frame.key < before)
            && self.streams.as_ref().is_none_or(|streams| streams.contains(&frame.stream))
            && (self.matches)(frame.message)
    }
}

/// The events found so far that may be on the page; the one that would leave it first is on top.
struct Page<'a> {
    query: &'a Query,
    kept: BinaryHeap<Kept>,
    bytes: usize,
    /// Something was left out.
    truncated: bool,
}

struct Kept {
    event: Event,
    direction: Direction,
}

impl<'a> Page<'a> {
    fn new(query: &'a Query) -> Self {
        Self { query, kept: BinaryHeap::new(), bytes: 0, truncated: false }
    }

    /// The page is full without the top one.
    fn is_full(&self) -> bool {
        let without_top = self.bytes - self.kept.peek().map_or(0, |top| top.event.message.len());
        self.kept.len() > self.query.events_max || (self.kept.len() > 1 && without_top >= self.query.bytes_max)
    }

    /// Nothing in a segment with these times, or in a later candidate, can come onto the page.
    fn is_beyond(&self, times: &Times) -> bool {
        let full = self.kept.len() >= self.query.events_max || self.bytes > self.query.bytes_max;
        full && self.kept.peek().is_some_and(|top| match self.query.direction {
            Direction::Forward => times.first > top.event.key.timestamp,
            Direction::Backward => times.last < top.event.key.timestamp,
        })
    }

    fn offer(&mut self, frame: &Frame<'_>) {
        let event = Event { key: frame.key, stream: frame.stream, message: frame.message.to_owned() };
        self.bytes += event.message.len();
        self.kept.push(Kept { event, direction: self.query.direction });
        while self.is_full() {
            let dropped = self.kept.pop().expect("a full page is not empty");
            self.bytes -= dropped.event.message.len();
            self.truncated = true;
        }
    }

    fn finish(mut self) -> Found {
        // The heap may hold one event more than the bytes allow, so that it knows that there is more.
        if self.kept.len() > 1 && self.bytes > self.query.bytes_max {
            self.kept.pop();
            self.truncated = true;
        }
        let mut events: Vec<Event> = self.kept.into_iter().map(|kept| kept.event).collect();
        events.sort_unstable_by_key(|event| event.key);
        let more_after = events.last().filter(|_| self.truncated).map(|event| event.key);
        Found { events, more_after }
    }

    /// The page ends before `begin`, since what comes there has not been looked at.
    fn finish_before(self, begin: EventKey) -> Found {
        let mut found = self.finish();
        let known = found.events.partition_point(|event| event.key < begin);
        if known == found.events.len() && found.more_after.is_some() {
            return found;
        }
        found.events.truncate(known);
        found.more_after = Some(begin);
        found
    }
}

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        let order = self.event.key.cmp(&other.event.key);
        if self.direction == Direction::Forward { order } else { order.reverse() }
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.event.key == other.event.key
    }
}

impl Eq for Kept {}
