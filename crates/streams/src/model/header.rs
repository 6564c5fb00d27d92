//! A stream's header: everything about it except its shards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Consumers, Encryption, FORMAT};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intent {
    /// Make the log's shards and the pages, then become ACTIVE.
    Create,
    /// Give the header's retention to all shards of the log, then become ACTIVE.
    Configure,
    /// Replace shards by others, then become ACTIVE or take the next round.
    Reshard(Round),
    /// Become ACTIVE: the header says already how new records are stored.
    Encrypt,
    /// Delete the log's shards, the pages, then the header.
    Delete,
}

/// Splits and merges that happen together. Each shard takes part in one of them at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Index of the first shard that comes of it; the others follow in the order of the steps, two for a split.
    /// Readers see no shard from this index on, and the parents as open, until the round has left the header.
    pub(crate) first_child: u32,
    /// At most [`Round::STEPS_MAX`].
    pub(crate) steps: Vec<Step>,
    /// Open shards to reach by further rounds; none after a single split or merge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<u32>,
}

/// What happens to one or two shards, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Split {
        shard: u32,
        /// Where the upper child begins.
        #[serde(with = "super::hash_key")]
        at: u128,
    },
    /// The range of `shard` ends where that of `adjacent` begins.
    Merge { shard: u32, adjacent: u32 },
}

impl Round {
    /// Keeps the header's value small; a larger change takes several rounds.
    pub(crate) const STEPS_MAX: usize = 256;

    pub(crate) fn children(&self) -> u32 {
        self.steps.iter().map(|step| step.children()).sum()
    }

    /// The indexes of the shards that are to be closed.
    pub(crate) fn parents(&self) -> impl Iterator<Item = u32> + '_ {
        self.steps.iter().flat_map(|step| step.parents()).flatten()
    }
}

impl Step {
    pub(crate) fn children(self) -> u32 {
        match self {
            Self::Split { .. } => 2,
            Self::Merge { .. } => 1,
        }
    }

    pub(crate) fn parents(self) -> [Option<u32>; 2] {
        match self {
            Self::Split { shard, .. } => [Some(shard), None],
            Self::Merge { shard, adjacent } => [Some(shard), Some(adjacent)],
        }
    }
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
    /// Shards ever made, those of a pending round among them: their indexes are below this, and the next one gets it.
    pub(crate) shards_made: u32,
    pub(crate) shards_open: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Consumers::is_empty")]
    pub(crate) consumers: Consumers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<Intent>,
    /// When the stream was scaled by count, in milliseconds since the epoch; no older than the limit's day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scaled_ms: Vec<u64>,
    /// When its mode was switched, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) mode_changes_ms: Vec<u64>,
    /// MiB/s that an on-demand stream was warmed up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm_mibps: Option<u32>,
    /// AWS's names of the shard-level metrics that are on.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) monitoring: BTreeSet<String>,
    /// The resource policy, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    #[serde(default, skip_serializing_if = "Encryption::is_unused")]
    pub(crate) encryption: Encryption,
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
            scaled_ms: Vec::new(),
            mode_changes_ms: Vec::new(),
            warm_mibps: None,
            monitoring: BTreeSet::new(),
            policy: None,
            encryption: Encryption::default(),
        }
    }

    /// The round of resharding that is under way.
    pub(crate) fn round(&self) -> Option<&Round> {
        match &self.intent {
            Some(Intent::Reshard(round)) => Some(round),
            _ => None,
        }
    }

    /// Promises a round; its children's indexes are taken from now on.
    pub(crate) fn begin_round(&mut self, steps: Vec<Step>, target: Option<u32>) {
        let round = Round { first_child: self.shards_made, steps, target };
        self.shards_made += round.children();
        self.status = Status::Updating;
        self.intent = Some(Intent::Reshard(round));
    }

    /// Promises that what the header now says of encryption is seen by all.
    pub(crate) fn begin_encryption(&mut self) {
        self.status = Status::Updating;
        self.intent = Some(Intent::Encrypt);
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_millis(self.created_ms)
    }

    pub(crate) fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_hours) * 3600)
    }
}
