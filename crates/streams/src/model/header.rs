//! A stream's header: everything about it except its shards.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Consumers, FORMAT};

/// The state of a stream, under AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    Creating,
    Active,
    Updating,
    Deleting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    Provisioned,
    OnDemand,
}

/// What has been promised and may be half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intent {
    /// Make the log's shards and the pages, then become ACTIVE.
    Create,
    /// Give the header's retention to all shards of the log, then become ACTIVE.
    Configure,
    /// Delete the log's shards, the pages, then the header.
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    v: u32,
    /// Names this incarnation in the log and in iterators; never used again.
    pub(crate) id: u64,
    pub(crate) status: Status,
    pub(crate) mode: Mode,
    created_ms: u64,
    pub(crate) retention_hours: u32,
    pub(crate) record_kib_max: u32,
    /// Shards ever made: their indexes are below this, and the next one gets it.
    pub(crate) shards_made: u32,
    pub(crate) shards_open: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Consumers::is_empty")]
    pub(crate) consumers: Consumers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<Intent>,
}

impl Header {
    /// Default and shortest retention (Kinesis model).
    pub(crate) const RETENTION_HOURS_DEFAULT: u32 = 24;
    /// Default largest record, in KiB (Kinesis model).
    pub(crate) const RECORD_KIB_MAX_DEFAULT: u32 = 1024;

    /// A stream that is to be created with `shards` shards.
    pub(crate) fn new(id: u64, mode: Mode, shards: u32, now: Timestamp) -> Self {
        Self {
            v: FORMAT,
            id,
            status: Status::Creating,
            mode,
            created_ms: now.millis(),
            retention_hours: Self::RETENTION_HOURS_DEFAULT,
            record_kib_max: Self::RECORD_KIB_MAX_DEFAULT,
            shards_made: shards,
            shards_open: shards,
            tags: BTreeMap::new(),
            consumers: Consumers::default(),
            intent: Some(Intent::Create),
        }
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_millis(self.created_ms)
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_hours) * 3600)
    }
}
