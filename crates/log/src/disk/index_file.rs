//! Reading the index of a sealed segment page by page, through a bounded cache.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use millstream_env::Disk;

use super::format::PAGE_BYTES;
use super::format::index::{
    self, BLOCKS_PER_PAGE, ENTRIES_PER_PAGE, Entry, IndexHead, Page, RUNS_PER_PAGE, block_start_of, entry_of, run_of,
};
use super::read_files::{Part, ReadFiles};
use super::segment_index::{Extent, Run, block_of};

/// Pages of all index files. The oldest goes first, unless it was asked for since it was last looked at.
#[derive(Debug)]
pub(super) struct PageCache {
    pages_max: usize,
    state: Mutex<CachedPages>,
    /// Also of the segments themselves.
    pub(super) files: ReadFiles,
}

#[derive(Debug, Default)]
struct CachedPages {
    pages: HashMap<(u64, u64), Cached>,
    order: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
struct Cached {
    page: Arc<Page>,
    used: bool,
}

impl PageCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        let pages_max = (bytes_max / PAGE_BYTES).max(1);
        Self { pages_max, state: Mutex::default(), files: ReadFiles::default() }
    }

    fn get(&self, key: (u64, u64)) -> Option<Arc<Page>> {
        let mut state = self.state.lock().expect("no code panics while holding this lock");
        let cached = state.pages.get_mut(&key)?;
        cached.used = true;
        Some(Arc::clone(&cached.page))
    }

    fn has(&self, key: (u64, u64)) -> bool {
        self.state.lock().expect("no code panics while holding this lock").pages.contains_key(&key)
    }

    fn put(&self, key: (u64, u64), page: Arc<Page>) {
        let mut state = self.state.lock().expect("no code panics while holding this lock");
        if state.pages.insert(key, Cached { page, used: false }).is_none() {
            state.order.push_back(key);
        }
        while state.pages.len() > self.pages_max {
            let Some(oldest) = state.order.pop_front() else { break };
            match state.pages.get_mut(&oldest) {
                Some(cached) if cached.used => {
                    cached.used = false;
                    state.order.push_back(oldest);
                }
                _ => _ = state.pages.remove(&oldest),
            }
        }
    }

    /// Forgets what is known of a segment whose index is written anew.
    pub(super) fn forget(&self, segment: u64) {
        let mut state = self.state.lock().expect("no code panics while holding this lock");
        state.pages.retain(|(of, _), _| *of != segment);
        state.order.retain(|(of, _)| *of != segment);
        drop(state);
        self.files.forget_index(segment);
    }
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    #[error("the index is damaged")]
    Damaged,
    #[error(transparent)]
    Disk(#[from] io::Error),
    /// Only what is in memory was asked for.
    #[error("the index is not in memory")]
    NotInMemory,
}

/// Whether a page that is not in memory may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Memory,
    Disk,
}

/// The index file of one segment.
#[derive(Clone, Debug)]
pub(super) struct IndexFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    pub(super) head: IndexHead,
    cache: Arc<PageCache>,
}

impl IndexFile {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        segment: u64,
        cache: Arc<PageCache>,
    ) -> Result<Self, IndexError> {
        cache.forget(segment);
        let page = read_page(&*disk, &cache.files, &path, (segment, 0))?;
        let head = IndexHead::decode(&page, segment).ok_or(IndexError::Damaged)?;
        Ok(Self { disk, path, head, cache })
    }

    /// The shard's entry. Ordinals are nearly dense, so a straight line between known entries hits its page at once most
    /// of the time; halving follows when it does not.
    pub(super) fn entry(&self, ordinal: u32, access: Access) -> Result<Option<Entry>, IndexError> {
        const STRAIGHT_PROBES: u32 = 4;
        let mut pages = self.pages(access);
        let (mut low, mut high) = (0, u64::from(self.head.shards));
        // Before the first entry, and behind the last known one: index, ordinal.
        let (mut below, mut above): ((u64, u64), Option<(u64, u64)>) = match high {
            0 => return Ok(None),
            _ => ((0, u64::from(pages.entry_at(0)?.ordinal)), None),
        };
        let wanted = u64::from(ordinal);
        let mut probes = 0;
        while low < high {
            let straight = match above {
                None => below.0 + wanted.saturating_sub(below.1),
                Some((index, at)) => {
                    below.0 + wanted.saturating_sub(below.1) * (index - below.0) / (at - below.1).max(1)
                }
            };
            let halfway = u64::midpoint(low, high);
            let probe = if probes < STRAIGHT_PROBES { straight.clamp(low, high - 1) } else { halfway };
            probes += 1;
            let entry = pages.entry_at(probe)?;
            match entry.ordinal.cmp(&ordinal) {
                std::cmp::Ordering::Equal => return Ok(Some(entry)),
                std::cmp::Ordering::Less => {
                    low = probe + 1;
                    below = (probe, u64::from(entry.ordinal));
                }
                std::cmp::Ordering::Greater => {
                    high = probe;
                    above = Some((probe, u64::from(entry.ordinal)));
                }
            }
        }
        Ok(None)
    }

    /// Every shard with records or alive in this segment. Read in one go and not kept: housekeeping asks for it, and what
    /// readers use must stay in the cache.
    pub(super) fn extents(&self) -> Result<Vec<(u32, Extent)>, IndexError> {
        let shards = self.head.shards as usize;
        let mut bytes = vec![0; shards.div_ceil(ENTRIES_PER_PAGE) * PAGE_BYTES];
        read_pages(&*self.disk, &self.cache.files, &self.path, (self.head.segment, 1), &mut bytes)?;
        let mut extents = Vec::with_capacity(shards);
        for (number, page) in (1..).zip(bytes.as_chunks::<PAGE_BYTES>().0) {
            if !index::verify(page, self.head.segment, number) {
                return Err(IndexError::Damaged);
            }
            let entries = ENTRIES_PER_PAGE.min(shards - extents.len());
            extents.extend((0..entries).map(|at| entry_of(page, at)).map(|entry| (entry.ordinal, entry.extent)));
        }
        Ok(extents)
    }

    /// Where each block begins.
    pub(super) fn block_starts(&self) -> Result<Vec<u32>, IndexError> {
        let mut pages = self.pages(Access::Disk);
        (0..u64::from(self.head.blocks)).map(|at| pages.block_start(at)).collect()
    }

    /// The first `limit` runs from where reading begins, and whether more follow.
    pub(super) fn runs(
        &self,
        entry: Entry,
        position: u64,
        arrival_ms: u64,
        limit: usize,
        access: Access,
    ) -> Result<(Vec<Run>, bool), IndexError> {
        let mut pages = self.pages(access);
        let (mut low, mut high) = (0, u64::from(entry.run_count));
        while low < high {
            let middle = u64::midpoint(low, high);
            let run = pages.run_at(entry.runs_at + middle)?;
            let before = run.first <= position || run.arrival_ms < arrival_ms;
            if before { low = middle + 1 } else { high = middle }
        }
        let start = low.saturating_sub(1);
        let end = u64::from(entry.run_count).min(start.saturating_add(limit as u64));
        if start < end {
            pages.fetch_runs(start, end - 1)?;
        }
        let runs = (start..end).map(|at| pages.run_at(entry.runs_at + at)).collect::<Result<_, _>>()?;
        Ok((runs, end < u64::from(entry.run_count)))
    }

    /// For looking at several places.
    pub(super) fn pages(&self, access: Access) -> Pages<'_> {
        Pages { file: self, access, held: None }
    }

    fn page(&self, number: u64, access: Access) -> Result<Arc<Page>, IndexError> {
        let key = (self.head.segment, number);
        if let Some(page) = self.cache.get(key) {
            return Ok(page);
        }
        if access == Access::Memory {
            return Err(IndexError::NotInMemory);
        }
        self.read_pages(number, number)?;
        // It may be gone again already: the cache is bounded.
        self.cache.get(key).map_or_else(|| self.page_alone(number), Ok)
    }

    /// Reads pages that follow each other into the cache.
    fn read_pages(&self, first: u64, last: u64) -> Result<(), IndexError> {
        let count = usize::try_from(last - first + 1).map_err(io::Error::other)?;
        let mut bytes = vec![0; count * PAGE_BYTES];
        read_pages(&*self.disk, &self.cache.files, &self.path, (self.head.segment, first), &mut bytes)?;
        for (number, page) in (first..).zip(bytes.chunks_exact(PAGE_BYTES)) {
            let page = self.verified(page, number)?;
            self.cache.put((self.head.segment, number), page);
        }
        Ok(())
    }

    fn page_alone(&self, number: u64) -> Result<Arc<Page>, IndexError> {
        let page = read_page(&*self.disk, &self.cache.files, &self.path, (self.head.segment, number))?;
        self.verified(&*page, number)
    }

    fn verified(&self, page: &[u8], number: u64) -> Result<Arc<Page>, IndexError> {
        let page: &Page = page.try_into().expect("a page has its length");
        if index::verify(page, self.head.segment, number) { Ok(Arc::new(*page)) } else { Err(IndexError::Damaged) }
    }
}

/// Looks at places of an index file; those on the page looked at last cost nothing.
pub(super) struct Pages<'f> {
    file: &'f IndexFile,
    access: Access,
    held: Option<(u64, Arc<Page>)>,
}

impl Pages<'_> {
    /// Number, start and end of the block that holds `offset`.
    pub(super) fn block_of(&mut self, offset: u32) -> Result<(u64, u32, u32), IndexError> {
        let mut failed = None;
        let IndexHead { blocks, first_block, end, .. } = self.file.head;
        let blocks_page = self.file.head.blocks_page();
        let found = block_of(blocks as usize, first_block, end, offset, |at| {
            match self.page(blocks_page + (at / BLOCKS_PER_PAGE) as u64) {
                Ok(page) => block_start_of(page, at % BLOCKS_PER_PAGE),
                Err(error) => {
                    failed = failed.take().or(Some(error));
                    0
                }
            }
        });
        failed.map_or(Ok(found), Err)
    }

    fn block_start(&mut self, at: u64) -> Result<u32, IndexError> {
        let (page, index) = split(at, BLOCKS_PER_PAGE);
        Ok(block_start_of(self.page(self.file.head.blocks_page() + page)?, index))
    }

    fn entry_at(&mut self, at: u64) -> Result<Entry, IndexError> {
        let (page, index) = split(at, ENTRIES_PER_PAGE);
        Ok(entry_of(self.page(1 + page)?, index))
    }

    fn run_at(&mut self, at: u64) -> Result<Run, IndexError> {
        let (page, index) = split(at, RUNS_PER_PAGE);
        Ok(run_of(self.page(self.file.head.runs_page() + page)?, index))
    }

    /// Gets the pages of these runs in one go, when some of them must be read.
    fn fetch_runs(&mut self, first: u64, last: u64) -> Result<(), IndexError> {
        let (first, last) = (split(first, RUNS_PER_PAGE).0, split(last, RUNS_PER_PAGE).0);
        let (file, runs_page) = (self.file, self.file.head.runs_page());
        let missing: Vec<u64> =
            (runs_page + first..=runs_page + last).filter(|n| !file.cache.has((file.head.segment, *n))).collect();
        match missing[..] {
            [] | [_] => Ok(()),
            _ if self.access == Access::Memory => Err(IndexError::NotInMemory),
            [first, .., last] => file.read_pages(first, last),
        }
    }

    fn page(&mut self, number: u64) -> Result<&Page, IndexError> {
        if self.held.as_ref().is_none_or(|(held, _)| *held != number) {
            self.held = Some((number, self.file.page(number, self.access)?));
        }
        let (_, page) = self.held.as_ref().expect("held just now");
        Ok(page)
    }
}

fn split(at: u64, per_page: usize) -> (u64, usize) {
    let per_page = per_page as u64;
    (at / per_page, usize::try_from(at % per_page).expect("below a page's count"))
}

fn read_page(
    disk: &dyn Disk,
    files: &ReadFiles,
    path: &std::path::Path,
    (segment, number): (u64, u64),
) -> Result<Box<Page>, IndexError> {
    let mut page = Box::new([0; PAGE_BYTES]);
    read_pages(disk, files, path, (segment, number), &mut *page)?;
    Ok(page)
}

fn read_pages(
    disk: &dyn Disk,
    files: &ReadFiles,
    path: &std::path::Path,
    (segment, first): (u64, u64),
    bytes: &mut [u8],
) -> Result<(), IndexError> {
    let file = files.get(disk, (Part::Index, segment), path, false)?;
    file.read_exact_at(bytes, first * PAGE_BYTES as u64).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => IndexError::Damaged,
        _ => IndexError::Disk(error),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use millstream_testkit::SimDisk;
    use proptest::prelude::*;

    use super::super::segment_index::SegmentIndex;
    use super::*;

    proptest! {
        #[test]
        fn every_entry_is_found_and_no_other(
            ordinals in prop::collection::btree_set(0_u32..2_000, 0..400),
            dense in any::<bool>(),
            pages in 1_usize..6,
        ) {
            let ordinals = if dense { (0..300).collect() } else { ordinals };
            let mut index = SegmentIndex::new(1);
            for ordinal in &ordinals {
                index.note_shard(*ordinal, u64::from(*ordinal) * 3, 7);
            }
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
            disk.create_dir_all(Path::new("/index")).unwrap();
            let path = PathBuf::from("/index/1.idx");
            disk.write_atomically(&path, &index::encode(&index, 1, 1)).unwrap();
            let file = IndexFile::open(disk, path, 1, Arc::new(PageCache::new(pages * PAGE_BYTES))).unwrap();
            for ordinal in 0..2_001 {
                let entry = file.entry(ordinal, Access::Disk).unwrap();
                prop_assert_eq!(entry.is_some(), ordinals.contains(&ordinal));
                prop_assert!(entry.is_none_or(|entry| entry.extent.next == u64::from(ordinal) * 3));
            }
            let extents = file.extents().unwrap();
            prop_assert!(extents.iter().map(|(ordinal, _)| *ordinal).eq(ordinals.iter().copied()));
            prop_assert!(extents.iter().all(|(ordinal, extent)| extent.next == u64::from(*ordinal) * 3));
        }
    }
}
