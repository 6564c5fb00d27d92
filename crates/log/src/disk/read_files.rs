//! Files that are open for reading, a bounded number of them.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::{Access, Disk, DiskFile};

/// Files kept open. A read of more opens and closes.
const FILES_MAX: usize = 128;

/// Which file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Log,
    Index,
}

type OpenFile = (Part, u64, Arc<dyn DiskFile>);

#[derive(Debug, Default)]
pub(super) struct ReadFiles {
    /// Least recently used first.
    open: Mutex<VecDeque<OpenFile>>,
}

impl ReadFiles {
    /// The file, opened when it is not. `direct`: past the page cache where the file system can.
    pub(super) fn get(
        &self,
        disk: &dyn Disk,
        (part, segment): (Part, u64),
        path: &Path,
        direct: bool,
    ) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.known(part, segment) {
            return Ok(file);
        }
        let file = match disk.open(path, Access::Read, direct) {
            Err(error) if direct && error.kind() == io::ErrorKind::InvalidInput => {
                disk.open(path, Access::Read, false)?
            }
            other => other?,
        };
        // What the kernel would read ahead belongs to other shards.
        file.advise_random();
        let mut open = self.lock();
        open.push_back((part, segment, Arc::clone(&file)));
        while open.len() > FILES_MAX {
            open.pop_front();
        }
        Ok(file)
    }

    /// Lets go of a segment that is removed: an open file keeps its space.
    pub(super) fn forget(&self, segment: u64) {
        self.lock().retain(|(_, open, _)| *open != segment);
    }

    /// Lets go of an index that is written anew.
    pub(super) fn forget_index(&self, segment: u64) {
        self.lock().retain(|(part, open, _)| *open != segment || *part != Part::Index);
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn known(&self, part: Part, segment: u64) -> Option<Arc<dyn DiskFile>> {
        let mut open = self.lock();
        let index = open.iter().rposition(|(p, s, _)| *p == part && *s == segment)?;
        let found = open.remove(index)?;
        let file = Arc::clone(&found.2);
        open.push_back(found);
        Some(file)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<OpenFile>> {
        self.open.lock().expect("no code panics while holding this lock")
    }
}
