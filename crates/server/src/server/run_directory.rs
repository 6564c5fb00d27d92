//! The run directory: code and scratch space of functions, outside the data folder, which only its owner may enter.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use millstream_env::{Access, Disk, DiskFile, Random};

const PREFIX: &str = "millstream-run-";
const LOCK: &str = "LOCK";
/// Where run directories are made: on disk rather than in memory, since unpacked code can be large.
const DEFAULT_PARENT: &str = "/var/tmp";

/// A run directory of this process, removed by [`RunDirectory::remove`], or by the next server after a crash.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    _lock: Arc<dyn DiskFile>,
}

impl RunDirectory {
    /// Makes one under `parent`, after removing those that dead servers of this user left there.
    pub(crate) fn make(disk: &Arc<dyn Disk>, parent: Option<&Path>, random: &Random) -> anyhow::Result<Self> {
        let parent = parent.map_or_else(default_parent, Path::to_owned);
        remove_abandoned(&**disk, &parent);
        let path = parent.join(format!("{PREFIX}{:016x}", random.u64()));
        let make = || -> std::io::Result<Self> {
            // Functions' users pass through it to what is theirs, but cannot list it.
            std::fs::DirBuilder::new().mode(0o711).create(&path)?;
            let lock = disk.open(&path.join(LOCK), Access::CreateNew, false)?;
            lock.try_lock()?;
            Ok(Self { path: path.clone(), disk: Arc::clone(disk), _lock: lock })
        };
        make().with_context(|| format!("the run directory {} cannot be made; see --run-dir", path.display()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn remove(self) {
        if let Err(error) = self.disk.remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the run directory could not be removed");
        }
    }
}

fn default_parent() -> PathBuf {
    let disk_place = Path::new(DEFAULT_PARENT);
    if disk_place.is_dir() { disk_place.to_owned() } else { std::env::temp_dir() }
}

fn remove_abandoned(disk: &dyn Disk, parent: &Path) {
    for name in disk.list(parent).unwrap_or_default() {
        let path = parent.join(&name);
        // Those of other users cannot be opened; those of live servers are locked.
        let abandoned = name.starts_with(PREFIX)
            && disk.open(&path.join(LOCK), Access::Write, false).is_ok_and(|lock| lock.try_lock().unwrap_or(false));
        if abandoned && disk.remove_dir_all(&path).is_ok() {
            tracing::info!(path = %path.display(), "removed the run directory of a server that ended early");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use millstream_env::RealDisk;

    use super::*;

    #[test]
    fn run_directories_can_be_entered_and_only_dead_ones_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let make = || RunDirectory::make(&disk, Some(parent.path()), &Random::system()).unwrap();
        let (first, second) = (make(), make());
        assert!(first.path().exists(), "its server lives");
        assert_eq!(std::fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o711);
        let (left, removed) = (first.path().to_owned(), second.path().to_owned());
        second.remove();
        assert!(!removed.exists());
        drop(first);
        let third = make();
        assert!(!left.exists() && third.path().exists());
    }
}
