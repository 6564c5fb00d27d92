//! The index file of a sealed segment: pages of 4 KiB, each with a checksum of its own, so that any one of them can be
//! read and trusted alone. It is derived: when it is missing, damaged or of an older format it is made again from the
//! segment.
//!
//! | page | holds |
//! |---|---|
//! | 0 | head: see [`IndexHead`] |
//! | then | directory: 73 entries of 56 bytes a page, in order of ordinal |
//! | then | runs: 170 entries of 24 bytes a page, shard by shard |
//! | then | starts of the blocks: 1022 numbers of 4 bytes a page |
//!
//! The last four bytes of a page are its CRC32C with the page's number and the segment folded in.

use super::bytes::{put, u32_at, u64_at, u128_at};
use super::{PAGE_BYTES, crc32c, seed};
use crate::disk::segment_index::{Extent, Run, SegmentIndex, ShardRuns};

const MAGIC: u64 = u64::from_le_bytes(*b"MSTRMIDX");
const FORMAT: u32 = 2;
const CRC_AT: usize = PAGE_BYTES - 4;

pub(in crate::disk) const ENTRIES_PER_PAGE: usize = 73;
pub(in crate::disk) const RUNS_PER_PAGE: usize = 170;
pub(in crate::disk) const BLOCKS_PER_PAGE: usize = 1022;
const ENTRY_BYTES: usize = 56;
const RUN_BYTES: usize = 24;

pub(in crate::disk) type Page = [u8; PAGE_BYTES];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct IndexHead {
    pub(in crate::disk) store: u128,
    pub(in crate::disk) segment: u64,
    pub(in crate::disk) first_block: u64,
    /// Length of the segment's file.
    pub(in crate::disk) end: u64,
    pub(in crate::disk) shards: u32,
    pub(in crate::disk) blocks: u32,
    pub(in crate::disk) runs: u64,
}

impl IndexHead {
    pub(in crate::disk) fn decode(page: &Page, segment: u64) -> Option<Self> {
        if !verify(page, segment, 0) || u64_at(page, 0) != MAGIC || u32_at(page, 8) != FORMAT {
            return None;
        }
        Some(Self {
            store: u128_at(page, 16),
            segment: u64_at(page, 32),
            first_block: u64_at(page, 40),
            end: u64_at(page, 48),
            shards: u32_at(page, 56),
            blocks: u32_at(page, 60),
            runs: u64_at(page, 64),
        })
        .filter(|head| head.segment == segment)
    }

    fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES];
        put(&mut page, 0, MAGIC.to_le_bytes());
        put(&mut page, 8, FORMAT.to_le_bytes());
        put(&mut page, 16, self.store.to_le_bytes());
        put(&mut page, 32, self.segment.to_le_bytes());
        put(&mut page, 40, self.first_block.to_le_bytes());
        put(&mut page, 48, self.end.to_le_bytes());
        put(&mut page, 56, self.shards.to_le_bytes());
        put(&mut page, 60, self.blocks.to_le_bytes());
        put(&mut page, 64, self.runs.to_le_bytes());
        page
    }

    pub(in crate::disk) fn runs_page(&self) -> u64 {
        1 + u64::from(self.shards).div_ceil(ENTRIES_PER_PAGE as u64)
    }

    pub(in crate::disk) fn blocks_page(&self) -> u64 {
        self.runs_page() + self.runs.div_ceil(RUNS_PER_PAGE as u64)
    }
}

/// A directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct Entry {
    pub(in crate::disk) ordinal: u32,
    pub(in crate::disk) run_count: u32,
    pub(in crate::disk) extent: Extent,
    /// Number of its first run among all of the file.
    pub(in crate::disk) runs_at: u64,
}

/// Writes a whole index file.
pub(in crate::disk) fn encode(index: &SegmentIndex, store: u128, segment: u64) -> Vec<u8> {
    let head = IndexHead {
        store,
        segment,
        first_block: index.first_block,
        end: index.end,
        shards: u32::try_from(index.shards.len()).expect("ordinals have 32 bits"),
        blocks: u32::try_from(index.blocks.len()).expect("a segment has fewer blocks than pages"),
        runs: index.shards.values().map(|shard| shard.runs.len() as u64).sum(),
    };
    let mut file = head.encode();
    let mut runs_at = 0;
    let entries = index.shards.iter().map(|(ordinal, shard)| {
        let entry = encode_entry(*ordinal, shard, runs_at);
        runs_at += shard.runs.len() as u64;
        entry
    });
    pages(&mut file, entries, ENTRIES_PER_PAGE);
    pages(&mut file, index.shards.values().flat_map(|shard| &shard.runs).map(encode_run), RUNS_PER_PAGE);
    pages(&mut file, index.blocks.iter().map(|start| start.to_le_bytes()), BLOCKS_PER_PAGE);
    for (number, page) in (0..).zip(file.chunks_exact_mut(PAGE_BYTES)) {
        let crc = checksum(page, segment, number);
        put(page, CRC_AT, crc.to_le_bytes());
    }
    file
}

fn pages<const N: usize>(file: &mut Vec<u8>, items: impl Iterator<Item = [u8; N]>, per_page: usize) {
    for (number, item) in items.enumerate() {
        if number % per_page == 0 {
            file.resize(file.len().next_multiple_of(PAGE_BYTES), 0);
        }
        file.extend(item);
    }
    file.resize(file.len().next_multiple_of(PAGE_BYTES), 0);
}

fn encode_entry(ordinal: u32, shard: &ShardRuns, runs_at: u64) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    put(&mut out, 0, ordinal.to_le_bytes());
    put(&mut out, 4, u32::try_from(shard.runs.len()).expect("a segment has fewer runs").to_le_bytes());
    put(&mut out, 8, shard.extent.first.to_le_bytes());
    put(&mut out, 16, shard.extent.next.to_le_bytes());
    put(&mut out, 24, shard.extent.arrival_before_ms.to_le_bytes());
    put(&mut out, 32, shard.extent.last_arrival_ms.to_le_bytes());
    put(&mut out, 40, runs_at.to_le_bytes());
    put(&mut out, 48, shard.extent.bytes.to_le_bytes());
    out
}

fn encode_run(run: &Run) -> [u8; RUN_BYTES] {
    let mut out = [0; RUN_BYTES];
    put(&mut out, 0, run.first.to_le_bytes());
    put(&mut out, 8, run.arrival_ms.to_le_bytes());
    put(&mut out, 16, run.offset.to_le_bytes());
    put(&mut out, 20, run.length.to_le_bytes());
    out
}

pub(in crate::disk) fn entry_of(page: &Page, index: usize) -> Entry {
    let at = &page[index * ENTRY_BYTES..(index + 1) * ENTRY_BYTES];
    Entry {
        ordinal: u32_at(at, 0),
        run_count: u32_at(at, 4),
        extent: Extent {
            first: u64_at(at, 8),
            next: u64_at(at, 16),
            arrival_before_ms: u64_at(at, 24),
            last_arrival_ms: u64_at(at, 32),
            bytes: u64_at(at, 48),
        },
        runs_at: u64_at(at, 40),
    }
}

pub(in crate::disk) fn run_of(page: &Page, index: usize) -> Run {
    let at = &page[index * RUN_BYTES..(index + 1) * RUN_BYTES];
    Run { first: u64_at(at, 0), arrival_ms: u64_at(at, 8), offset: u32_at(at, 16), length: u32_at(at, 20) }
}

pub(in crate::disk) fn block_start_of(page: &Page, index: usize) -> u32 {
    u32_at(page, index * 4)
}

/// Whether a page is whole and belongs here.
pub(in crate::disk) fn verify(page: &Page, segment: u64, number: u64) -> bool {
    u32_at(page, CRC_AT) == checksum(page, segment, number)
}

fn checksum(page: &[u8], segment: u64, number: u64) -> u32 {
    crc32c(&page[..CRC_AT]) ^ seed(segment).rotate_left(5) ^ seed(number)
}
