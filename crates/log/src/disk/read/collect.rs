//! Collecting records within the limits of a read.

use bytes::Bytes;
use millstream_env::Timestamp;

use crate::contract::{Position, ReadBatch, ReadError, ReadLimit, Record, ShardKey};

use super::super::engine::Engine;
use super::super::format::record::{Kind, RecordHeader};
use super::super::shard::DamagedRange;
use super::fetch::Fetched;
use super::source::Located;
use super::{Progress, Trouble, View, damaged};

pub(super) struct Collector {
    shard: ShardKey,
    limit: ReadLimit,
    records: Vec<Record>,
    bytes: usize,
    /// Where reading goes on; unknown until a read by time has found its start.
    next: Option<u64>,
}

impl Collector {
    pub(super) fn new(shard: ShardKey, limit: ReadLimit) -> Self {
        Self { shard, limit, records: Vec::new(), bytes: 0, next: None }
    }

    pub(super) fn start(&mut self, position: u64) {
        self.next = Some(self.next.map_or(position, |next| next.max(position)));
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many more records and bytes the limit allows.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.limit.records.saturating_sub(self.records.len()), self.limit.bytes.saturating_sub(self.bytes))
    }

    /// Moves on to `position`. Damaged positions on the way are an error, or the end of what was collected before them.
    pub(super) fn reach(&mut self, ranges: &[DamagedRange], position: u64) -> Result<(), ReadError> {
        if let Some(next) = self.next {
            if let Some((first, last)) = hit(ranges, next, position) {
                return self.stop_before((first.max(next), last));
            }
            self.next = Some(next.max(position));
        } else {
            self.next = Some(position);
        }
        Ok(())
    }

    /// Damaged positions are next: an error, or the end of what was collected before them.
    pub(super) fn stop_before(&mut self, range: DamagedRange) -> Result<(), ReadError> {
        if self.records.is_empty() {
            return Err(damaged(self.shard, range));
        }
        self.next = Some(range.0);
        Ok(())
    }

    /// Everything before arrived too early to be returned.
    fn skip_to(&mut self, position: u64) {
        self.next = Some(self.next.map_or(position, |next| next.max(position)));
    }

    pub(super) fn finish(&mut self, view: &View, next: u64) -> ReadBatch {
        ReadBatch {
            records: std::mem::take(&mut self.records),
            next: Position(next),
            behind: if next < view.published { view.last_arrival } else { None },
            ended: view.sealed && next >= view.published,
        }
    }

    /// Takes a record, or says that the limit is reached.
    fn push(&mut self, header: &RecordHeader, bytes: &Bytes, start: usize) -> Progress {
        let (key, data) = (start + RecordHeader::BYTES, start + header.payload_at());
        let size = header.length as usize - RecordHeader::BYTES;
        let full = self.records.len() >= self.limit.records || self.bytes + size > self.limit.bytes;
        if !self.records.is_empty() && full {
            return Progress::Limit;
        }
        self.bytes += size;
        self.records.push(Record {
            position: Position(header.position),
            arrival: Timestamp::from_millis(header.arrival_ms),
            partition_key: bytes.slice(key..data),
            data: bytes.slice(data..start + header.length as usize),
            tag: header.tag,
        });
        self.next = Some(header.position + 1);
        Progress::End
    }
}

impl Engine {
    pub(super) fn collect_runs(
        &self,
        runs: &[Located],
        view: &View,
        collector: &mut Collector,
        may_wait: bool,
    ) -> Result<Progress, Trouble> {
        let mut rest = runs;
        while !rest.is_empty() {
            let Some(fetched) = self.fetch(view, rest, may_wait) else { return Ok(Progress::NeedsDisk) };
            let fetched = fetched.map_err(Trouble::Disk)?;
            let count = fetched.len();
            for (located, fetched) in rest.iter().zip(&fetched) {
                let progress = collect_run(located, fetched, view, collector)?;
                if progress != Progress::End {
                    return Ok(progress);
                }
            }
            rest = &rest[count..];
        }
        Ok(Progress::End)
    }
}

fn collect_run(
    located: &Located,
    fetched: &Fetched,
    view: &View,
    collector: &mut Collector,
) -> Result<Progress, Trouble> {
    if located.run.arrival_ms < view.arrival_min {
        // Whatever lies before this run arrived earlier still.
        collector.skip_to(located.run.first);
    }
    let mut at = 0;
    let mut expected = located.run.first;
    while at < fetched.bytes.len() {
        let start = at;
        let rest = &fetched.bytes[start..];
        let header = RecordHeader::plausible(rest).filter(|header| header.ordinal == view.ordinal);
        let sound = fetched.trusted || RecordHeader::decode(rest, located.block).is_some();
        let wanted_from = collector.next.unwrap_or(0);
        let Some(header) = header.filter(|_| sound) else {
            // The length is believed when the rest of the header is as it must be.
            let alone = header.filter(|header| header.position == expected);
            let end = alone.map_or(located.end, |header| header.position + 1);
            if end > wanted_from {
                let first = expected.max(wanted_from);
                match hit(&view.accepted, first, end) {
                    // Known, and given up by the operator.
                    Some((lost, last)) if lost <= first && last + 1 >= end => collector.skip_to(end),
                    _ => return Err(Trouble::Damaged((first, end - 1))),
                }
            }
            let Some(header) = alone else { return Ok(Progress::End) };
            at += header.length as usize;
            expected = end;
            continue;
        };
        at += header.length as usize;
        expected = header.position + 1;
        if header.position < wanted_from {
            continue;
        }
        if header.arrival_ms < view.arrival_min {
            collector.skip_to(header.position + 1);
            continue;
        }
        collector.reach(&view.damaged, header.position)?;
        if collector.next != Some(header.position) {
            return Ok(Progress::Limit);
        }
        if header.kind == Kind::Data {
            if collector.push(&header, &fetched.bytes, start) == Progress::Limit {
                return Ok(Progress::Limit);
            }
        } else {
            collector.skip_to(header.position + 1);
        }
    }
    Ok(Progress::End)
}

/// The first of some ranges that touches the positions from `first` up to `end`.
fn hit(ranges: &[DamagedRange], first: u64, end: u64) -> Option<DamagedRange> {
    ranges.iter().find(|(lost, last)| *last >= first && *lost < end).copied()
}
