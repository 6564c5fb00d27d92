//! Reading a segment block by block, and what to make of blocks that do not verify.

use std::io;
use std::path::Path;

use millstream_env::Disk;

use super::super::format::PAGE_BYTES;
use super::super::format::block::{BlockHeader, Kind};
use super::super::format::record::{self, RecordHeader};

/// Longer records are not tried bit by bit.
const LONGEST_CORRECTED: usize = 64 * 1024;

/// A record that verifies.
#[derive(Clone, Debug)]
pub(super) struct ScannedRecord {
    pub(super) header: RecordHeader,
    /// In the file.
    pub(super) offset: u32,
    /// The body of a fact; empty for data.
    pub(super) body: Vec<u8>,
}

/// A block, or the place where one was.
#[derive(Clone, Debug)]
pub(super) struct ScannedBlock {
    pub(super) number: u64,
    /// The last number that is accounted for here.
    pub(super) last_number: u64,
    pub(super) offset: u32,
    /// What is there, whole or saved from damage.
    pub(super) records: Vec<ScannedRecord>,
    pub(super) damage: Option<Damage>,
}

/// What a damaged stretch has lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Damage {
    /// Headers of records that do not verify as a whole but look right, with their places in the file.
    pub(super) suspects: Vec<(u32, RecordHeader)>,
    /// Records that may have been there beside those saved, at most.
    pub(super) lost_max: u64,
}

/// How the segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanEnd {
    /// At its last block, with nothing behind.
    Clean,
    /// Something unfinished was there.
    Torn { offset: u64 },
}

#[derive(Debug)]
pub(super) struct SegmentScan {
    pub(super) blocks: Vec<ScannedBlock>,
    pub(super) last_block: u64,
    /// End of the last block.
    pub(super) length: u64,
    pub(super) end: ScanEnd,
    /// The highest block that a later one says was acknowledged.
    proven: u64,
}

impl SegmentScan {
    /// `last`: the segment's last block, known when there is a next segment.
    pub(super) fn read(disk: &dyn Disk, path: &Path, id: u64, first_block: u64, last: Option<u64>) -> io::Result<Self> {
        Ok(scan(&disk.read(path)?, id, first_block, last))
    }

    /// A sealed segment that ends at `end`.
    pub(super) fn read_to(disk: &dyn Disk, path: &Path, id: u64, first_block: u64, end: u64) -> io::Result<Self> {
        let mut bytes = disk.read(path)?;
        bytes.truncate(usize::try_from(end).unwrap_or(usize::MAX));
        Ok(scan(&bytes, id, first_block, None))
    }

    /// Where the first block lies that may not be durable.
    pub(super) fn unproven_from(&self) -> u64 {
        match self.blocks.iter().position(|block| block.number > self.proven) {
            // The header page belongs to the checkpoint.
            Some(0) => 0,
            Some(index) => u64::from(self.blocks[index].offset),
            None => self.length,
        }
    }

    pub(super) fn has_whole_checkpoint(&self) -> bool {
        self.blocks.first().is_some_and(|block| {
            block.damage.is_none()
                && block.records.first().is_some_and(|r| r.header.kind == record::Kind::CheckpointHead)
        })
    }
}

/// The number of the checkpoint that a segment begins with, from its block header.
pub(super) fn checkpoint_number(block: &[u8], segment: u64) -> Option<u64> {
    BlockHeader::decode(block).filter(|h| h.segment == segment && h.kind == Kind::Checkpoint).map(|h| h.number)
}

fn scan(bytes: &[u8], id: u64, first_block: u64, last: Option<u64>) -> SegmentScan {
    let mut scan = SegmentScan {
        blocks: Vec::new(),
        last_block: first_block.saturating_sub(1),
        length: PAGE_BYTES as u64,
        end: ScanEnd::Clean,
        proven: 0,
    };
    let (mut at, mut number) = (PAGE_BYTES, first_block);
    while last.is_none_or(|last| number <= last) {
        if let Some((header, records)) = whole_block(bytes, at, id, number) {
            scan.proven = scan.proven.max(header.durable_upto);
            let last_number = number + u64::from(header.more_numbers);
            scan.blocks.push(ScannedBlock { number, last_number, offset: offset(at), records, damage: None });
            at += header.length as usize;
            number = last_number + 1;
        } else {
            let later = later_blocks(bytes, at + PAGE_BYTES, id, number, last);
            let acknowledged = last.is_some() || later.iter().any(|(_, header)| header.durable_upto >= number);
            if !acknowledged {
                // Zeros are space that was reserved and not used.
                let torn = bytes.get(at..at + PAGE_BYTES).is_some_and(|page| page.iter().any(|byte| *byte != 0))
                    || !later.is_empty();
                scan.end = if torn { ScanEnd::Torn { offset: at as u64 } } else { ScanEnd::Clean };
                break;
            }
            let (end, next) = match later.first() {
                Some((offset, header)) => (*offset, header.number),
                None => (bytes.len().max(at), last.map_or(number, |last| last) + 1),
            };
            scan.blocks.push(damaged_stretch(bytes, at, end, number, next - 1));
            at = end;
            number = next;
        }
        scan.last_block = number - 1;
        scan.length = at as u64;
    }
    scan
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("segments are below 4 GiB")
}

/// The block at `at`, when all of it verifies.
fn whole_block(bytes: &[u8], at: usize, id: u64, number: u64) -> Option<(BlockHeader, Vec<ScannedRecord>)> {
    let header = BlockHeader::decode(bytes.get(at..)?)?;
    if header.segment != id || header.number != number {
        return None;
    }
    let block = bytes.get(at..at + header.length as usize)?;
    let (mut place, mut records) = (BlockHeader::BYTES, Vec::with_capacity(header.records as usize));
    while place < header.used as usize {
        let rest = &block[place..header.used as usize];
        let record = RecordHeader::decode(rest, number)?;
        records.push(scanned(record, rest, at + place));
        place += record.length as usize;
    }
    (records.len() == header.records as usize).then_some((header, records))
}

fn scanned(header: RecordHeader, bytes: &[u8], at: usize) -> ScannedRecord {
    let body = if header.kind.has_position() {
        Vec::new()
    } else {
        bytes[header.payload_at()..header.length as usize].to_vec()
    };
    ScannedRecord { header, offset: offset(at), body }
}

/// Headers of blocks behind a bad one, with numbers that can follow it.
fn later_blocks(bytes: &[u8], from: usize, id: u64, number: u64, last: Option<u64>) -> Vec<(usize, BlockHeader)> {
    let mut later: Vec<(usize, BlockHeader)> = Vec::new();
    for at in (from..bytes.len()).step_by(PAGE_BYTES) {
        if let Some(header) = BlockHeader::decode(&bytes[at..])
            && header.segment == id
            && header.number > later.last().map_or(number, |(_, before)| before.number)
            && last.is_none_or(|last| header.number <= last)
        {
            later.push((at, header));
        }
    }
    later
}

/// Saves what verifies between `at` and `end`, where the blocks `number` to `last_number` were.
fn damaged_stretch(bytes: &[u8], at: usize, end: usize, number: u64, last_number: u64) -> ScannedBlock {
    let mut damage = Damage::default();
    let mut records = Vec::new();
    let stretch = &bytes[at.min(bytes.len())..end.min(bytes.len())];
    let header = BlockHeader::decode(stretch).filter(|header| header.number == number);
    let used = header.map_or(stretch.len(), |header| (header.used as usize).min(stretch.len()));
    let mut place = BlockHeader::BYTES;
    while place + RecordHeader::BYTES <= used {
        let rest = &stretch[place..used];
        if let Some(record) = RecordHeader::decode(rest, number) {
            records.push(scanned(record, rest, at + place));
            place += record.length as usize;
            continue;
        }
        let bad = corrected(rest, number)
            .or_else(|| RecordHeader::plausible(rest).filter(|bad| resumes(rest, bad.length as usize, number)));
        match bad {
            Some(bad) => {
                damage.suspects.push((offset(at + place), bad));
                place += bad.length as usize;
            }
            None => place += 1,
        }
    }
    let saved = records.len() as u64;
    let whole = header.filter(|_| last_number == number);
    // Without a header to tell, as many as fit; a file that is too short may have held any number up to what fits a block.
    let most = whole.map_or((stretch.len().max(PAGE_BYTES) / RecordHeader::BYTES) as u64, |h| u64::from(h.records));
    damage.lost_max = most.saturating_sub(saved);
    ScannedBlock { number, last_number, offset: offset(at), records, damage: Some(damage) }
}

/// The header as it was before one of its bits flipped, when that makes the whole record verify.
fn corrected(rest: &[u8], number: u64) -> Option<RecordHeader> {
    // Only where something like a record may be: this is tried at every byte of a damaged stretch.
    let window = rest.len().min(LONGEST_CORRECTED);
    let mut copy = rest[..window].to_vec();
    let near = RecordHeader::plausible(rest).is_some() || rest.get(13..14) == Some(&[0]);
    if !near {
        return None;
    }
    (0..RecordHeader::BYTES * 8).find_map(|bit| {
        copy[bit / 8] ^= 1 << (bit % 8);
        let header = RecordHeader::decode(&copy, number);
        copy[bit / 8] ^= 1 << (bit % 8);
        header
    })
}

/// Whether a good record, or the end, lies `length` bytes on.
fn resumes(rest: &[u8], length: usize, number: u64) -> bool {
    length == rest.len() || RecordHeader::decode(&rest[length..], number).is_some()
}
