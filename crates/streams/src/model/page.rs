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
    #[serde(with = "hash_key")]
    start: u128,
    #[serde(with = "hash_key")]
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

    /// For the tests of what reads closed shards: nothing closes one yet.
    #[cfg(test)]
    pub(crate) fn with_lineage(mut self, parents: [Option<u32>; 2], closed: Option<Timestamp>) -> Self {
        [self.parent, self.adjacent_parent] = parents;
        self.closed_ms = closed.map(Timestamp::millis);
        self
    }
}

/// 128 bits as 32 hexadecimal digits: JSON numbers lose the low bits in many tools.
mod hash_key {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
