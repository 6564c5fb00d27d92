//! Getting the bytes of runs: from blocks in memory, from whole blocks worth reading, or in pieces.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::{DiskFile, ReadPart};

use super::super::buffer::Frozen;
use super::super::engine::Engine;
use super::super::read_files::Part;
use super::View;
use super::plan::{Piece, Place, plan};
use super::source::Located;

/// Records are copied out of memory of which they use less than one such part, instead of holding all of it.
const SHARED_PARTS: usize = 4;

/// The bytes of a run.
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    /// They never left memory: the checksum need not be looked at.
    pub(super) trusted: bool,
}

/// A block in memory.
struct Held {
    block: Frozen,
    trusted: bool,
}

impl Engine {
    /// The bytes of the first runs, of at least one. `None` when the disk is needed and may not be waited for.
    pub(super) fn fetch(&self, view: &View, runs: &[Located], may_wait: bool) -> Option<io::Result<Vec<Fetched>>> {
        let in_memory = |located: &Located| view.segments[located.segment].cached.get(&located.block);
        if !may_wait {
            let held = in_memory(runs.first()?)?;
            let count = runs.iter().take_while(|located| located.block == runs[0].block).count();
            return Some(Ok(self.cut(held, &runs[..count], runs[0].block_start, true)));
        }
        let planned = plan(runs, self.pool.usual_capacity(), |first, cost| match in_memory(first) {
            Some(block) => Ok(Some(Held { block: block.clone(), trusted: true })),
            None => self.whole_block(view, first, cost).map(|block| block.map(|block| Held { block, trusted: false })),
        });
        Some(planned.and_then(|planned| {
            let pieces = self.read_pieces(view, &planned.pieces, planned.piece_bytes())?;
            let mut fetched = Vec::with_capacity(planned.places.len());
            let placed: Vec<_> = planned.places.iter().zip(runs).collect();
            for group in placed.chunk_by(|(one, _), (other, _)| same_memory(**one, **other)) {
                let runs: Vec<Located> = group.iter().map(|(_, located)| **located).collect();
                match *group[0].0 {
                    Place::Block(index) => {
                        let held = &planned.blocks[index];
                        fetched.extend(self.cut(&held.block, &runs, runs[0].block_start, held.trusted));
                    }
                    Place::Piece(_) => {
                        let starts = group.iter().map(|(place, located)| {
                            let Place::Piece(index) = **place else { unreachable!("grouped by kind") };
                            pieces.starts[index] + (located.run.offset - planned.pieces[index].start) as usize
                        });
                        let ranges: Vec<_> =
                            starts.zip(&runs).map(|(start, l)| start..start + l.run.length as usize).collect();
                        let frozen = pieces.bytes.as_ref().expect("there is a piece");
                        fetched.extend(self.share(frozen, &ranges).map(|bytes| Fetched { bytes, trusted: false }));
                    }
                }
            }
            Ok(fetched)
        }))
    }

    /// Runs out of the block that holds them all.
    fn cut(&self, block: &Frozen, runs: &[Located], block_start: u32, trusted: bool) -> Vec<Fetched> {
        let length = block.as_ref().len();
        let range = |located: &Located| {
            let start = ((located.run.offset - block_start) as usize).min(length);
            start..(start + located.run.length as usize).min(length)
        };
        let ranges: Vec<_> = runs.iter().map(range).collect();
        self.share(block, &ranges).map(|bytes| Fetched { bytes, trusted }).collect()
    }

    /// Parts of some memory: sharing it while not too much is held by readers and the parts are worth it, else copied.
    fn share(&self, memory: &Frozen, ranges: &[std::ops::Range<usize>]) -> impl Iterator<Item = Bytes> {
        let used: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        let options = &self.options;
        let held_max = options.tail_cache_bytes_max
            + options.block_cache_bytes_max
            + options.pinned_bytes_max
            + options.admitted_bytes_max;
        let shared = used >= memory.capacity() / SHARED_PARTS && self.pool.in_use() <= held_max;
        let (bytes, ranges) = if shared {
            (Bytes::from_owner(memory.clone()), ranges.to_vec())
        } else {
            let mut copy = Vec::with_capacity(used);
            let moved = ranges.iter().map(|range| {
                let start = copy.len();
                copy.extend_from_slice(&memory.as_ref()[range.clone()]);
                start..copy.len()
            });
            let moved = moved.collect();
            (Bytes::from(copy), moved)
        };
        ranges.into_iter().map(move |range| bytes.slice(range))
    }

    /// The block as a whole, when it is in memory or worth reading.
    fn whole_block(&self, view: &View, first: &Located, cost: u64) -> io::Result<Option<Frozen>> {
        let length = first.block_end.saturating_sub(first.block_start) as usize;
        if length == 0 {
            return Ok(None);
        }
        let Some(kept) = self.block_cache.want(first.block, length, cost, self.clock.now()) else { return Ok(None) };
        let read = kept.content(|| {
            let file = self.log_file(view, first.segment)?;
            let mut arena = self.pool.arena(length);
            let mut region = arena.carve(length).expect("as large as asked for");
            self.read_parts(&mut [part(&*file, region.bytes_mut(), u64::from(first.block_start))])?;
            drop(region);
            Ok(arena.freeze().unwrap_or_else(|_| unreachable!("its only region is dropped")))
        });
        if read.is_err() {
            self.block_cache.forget(first.block);
        }
        read.map(Some)
    }

    fn read_pieces(&self, view: &View, pieces: &[Piece], bytes: usize) -> io::Result<Pieces> {
        if pieces.is_empty() {
            return Ok(Pieces { starts: Vec::new(), bytes: None });
        }
        let mut arena = self.pool.arena(bytes);
        let mut starts = Vec::with_capacity(pieces.len());
        let mut files = Vec::new();
        let mut regions = Vec::with_capacity(pieces.len());
        for pieces in pieces.chunk_by(|one, next| one.segment == next.segment) {
            files.push(self.log_file(view, pieces[0].segment)?);
            for piece in pieces {
                starts.push(arena.used());
                let region = arena.carve(piece.length as usize).expect("as large as its parts");
                regions.push((files.len() - 1, region, u64::from(piece.start)));
            }
        }
        let parts = regions.iter_mut().map(|(file, region, offset)| part(&*files[*file], region.bytes_mut(), *offset));
        self.read_parts(&mut parts.collect::<Vec<_>>())?;
        drop(regions);
        let bytes = arena.freeze().unwrap_or_else(|_| unreachable!("its regions are dropped"));
        Ok(Pieces { starts, bytes: Some(bytes) })
    }

    /// A file that was cut short gives what it has; the checksums tell the rest.
    fn read_parts(&self, parts: &mut [ReadPart<'_>]) -> io::Result<()> {
        self.disk.read_parts(parts)?;
        for part in parts {
            part.bytes[part.got..].fill(0);
        }
        Ok(())
    }

    fn log_file(&self, view: &View, segment: usize) -> io::Result<Arc<dyn DiskFile>> {
        let id = view.segments[segment].id;
        let path = self.folder.segment(id);
        self.index_cache.files.get(&*self.disk, (Part::Log, id), &path, self.options.direct)
    }
}

/// All pieces in one piece of memory, and where each begins in it.
struct Pieces {
    starts: Vec<usize>,
    bytes: Option<Frozen>,
}

fn same_memory(one: Place, other: Place) -> bool {
    match (one, other) {
        (Place::Piece(_), Place::Piece(_)) => true,
        (Place::Block(one), Place::Block(other)) => one == other,
        _ => false,
    }
}

fn part<'b>(file: &'b dyn DiskFile, bytes: &'b mut [u8], offset: u64) -> ReadPart<'b> {
    ReadPart { file, offset, bytes, got: 0 }
}
