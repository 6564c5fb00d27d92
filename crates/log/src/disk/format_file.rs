//! The `FORMAT` file of a folder: made when the folder is new, and told before something is written that an older program
//! would not understand.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use millstream_env::{Disk, Random};

use super::format::store::StoreFormat;
use super::options::OpenError;

#[derive(Debug)]
pub(super) struct FormatFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    format: Mutex<StoreFormat>,
    /// Features that it names, durably.
    written: AtomicU64,
}

impl FormatFile {
    pub(super) fn open(disk: &Arc<dyn Disk>, path: PathBuf, random: &Random) -> Result<Self, OpenError> {
        let failed = |source: io::Error| OpenError::Disk { path: path.clone(), source };
        let format = if disk.exists(&path).map_err(failed)? {
            let text = disk.read(&path).map_err(failed)?;
            StoreFormat::decode(&text).map_err(|source| OpenError::Format { path: path.clone(), source })?
        } else {
            let format = StoreFormat { store: u128::from_le_bytes(random.bytes()), features: 0 };
            disk.write_atomically(&path, format.encode().as_bytes()).map_err(failed)?;
            format
        };
        let written = AtomicU64::new(format.features);
        Ok(Self { disk: Arc::clone(disk), path, format: Mutex::new(format), written })
    }

    pub(super) fn store(&self) -> u128 {
        self.lock().store
    }

    /// Whether only programs that know `feature` open the folder.
    pub(super) fn has(&self, feature: u64) -> bool {
        self.written.load(Ordering::Acquire) & feature == feature
    }

    /// From now on, durably, only programs that know `feature` open the folder. Blocks.
    pub(super) fn require(&self, feature: u64) -> io::Result<()> {
        let mut format = self.lock();
        let wanted = StoreFormat { features: format.features | feature, ..*format };
        if wanted != *format {
            self.disk.write_atomically(&self.path, wanted.encode().as_bytes())?;
            *format = wanted;
            self.written.store(wanted.features, Ordering::Release);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StoreFormat> {
        self.format.lock().expect("no code panics while holding this lock")
    }
}
