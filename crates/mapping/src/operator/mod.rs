//! What operators see and do, and AWS has no call for: the fate of every batch, positions, failed batches.
//!
//! - [`status`]: how far each shard is, what it waits for, and what blocks it.
//! - [`control`]: pause, resume, step, skip, rewind.
//! - [`history`]: what happened to the last batches.
//! - [`failed`]: the batches that were given up, and sending them again.
//!
//! Everything that changes something is logged.

mod control;
mod failed;
mod history;
mod status;
#[cfg(test)]
mod tests;

use millstream_types::{Scope, ShardId};

use crate::contract::Unavailable;
use crate::mappings::Shared;
use crate::record::{MappingKey, MappingRecord};
use crate::store;

pub use control::RewindTarget;
pub use failed::{FailedBatchInfo, FailedPage, FailedPageOfAll, RedriveReport, Redriven};
pub use history::{BatchPage, ListedBatch};
pub use status::{BlockedBy, LaneReport, MappingStatus, RecordPlace, ShardPhase, ShardReport, ShardReports};

/// Why an operator's request was refused. The texts say what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// No mapping, shard or failed batch by that name.
    #[error("{0}")]
    NotFound(String),
    /// It cannot be done in the present state.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Invalid(String),
    /// Trying again may help.
    #[error("{0}")]
    Unavailable(String),
}

impl From<store::Error> for OperatorError {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<Unavailable> for OperatorError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The mapping with this UUID.
async fn find(shared: &Shared, scope: &Scope, uuid: &str) -> Result<(MappingKey, MappingRecord), OperatorError> {
    let missing = || {
        OperatorError::NotFound(format!(
            "There is no event source mapping {uuid}. `aws lambda list-event-source-mappings` lists them."
        ))
    };
    let is_uuid = uuid.len() == 36 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_uuid {
        return Err(missing());
    }
    let key = MappingKey { scope: scope.clone(), uuid: uuid.to_ascii_lowercase() };
    let (_, record) = shared.records.get(&key).await?.ok_or_else(missing)?;
    Ok((key, record))
}

fn parse_shard(text: &str) -> Result<ShardId, OperatorError> {
    text.parse().map_err(|_| OperatorError::Invalid(format!("{text} is no shard id (like shardId-000000000000).")))
}
