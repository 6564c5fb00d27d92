//! The open file: its tables, how values stand in them, reading, and opening again after a failure.

use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use bytes::Bytes;
use millstream_env::{Access, Disk, DiskFile};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::backend::Backend;
use super::{OpenError, RedbOptions, closed};
use crate::contract::{Page, Revision, StoreError, Versioned};
use crate::memory::{fill_page, first_key};

/// Key → revision (8 bytes, little endian) and value. The name is persisted: fixed.
pub(super) const VALUES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("values");
/// Numbers about the catalog itself. The name is persisted: fixed.
pub(super) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// In [`NUMBERS`]: the layout of the tables. Persisted: fixed.
const FORMAT: &str = "format";
/// In [`NUMBERS`]: the last revision given out. Persisted: fixed.
pub(super) const LAST_REVISION: &str = "last-revision";
const FORMAT_KNOWN: u64 = 1;
const REVISION_BYTES: usize = 8;

#[derive(Debug)]
pub(super) struct CatalogFile {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    options: RedbOptions,
    /// `None` while closed, or while a failed file could not be opened again. Held for reading during each use, so that
    /// nobody reads through an old database while a new one writes.
    database: RwLock<Option<Database>>,
    /// Something failed since the file was opened: it is to be opened again.
    failed: AtomicBool,
}

impl CatalogFile {
    pub(super) fn open(path: &Path, disk: &Arc<dyn Disk>, options: RedbOptions) -> Result<Self, OpenError> {
        let failed = |error: &dyn ToString| OpenError::Failed { path: path.to_owned(), reason: error.to_string() };
        let is_new = !disk.exists(path).map_err(|error| failed(&error))?;
        let file = disk.open(path, Access::OpenOrCreate, false).map_err(|error| failed(&error))?;
        if !file.try_lock().map_err(|error| failed(&error))? {
            return Err(OpenError::InUse(path.to_owned()));
        }
        if let Some(folder) = path.parent().filter(|_| is_new) {
            disk.sync_dir(folder).map_err(|error| failed(&error))?;
        }
        let catalog = Self {
            path: path.to_owned(),
            disk: Arc::clone(disk),
            file,
            options,
            database: RwLock::new(None),
            failed: AtomicBool::new(false),
        };
        let database = catalog.open_database().map_err(|error| failed(&error))?;
        match prepare(&database).map_err(|error| failed(&error))? {
            FORMAT_KNOWN => {}
            found => return Err(OpenError::Format { path: path.to_owned(), found, known: FORMAT_KNOWN }),
        }
        *catalog.database.write().expect("nothing else holds this lock yet") = Some(database);
        Ok(catalog)
    }

    /// Uses the open database.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = self.read_lock();
        let database = database.as_ref().ok_or_else(closed)?;
        work(database).map_err(|error| {
            self.failed.store(true, Ordering::Release);
            store_error(&error)
        })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            let found = table.get(key)?;
            found.map(|stored| decode(stored.value())).transpose()
        })
    }

    pub(super) fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            let mut failure = None;
            let items = table.range::<&str>((first_key(prefix, after), Bound::Unbounded))?.map_while(|item| {
                let read = item.map_err(redb::Error::from).and_then(|(key, stored)| {
                    let key = key.value();
                    if key.starts_with(prefix) { Ok(Some((key.to_owned(), decode(stored.value())?))) } else { Ok(None) }
                });
                read.unwrap_or_else(|error| {
                    failure = Some(error);
                    None
                })
            });
            let page = fill_page(limit, items);
            failure.map_or(Ok(page), Err)
        })
    }

    /// Whether the file system has too little left for a change.
    pub(super) fn is_full(&self) -> bool {
        let folder = self.path.parent().unwrap_or(&self.path);
        // When the question itself fails, the write will tell.
        self.disk.free_bytes(folder).is_ok_and(|free| free < self.options.free_bytes_min)
    }

    /// Opens the file anew if something failed; waits for readers in progress. `false` when there was no need.
    pub(super) fn reopen_failed(&self) -> Result<bool, StoreError> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(false);
        }
        let mut database = self.database.write().expect("no code panics while holding this lock");
        *database = None;
        *database = Some(self.open_database().map_err(|error| store_error(&error))?);
        self.failed.store(false, Ordering::Release);
        Ok(true)
    }

    pub(super) fn close(&self) {
        *self.database.write().expect("no code panics while holding this lock") = None;
    }

    fn open_database(&self) -> Result<Database, redb::Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(self.options.cache_bytes);
        Ok(builder.create_with_backend(Backend(Arc::clone(&self.file)))?)
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().expect("no code panics while holding this lock")
    }
}

/// Makes the tables of a new file; the format of the file.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = begin(database)?;
    let format = {
        transaction.open_table(VALUES)?;
        let mut numbers = transaction.open_table(NUMBERS)?;
        let found = numbers.get(FORMAT)?.map(|format| format.value());
        if let Some(format) = found {
            format
        } else {
            numbers.insert(FORMAT, FORMAT_KNOWN)?;
            FORMAT_KNOWN
        }
    };
    transaction.commit()?;
    Ok(format)
}

/// A transaction after which a crash needs no walk through the whole file.
pub(super) fn begin(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

pub(super) fn encode(revision: Revision, value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(REVISION_BYTES + value.len());
    stored.extend_from_slice(&revision.0.to_le_bytes());
    stored.extend_from_slice(value);
    stored
}

pub(super) fn decode(stored: &[u8]) -> Result<Versioned, redb::Error> {
    let (revision, value) = stored
        .split_first_chunk::<REVISION_BYTES>()
        .ok_or_else(|| redb::Error::Corrupted("a value is shorter than its revision".to_owned()))?;
    Ok(Versioned { revision: Revision(u64::from_le_bytes(*revision)), value: Bytes::copy_from_slice(value) })
}

pub(super) fn store_error(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            StoreError::Full
        }
        error => StoreError::Unavailable(error.to_string()),
    }
}
