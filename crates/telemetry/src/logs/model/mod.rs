//! Groups and streams as the catalog holds them, as versioned JSON.
//!
//! ```text
//! log-group/<account>/<region>/<group>        -> Group
//! log-stream/<group id>/<stream>              -> Stream
//! ```
//!
//! Times of events and counts of bytes are not here: they follow from the events.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_types::Scope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::errors::Internal;
use super::names::GroupName;

/// The format written today.
const FORMAT: u32 = 1;

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    v: u32,
    /// Names this incarnation in the catalog and on disk; never used again.
    pub(crate) id: u64,
    pub(crate) created_ms: u64,
    /// `None` keeps events for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retention_days: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
}

/// A log stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stream {
    v: u32,
    /// Names the stream in its group's segments.
    pub(crate) id: u64,
    pub(crate) created_ms: u64,
}

impl Group {
    pub(crate) fn new(id: u64, created_ms: u64, tags: BTreeMap<String, String>) -> Self {
        Self { v: FORMAT, id, created_ms, retention_days: None, tags }
    }
}

impl Stream {
    pub(crate) fn new(id: u64, created_ms: u64) -> Self {
        Self { v: FORMAT, id, created_ms }
    }
}

/// The groups of every account.
pub(crate) const GROUPS_PREFIX: &str = "log-group/";

pub(crate) fn groups_prefix(scope: &Scope) -> String {
    format!("{GROUPS_PREFIX}{}/{}/", scope.account, scope.region)
}

pub(crate) fn group_key(group: &GroupName) -> String {
    format!("{}{}", groups_prefix(&group.scope), group.name)
}

pub(crate) fn streams_prefix(group_id: u64) -> String {
    format!("log-stream/{group_id:016x}/")
}

pub(crate) fn stream_key(group_id: u64, stream: &str) -> String {
    format!("{}{stream}", streams_prefix(group_id))
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).expect("stored structs have text keys and finite numbers").into()
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, Internal> {
    #[derive(Deserialize)]
    struct Format {
        v: u32,
    }
    let unreadable = |reason: String| Internal(format!("the value under {key} cannot be read: {reason}"));
    let format: Format = serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))?;
    if format.v != FORMAT {
        return Err(unreadable(format!("format {} is not known to this version", format.v)));
    }
    serde_json::from_slice(bytes).map_err(|e| unreadable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: DeserializeOwned + Serialize>(sample: &str) -> T {
        let value: T = decode("sample", sample.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&encode(&value)).unwrap(), sample.trim_end());
        value
    }

    #[test]
    fn samples_load() {
        let group: Group = check(include_str!("samples/group-1.json"));
        assert_eq!((group.id, group.retention_days), (7, Some(14)));
        let group: Group = check(include_str!("samples/group-1-minimal.json"));
        assert_eq!((group.id, group.retention_days), (u64::MAX, None));
        let stream: Stream = check(include_str!("samples/stream-1.json"));
        assert_eq!((stream.id, stream.created_ms), (9, 1_700_000_000_456));
    }

    #[test]
    fn a_newer_format_and_damage_are_refused() {
        for bytes in [&br#"{"v":2,"id":1,"created_ms":1}"#[..], b"", b"{}", b"\xff"] {
            assert!(decode::<Stream>("key", bytes).is_err());
        }
    }
}
