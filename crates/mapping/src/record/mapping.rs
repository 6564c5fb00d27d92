//! A mapping and its state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::FunctionReference;

/// An event source mapping as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MappingRecord {
    pub(crate) v: u32,
    pub(crate) event_source_arn: String,
    pub(crate) function: FunctionReference,
    pub(crate) starting_position: StartingPosition,
    pub(crate) settings: Settings,
    pub(crate) state: MappingState,
    pub(crate) state_transition_reason: String,
    /// What the mapping becomes once its present transition has ended.
    pub(crate) enabled: bool,
    /// A change that is asked for and not yet in effect: answers show the old values until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Pending>,
    pub(crate) last_modified_ms: u64,
    pub(crate) last_processing_result: String,
    /// The stream's incarnation that the kept positions belong to; `None` until the mapping was first started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stream_incarnation: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
}

/// What `UpdateEventSourceMapping` can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) batch_size: u32,
    pub(crate) maximum_batching_window_in_seconds: u32,
}

impl Default for Settings {
    /// AWS's defaults for Kinesis (event source mapping reference 1.1).
    fn default() -> Self {
        Self { batch_size: 100, maximum_batching_window_in_seconds: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) function: FunctionReference,
    pub(crate) settings: Settings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StartingPosition {
    TrimHorizon,
    Latest,
    AtTimestamp { ms: u64 },
}

/// The states of a mapping, by AWS's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MappingState {
    Creating,
    Enabling,
    Enabled,
    Disabling,
    Disabled,
    Updating,
    Deleting,
}

impl MappingState {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Enabling => "Enabling",
            Self::Enabled => "Enabled",
            Self::Disabling => "Disabling",
            Self::Disabled => "Disabled",
            Self::Updating => "Updating",
            Self::Deleting => "Deleting",
        }
    }

    /// Only a stable mapping can be updated or deleted.
    pub(crate) const fn is_stable(self) -> bool {
        matches!(self, Self::Enabled | Self::Disabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FORMAT, decode, encode};

    #[test]
    fn the_sample_of_this_format_loads_and_round_trips() {
        let sample = include_bytes!("../../samples/mapping-v1.json");
        let record: MappingRecord = decode("sample", sample).unwrap();
        assert_eq!(record.v, FORMAT);
        assert_eq!(record.settings, Settings { batch_size: 10, maximum_batching_window_in_seconds: 5 });
        assert_eq!(record.starting_position, StartingPosition::AtTimestamp { ms: 1_545_084_650_000 });
        assert_eq!(decode::<MappingRecord>("again", &encode(&record)).unwrap(), record);
    }
}
