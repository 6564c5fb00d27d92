//! The built-in SQS: standard queues, durable in the catalog.
//!
//! - [`names`], [`settings`], [`record`]: what a queue is called, how it behaves, what is kept of it.
//! - [`index`]: where the messages of a queue stand, a state machine without I/O; in memory, built anew at the start
//!   ([`load`]). [`messages`]: what they hold. [`queue`]: both together, and who waits.
//! - [`operations`]: what the operations do.
//!
//! A send is acknowledged once the message is in the catalog, a deletion once it is out of it, and a receive once its
//! count and its visibility timeout are: after a crash every message stands where its last answer put it. A receipt handle
//! carries the number of its receive; only that of the last receive deletes.
//!
//! Not here: FIFO queues, dead-letter queues, encryption at rest: their attributes are refused.

mod failure;
mod index;
mod load;
mod messages;
mod names;
mod operations;
mod queue;
mod record;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use millstream_blobs::SharedBlobs;
use millstream_catalog::SharedStore;
use millstream_env::{HostClock, Random, ServiceClock, Tasks};
use millstream_types::{Arn, Region};

use crate::finish::finish;
pub(crate) use failure::Failure;
pub use load::OpenError;
use messages::Messages;
pub(crate) use names::{QueueKey, is_fifo};
pub(crate) use operations::NewMessage;
use queue::Queue;

/// Queues of all accounts and regions.
pub(crate) const QUEUES_MAX: usize = 10_000;
/// Receives that wait for a message, of all queues.
pub(crate) const WAITING_MAX: usize = 2_000;
/// How often messages are looked for whose retention is over.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);
/// Deletions under way at once, of one purge or sweep.
const DELETIONS_MAX: usize = 64;

/// What the queues work with.
#[derive(Debug)]
pub struct Parts {
    pub catalog: SharedStore,
    /// Long contents of messages: a store of their own.
    pub blobs: SharedBlobs,
    pub clock: ServiceClock,
    pub host_clock: HostClock,
    pub random: Random,
    /// What is begun is finished in it, also when the caller goes away.
    pub tasks: Tasks,
    /// Receives that wait end when this is told to stop.
    pub requests: Tasks,
}

/// The queues of all accounts and regions. A cheap handle.
#[derive(Clone, Debug)]
pub struct Queues {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    messages: Messages,
    clock: ServiceClock,
    host_clock: HostClock,
    random: Random,
    tasks: Tasks,
    requests: Tasks,
    queues: RwLock<HashMap<QueueKey, Arc<Queue>>>,
    waiting: AtomicUsize,
    /// Messages of all queues.
    stored: Arc<AtomicUsize>,
}

impl Queues {
    /// Opens the queues in the catalog, and begins to delete messages whose retention is over.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        let Parts { catalog, blobs, clock, host_clock, random, tasks, requests } = parts;
        let stored = Arc::new(AtomicUsize::new(0));
        let queues = load::load(&catalog, &blobs, &stored, clock.now()).await?;
        let shared = Arc::new(Shared {
            messages: Messages { catalog, blobs },
            clock,
            host_clock,
            random,
            tasks,
            requests,
            queues: RwLock::new(queues),
            waiting: AtomicUsize::new(0),
            stored,
        });
        let queues = Self { shared };
        queues.shared.tasks.spawn_dropped_on_cancel(queues.clone().sweep());
        Ok(queues)
    }

    /// The ARN of the queue that a URL names, for a caller in `region`; `None` when it names none.
    pub fn arn_of_url(url: &str, region: &Region) -> Option<Arn> {
        QueueKey::from_url(url, region).ok().map(|key| key.arn())
    }

    /// The policy of a queue.
    pub fn policy(&self, arn: &Arn) -> Option<String> {
        self.find(&QueueKey::from_arn(arn)?).ok()?.record().settings.policy.clone()
    }

    fn find(&self, key: &QueueKey) -> Result<Arc<Queue>, Failure> {
        self.read().get(key).cloned().ok_or(Failure::QueueDoesNotExist)
    }

    /// Takes a deleted queue out of memory; not a newer one of its name.
    fn forget(&self, queue: &Arc<Queue>) {
        let mut queues = self.write();
        if queues.get(&queue.key).is_some_and(|found| Arc::ptr_eq(found, queue)) {
            queues.remove(&queue.key);
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<QueueKey, Arc<Queue>>> {
        self.shared.queues.read().expect("no code panics while holding this lock")
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<QueueKey, Arc<Queue>>> {
        self.shared.queues.write().expect("no code panics while holding this lock")
    }

    /// Runs work to its end even when the caller goes away: catalog and memory must not part. The gateway does not count
    /// requests for queues, because a receive that waits is not at work; so everything that changes something is done here.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        finish(&self.shared.tasks, self.shared.clock.activity(), work).await
    }

    /// Deletes messages that the index knows no more, in the background; what a crash leaves is deleted at the next start.
    fn delete_later(&self, queue_id: &str, sequences: Vec<index::Sequence>) {
        if sequences.is_empty() {
            return;
        }
        let (messages, queue_id) = (self.shared.messages.clone(), queue_id.to_owned());
        self.shared.tasks.spawn_dropped_on_cancel(async move {
            for some in sequences.chunks(DELETIONS_MAX) {
                let all = futures_util::future::join_all(some.iter().map(|one| messages.delete(&queue_id, *one))).await;
                if let Some(error) = all.into_iter().find_map(Result::err) {
                    tracing::warn!(queue = %queue_id, ?error, "some deleted messages stay in the catalog until the next start");
                    return;
                }
            }
        });
    }

    async fn sweep(self) {
        loop {
            self.shared.clock.sleep(SWEEP_INTERVAL).await;
            let queues: Vec<Arc<Queue>> = self.read().values().cloned().collect();
            for queue in queues {
                self.expire(&queue);
            }
        }
    }

    fn expire(&self, queue: &Queue) {
        self.delete_later(&queue.id, queue.expire(self.shared.clock.now()));
    }
}

/// The tags that a queue has after some were added.
const TAGS_MAX: usize = 50;

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Failure> {
    if tags.len() > TAGS_MAX {
        return Err(Failure::Parameter(format!("Too many tags: a queue can have up to {TAGS_MAX}.")));
    }
    let valid =
        |(key, value): (&String, &String)| (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
    match tags.iter().find(|(key, value)| !valid((key, value))) {
        None => Ok(()),
        Some((key, _)) => {
            Err(Failure::Parameter(format!("Tag {key} is invalid: keys have 1 to 128 characters, values up to 256.")))
        }
    }
}
