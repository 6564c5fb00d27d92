//! The reserved place of one record in memory.

use std::sync::Arc;

use bytes::Bytes;
use millstream_types::Payload;

use crate::contract::{AppendError, Entry, ShardKey, Stored};

use super::Shared;
use super::shard::Content;

pub(crate) struct MemorySlot {
    log: Arc<Shared>,
    shard: ShardKey,
    stored: Stored,
    partition_key: Bytes,
    payload_bytes: usize,
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

    pub(crate) fn fill(&mut self, payload: Payload<'_>) {
        let mut data = vec![0; self.payload_bytes];
        payload.decode_into(&mut data);
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
                self.put(Content::Record { partition_key, data });
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
