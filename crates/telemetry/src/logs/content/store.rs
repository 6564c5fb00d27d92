//! All groups together: opened when they are first used, synced, expired and capped in the background.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_env::Tasks;

use super::event::NewEvent;
use super::group::{GroupContent, StreamSummary, folder_name};
use super::query::{Found, Query};
use super::storage::{Files, Storage};

/// The events of all groups. Cheap to clone; blocking work runs off the asynchronous threads.
#[derive(Clone, Debug)]
pub(crate) struct ContentStore {
    shared: Arc<Shared>,
    tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    files: Files,
    groups: Mutex<Groups>,
    total_bytes: AtomicU64,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct Groups {
    open: HashMap<u64, Arc<Mutex<GroupContent>>>,
    /// Deleted since the start: an id is never used again, and who still holds one must not bring its folder back.
    deleted: HashSet<u64>,
}

/// Events were not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the log group was deleted")]
    Deleted,
    #[error("{0}")]
    Storage(#[from] io::Error),
}

impl ContentStore {
    /// Opens what is there and removes the folders of groups that are not among `known`. Blocks.
    pub(crate) fn open(storage: Storage, bytes_max: u64, known: &HashSet<u64>, tasks: Tasks) -> io::Result<Self> {
        let files = Files::open(storage)?;
        let mut total_bytes = 0;
        let known: HashSet<String> = known.iter().map(|id| folder_name(*id)).collect();
        for folder in files.groups()? {
            if known.contains(&folder) {
                total_bytes += files.segments(&folder)?.iter().map(|(_, length)| length).sum::<u64>();
            } else {
                files.remove_group(&folder)?;
            }
        }
        let total_bytes = AtomicU64::new(total_bytes);
        let shared = Shared { files, groups: Mutex::default(), total_bytes, bytes_max };
        Ok(Self { shared: Arc::new(shared), tasks })
    }

    pub(crate) async fn append(
        &self,
        group: u64,
        stream: u64,
        ingestion: u64,
        events: Vec<NewEvent>,
    ) -> Result<(), AppendError> {
        self.blocking(move |shared| {
            let content = shared.group(group)?.ok_or(AppendError::Deleted)?;
            let mut content = lock(&content);
            if content.deleted {
                return Err(AppendError::Deleted);
            }
            let written = content.append(&shared.files, stream, ingestion, &events)?;
            shared.total_bytes.fetch_add(written, Ordering::Relaxed);
            Ok(())
        })
        .await
    }

    pub(crate) async fn query(&self, group: u64, query: Query) -> io::Result<Found> {
        self.blocking(move |shared| {
            let Some(content) = shared.group(group)? else { return Ok(Found::default()) };
            let (folder, candidates) = {
                let content = lock(&content);
                (content.folder.clone(), query.candidates(&content.segments))
            };
            query.run(&shared.files, &folder, &candidates)
        })
        .await
    }

    pub(crate) async fn stored_bytes(&self, group: u64) -> io::Result<u64> {
        self.blocking(move |shared| Ok(shared.group(group)?.map_or(0, |content| lock(&content).stored_bytes()))).await
    }

    /// The times of all streams that have events, by the streams' ids.
    pub(crate) async fn stream_summaries(&self, group: u64) -> io::Result<HashMap<u64, StreamSummary>> {
        self.blocking(move |shared| {
            Ok(shared.group(group)?.map_or_else(HashMap::new, |content| lock(&content).streams()))
        })
        .await
    }

    pub(crate) async fn delete(&self, group: u64) -> io::Result<()> {
        self.blocking(move |shared| {
            let content = shared.group(group)?;
            shared.lock().deleted.insert(group);
            shared.lock().open.remove(&group);
            let mut freed = 0;
            if let Some(content) = content {
                let mut content = lock(&content);
                content.deleted = true;
                freed = content.stored_bytes();
            }
            shared.files.remove_group(&folder_name(group))?;
            shared.total_bytes.fetch_sub(freed, Ordering::Relaxed);
            Ok(())
        })
        .await
    }

    /// Makes durable what was written.
    pub(crate) async fn sync(&self) -> io::Result<()> {
        self.blocking(Shared::sync).await
    }

    /// Removes the segments of a group that hold only events before `horizon`.
    pub(crate) async fn expire(&self, group: u64, horizon: u64) -> io::Result<()> {
        self.blocking(move |shared| {
            let Some(content) = shared.group(group)? else { return Ok(()) };
            let freed = lock(&content).expire(&shared.files, horizon)?;
            shared.total_bytes.fetch_sub(freed, Ordering::Relaxed);
            Ok(())
        })
        .await
    }

    /// Removes the oldest segments of all of `groups` until the cap holds.
    pub(crate) async fn enforce_cap(&self, groups: Vec<u64>) -> io::Result<()> {
        self.blocking(move |shared| shared.enforce_cap(&groups)).await
    }

    pub(crate) fn is_over_cap(&self) -> bool {
        self.shared.total_bytes.load(Ordering::Relaxed) > self.shared.bytes_max
    }

    async fn blocking<T: Send + 'static, E: Send + From<io::Error> + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let shared = Arc::clone(&self.shared);
        match self.tasks.blocking(move || work(&shared)).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error).into()),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().expect("no code panics while holding this lock")
    }

    /// A group's content, read from its files when it is first used; `None` when it was deleted.
    fn group(&self, id: u64) -> io::Result<Option<Arc<Mutex<GroupContent>>>> {
        {
            let groups = self.lock();
            if groups.deleted.contains(&id) {
                return Ok(None);
            }
            if let Some(content) = groups.open.get(&id) {
                return Ok(Some(Arc::clone(content)));
            }
        }
        let content = GroupContent::open(&self.files, id)?;
        let mut groups = self.lock();
        if groups.deleted.contains(&id) {
            return Ok(None);
        }
        Ok(Some(Arc::clone(groups.open.entry(id).or_insert_with(|| Arc::new(Mutex::new(content))))))
    }

    fn sync(&self) -> io::Result<()> {
        let open: Vec<_> = self.lock().open.values().cloned().collect();
        for content in open {
            let unsynced: Vec<(String, String)> = {
                let mut content = lock(&content);
                let folder = content.folder.clone();
                let unsynced = content.segments.iter_mut().filter(|segment| segment.unsynced);
                unsynced
                    .map(|segment| {
                        segment.unsynced = false;
                        (folder.clone(), segment.name())
                    })
                    .collect()
            };
            for (folder, name) in unsynced {
                self.files.sync(&folder, &name)?;
            }
        }
        Ok(())
    }

    fn enforce_cap(&self, groups: &[u64]) -> io::Result<()> {
        while self.total_bytes.load(Ordering::Relaxed) > self.bytes_max {
            let mut oldest: Option<(u64, Arc<Mutex<GroupContent>>)> = None;
            for id in groups {
                let Some(content) = self.group(*id)? else { continue };
                let Some(ingestion) = lock(&content).oldest_ingestion() else { continue };
                if oldest.as_ref().is_none_or(|(other, _)| ingestion < *other) {
                    oldest = Some((ingestion, content));
                }
            }
            let Some((_, content)) = oldest else { return Ok(()) };
            let freed = lock(&content).remove_oldest(&self.files)?;
            self.total_bytes.fetch_sub(freed, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn lock(content: &Mutex<GroupContent>) -> MutexGuard<'_, GroupContent> {
    content.lock().expect("no code panics while holding this lock")
}
