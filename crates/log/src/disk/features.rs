//! The `FORMAT` file of an open log: it names a feature, durably, before the log uses it for the first time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use millstream_env::{Disk, Tasks};
use tokio::sync::Mutex;

use crate::contract::AppendError;

use super::format::store::StoreFormat;
use super::options::OpenError;

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("FORMAT")
}

pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<StoreFormat, OpenError> {
    let path = path(folder);
    let text = disk.read(&path).map_err(|source| OpenError::Disk { path: path.clone(), source })?;
    StoreFormat::decode(&text).map_err(|source| OpenError::Format { path, source })
}

#[derive(Debug)]
pub(super) struct Features {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// What is durable.
    written: AtomicU64,
    /// What the file says; held while it is written.
    format: Arc<Mutex<StoreFormat>>,
}

impl Features {
    pub(super) fn load(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, OpenError> {
        let format = read(&*disk, folder)?;
        Ok(Self {
            path: path(folder),
            disk,
            written: AtomicU64::new(format.features),
            format: Arc::new(Mutex::new(format)),
        })
    }

    pub(super) fn has(&self, feature: u64) -> bool {
        self.written.load(Ordering::Acquire) & feature == feature
    }

    /// Returns when the file names `feature`, durably.
    pub(super) async fn add(&self, feature: u64, tasks: &Tasks) -> Result<(), AppendError> {
        let mut format = Arc::clone(&self.format).lock_owned().await;
        if format.features & feature != feature {
            let (disk, path) = (Arc::clone(&self.disk), self.path.clone());
            // The lock goes along: a caller that goes away leaves the file to be written in peace.
            let write = tasks.blocking(move || {
                let wanted = StoreFormat { features: format.features | feature, ..*format };
                disk.write_atomically(&path, wanted.encode().as_bytes())?;
                *format = wanted;
                Ok(())
            });
            write.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| self.refuse(&error))?;
        }
        self.written.fetch_or(feature, Ordering::Release);
        Ok(())
    }

    fn refuse(&self, error: &io::Error) -> AppendError {
        tracing::error!(path = %self.path.display(), %error, "the format of the log cannot be written");
        if error.kind() == io::ErrorKind::StorageFull { AppendError::Full } else { AppendError::Unavailable }
    }
}
