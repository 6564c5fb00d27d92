//! Reading one shard in memory.

use crate::contract::{Position, ReadBatch, ReadFrom, ReadLimit, Record};

use super::shard::{Content, Shard};

impl Shard {
    /// Expired records are gone already.
    pub(super) fn read(&self, from: ReadFrom, limit: ReadLimit) -> ReadBatch {
        let end = self.next();
        let mut next = self.start(from, end);
        let (mut records, mut bytes) = (Vec::new(), 0);
        while next < end {
            let cell = self.cell(next).expect("positions from the first to the settled one are there");
            if let Content::Record { partition_key, data, tag } = &cell.content {
                bytes += partition_key.len() + data.len();
                if !records.is_empty() && (records.len() >= limit.records || bytes > limit.bytes) {
                    break;
                }
                records.push(Record {
                    position: Position(next),
                    arrival: cell.arrival,
                    partition_key: partition_key.clone(),
                    data: data.clone(),
                    tag: *tag,
                });
            }
            next += 1;
        }
        ReadBatch {
            records,
            next: Position(next),
            behind: if next < end { self.last_arrival() } else { None },
            ended: self.sealed.is_some() && next >= self.end(),
        }
    }

    fn start(&self, from: ReadFrom, end: u64) -> u64 {
        match from {
            ReadFrom::Position(position) => position.0.max(self.first),
            ReadFrom::Tip => end,
            ReadFrom::Time(moment) => {
                // Arrivals never go down within a shard.
                let before = self.cells.partition_point(|cell| cell.arrival < moment);
                (self.first + before as u64).min(end)
            }
        }
    }
}
