//! Reading the index of a sealed segment page by page, through a bounded cache.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use millstream_env::{Access, Disk};

use super::format::PAGE_BYTES;
use super::format::index::{
    self, BLOCKS_PER_PAGE, ENTRIES_PER_PAGE, Entry, IndexHead, Page, RUNS_PER_PAGE, block_start_of, entry_of, run_of,
};
use super::segment_index::{Extent, Run, block_of};

/// Pages of all index files, oldest out first.
#[derive(Debug)]
pub(super) struct PageCache {
    pages_max: usize,
    state: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    pages: HashMap<(u64, u64), Arc<Page>>,
    order: VecDeque<(u64, u64)>,
}

impl PageCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { pages_max: (bytes_max / PAGE_BYTES).max(1), state: Mutex::default() }
    }

    fn get(&self, key: (u64, u64)) -> Option<Arc<Page>> {
        self.state.lock().expect("no code panics while holding this lock").pages.get(&key).cloned()
    }

    fn put(&self, key: (u64, u64), page: Arc<Page>) {
        let mut state = self.state.lock().expect("no code panics while holding this lock");
        if state.pages.insert(key, page).is_none() {
            state.order.push_back(key);
        }
        while state.pages.len() > self.pages_max {
            let Some(oldest) = state.order.pop_front() else { break };
            state.pages.remove(&oldest);
        }
    }
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    #[error("the index is damaged")]
    Damaged,
    #[error(transparent)]
    Disk(#[from] io::Error),
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
        let page = read_page(&*disk, &path, 0)?;
        let head = IndexHead::decode(&page, segment).ok_or(IndexError::Damaged)?;
        Ok(Self { disk, path, head, cache })
    }

    /// The shard's entry, by binary search.
    pub(super) fn entry(&self, ordinal: u32) -> Result<Option<Entry>, IndexError> {
        let (mut low, mut high) = (0, u64::from(self.head.shards));
        while low < high {
            let middle = u64::midpoint(low, high);
            let entry = self.entry_at(middle)?;
            match entry.ordinal.cmp(&ordinal) {
                std::cmp::Ordering::Equal => return Ok(Some(entry)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Every shard with records or alive in this segment.
    pub(super) fn extents(&self) -> Result<Vec<(u32, Extent)>, IndexError> {
        (0..u64::from(self.head.shards))
            .map(|at| self.entry_at(at).map(|entry| (entry.ordinal, entry.extent)))
            .collect()
    }

    /// The first `limit` runs from where reading begins, and whether more follow.
    pub(super) fn runs(
        &self,
        entry: Entry,
        position: u64,
        arrival_ms: u64,
        limit: usize,
    ) -> Result<(Vec<Run>, bool), IndexError> {
        let (mut low, mut high) = (0, u64::from(entry.run_count));
        while low < high {
            let middle = u64::midpoint(low, high);
            let run = self.run_at(entry.runs_at + middle)?;
            let before = run.first <= position || run.arrival_ms < arrival_ms;
            if before { low = middle + 1 } else { high = middle }
        }
        let start = low.saturating_sub(1);
        let end = u64::from(entry.run_count).min(start.saturating_add(limit as u64));
        let runs = (start..end).map(|at| self.run_at(entry.runs_at + at)).collect::<Result<_, _>>()?;
        Ok((runs, end < u64::from(entry.run_count)))
    }

    /// Number and start of the block that holds `offset`.
    pub(super) fn block_of(&self, offset: u32) -> Result<(u64, u32), IndexError> {
        let mut failed = None;
        let found = block_of(self.head.blocks as usize, self.head.first_block, offset, |at| {
            let page = self.page(self.head.blocks_page() + (at / BLOCKS_PER_PAGE) as u64);
            match page {
                Ok(page) => block_start_of(&page, at % BLOCKS_PER_PAGE),
                Err(error) => {
                    failed = failed.take().or(Some(error));
                    0
                }
            }
        });
        failed.map_or(Ok(found), Err)
    }

    fn entry_at(&self, at: u64) -> Result<Entry, IndexError> {
        let (page, index) = split(at, ENTRIES_PER_PAGE);
        Ok(entry_of(&*self.page(1 + page)?, index))
    }

    fn run_at(&self, at: u64) -> Result<Run, IndexError> {
        let (page, index) = split(at, RUNS_PER_PAGE);
        Ok(run_of(&*self.page(self.head.runs_page() + page)?, index))
    }

    fn page(&self, number: u64) -> Result<Arc<Page>, IndexError> {
        let key = (self.head.segment, number);
        if let Some(page) = self.cache.get(key) {
            return Ok(page);
        }
        let page = read_page(&*self.disk, &self.path, number)?;
        if !index::verify(&page, self.head.segment, number) {
            return Err(IndexError::Damaged);
        }
        let page = Arc::new(*page);
        self.cache.put(key, Arc::clone(&page));
        Ok(page)
    }
}

fn split(at: u64, per_page: usize) -> (u64, usize) {
    let per_page = per_page as u64;
    (at / per_page, usize::try_from(at % per_page).expect("below a page's count"))
}

fn read_page(disk: &dyn Disk, path: &std::path::Path, number: u64) -> Result<Box<Page>, IndexError> {
    let file = disk.open(path, Access::Read, false)?;
    let mut page = Box::new([0; PAGE_BYTES]);
    file.read_exact_at(&mut *page, number * PAGE_BYTES as u64).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => IndexError::Damaged,
        _ => IndexError::Disk(error),
    })?;
    Ok(page)
}
