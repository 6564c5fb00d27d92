//! What mappings keep in the catalog: keys and values.
//!
//! | key | value |
//! |---|---|
//! | `mapping/<account>/<region>/<uuid>` | [`MappingRecord`]: the mapping and its state |
//! | `mapping-claim/<account>/<region>/<function>/<stream ARN>` | the UUID of the one mapping of that pair |
//! | `failed/<uuid>/<milliseconds>-<shard>-<position>-<lane>-<number>` | [`FailedRecord`]: a batch that was given up |
//! | `pos/<uuid>/<shard>` | [`PositionRecord`]: how far a shard is, and who may move it |
//!
//! A claim is written before its mapping and deleted after it; a claim whose mapping does not exist is free.

mod failed;
mod mapping;
mod position;

use millstream_types::{Scope, ShardId};

use crate::machine::FailedBatch;

pub use failed::{DeliveryState, FailedRecord};
pub(crate) use mapping::{MappingRecord, MappingState, Pending, Rewind, RewindTo, Settings, StartingPosition};
pub(crate) use position::{LastBatch, PositionRecord};

/// The format of the values in this version.
pub(crate) const FORMAT: u32 = 1;

/// All mappings lie under it.
pub(crate) const MAPPINGS: &str = "mapping/";

/// A stored value cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the catalog's value of {key} cannot be read: {reason}")]
pub(crate) struct BadRecord {
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// A mapping among all accounts and regions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MappingKey {
    pub(crate) scope: Scope,
    pub(crate) uuid: String,
}

impl MappingKey {
    pub(crate) fn text(&self) -> String {
        format!("{}{}", mappings_of(&self.scope), self.uuid)
    }

    pub(crate) fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(MAPPINGS)?.splitn(3, '/');
        let (account, region, uuid) = (parts.next()?, parts.next()?, parts.next()?);
        let scope = Scope { account: account.parse().ok()?, region: region.parse().ok()? };
        Some(Self { scope, uuid: uuid.to_owned() })
    }

    pub(crate) fn arn(&self) -> String {
        self.scope.arn("lambda", format_args!("event-source-mapping:{}", self.uuid)).to_string()
    }
}

pub(crate) fn mappings_of(scope: &Scope) -> String {
    format!("{MAPPINGS}{}/{}/", scope.account, scope.region)
}

pub(crate) fn claim_key(scope: &Scope, function: &crate::names::FunctionReference, stream_arn: &str) -> String {
    let qualifier = function.qualifier.as_deref().unwrap_or("");
    format!("mapping-claim/{}/{}/{}:{qualifier}/{stream_arn}", scope.account, scope.region, function.name)
}

pub(crate) fn positions_of(uuid: &str) -> String {
    format!("pos/{uuid}/")
}

pub(crate) fn position_key(uuid: &str, shard: ShardId) -> String {
    format!("pos/{uuid}/{shard}")
}

pub(crate) fn failed_of(uuid: &str) -> String {
    format!("failed/{uuid}/")
}

/// In the order in which batches were given up. Records that were taken apart share a position, so lane and number are a
/// part of it; older versions wrote neither.
pub(crate) fn failed_key(uuid: &str, shard: ShardId, failed: &FailedBatch) -> String {
    let FailedBatch { at, lane, number, .. } = failed;
    format!("failed/{uuid}/{:015}-{shard}-{}-{lane}-{number}", at.millis(), failed.first_position().0)
}

/// The shard that a failed batch's id names, which is what its key ends with.
pub(crate) fn shard_of_failed(id: &str) -> Option<ShardId> {
    let (_, rest) = id.split_once('-')?;
    // A shard's id has a hyphen itself.
    let (at, _) = rest.match_indices('-').nth(1)?;
    rest[..at].parse().ok()
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, BadRecord> {
    serde_json::from_slice(value).map_err(|error| BadRecord { key: key.to_owned(), reason: error.to_string() })
}

pub(crate) fn encode<T: serde::Serialize>(record: &T) -> bytes::Bytes {
    serde_json::to_vec(record).expect("records have text keys and finite numbers").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_failed_batch_names_its_shard() {
        let shard = |id| shard_of_failed(id).map(|shard| shard.to_string());
        for id in ["001767168000000-shardId-000000000007-42", "001767168000000-shardId-000000000007-42-1-3"] {
            assert_eq!(shard(id).as_deref(), Some("shardId-000000000007"), "{id}");
        }
        for id in ["", "1", "1-2-3", "001767168000000-shardId-000000000007"] {
            assert_eq!(shard(id), None, "{id}");
        }
    }
}
