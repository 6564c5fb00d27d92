//! The reserved place of one record in memory.

use std::sync::Arc;

use bytes::Bytes;

use crate::contract::{AppendError, Entry, ShardKey, Stored};

use super::Shared;
use super::shard::Content;

pub(crate) struct MemorySlot {
    log: Arc<Shared>,
    shard: ShardKey,
    stored: Stored,
    partition_key: Bytes,
    payload_bytes: usize,
    tag: u8,
    data: Option<Bytes>,
    settled: bool,
}

impl MemorySlot {
    pub(super) fn new(log: Arc<Shared>, entry: Entry<'_>, stored: Stored) -> Self {
        Self {
            log,
            shard: entry.shard,
            stored,
            partition_key: Bytes::copy_from_slice(entry.partition_key.as_bytes()),
            payload_bytes: entry.payload_bytes,
            tag: entry.tag,
            data: None,
            settled: false,
        }
    }

    fn put(&mut self, content: Content) {
        self.settled = true;
        // A shard deleted meanwhile has no place for it any more.
        if let Some(shard) = self.log.lock().shards.get_mut(&self.shard) {
            shard.settle(self.stored.position, content);
        }
    }

    /// `write` gets the partition key and the payload's place.
    pub(crate) fn fill_with(&mut self, write: impl FnOnce(&[u8], &mut [u8])) {
        let mut data = vec![0; self.payload_bytes];
        write(&self.partition_key, &mut data);
        self.data = Some(data.into());
    }

    pub(crate) fn stored(&self) -> Stored {
        self.stored
    }

    pub(crate) fn settle(mut self) -> Result<Stored, AppendError> {
        match self.data.take() {
            None => {
                self.put(Content::Void);
                Err(AppendError::Unavailable)
            }
            Some(data) => {
                let partition_key = std::mem::take(&mut self.partition_key);
                self.put(Content::Record { partition_key, data, tag: self.tag });
                Ok(self.stored)
            }
        }
    }
}

impl Drop for MemorySlot {
    fn drop(&mut self) {
        if !self.settled {
            self.put(Content::Void);
        }
    }
}
