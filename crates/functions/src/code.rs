//! Code: archives as blobs, unpacked once per digest into the run directory, removed from both when nothing refers to them.

pub(crate) mod archive;
mod download;
mod merge;

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use millstream_blobs::{BlobError, Digest, SharedBlobs};
use millstream_env::{HostClock, Tasks};
use millstream_wire::CommonError;
use tokio::sync::{OnceCell, RwLock, Semaphore};

use crate::failure::Failure;
use crate::record::Code;
use archive::{ArchiveError, UNZIPPED_BYTES_MAX};
pub(crate) use download::Downloads;
pub(crate) use merge::merged;

/// Largest archive that a request may carry (Lambda quotas).
const ZIPPED_BYTES_MAX: usize = 52_428_800;
/// Archives being unpacked at once: each may keep a core busy for a second.
const UNPACKING_MAX: usize = 2;
/// Code that nothing refers to is kept this long: an invocation of it may still be running (at most 15 minutes), or the
/// request that brought it may not have stored its reference yet.
const UNREFERENCED_KEPT: Duration = Duration::from_mins(30);

/// The code of all functions.
#[derive(Debug)]
pub(crate) struct CodeStore {
    blobs: SharedBlobs,
    folder: PathBuf,
    tasks: Tasks,
    clock: HostClock,
    unpacking: Semaphore,
    /// Held for writing while unused code is removed, so that the same code is not brought again at that moment. Made to
    /// be held while waiting, unlike `state`.
    removal: RwLock<()>,
    next_new: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Digests whose code is unpacked, or being unpacked by the first who asked.
    unpacked: HashMap<Digest, Arc<OnceCell<()>>>,
    /// Since when nothing has referred to a digest.
    unreferenced: HashMap<Digest, Duration>,
}

impl CodeStore {
    /// Takes over `folder`, whose content is thrown away: a crash may have left it half written. Blocks.
    pub(crate) fn open(blobs: SharedBlobs, folder: PathBuf, tasks: Tasks, clock: HostClock) -> io::Result<Self> {
        if fs::exists(&folder)? {
            fs::remove_dir_all(&folder)?;
        }
        make_folder(&folder)?;
        Ok(Self {
            blobs,
            folder,
            tasks,
            clock,
            unpacking: Semaphore::new(UNPACKING_MAX),
            removal: RwLock::new(()),
            next_new: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// Checks an uploaded archive by unpacking it, and stores it.
    pub(crate) async fn add(&self, archive: Bytes) -> Result<Code, Failure> {
        let code = self.check(archive.clone()).await?;
        let _stays = self.removal.read().await;
        self.blobs.put(archive).await?;
        Ok(code)
    }

    /// Checks an uploaded archive by unpacking it.
    pub(crate) async fn check(&self, archive: Bytes) -> Result<Code, Failure> {
        if archive.is_empty() {
            return Err(Failure::InvalidParameterValue("Uploaded file must be a non-empty zip".to_owned()));
        }
        if archive.len() > ZIPPED_BYTES_MAX {
            let text = format!("Zipped size must be smaller than {ZIPPED_BYTES_MAX} bytes");
            return Err(Failure::Common(CommonError::RequestTooLarge(text)));
        }
        let code = Code { digest: Digest::of(&archive), bytes: archive.len() as u64 };
        self.unpacked(code.digest, Some(archive)).await?;
        Ok(code)
    }

    /// The folder with the unpacked code.
    pub(crate) async fn folder(&self, digest: Digest) -> Result<PathBuf, Failure> {
        self.unpacked(digest, None).await?;
        Ok(self.path(digest))
    }

    /// The folder with the content of layers, one over the other; `None` without any.
    pub(crate) async fn layers(&self, layers: &[Digest]) -> Result<Option<PathBuf>, Failure> {
        let mut folders = Vec::new();
        for digest in layers {
            folders.push(self.folder(*digest).await?);
        }
        if folders.len() < 2 {
            return Ok(folders.pop());
        }
        let digest = merged(layers);
        let fill = move |new: &Path| {
            folders.iter().try_for_each(|folder| merge::lay_over(folder, new)).map_err(ArchiveError::from)
        };
        self.once(digest, || self.make(digest, fill)).await?;
        Ok(Some(self.path(digest)))
    }

    /// What the unpacked files take up together.
    pub(crate) async fn unzipped_bytes(&self, digest: Digest) -> Result<u64, Failure> {
        let folder = self.folder(digest).await?;
        let counted = self.tasks.blocking(move || merge::bytes_in(&folder)).await;
        let counted = counted.map_err(io::Error::other).and_then(|result| result);
        counted.map_err(|error| Failure::Common(CommonError::Unavailable(error.to_string())))
    }

    pub(crate) async fn archive(&self, digest: Digest) -> Result<Option<Bytes>, BlobError> {
        self.blobs.get(digest).await
    }

    /// Removes what has not been referred to for a while; `referenced` is everything that is now.
    pub(crate) async fn sweep(&self, referenced: &HashSet<Digest>) -> Result<(), BlobError> {
        self.sweep_at(referenced, self.clock.monotonic()).await
    }

    async fn sweep_at(&self, referenced: &HashSet<Digest>, now: Duration) -> Result<(), BlobError> {
        let _alone = self.removal.write().await;
        let stored = self.blobs.list().await?;
        for digest in self.expired(referenced, stored, now) {
            self.blobs.delete(digest).await?;
            let path = self.path(digest);
            let removed = self.tasks.blocking(move || remove_folder(&path)).await;
            if let Err(error) = removed.map_err(io::Error::other).and_then(|result| result) {
                tracing::warn!(%digest, %error, "unused code could not be removed from the run directory");
            }
        }
        Ok(())
    }

    /// Forgets the digests whose time is over, and notes since when the others have been unreferenced.
    fn expired(&self, referenced: &HashSet<Digest>, stored: Vec<Digest>, now: Duration) -> Vec<Digest> {
        let mut state = self.lock();
        let mut candidates: HashSet<Digest> = stored.into_iter().collect();
        candidates.extend(state.unpacked.keys());
        candidates.retain(|digest| !referenced.contains(digest));
        state.unreferenced.retain(|digest, _| candidates.contains(digest));
        candidates.retain(|digest| {
            let since = *state.unreferenced.entry(*digest).or_insert(now);
            now.saturating_sub(since) >= UNREFERENCED_KEPT
        });
        for digest in &candidates {
            state.unreferenced.remove(digest);
            state.unpacked.remove(digest);
        }
        candidates.into_iter().collect()
    }

    /// Unpacks once, whoever asks; from `archive`, or else from the blob.
    async fn unpacked(&self, digest: Digest, archive: Option<Bytes>) -> Result<(), Failure> {
        self.once(digest, || self.unpack(digest, archive)).await
    }

    /// Makes a folder by the first who asks, while the others wait.
    async fn once<F>(&self, digest: Digest, make: impl FnOnce() -> F) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let _stays = self.removal.read().await;
        let once = {
            let mut state = self.lock();
            state.unreferenced.remove(&digest);
            Arc::clone(state.unpacked.entry(digest).or_default())
        };
        once.get_or_try_init(make).await.copied()
    }

    async fn unpack(&self, digest: Digest, archive: Option<Bytes>) -> Result<(), Failure> {
        let archive = match archive {
            Some(archive) => archive,
            None => self.blobs.get(digest).await?.ok_or_else(|| {
                Failure::Common(CommonError::InternalFailure(format!("the code {digest} is missing")))
            })?,
        };
        self.make(digest, move |new| archive::unpack(&archive, new)).await
    }

    /// Makes the folder of `digest`: `fill` fills a new one, which then takes its place.
    async fn make(
        &self,
        digest: Digest,
        fill: impl FnOnce(&Path) -> Result<(), ArchiveError> + Send + 'static,
    ) -> Result<(), Failure> {
        let _turn = self.unpacking.acquire().await.expect("the semaphore is never closed");
        let path = self.path(digest);
        let new = self.folder.join(format!("new-{}", self.next_new.fetch_add(1, Ordering::Relaxed)));
        let unpacking = self.tasks.blocking(move || {
            let result = make_folder(&new)
                .map_err(ArchiveError::from)
                .and_then(|()| fill(&new))
                .and_then(|()| Ok(move_into_place(&new, &path)?));
            if result.is_err() {
                // Best effort: the next start removes it in any case.
                let _ = remove_folder(&new);
            }
            result
        });
        match unpacking.await {
            Ok(result) => result.map_err(|error| refusal(&error)),
            Err(error) => Err(Failure::Common(CommonError::InternalFailure(error.to_string()))),
        }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.folder.join(digest.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

fn refusal(error: &ArchiveError) -> Failure {
    match error {
        ArchiveError::Invalid(reason) => {
            tracing::info!(%reason, "an uploaded archive was refused");
            Failure::InvalidParameterValue(
                "Could not unzip uploaded file. Please check your file, then try to upload again.".to_owned(),
            )
        }
        ArchiveError::TooLarge => {
            Failure::InvalidParameterValue(format!("Unzipped size must be smaller than {UNZIPPED_BYTES_MAX} bytes"))
        }
        ArchiveError::Io(error) => Failure::Common(CommonError::Unavailable(error.to_string())),
    }
}

/// Functions run as other users: they may enter and read, not write.
fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

#[expect(clippy::disallowed_methods, reason = "the run directory belongs to processes; see the archive module")]
fn move_into_place(new: &Path, path: &Path) -> io::Result<()> {
    fs::rename(new, path)
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use millstream_blobs::MemoryBlobs;

    use super::*;
    use crate::testing::zip_of;

    fn open(folder: &Path) -> CodeStore {
        let blobs = Arc::new(MemoryBlobs::new());
        CodeStore::open(blobs, folder.join("code"), Tasks::new(), HostClock::real()).unwrap()
    }

    fn archive(content: &str) -> Bytes {
        zip_of(&[("app.py", 0o644, content)]).into()
    }

    #[tokio::test]
    async fn code_is_unpacked_once_and_again_after_a_restart() {
        let run = tempfile::tempdir().unwrap();
        let store = open(run.path());
        let code = store.add(archive("1")).await.unwrap();
        let folder = store.folder(code.digest).await.unwrap();
        assert_eq!(fs::read_to_string(folder.join("app.py")).unwrap(), "1");

        let blobs = Arc::clone(&store.blobs);
        let store = CodeStore::open(blobs, run.path().join("code"), Tasks::new(), HostClock::real()).unwrap();
        assert!(!folder.exists());
        assert_eq!(store.folder(code.digest).await.unwrap(), folder);
        assert_eq!(fs::read_to_string(folder.join("app.py")).unwrap(), "1");
    }

    #[tokio::test]
    async fn refused_archives_leave_nothing() {
        let run = tempfile::tempdir().unwrap();
        let store = open(run.path());
        let expected = "Could not unzip uploaded file. Please check your file, then try to upload again.";
        let refused = store.add(Bytes::from_static(b"PK not a zip")).await;
        assert_eq!(refused, Err(Failure::InvalidParameterValue(expected.to_owned())));
        let large = Bytes::from(vec![0; ZIPPED_BYTES_MAX + 1]);
        let refused = store.add(large).await;
        let expected = CommonError::RequestTooLarge("Zipped size must be smaller than 52428800 bytes".to_owned());
        assert_eq!(refused, Err(Failure::Common(expected)));
        assert_eq!(fs::read_dir(run.path().join("code")).unwrap().count(), 0);
        assert_eq!(store.blobs.list().await.unwrap(), []);
    }

    #[tokio::test]
    async fn only_what_stays_unreferenced_is_removed() {
        let run = tempfile::tempdir().unwrap();
        let store = open(run.path());
        let kept = store.add(archive("kept")).await.unwrap().digest;
        let gone = store.add(archive("gone")).await.unwrap().digest;
        let referenced = HashSet::from([kept]);
        let noted = store.clock.monotonic();
        store.sweep_at(&referenced, noted).await.unwrap();
        store.sweep_at(&referenced, noted + UNREFERENCED_KEPT / 2).await.unwrap();
        assert!(store.path(gone).exists(), "its time is not over");
        store.sweep_at(&referenced, noted + UNREFERENCED_KEPT).await.unwrap();
        assert!(!store.path(gone).exists());
        assert_eq!(store.blobs.list().await.unwrap(), [kept]);
        assert!(store.path(kept).exists());

        // Used again in between, it has its whole time again.
        let again = store.add(archive("gone")).await.unwrap().digest;
        store.sweep_at(&referenced, noted).await.unwrap();
        store.sweep_at(&HashSet::from([kept, again]), noted + UNREFERENCED_KEPT / 2).await.unwrap();
        store.sweep_at(&referenced, noted + UNREFERENCED_KEPT).await.unwrap();
        assert!(store.path(again).exists());
    }
}
