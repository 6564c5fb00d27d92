//! What is left of a segment without the records that nobody can read any more.
//!
//! The blocks keep their numbers, so every record keeps its checksum and is copied as it is; facts stay. Blocks that hold
//! nothing any more become one empty block that stands for all of them.
//!
//! The last record of every shard that still exists stays, though nobody can read it: recovery learns from it how far the
//! shard came, should it ever have to begin with this segment.

use std::io;

use super::format::PAGE_BYTES;
use super::format::block::BlockHeader;
use super::format::record::RecordHeader;

/// The new content of a segment, block by block.
#[derive(Debug)]
pub(super) struct Rewriting<W> {
    out: W,
    segment: u64,
    /// An empty block that is not written yet: the next one may be empty too.
    empty: Option<BlockHeader>,
    written: u64,
}

/// Why a segment cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    /// Damage is kept as it is: it says which records are missing.
    #[error("the segment is damaged")]
    Damaged,
    #[error(transparent)]
    Disk(#[from] io::Error),
}

impl<W: FnMut(&[u8]) -> io::Result<()>> Rewriting<W> {
    /// `head`: the segment's header page. `out` takes the new content, piece by piece.
    pub(super) fn begin(segment: u64, head: &[u8], mut out: W) -> io::Result<Self> {
        out(head)?;
        Ok(Self { out, segment, empty: None, written: head.len() as u64 })
    }

    /// The next block, with `stays` saying which records stay, by ordinal and position.
    pub(super) fn block(&mut self, block: &[u8], stays: impl Fn(u32, u64) -> bool) -> Result<(), RewriteError> {
        let header = BlockHeader::decode(block).filter(|header| header.segment == self.segment);
        let header = header.filter(|header| header.length as usize <= block.len()).ok_or(RewriteError::Damaged)?;
        let mut kept = vec![0; BlockHeader::BYTES];
        let (mut at, mut records, mut found) = (BlockHeader::BYTES, 0, 0);
        while at < header.used as usize {
            let rest = &block[at..header.used as usize];
            let record = RecordHeader::decode(rest, header.number).ok_or(RewriteError::Damaged)?;
            if !record.kind.has_position() || stays(record.ordinal, record.position) {
                kept.extend_from_slice(&rest[..record.length as usize]);
                records += 1;
            }
            found += 1;
            at += record.length as usize;
        }
        if found != header.records {
            return Err(RewriteError::Damaged);
        }
        let used = u32::try_from(kept.len()).expect("not longer than before");
        kept.resize(kept.len().next_multiple_of(PAGE_BYTES), 0);
        let length = u32::try_from(kept.len()).expect("not longer than before");
        let header = BlockHeader { length, used, records, ..header };
        if records == 0 {
            self.join(header)?;
            return Ok(());
        }
        self.flush()?;
        header.encode(&mut kept);
        self.write(&kept)?;
        Ok(())
    }

    /// Writes what is left. Returns the length of all of it.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        Ok(self.written)
    }

    /// An empty block: the one before stands for it too, when that is empty.
    fn join(&mut self, header: BlockHeader) -> io::Result<()> {
        let joined = self.empty.and_then(|first| {
            let numbers = header.number.checked_sub(first.number)? + u64::from(header.more_numbers);
            let more_numbers = u32::try_from(numbers).ok()?;
            Some(BlockHeader { more_numbers, ..first })
        });
        if joined.is_none() {
            self.flush()?;
        }
        self.empty = joined.or(Some(header));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(header) = self.empty.take() else { return Ok(()) };
        let mut page = [0; PAGE_BYTES];
        header.encode(&mut page);
        self.write(&page)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        (self.out)(bytes)
    }
}
