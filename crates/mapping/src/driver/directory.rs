//! Where the workers of each mapping can be asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use millstream_types::ShardId;
use tokio::sync::mpsc;

use super::worker::Request;

type Lines = BTreeMap<ShardId, mpsc::Sender<Request>>;

/// The lines to all workers of this process, by UUID and shard.
#[derive(Debug, Default)]
pub(crate) struct Directory(Mutex<HashMap<Arc<str>, Lines>>);

impl Directory {
    pub(super) fn add(&self, uuid: &Arc<str>, shard: ShardId, line: mpsc::Sender<Request>) {
        self.lock().entry(Arc::clone(uuid)).or_default().insert(shard, line);
    }

    pub(super) fn remove(&self, uuid: &str, shard: ShardId) {
        let mut mappings = self.lock();
        if let Some(lines) = mappings.get_mut(uuid) {
            lines.remove(&shard);
            if lines.is_empty() {
                mappings.remove(uuid);
            }
        }
    }

    pub(super) fn remove_all(&self, uuid: &str) {
        self.lock().remove(uuid);
    }

    /// The lines to a mapping's workers: shards that are done with or wait for their parents have none.
    pub(crate) fn of(&self, uuid: &str) -> Lines {
        self.lock().get(uuid).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Lines>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}
