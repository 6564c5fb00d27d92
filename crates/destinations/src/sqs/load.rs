//! The queues as a former process left them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use millstream_blobs::{BlobError, Digest, SharedBlobs};
use millstream_catalog::{PAGE_ITEMS_MAX, Page, Revision, SharedStore, StoreError};
use millstream_env::Timestamp;

use super::index::{Arrival, Index, Sequence};
use super::names::QueueKey;
use super::queue::Queue;
use super::record::{BadRecord, MESSAGES, MessageRecord, QUEUES, QueueRecord, decode, parse_message_key};

/// The queues cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the catalog cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("the contents of messages cannot be read: {0}")]
    Blobs(#[from] BlobError),
}

/// How many milliseconds apart two starts have to be to give out different sequences: a start begins at its moment times
/// 2^20, so that a receipt handle from before never means a message from after.
const SEQUENCE_BITS_PER_MILLISECOND: u32 = 20;

struct Loading {
    key: QueueKey,
    revision: Revision,
    record: QueueRecord,
    index: Index,
}

/// Reads everything, and deletes what is left over of deletions and purges that were interrupted.
///
/// What cannot be read is left out and stays where it is, and so does all that might belong to it.
pub(crate) async fn load(
    catalog: &SharedStore,
    blobs: &SharedBlobs,
    stored: &Arc<AtomicUsize>,
    now: Timestamp,
) -> Result<HashMap<QueueKey, Arc<Queue>>, OpenError> {
    let mut loaded = Loaded { is_whole: true, ..Loaded::default() };
    loaded.read_queues(catalog, stored, now).await?;
    loaded.read_messages(catalog, now).await?;
    let Loaded { queues, referenced, is_whole } = loaded;
    if is_whole {
        for digest in blobs.list().await?.into_iter().filter(|digest| !referenced.contains(digest)) {
            blobs.delete(digest).await?;
        }
    }
    let queue = |loading: Loading| {
        let Loading { key, revision, record, index } = loading;
        (key.clone(), Arc::new(Queue::new(key, revision, record, index)))
    };
    Ok(queues.into_values().map(queue).collect())
}

/// The index of a queue that holds nothing yet.
pub(crate) fn new_index(stored: &Arc<AtomicUsize>, now: Timestamp) -> Index {
    let mut index = Index::counted_in(stored);
    index.start_after(now.millis() << SEQUENCE_BITS_PER_MILLISECOND);
    index
}

/// What was read so far.
#[derive(Default)]
struct Loaded {
    /// By id.
    queues: HashMap<String, Loading>,
    /// The blobs that messages refer to.
    referenced: HashSet<Digest>,
    /// Nothing was left out.
    is_whole: bool,
}

impl Loaded {
    async fn read_queues(
        &mut self,
        catalog: &SharedStore,
        stored: &Arc<AtomicUsize>,
        now: Timestamp,
    ) -> Result<(), OpenError> {
        let mut after = None;
        loop {
            let Page { items, more } = catalog.list(QUEUES, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (text, found) in &items {
                let Some((key, record)) = self.readable(queue(text, &found.value)) else { continue };
                let mut index = new_index(stored, now);
                index.start_after(record.purge.map_or(0, |purge| purge.last));
                self.queues.insert(record.id.clone(), Loading { key, revision: found.revision, record, index });
            }
            after = items.last().map(|(key, _)| key.clone());
            if !more {
                return Ok(());
            }
        }
    }

    async fn read_messages(&mut self, catalog: &SharedStore, now: Timestamp) -> Result<(), OpenError> {
        let mut after = None;
        loop {
            let Page { items, more } = catalog.list(MESSAGES, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (key, found) in &items {
                let place = parse_message_key(key);
                let queue = place.and_then(|(id, sequence)| Some((self.queues.get(id)?, sequence)));
                if queue.is_none_or(|(queue, sequence)| is_purged(&queue.record, sequence)) {
                    // Of a queue that was left out, or of none.
                    if self.is_whole || queue.is_some() {
                        catalog.delete(key, found.revision).await?;
                    }
                    continue;
                }
                self.read_message(key, &found.value, now);
            }
            after = items.last().map(|(key, _)| key.clone());
            if !more {
                return Ok(());
            }
        }
    }

    fn read_message(&mut self, key: &str, value: &[u8], now: Timestamp) {
        let Some(message) = self.readable(decode::<MessageRecord>(key, value)) else { return };
        self.referenced.extend(message.contents.digest());
        let MessageRecord { sent, bytes, receives, visible_at, .. } = message;
        let queue = parse_message_key(key).and_then(|(id, sequence)| Some((self.queues.get_mut(id)?, sequence)));
        let (queue, sequence) = queue.expect("only messages of queues are read");
        queue.index.restore(now, sequence, Arrival { sent, bytes, receives, visible_at });
    }

    /// Notes what has to be left out.
    fn readable<T>(&mut self, read: Result<T, BadRecord>) -> Option<T> {
        read.inspect_err(|error| {
            self.is_whole = false;
            tracing::error!(%error, "a queue or message cannot be read, and is left out");
        })
        .ok()
    }
}

fn queue(text: &str, value: &[u8]) -> Result<(QueueKey, QueueRecord), BadRecord> {
    let not_a_key = || BadRecord { key: text.to_owned(), reason: "not the key of a queue".to_owned() };
    Ok((QueueKey::parse(text).ok_or_else(not_a_key)?, decode(text, value)?))
}

fn is_purged(record: &QueueRecord, sequence: Sequence) -> bool {
    record.purge.is_some_and(|purge| sequence.0 <= purge.last)
}
