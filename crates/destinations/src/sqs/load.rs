//! The queues as a former process left them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use millstream_blobs::{BlobError, SharedBlobs};
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
    #[error("{0}")]
    Damaged(String),
}

impl From<BadRecord> for OpenError {
    fn from(error: BadRecord) -> Self {
        Self::Damaged(error.to_string())
    }
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
pub(crate) async fn load(
    catalog: &SharedStore,
    blobs: &SharedBlobs,
    now: Timestamp,
) -> Result<HashMap<QueueKey, Arc<Queue>>, OpenError> {
    let mut queues = load_queues(catalog, now).await?;
    let referenced = load_messages(catalog, &mut queues, now).await?;
    for digest in blobs.list().await?.into_iter().filter(|digest| !referenced.contains(digest)) {
        blobs.delete(digest).await?;
    }
    let queue = |loading: Loading| {
        let Loading { key, revision, record, index } = loading;
        (key.clone(), Arc::new(Queue::new(key, revision, record, index)))
    };
    Ok(queues.into_values().map(queue).collect())
}

/// The index of a queue that holds nothing yet.
pub(crate) fn new_index(now: Timestamp) -> Index {
    let mut index = Index::default();
    index.start_after(now.millis() << SEQUENCE_BITS_PER_MILLISECOND);
    index
}

async fn load_queues(catalog: &SharedStore, now: Timestamp) -> Result<HashMap<String, Loading>, OpenError> {
    let mut queues = HashMap::new();
    let mut after = None;
    loop {
        let Page { items, more } = catalog.list(QUEUES, after.as_deref(), PAGE_ITEMS_MAX).await?;
        for (text, found) in &items {
            let record: QueueRecord = decode(text, &found.value)?;
            let not_a_key = || BadRecord { key: text.clone(), reason: "not the key of a queue".to_owned() };
            let key = QueueKey::parse(text).ok_or_else(not_a_key)?;
            let mut index = new_index(now);
            index.start_after(record.purge.map_or(0, |purge| purge.last));
            queues.insert(record.id.clone(), Loading { key, revision: found.revision, record, index });
        }
        after = items.last().map(|(key, _)| key.clone());
        if !more {
            return Ok(queues);
        }
    }
}

/// Returns the blobs that messages refer to.
async fn load_messages(
    catalog: &SharedStore,
    queues: &mut HashMap<String, Loading>,
    now: Timestamp,
) -> Result<HashSet<millstream_blobs::Digest>, OpenError> {
    let mut referenced = HashSet::new();
    let mut after = None;
    loop {
        let Page { items, more } = catalog.list(MESSAGES, after.as_deref(), PAGE_ITEMS_MAX).await?;
        for (key, found) in &items {
            let queue = parse_message_key(key).and_then(|(id, sequence)| Some((queues.get_mut(id)?, sequence)));
            let Some((queue, sequence)) = queue.filter(|(queue, sequence)| !is_purged(&queue.record, *sequence)) else {
                catalog.delete(key, found.revision).await?;
                continue;
            };
            let message: MessageRecord = decode(key, &found.value)?;
            referenced.extend(message.contents.digest());
            let MessageRecord { sent, bytes, receives, visible_at, .. } = message;
            queue.index.restore(now, sequence, Arrival { sent, bytes, receives, visible_at });
        }
        after = items.last().map(|(key, _)| key.clone());
        if !more {
            return Ok(referenced);
        }
    }
}

fn is_purged(record: &QueueRecord, sequence: Sequence) -> bool {
    record.purge.is_some_and(|purge| sequence.0 <= purge.last)
}
