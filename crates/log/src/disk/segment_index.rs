//! Where the records of each shard lie within one segment.

use std::collections::BTreeMap;

/// Adjacent records of one shard within one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    /// Arrival of its first record, milliseconds.
    pub(super) arrival_ms: u64,
    /// In the file.
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// One shard in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Next position when the segment began, and when it ended.
    pub(super) first: u64,
    pub(super) next: u64,
    /// Newest arrival before the segment began, and at its end; 0 with none.
    pub(super) arrival_before_ms: u64,
    pub(super) last_arrival_ms: u64,
    /// Of its records in this segment, headers included.
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ShardRuns {
    pub(super) extent: Extent,
    pub(super) runs: Vec<Run>,
}

/// The index of a segment in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentIndex {
    pub(super) first_block: u64,
    /// By ordinal. When sealed: every shard that was alive.
    pub(super) shards: BTreeMap<u32, ShardRuns>,
    /// Where each block begins; those lost by damage have the place of the next.
    pub(super) blocks: Vec<u32>,
    /// End of the last block.
    pub(super) end: u64,
}

impl SegmentIndex {
    pub(super) fn new(first_block: u64) -> Self {
        Self { first_block, ..Self::default() }
    }

    /// A shard that was alive when the segment began or ended.
    pub(super) fn note_shard(&mut self, ordinal: u32, next: u64, last_arrival_ms: u64) {
        self.shards.entry(ordinal).or_insert_with(|| ShardRuns {
            extent: Extent { first: next, next, arrival_before_ms: last_arrival_ms, last_arrival_ms, bytes: 0 },
            runs: Vec::new(),
        });
    }

    /// Adds a run that ends before position `next` with arrival `last_arrival_ms`.
    pub(super) fn add(&mut self, ordinal: u32, run: Run, next: u64, last_arrival_ms: u64, before: (u64, u64)) {
        self.note_shard(ordinal, before.0, before.1);
        let shard = self.shards.get_mut(&ordinal).expect("noted just now");
        shard.extent.next = next;
        shard.extent.last_arrival_ms = last_arrival_ms;
        shard.extent.bytes += u64::from(run.length);
        match shard.runs.last_mut() {
            Some(last) if last.offset + last.length == run.offset => last.length += run.length,
            _ => shard.runs.push(run),
        }
    }

    /// Number, start and end of the block that holds `offset`.
    pub(super) fn block_of(&self, offset: u32) -> (u64, u32, u32) {
        block_of(self.blocks.len(), self.first_block, self.end, offset, |index| self.blocks[index])
    }
}

/// Finds number, start and end of the block that holds `offset` among `count` ascending starts; the last ends at `end`.
pub(super) fn block_of(
    count: usize,
    first_block: u64,
    end: u64,
    offset: u32,
    mut start: impl FnMut(usize) -> u32,
) -> (u64, u32, u32) {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = usize::midpoint(low, high);
        if start(middle) <= offset { low = middle + 1 } else { high = middle }
    }
    let index = low.saturating_sub(1);
    let end = if low < count { start(low) } else { u32::try_from(end).unwrap_or(u32::MAX) };
    (first_block + index as u64, start(index), end)
}

/// Index of the run where reading begins: at `position`, or where arrivals reach `arrival_ms`, whatever is later.
pub(super) fn start_run(runs: &[Run], position: u64, arrival_ms: u64) -> usize {
    // The run before the first that lies beyond may still hold what is wanted.
    let by_position = runs.partition_point(|run| run.first <= position);
    let by_arrival = runs.partition_point(|run| run.arrival_ms < arrival_ms);
    by_position.max(by_arrival).saturating_sub(1)
}
