//! Blobs as files: `<root>/<first two digits>/<digest>`, written beside under `<root>/new/` and renamed when synced.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millstream_env::{Access, BoxFuture, Disk, Tasks};

use crate::contract::{BlobError, BlobStore, check_size};
use crate::digest::Digest;

/// The folder of files that are being written. What a crash leaves there is removed by the next opening.
const NEW: &str = "new";

/// A durable store in a folder of its own.
#[derive(Clone, Debug)]
pub struct DiskBlobs {
    files: Arc<Files>,
    tasks: Tasks,
}

impl DiskBlobs {
    /// Opens or creates the store in `root`. Blocking work of the store runs in `tasks`. Blocks.
    pub fn open(root: &Path, disk: &Arc<dyn Disk>, tasks: Tasks) -> Result<Self, BlobError> {
        let files = Files { root: root.to_owned(), disk: Arc::clone(disk), next_new: AtomicU64::new(0) };
        files.prepare().map_err(|error| blob_error(&error))?;
        Ok(Self { files: Arc::new(files), tasks })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, BlobError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, BlobError>> {
        let files = Arc::clone(&self.files);
        let running = self.tasks.blocking(move || work(&files));
        Box::pin(async move { running.await.unwrap_or_else(|error| Err(BlobError::Unavailable(error.to_string()))) })
    }
}

impl BlobStore for DiskBlobs {
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>> {
        self.run(move |files| {
            check_size(&bytes)?;
            let digest = Digest::of(&bytes);
            files.put(digest, &bytes).map_err(|error| blob_error(&error))?;
            Ok(digest)
        })
    }

    fn get(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, BlobError>> {
        self.run(move |files| {
            let path = files.path(digest);
            if !files.disk.exists(&path).map_err(|error| blob_error(&error))? {
                return Ok(None);
            }
            let bytes = files.disk.read(&path).map_err(|error| blob_error(&error))?;
            if Digest::of(&bytes) == digest { Ok(Some(bytes.into())) } else { Err(BlobError::Damaged(digest)) }
        })
    }

    fn delete(&self, digest: Digest) -> BoxFuture<'_, Result<(), BlobError>> {
        self.run(move |files| match files.disk.remove_file(&files.path(digest)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(blob_error(&error)),
            _ => Ok(()),
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>> {
        self.run(|files| files.list().map_err(|error| blob_error(&error)))
    }
}

#[derive(Debug)]
struct Files {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    next_new: AtomicU64,
}

impl Files {
    fn prepare(&self) -> io::Result<()> {
        let new = self.root.join(NEW);
        if self.disk.exists(&new)? {
            self.disk.remove_dir_all(&new)?;
        }
        self.disk.create_dir_all(&new)?;
        self.disk.sync_dir(&self.root)
    }

    /// Every step may be repeated: a file under its final name is whole, whoever put it there.
    fn put(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(digest);
        let folder = path.parent().expect("a blob's path has a folder");
        if !self.disk.exists(folder)? {
            self.disk.create_dir_all(folder)?;
            self.disk.sync_dir(&self.root)?;
        }
        // A whole file may be there while its name is not durable yet, hence the sync below in both cases.
        if !self.is_whole(&path, bytes.len())? {
            let number = self.next_new.fetch_add(1, Ordering::Relaxed);
            let new = self.root.join(NEW).join(number.to_string());
            let written = self.write_new(&new, bytes).and_then(|()| self.disk.rename(&new, &path));
            if let Err(error) = written {
                // Gives the space back; when that fails too, the next opening does it.
                let _ = self.disk.remove_file(&new);
                return Err(error);
            }
        }
        self.disk.sync_dir(folder)
    }

    fn is_whole(&self, path: &Path, length: usize) -> io::Result<bool> {
        Ok(self.disk.exists(path)? && self.disk.open(path, Access::Read, false)?.len()? == length as u64)
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, Access::CreateNew, false)?;
        file.write_all_at(bytes, 0)?;
        file.sync()
    }

    fn list(&self) -> io::Result<Vec<Digest>> {
        let mut digests = Vec::new();
        for folder in self.disk.list(&self.root)? {
            if folder.len() == 2 {
                let names = self.disk.list(&self.root.join(folder))?;
                digests.extend(names.iter().filter_map(|name| name.parse::<Digest>().ok()));
            }
        }
        Ok(digests)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(name)
    }
}

fn blob_error(error: &io::Error) -> BlobError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => BlobError::Full,
        _ => BlobError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use millstream_env::{Random, RealDisk};
    use millstream_testkit::SimDisk;

    use super::*;

    fn open(root: &Path) -> DiskBlobs {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        DiskBlobs::open(root, &disk, Tasks::new()).unwrap()
    }

    fn fresh() -> (Arc<DiskBlobs>, tempfile::TempDir) {
        let root = tempfile::tempdir().unwrap();
        (Arc::new(open(root.path())), root)
    }

    crate::conformance_tests!(fresh());

    #[tokio::test]
    async fn blobs_survive_opening_and_leftovers_do_not() {
        let root = tempfile::tempdir().unwrap();
        let digest = open(root.path()).put(Bytes::from_static(b"code")).await.unwrap();
        let leftover = root.path().join(NEW).join("17");
        RealDisk.write_atomically(&leftover, b"half").unwrap();
        let blobs = open(root.path());
        assert!(!RealDisk.exists(&leftover).unwrap());
        assert_eq!(blobs.get(digest).await.unwrap().unwrap(), Bytes::from_static(b"code"));
    }

    #[tokio::test]
    async fn damage_is_reported_and_healed_by_putting_again() {
        let root = tempfile::tempdir().unwrap();
        let blobs = open(root.path());
        let digest = blobs.put(Bytes::from_static(b"code")).await.unwrap();
        let path = blobs.files.path(digest);
        RealDisk.open(&path, Access::Write, false).unwrap().write_all_at(b"C", 0).unwrap();
        assert_eq!(blobs.get(digest).await, Err(BlobError::Damaged(digest)));
        RealDisk.open(&path, Access::Write, false).unwrap().set_len(2).unwrap();
        assert_eq!(blobs.get(digest).await, Err(BlobError::Damaged(digest)));
        blobs.put(Bytes::from_static(b"code")).await.unwrap();
        assert_eq!(blobs.get(digest).await.unwrap().unwrap(), Bytes::from_static(b"code"));
    }

    #[tokio::test]
    async fn acknowledged_blobs_survive_power_cuts_and_no_half_ones_appear() {
        for seed in 0..200 {
            let (sim, random) = (SimDisk::new(seed), Random::seeded(seed));
            let disk: Arc<dyn Disk> = Arc::new(sim.clone());
            disk.create_dir_all(Path::new("/data/blobs")).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.sync_dir(Path::new("/data")).unwrap();
            let mut acknowledged = Vec::new();
            for _ in 0..3 {
                sim.power_off_after(u64::from(random.below(80)));
                while !sim.is_off() {
                    let Ok(blobs) = DiskBlobs::open(Path::new("/data/blobs"), &disk, Tasks::new()) else { break };
                    let bytes = Bytes::from(random.u64().to_le_bytes().repeat(random.below(1000) as usize));
                    acknowledged.extend(blobs.put(bytes).await.ok());
                }
                sim.restart();
                let blobs = DiskBlobs::open(Path::new("/data/blobs"), &disk, Tasks::new()).unwrap();
                for digest in &acknowledged {
                    assert!(blobs.get(*digest).await.unwrap().is_some(), "seed {seed}: {digest} is gone");
                }
                for digest in blobs.list().await.unwrap() {
                    assert!(blobs.get(digest).await.is_ok(), "seed {seed}: {digest} is half there");
                }
            }
        }
    }
}
