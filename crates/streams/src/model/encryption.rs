//! Server-side encryption: a part of a stream's header.

use std::time::Duration;

use millstream_env::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys::{MasterId, WrappedKey};

/// Whether a stream is encrypted, and all the keys it ever was encrypted with: older records need them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Encryption {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on: Option<On>,
    /// In order of number. At most [`Encryption::KEYS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<StoredKey>,
    /// When a key was applied, in milliseconds since the epoch; no older than the limit's day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) started_ms: Vec<u64>,
    /// When encryption was stopped, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stopped_ms: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct On {
    /// As the caller named it.
    pub(crate) key_id: String,
    /// The key for new records.
    pub(crate) number: u32,
}

/// A data key. Its number is never another's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredKey {
    pub(crate) number: u32,
    /// What it is encrypted with.
    pub(crate) master: MasterId,
    pub(crate) wrapped: WrappedKey,
}

impl Encryption {
    /// Keeps the header small.
    pub(crate) const KEYS_MAX: usize = 200;

    /// Nothing is to be stored.
    pub(crate) fn is_unused(&self) -> bool {
        *self == Self::default()
    }

    /// The master key behind new records.
    pub(crate) fn master(&self) -> Option<&MasterId> {
        let on = self.on.as_ref()?;
        self.keys.iter().find(|key| key.number == on.number).map(|key| &key.master)
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.keys.last().map_or(1, |key| key.number + 1)
    }

    /// Counts a change at `now`; `false` when there were `max` within a day of it.
    pub(crate) fn count(changes_ms: &mut Vec<u64>, now: Timestamp, day: Duration, max: usize) -> bool {
        changes_ms.retain(|then| now.since(Timestamp::from_millis(*then)) < day);
        changes_ms.push(now.millis());
        changes_ms.len() <= max
    }
}
