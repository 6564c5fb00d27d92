//! The segments of one group.

use std::collections::HashMap;
use std::io;

use super::event::{EventKey, NewEvent};
use super::frame::{self, Frame};
use super::segment::{SEGMENT_BYTES_MAX, Segment, Times, segment_name, segment_number};
use super::storage::Files;

/// Numbers left out when a group is opened again: a crash may have lost events whose ids somebody has seen.
const NUMBERS_SKIPPED: u64 = 1 << 30;

/// What a group holds now. Calls block.
#[derive(Debug)]
pub(super) struct GroupContent {
    pub(super) folder: String,
    /// In order; the last one grows.
    pub(super) segments: Vec<Segment>,
    next_number: u64,
    /// Nothing is stored any more.
    pub(super) deleted: bool,
}

/// The times of a stream's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamSummary {
    pub(crate) first_event: u64,
    pub(crate) last_event: u64,
    pub(crate) last_ingestion: u64,
}

pub(super) fn folder_name(group_id: u64) -> String {
    format!("{group_id:016x}")
}

impl GroupContent {
    /// Reads what is there, and cuts off a torn end.
    pub(super) fn open(files: &Files, group_id: u64) -> io::Result<Self> {
        let folder = folder_name(group_id);
        let mut numbers: Vec<(u64, u64)> = files
            .segments(&folder)?
            .into_iter()
            .filter_map(|(name, length)| Some((segment_number(&name)?, length)))
            .collect();
        numbers.sort_unstable();
        let mut segments = Vec::with_capacity(numbers.len());
        let mut last_number = None;
        for (number, length) in numbers {
            let mut segment = Segment::new(number);
            let bytes = files.read(&folder, &segment.name())?;
            let whole = frame::read_all(&bytes, |frame| {
                last_number = last_number.max(Some(frame.key.number));
                segment.add(&frame);
            }) as u64;
            if whole < length {
                tracing::info!(
                    group = folder,
                    segment = number,
                    lost_bytes = length - whole,
                    "cut off a torn log segment"
                );
                files.truncate(&folder, &segment.name(), whole)?;
            }
            segment.bytes = whole;
            segments.push(segment);
        }
        let next_number = last_number.map_or(1, |last: u64| last.saturating_add(NUMBERS_SKIPPED));
        Ok(Self { folder, segments, next_number, deleted: false })
    }

    /// Writes events behind all others. Gives the bytes written.
    pub(super) fn append(
        &mut self,
        files: &Files,
        stream: u64,
        ingestion: u64,
        events: &[NewEvent],
    ) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(events.iter().map(|event| event.message.len() + frame::FRAME_BYTES).sum());
        let mut times = Times::default();
        for (number, event) in (self.next_number..).zip(events) {
            let key = EventKey { timestamp: event.timestamp, ingestion, number };
            let message = String::from_utf8_lossy(&event.message);
            frame::write(&mut bytes, &Frame { key, stream, message: &message });
            times.add(event.timestamp, ingestion);
        }
        if self.segments.last().is_none_or(|segment| segment.bytes >= SEGMENT_BYTES_MAX) {
            let number = self.segments.last().map_or(0, |segment| segment.number + 1);
            self.segments.push(Segment::new(number));
        }
        let segment = self.segments.last_mut().expect("one was just made when there was none");
        files.write(&self.folder, &segment_name(segment.number), &bytes, segment.bytes)?;
        let written = bytes.len() as u64;
        segment.bytes += written;
        segment.unsynced = true;
        segment.times.merge(&times);
        segment.streams.entry(stream).or_default().merge(&times);
        self.next_number += events.len() as u64;
        Ok(written)
    }

    /// Removes the segments whose events are all older than `horizon`. Gives the bytes freed.
    pub(super) fn expire(&mut self, files: &Files, horizon: u64) -> io::Result<u64> {
        let mut freed = 0;
        while let Some(place) =
            self.segments.iter().position(|segment| segment.bytes > 0 && segment.times.last < horizon)
        {
            freed += self.remove(files, place)?;
        }
        Ok(freed)
    }

    /// When the newest event of the oldest segment came in; `None` when there are no events.
    pub(super) fn oldest_ingestion(&self) -> Option<u64> {
        self.segments.first().filter(|segment| segment.bytes > 0).map(|segment| segment.times.last_ingestion)
    }

    /// Removes the oldest segment. Gives the bytes freed.
    pub(super) fn remove_oldest(&mut self, files: &Files) -> io::Result<u64> {
        if self.segments.is_empty() { Ok(0) } else { self.remove(files, 0) }
    }

    fn remove(&mut self, files: &Files, place: usize) -> io::Result<u64> {
        let segment = &self.segments[place];
        files.remove(&self.folder, &segment.name())?;
        let bytes = segment.bytes;
        if place + 1 == self.segments.len() {
            // The last one keeps its number, so that the next gets a new one.
            self.segments[place] = Segment::new(segment.number + 1);
        } else {
            self.segments.remove(place);
        }
        Ok(bytes)
    }

    pub(super) fn stored_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn streams(&self) -> HashMap<u64, StreamSummary> {
        let mut merged: HashMap<u64, Times> = HashMap::new();
        for segment in &self.segments {
            for (stream, times) in &segment.streams {
                merged.entry(*stream).or_default().merge(times);
            }
        }
        let summary = |times: Times| StreamSummary {
            first_event: times.first,
            last_event: times.last,
            last_ingestion: times.last_ingestion,
        };
        merged.into_iter().map(|(stream, times)| (stream, summary(times))).collect()
    }
}
