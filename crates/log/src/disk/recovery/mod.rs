//! Opening a folder: find the segments, take the newest whole checkpoint, replay what follows it.
//!
//! A block that does not verify is a **torn tail** when nothing shows that it was acknowledged: the log ends before it.
//! It is **damage** when something does: a later block of the segment whose `durable_upto` reaches it, or the next
//! segment, whose header names the number at which it began. Of damaged blocks every record that verifies by itself is
//! kept; for the rest the positions that are missing are found by what the same shard has next, in a block or in a
//! checkpoint. A shard that has nothing later gets as many damaged positions as could have been lost, so that no position
//! is given out twice.

mod replay;
mod scan;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use millstream_env::{Access, Disk};

use crate::contract::{Position, ShardKey};

use super::engine::{Index, Segment};
use super::files::{ClassFolder, REWRITTEN, segment_of};
use super::format::PAGE_BYTES;
use super::format::segment::{BadHeader, SegmentHeader};
use super::index_file::{IndexError, IndexFile, PageCache};
use super::options::OpenError;
use super::segment_index::SegmentIndex;
use super::shard::Shard;
use replay::Replay;
use scan::{ScanEnd, SegmentScan};

/// What opening found, for the log and the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    pub segments: usize,
    pub shards: usize,
    /// Segments read record by record, because they were not sealed or had no usable index.
    pub segments_scanned: usize,
    /// The newest segment ended in something unfinished, which was never acknowledged.
    pub torn_tail: Option<TornTail>,
    /// Acknowledged records that cannot be served.
    pub damaged: Vec<DamagedRecords>,
    /// Blocks in which damage was found, though perhaps no record was lost.
    pub damaged_blocks: Vec<(u64, u64)>,
    /// Records of shards that no fact tells of any more.
    pub orphaned_records: u64,
}

/// Where a torn tail was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub segment: u64,
    pub offset: u64,
}

/// A range of positions of one shard, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRecords {
    pub shard: ShardKey,
    pub first: Position,
    pub last: Position,
}

/// Everything the engine needs to go on.
pub(super) struct Recovered {
    pub(super) store: u128,
    pub(super) shards: BTreeMap<u32, Shard>,
    pub(super) next_ordinal: u32,
    pub(super) segments: BTreeMap<u64, Segment>,
    pub(super) last_block: u64,
    pub(super) next_segment: u64,
    pub(super) obsolete: Vec<u64>,
    pub(super) unsealed: Vec<u64>,
    pub(super) index_cache: Arc<PageCache>,
    pub(super) report: RecoveryReport,
}

/// A segment file as its header tells it.
struct Found {
    id: u64,
    first_block: u64,
    /// 0 when the header is damaged.
    begun_ms: u64,
}

pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    folder: &ClassFolder,
    store: u128,
    index_cache: Arc<PageCache>,
) -> Result<Recovered, OpenError> {
    let path = folder.path().to_owned();
    let failed = |source: io::Error| OpenError::Disk { path: path.clone(), source };
    let names = disk.list(&path).map_err(failed)?;
    let mut ids: Vec<u64> = names.iter().filter_map(|name| segment_of(name, ".log")).collect();
    ids.sort_unstable();
    let mut obsolete: Vec<u64> =
        names.iter().filter_map(|name| segment_of(name, ".idx")).filter(|id| !ids.contains(id)).collect();
    for unfinished in names.iter().filter(|name| segment_of(name, REWRITTEN).is_some()) {
        // The process ended before it took the segment's place.
        disk.remove_file(&path.join(unfinished)).map_err(failed)?;
    }
    let mut found = Vec::new();
    for id in &ids {
        match header(&**disk, folder, store, *id)? {
            Some(segment) => found.push(segment),
            // Made, and not in use when the process ended; or damaged beyond its first pages, which block numbers tell.
            None => obsolete.push(*id),
        }
    }
    // Of two segments that begin at the same place only one was ever in use: the later one, once anything was published
    // in it.
    let mut kept: Vec<Found> = Vec::new();
    for segment in found {
        let follows = kept.last().is_none_or(|before| before.first_block < segment.first_block);
        if !follows && !was_in_use(&**disk, folder, &segment).map_err(failed)? {
            obsolete.push(segment.id);
            continue;
        }
        while let Some(given_up) = kept.pop_if(|before| before.first_block >= segment.first_block) {
            obsolete.push(given_up.id);
        }
        kept.push(segment);
    }
    let mut recovered = Recovered {
        store,
        shards: BTreeMap::new(),
        next_ordinal: 0,
        segments: BTreeMap::new(),
        last_block: kept.last().map_or(0, |segment| segment.first_block - 1),
        next_segment: ids.last().map_or(1, |id| id + 1).max(obsolete.iter().max().map_or(1, |id| id + 1)),
        obsolete,
        unsealed: Vec::new(),
        index_cache,
        report: RecoveryReport { segments: kept.len(), ..RecoveryReport::default() },
    };
    load(disk, folder, &kept, &mut recovered).map_err(failed)?;
    Ok(recovered)
}

/// Whether a block was published in a segment: its checkpoint, or one behind.
fn was_in_use(disk: &dyn Disk, folder: &ClassFolder, segment: &Found) -> io::Result<bool> {
    let path = folder.segment(segment.id);
    let scan = SegmentScan::read(disk, &path, segment.id, segment.first_block, None)?;
    Ok(!scan.blocks.is_empty())
}

/// A segment as its header or, when that is damaged, its checkpoint tells it.
fn header(disk: &dyn Disk, folder: &ClassFolder, store: u128, id: u64) -> Result<Option<Found>, OpenError> {
    let path = folder.segment(id);
    let mut page = vec![0; 2 * PAGE_BYTES];
    let read = disk.open(&path, Access::Read, false).and_then(|file| read_some(&*file, &mut page));
    let got = read.map_err(|source| OpenError::Disk { path: path.clone(), source })?;
    page.truncate(got);
    match SegmentHeader::decode(&page) {
        Ok(header) if header.store != store || header.segment != id || header.class != folder.class.number() => {
            Err(OpenError::ForeignSegment { path })
        }
        Ok(header) => Ok(Some(Found { id, first_block: header.first_block, begun_ms: header.time_ms })),
        Err(BadHeader::Format(version)) => Err(OpenError::SegmentFormat { path, version }),
        Err(BadHeader::Unreadable) => {
            let first_block = scan::checkpoint_number(page.get(PAGE_BYTES..).unwrap_or(&[]), id);
            Ok(first_block.map(|first_block| Found { id, first_block, begun_ms: 0 }))
        }
    }
}

/// Reads up to the end of the file.
fn read_some(file: &dyn millstream_env::DiskFile, bytes: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < bytes.len() {
        match file.read_at(&mut bytes[got..], got as u64)? {
            0 => break,
            count => got += count,
        }
    }
    Ok(got)
}

fn load(disk: &Arc<dyn Disk>, folder: &ClassFolder, kept: &[Found], recovered: &mut Recovered) -> io::Result<()> {
    // Back to the newest segment whose checkpoint is whole; from there on everything is replayed.
    let mut scans = Vec::new();
    for (index, segment) in kept.iter().enumerate().rev() {
        let followed = kept.get(index + 1).map(|next| next.first_block - 1);
        let last = followed.or_else(|| sealed_at(disk, folder, segment, &recovered.index_cache));
        let scan = SegmentScan::read(&**disk, &folder.segment(segment.id), segment.id, segment.first_block, last)?;
        let whole = scan.has_whole_checkpoint();
        scans.push((index, scan));
        if whole {
            break;
        }
    }
    let scanned_from = scans.last().map_or(0, |(index, _)| *index);
    for (index, segment) in kept[..scanned_from].iter().enumerate() {
        let last = kept[index + 1].first_block - 1;
        let sealed = open_sealed(disk, folder, segment, last, &recovered.index_cache)?;
        if matches!(sealed.index, Index::Memory(_)) {
            recovered.report.segments_scanned += 1;
            recovered.unsealed.push(segment.id);
        }
        recovered.segments.insert(segment.id, sealed);
    }
    let mut replay = Replay::new();
    for (index, scan) in scans.into_iter().rev() {
        let segment = &kept[index];
        recovered.report.segments_scanned += 1;
        let newest = index + 1 == kept.len();
        let empty = replay.segment(segment.first_block, &scan);
        if newest && let ScanEnd::Torn { offset } = scan.end {
            tracing::warn!(segment = segment.id, offset, "the log ended in an unfinished write, which is cut off");
            recovered.report.torn_tail = Some(TornTail { segment: segment.id, offset });
        }
        if newest && empty {
            // Nothing happened since it was begun: the next segment takes its number and its place.
            recovered.obsolete.push(segment.id);
            recovered.last_block = segment.first_block - 1;
            continue;
        }
        recovered.last_block = scan.last_block.max(segment.first_block);
        let index = replay.take_index();
        let path = folder.segment(segment.id);
        if newest {
            make_durable(&**disk, &path, &scan)?;
        }
        let end = index.end;
        let (index, begun_ms) = (Index::Memory(Arc::new(index)), segment.begun_ms);
        recovered
            .segments
            .insert(segment.id, Segment { path, file: None, index, end, begun_ms, dead_bytes: 0, rewritable: true });
        recovered.unsealed.push(segment.id);
    }
    replay.finish(recovered);
    recovered.report.shards = recovered.shards.len();
    Ok(())
}

/// From now on everything that was found counts, so it must stay. A killed process may have left blocks that were never
/// synced, or whose sync failed: then they are in the page cache, marked clean, and on no disk. So all that nothing proves
/// to be durable is written again, in its own place, and synced.
fn make_durable(disk: &dyn Disk, path: &Path, scan: &SegmentScan) -> io::Result<()> {
    let file = disk.open(path, Access::Write, false)?;
    let start = scan.unproven_from();
    let mut bytes = vec![0; usize::try_from(scan.length.saturating_sub(start)).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    file.write_all_at(&bytes, start)?;
    file.sync()
}

/// The last block of the newest segment, when it was closed in order: it has an index then.
fn sealed_at(disk: &Arc<dyn Disk>, folder: &ClassFolder, segment: &Found, cache: &Arc<PageCache>) -> Option<u64> {
    let path = folder.index(segment.id);
    let file = IndexFile::open(Arc::clone(disk), path, segment.id, Arc::clone(cache)).ok()?;
    let whole = file.head.first_block == segment.first_block && file.head.blocks > 0;
    whole.then(|| segment.first_block + u64::from(file.head.blocks) - 1)
}

/// A sealed segment by its index file; when that is of no use, by its records.
fn open_sealed(
    disk: &Arc<dyn Disk>,
    folder: &ClassFolder,
    segment: &Found,
    last: u64,
    cache: &Arc<PageCache>,
) -> io::Result<Segment> {
    let path = folder.segment(segment.id);
    let file = IndexFile::open(Arc::clone(disk), folder.index(segment.id), segment.id, Arc::clone(cache));
    match file {
        Ok(file) if file.head.first_block == segment.first_block => {
            let end = file.head.end;
            Ok(Segment {
                path,
                file: None,
                index: Index::File(Arc::new(file)),
                end,
                begun_ms: segment.begun_ms,
                dead_bytes: 0,
                rewritable: true,
            })
        }
        _ => {
            tracing::warn!(segment = segment.id, "the index of a segment is missing or damaged: it is made again");
            let index = index_of(&**disk, &path, segment.id, End::Block(last)).map_err(|error| match error {
                IndexError::Disk(error) => error,
                IndexError::Damaged | IndexError::NotInMemory => io::ErrorKind::InvalidData.into(),
            })?;
            let end = index.end;
            Ok(Segment {
                path,
                file: None,
                index: Index::Memory(Arc::new(index)),
                end,
                begun_ms: segment.begun_ms,
                dead_bytes: 0,
                rewritable: true,
            })
        }
    }
}

/// Where a sealed segment ends: behind it may be blocks that were given up.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Offset(u64),
    Block(u64),
}

/// Makes the index of a sealed segment from its records.
pub(super) fn index_of(disk: &dyn Disk, path: &Path, id: u64, end: End) -> Result<SegmentIndex, IndexError> {
    let mut head = vec![0; 2 * PAGE_BYTES];
    let got = disk.open(path, Access::Read, false).and_then(|file| read_some(&*file, &mut head))?;
    head.truncate(got);
    let first_block = match SegmentHeader::decode(&head) {
        Ok(header) => header.first_block,
        Err(_) => scan::checkpoint_number(head.get(PAGE_BYTES..).unwrap_or(&[]), id).ok_or(IndexError::Damaged)?,
    };
    let scan = match end {
        End::Offset(end) => SegmentScan::read_to(disk, path, id, first_block, end)?,
        End::Block(last) => SegmentScan::read(disk, path, id, first_block, Some(last))?,
    };
    let mut replay = Replay::new();
    replay.segment(first_block, &scan);
    Ok(replay.take_index())
}
