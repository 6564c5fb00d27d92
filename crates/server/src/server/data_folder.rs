//! The data folder: private, one server's at a time, invisible to version control.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use millstream_env::{Access, Disk, DiskFile};

const LOCK: &str = "LOCK";

/// A data folder that this process holds until the value is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    _lock: Arc<dyn DiskFile>,
}

impl DataFolder {
    /// Makes the folder when it does not exist, and takes it.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> anyhow::Result<Self> {
        Self::take(disk, path).with_context(|| format!("the data folder {} cannot be used", path.display()))
    }

    fn take(disk: &dyn Disk, path: &Path) -> anyhow::Result<Self> {
        disk.create_dir_all(path)?;
        let names = disk.list(path)?;
        if !names.is_empty() && !names.iter().any(|name| name == LOCK) {
            anyhow::bail!("it holds something else ({}); name an empty or a new folder", names[0]);
        }
        let lock = disk.open(&path.join(LOCK), Access::OpenOrCreate, false)?;
        if !lock.try_lock()? {
            anyhow::bail!("it is in use by another server{}; stop that one or name another folder", holder(&*lock));
        }
        lock.set_len(0)?;
        lock.write_all_at(std::process::id().to_string().as_bytes(), 0)?;
        if !names.iter().any(|name| name == ".gitignore") {
            disk.write_atomically(&path.join(".gitignore"), b"*\n")?;
        }
        Ok(Self { _lock: lock })
    }
}

fn holder(lock: &dyn DiskFile) -> String {
    let mut bytes = [0; 20];
    let length = lock.read_at(&mut bytes, 0).unwrap_or(0);
    match std::str::from_utf8(&bytes[..length]) {
        Ok(process) if !process.is_empty() => format!(" (process {process})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use millstream_env::RealDisk;

    use super::*;

    #[test]
    fn a_new_folder_is_private_and_ignored() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let _folder = DataFolder::open(&RealDisk, &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(RealDisk.read(&path.join(".gitignore")).unwrap(), b"*\n");
    }

    #[test]
    fn a_second_server_is_told_who_holds_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let first = DataFolder::open(&RealDisk, parent.path()).unwrap();
        let error = format!("{:#}", DataFolder::open(&RealDisk, parent.path()).unwrap_err());
        assert!(error.contains(&format!("another server (process {})", std::process::id())), "{error}");
        drop(first);
        assert!(DataFolder::open(&RealDisk, parent.path()).is_ok());
    }

    #[test]
    fn a_folder_with_something_else_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        RealDisk.write_atomically(&parent.path().join("thesis.tex"), b"precious").unwrap();
        let error = format!("{:#}", DataFolder::open(&RealDisk, parent.path()).unwrap_err());
        assert!(error.contains("thesis.tex"), "{error}");
        assert_eq!(RealDisk.list(parent.path()).unwrap(), ["thesis.tex"]);
    }
}
