//! The catalog in one redb file.
//!
//! ```text
//!   put, delete ──> bounded queue ──> commit thread: one transaction for all that wait ──> two syncs ──> answers, watchers
//!   get, list   ──> a read transaction on the caller's thread: the last committed state, a few pages from a small cache
//! ```
//!
//! After an I/O error redb refuses everything until the file is opened again, and whether the last transaction is in it
//! is only known then. The commit thread does that, at once and again before whatever comes next, so that a full or
//! failing disk that recovers needs no restart.

mod backend;
mod commit;
mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::{BoxFuture, Disk, Tasks};
use tokio::sync::{mpsc, oneshot};

use crate::contract::{Expect, MetaStore, Page, Revision, StoreError, Versioned};
use crate::memory::check_sizes;
use crate::watch::{Watch, Watchers};
use commit::{Command, Request};
use file::CatalogFile;

/// Changes that wait for the commit thread; beyond it callers wait.
const QUEUE_CHANGES_MAX: usize = 1024;

/// How the file is used.
#[derive(Clone, Copy, Debug)]
pub struct RedbOptions {
    /// Memory for cached pages.
    pub cache_bytes: usize,
    /// Changes are refused with [`StoreError::Full`] while the file system has less free than this, before the file can
    /// be left half written.
    pub free_bytes_min: u64,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache_bytes: 4 * 1024 * 1024, free_bytes_min: 32 * 1024 * 1024 }
    }
}

/// The catalog could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another process uses the catalog {0:?}")]
    InUse(PathBuf),
    #[error("the catalog {path:?} has format {found}, this version of millstream reads {known}")]
    Format { path: PathBuf, found: u64, known: u64 },
    #[error("cannot open the catalog {path:?}: {reason}")]
    Failed { path: PathBuf, reason: String },
}

/// A durable catalog.
#[derive(Debug)]
pub struct RedbStore {
    file: Arc<CatalogFile>,
    commands: mpsc::Sender<Command>,
    watchers: Arc<Watchers>,
}

impl RedbStore {
    /// Opens or creates the catalog at `path`, whose folder exists. Blocks for as long as redb recovers (milliseconds).
    pub fn open(path: &Path, disk: &Arc<dyn Disk>, options: RedbOptions) -> Result<Self, OpenError> {
        let failed = |error: &dyn ToString| OpenError::Failed { path: path.to_owned(), reason: error.to_string() };
        let file = Arc::new(CatalogFile::open(path, disk, options)?);
        let watchers = Arc::new(Watchers::default());
        let (commands, received) = mpsc::channel(QUEUE_CHANGES_MAX);
        let committer =
            commit::Committer::new(Arc::clone(&file), Arc::clone(&watchers)).map_err(|error| failed(&error))?;
        Tasks::thread("catalog-commit", move || committer.run(received)).map_err(|error| failed(&error))?;
        Ok(Self { file, commands, watchers })
    }

    /// Commits what waits and closes the file; everything after it is answered with [`StoreError::Unavailable`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close(done)).await.is_ok() {
            // An error means that the commit thread has ended, which is what is wanted.
            let _ = closed.await;
        }
    }

    /// Reads; when the file has failed, once more after it was opened again.
    async fn read<T>(&self, read: impl Fn(&CatalogFile) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match read(&self.file) {
            Err(StoreError::Unavailable(_)) => {}
            answer => return answer,
        }
        let (done, recovered) = oneshot::channel();
        self.commands.send(Command::Recover(done)).await.map_err(|_| closed())?;
        recovered.await.unwrap_or_else(|_| Err(closed()))?;
        read(&self.file)
    }

    async fn change(&self, key: &str, expect: Expect, value: Option<Bytes>) -> Result<Revision, StoreError> {
        check_sizes(key, value.as_deref().unwrap_or_default())?;
        let (answer, answered) = oneshot::channel();
        let request = Request { key: key.to_owned(), expect, value, answer };
        self.commands.send(Command::Change(request)).await.map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl MetaStore for RedbStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(self.read(move |file| file.get(key)))
    }

    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>> {
        Box::pin(self.change(key, expect, Some(value)))
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.change(key, Expect::Revision(revision), None).await.map(|_| ()) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(self.read(move |file| file.list(prefix, after, limit)))
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.watchers.watch(prefix)
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed, or its file cannot be opened".to_owned())
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
