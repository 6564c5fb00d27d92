//! A page of up to 256 shards of one incarnation of a stream.

use millstream_env::Timestamp;
use millstream_types::{HashKey, HashKeyRange};
use serde::{Deserialize, Serialize};

use super::FORMAT;

/// Shards in one page: a page's value stays below 64 KiB.
pub(crate) const SHARDS_PER_PAGE: u32 = 256;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    v: u32,
    /// In order of index.
    pub(crate) shards: Vec<StoredShard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredShard {
    pub(crate) index: u32,
    #[serde(with = "super::hash_key")]
    start: u128,
    #[serde(with = "super::hash_key")]
    end: u128,
    /// Seconds since the epoch, as sequence numbers carry it.
    pub(crate) created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) adjacent_parent: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_ms: Option<u64>,
}

impl Page {
    pub(crate) fn new(shards: Vec<StoredShard>) -> Self {
        Self { v: FORMAT, shards }
    }
}

impl StoredShard {
    pub(crate) fn initial(index: u32, range: HashKeyRange, created_seconds: u64) -> Self {
        Self {
            index,
            start: range.start.0,
            end: range.end.0,
            created: created_seconds,
            parent: None,
            adjacent_parent: None,
            closed_ms: None,
        }
    }

    pub(crate) fn range(&self) -> HashKeyRange {
        HashKeyRange { start: HashKey(self.start), end: HashKey(self.end) }
    }

    pub(crate) fn closed_at(&self) -> Option<Timestamp> {
        self.closed_ms.map(Timestamp::from_millis)
    }

    /// What replaces `parents`; `created_seconds` is beyond what their sequence numbers carry.
    pub(crate) fn child(index: u32, range: HashKeyRange, created_seconds: u64, parents: [Option<u32>; 2]) -> Self {
        let [parent, adjacent_parent] = parents;
        Self { parent, adjacent_parent, ..Self::initial(index, range, created_seconds) }
    }

    pub(crate) fn close(&mut self, at: Timestamp) {
        self.closed_ms = Some(at.millis());
    }

    /// As it was before it was closed.
    pub(crate) fn reopened(self) -> Self {
        Self { closed_ms: None, ..self }
    }

    #[cfg(test)]
    pub(crate) fn with_lineage(mut self, parents: [Option<u32>; 2], closed: Option<Timestamp>) -> Self {
        [self.parent, self.adjacent_parent] = parents;
        self.closed_ms = closed.map(Timestamp::millis);
        self
    }
}
