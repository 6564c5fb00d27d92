//! Copy-forward: when space is short, segments that are mostly dead give it back.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use millstream_env::{Access, Disk, DiskFile, Timestamp};

use super::super::format::PAGE_BYTES;
use super::super::format::index;
use super::super::format::store::feature;
use super::super::index_file::IndexFile;
use super::super::recovery::{self, End};
use super::super::rewrite::{RewriteError, Rewriting};
use super::{Counters, Engine, Index, State};

/// Of which shards something stays, and from which position on.
type Wanted = HashMap<u32, u64>;

/// A segment is worth rewriting when this part of it is dead: one half.
const WORTH_PARTS: u64 = 2;
/// Space is short when not even this many times the minimum is free.
const SHORT_FACTOR: u64 = 2;
/// Written in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

impl Engine {
    /// Rewrites a segment when space is short and there is one worth it. True when it did.
    pub(super) fn give_back_space(&self, now: Timestamp) -> bool {
        let Ok(free) = self.disk.free_bytes(&self.options.folder) else { return false };
        let little = free < self.options.disk_free_min.saturating_mul(SHORT_FACTOR);
        let short = little || self.over_size(&self.lock());
        short && self.rewrite_deadest(now)
    }

    /// Rewrites the segment with the most dead bytes, when there is one worth it. True when it did.
    pub(in crate::disk) fn rewrite_deadest(&self, now: Timestamp) -> bool {
        let Some(segment) = self.lock().deadest() else { return false };
        match self.rewrite(segment, now) {
            Ok(freed) => {
                tracing::info!(segment, freed, "space is short: dead records were removed from a segment");
                true
            }
            Err(error) => {
                tracing::warn!(segment, %error, "dead records could not be removed from a segment");
                if let Some(found) = self.lock().segments.get_mut(&segment) {
                    found.rewritable = false;
                }
                false
            }
        }
    }

    /// Replaces a sealed segment by what is alive of it. Returns the bytes that this frees.
    fn rewrite(&self, segment: u64, now: Timestamp) -> Result<u64, RewriteError> {
        let (file, path, end) = {
            let state = self.lock();
            let found = state.segments.get(&segment).ok_or(RewriteError::Damaged)?;
            let Index::File(file) = &found.index else { return Err(RewriteError::Damaged) };
            (Arc::clone(file), found.path.clone(), found.end)
        };
        let extents = file.extents().map_err(io::Error::other)?;
        let wanted: Wanted = {
            let state = self.lock();
            let there = extents.iter().filter(|(ordinal, _)| state.shards.contains_key(ordinal));
            let from = there.map(|(ordinal, extent)| {
                let dead = state.is_dead(*ordinal, extent, now);
                (*ordinal, if dead { extent.next.saturating_sub(1) } else { 0 })
            });
            from.collect()
        };
        self.format.require(feature::REWRITTEN_SEGMENTS)?;
        let starts = file.block_starts().map_err(io::Error::other)?;
        let new_path = self.folder.rewritten(segment);
        let made = copy_live(&*self.disk, (&path, &new_path), segment, &starts, end, &wanted);
        let made = made.and_then(|new_end| {
            // What was written is read again, record by record: it is to take the old one's place.
            let index = recovery::index_of(&*self.disk, &new_path, segment, End::Offset(new_end));
            let index = index.map_err(|_| RewriteError::Damaged)?;
            Ok((index, new_end))
        });
        let (index, new_end) = match made {
            Ok(made) => made,
            Err(error) => {
                let _removed_at_opening_otherwise = self.disk.remove_file(&new_path);
                return Err(error);
            }
        };
        let bytes = index::encode(&index, self.store, segment);
        Counters::add(&self.counters.written_bytes, new_end + bytes.len() as u64);
        // No reader looks at the files meanwhile.
        let _alone = self.files_change.write().expect("no code panics while holding this lock");
        // Until the new one is there, the index is made from whatever segment is there.
        self.disk.remove_file(&self.folder.index(segment))?;
        self.disk.sync_dir(self.folder.path())?;
        self.disk.rename(&new_path, &path)?;
        self.disk.sync_dir(self.folder.path())?;
        self.index_cache.files.forget(segment);
        self.block_cache.clear();
        let index_path = self.folder.index(segment);
        let written = self.disk.write_atomically(&index_path, &bytes);
        let opened = written.map_err(io::Error::other).and_then(|()| {
            IndexFile::open(Arc::clone(&self.disk), index_path, segment, Arc::clone(&self.index_cache))
                .map_err(io::Error::other)
        });
        let mut state = self.lock();
        if let Some(found) = state.segments.get_mut(&segment) {
            found.end = new_end;
            found.dead_bytes = 0;
            found.index = match opened {
                Ok(file) => Index::File(Arc::new(file)),
                Err(_) => Index::Memory(Arc::new(index)),
            };
        }
        Ok(end.saturating_sub(new_end))
    }
}

impl State {
    /// The sealed segment of which the most is dead, when that is worth it.
    fn deadest(&self) -> Option<u64> {
        let worth = self.segments.iter().filter(|(_, found)| {
            let sealed = matches!(found.index, Index::File(_));
            sealed && found.rewritable && found.dead_bytes * WORTH_PARTS > found.end
        });
        worth.max_by_key(|(_, found)| found.dead_bytes).map(|(segment, _)| *segment)
    }
}

/// Writes what is alive of a segment to a new file, durably. Returns its length.
fn copy_live(
    disk: &dyn Disk,
    (from, to): (&Path, &Path),
    segment: u64,
    starts: &[u32],
    end: u64,
    wanted: &Wanted,
) -> Result<u64, RewriteError> {
    match disk.remove_file(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let source = disk.open(from, Access::Read, false)?;
    let target = disk.open(to, Access::CreateNew, false)?;
    let mut head = vec![0; PAGE_BYTES];
    source.read_exact_at(&mut head, 0)?;
    let mut pieces = Pieces { file: target, buffer: Vec::with_capacity(PIECE_BYTES), offset: 0 };
    let mut rewriting = Rewriting::begin(segment, &head, |bytes| pieces.add(bytes))?;
    let mut block = Vec::new();
    let ends = starts.iter().skip(1).map(|start| u64::from(*start)).chain([end]);
    for (start, end) in starts.iter().map(|start| u64::from(*start)).zip(ends) {
        // Numbers that one empty block stands for begin at the same place.
        if start < end {
            block.resize(usize::try_from(end - start).map_err(io::Error::other)?, 0);
            source.read_exact_at(&mut block, start)?;
            rewriting.block(&block, |ordinal, position| wanted.get(&ordinal).is_some_and(|from| position >= *from))?;
        }
    }
    let length = rewriting.finish()?;
    pieces.finish()?;
    Ok(length)
}

/// Writes in larger pieces than it is given.
struct Pieces {
    file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    offset: u64,
}

impl Pieces {
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }
}
