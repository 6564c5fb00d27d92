//! Collecting records within the limits of a read.

use bytes::Bytes;
use millstream_env::Timestamp;

use crate::contract::{Position, ReadBatch, ReadError, ReadLimit, Record, ShardKey};

use super::super::engine::Engine;
use super::super::format::record::{Kind, RecordHeader};
use super::super::shard::DamagedRange;
use super::source::{Located, SegmentView};
use super::{Progress, View, damaged};

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

    /// Moves on to `position`. Damaged positions on the way are an error, or the end of what was collected before them.
    pub(super) fn reach(&mut self, ranges: &[DamagedRange], position: u64) -> Result<(), ReadError> {
        if let Some(next) = self.next {
            let hit = ranges.iter().find(|(first, last)| *last >= next && *first < position);
            if let Some((first, last)) = hit {
                if self.records.is_empty() {
                    return Err(damaged(self.shard, ((*first).max(next), *last)));
                }
                self.next = Some((*first).max(next));
                return Ok(());
            }
            self.next = Some(next.max(position));
        } else {
            self.next = Some(position);
        }
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
    fn push(&mut self, header: &RecordHeader, bytes: &Bytes) -> Progress {
        let (key, data) = (header.key_bytes as usize, header.payload_at());
        let size = header.length as usize - RecordHeader::BYTES;
        let full = self.records.len() >= self.limit.records || self.bytes + size > self.limit.bytes;
        if !self.records.is_empty() && full {
            return Progress::Limit;
        }
        self.bytes += size;
        self.records.push(Record {
            position: Position(header.position),
            arrival: Timestamp::from_millis(header.arrival_ms),
            partition_key: bytes.slice(RecordHeader::BYTES..RecordHeader::BYTES + key),
            data: bytes.slice(data..header.length as usize),
        });
        self.next = Some(header.position + 1);
        Progress::End
    }
}

impl Engine {
    pub(super) fn collect_runs(
        &self,
        segment: &SegmentView,
        runs: &[Located],
        view: &View,
        collector: &mut Collector,
        may_wait: bool,
    ) -> Result<Progress, ReadError> {
        let mut rest = runs;
        while !rest.is_empty() {
            let wanted = collector.limit.bytes.saturating_sub(collector.bytes);
            let Some(fetched) = self.fetch(segment, rest, wanted, may_wait) else { return Ok(Progress::NeedsDisk) };
            let fetched = fetched.map_err(|error| ReadError::Unavailable(error.to_string()))?;
            let count = fetched.len();
            for (index, (bytes, trusted)) in fetched.into_iter().enumerate() {
                // The positions a damaged run may have held end where the next begins.
                let following = rest.get(index + 1).map(|next| next.run.first);
                let progress = collect_run(&rest[index], &bytes, trusted, following, view, collector)?;
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
    bytes: &Bytes,
    trusted: bool,
    following: Option<u64>,
    view: &View,
    collector: &mut Collector,
) -> Result<Progress, ReadError> {
    if located.run.arrival_ms < view.arrival_min {
        // Whatever lies before this run arrived earlier still.
        collector.skip_to(located.run.first);
    }
    let mut at = 0;
    let mut expected = located.run.first;
    while at < bytes.len() {
        let rest = bytes.slice(at..);
        let header = RecordHeader::plausible(&rest).filter(|header| header.ordinal == view.ordinal);
        let sound = trusted || RecordHeader::decode(&rest, located.block).is_some();
        let wanted_from = collector.next.unwrap_or(0);
        let Some(header) = header.filter(|_| sound) else {
            // The length is believed when the rest of the header is as it must be.
            let alone = header.filter(|header| header.position == expected);
            let end = alone.map_or(following.unwrap_or(view.published), |header| header.position + 1);
            if end > wanted_from {
                return broken((expected.max(wanted_from), end - 1), collector);
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
            if collector.push(&header, &rest) == Progress::Limit {
                return Ok(Progress::Limit);
            }
        } else {
            collector.skip_to(header.position + 1);
        }
    }
    Ok(Progress::End)
}

/// Damage met while reading: an error, or the end of what was collected before it.
fn broken(range: DamagedRange, collector: &mut Collector) -> Result<Progress, ReadError> {
    tracing::error!(shard = ?collector.shard, first = range.0, last = range.1, "stored records are damaged");
    if collector.is_empty() {
        return Err(damaged(collector.shard, range));
    }
    collector.skip_to(range.0);
    Ok(Progress::Limit)
}
