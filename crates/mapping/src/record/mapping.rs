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
    /// An operator has paused it: nothing new begins. Its state for AWS stays `Enabled`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) paused: bool,
    /// A rewind that is asked for and not yet done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rewind: Option<Rewind>,
}

/// Other positions for some or all shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rewind {
    /// Shard ids; none for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) shards: Vec<String>,
    pub(crate) to: RewindTo,
}

/// Where a rewound shard goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RewindTo {
    TrimHorizon,
    /// The end of the shard at the moment of the rewind.
    Latest,
    AtTimestamp {
        ms: u64,
    },
    /// A position of the one shard that is rewound.
    Position {
        position: u64,
    },
}

/// What `UpdateEventSourceMapping` can change. Members that have AWS's default are not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) batch_size: u32,
    pub(crate) maximum_batching_window_in_seconds: u32,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) parallelization_factor: u32,
    /// `None` for -1: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maximum_retry_attempts: Option<u32>,
    /// `None` for -1: without end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maximum_record_age_in_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) bisect_batch_on_function_error: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) report_batch_item_failures: bool,
    /// 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) tumbling_window_in_seconds: u32,
    /// The patterns, each exactly as it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) filters: Vec<Option<String>>,
    /// The ARN of the destination of failed batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) on_failure: Option<String>,
    /// `MetricsConfig` asks for `EventCount`; `None` when there is no `MetricsConfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event_count_metrics: Option<bool>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_one(value: &u32) -> bool {
    *value == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Default for Settings {
    /// AWS's defaults for Kinesis (event source mapping reference 1.1).
    fn default() -> Self {
        Self {
            batch_size: 100,
            maximum_batching_window_in_seconds: 0,
            parallelization_factor: 1,
            maximum_retry_attempts: None,
            maximum_record_age_in_seconds: None,
            bisect_batch_on_function_error: false,
            report_batch_item_failures: false,
            tumbling_window_in_seconds: 0,
            filters: Vec::new(),
            on_failure: None,
            event_count_metrics: None,
        }
    }
}

impl Settings {
    /// The patterns as the filter language takes them: a filter without a pattern has the empty one, which it refuses.
    pub(crate) fn filter_patterns(&self) -> Vec<String> {
        self.filters.iter().map(|pattern| pattern.clone().unwrap_or_else(|| "{}".to_owned())).collect()
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
        assert_eq!(
            record.settings,
            Settings { batch_size: 10, maximum_batching_window_in_seconds: 5, ..Settings::default() }
        );
        assert_eq!(record.starting_position, StartingPosition::AtTimestamp { ms: 1_545_084_650_000 });
        assert_eq!(decode::<MappingRecord>("again", &encode(&record)).unwrap(), record);
    }

    #[test]
    fn the_sample_with_every_setting_loads_and_round_trips() {
        let sample = include_bytes!("../../samples/mapping-v1-all-settings.json");
        let record: MappingRecord = decode("sample", sample).unwrap();
        let settings = Settings {
            batch_size: 500,
            maximum_batching_window_in_seconds: 30,
            parallelization_factor: 4,
            maximum_retry_attempts: Some(3),
            maximum_record_age_in_seconds: Some(3600),
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            tumbling_window_in_seconds: 120,
            filters: vec![Some(r#"{"data": {"kind":["a"]}}"#.to_owned()), Some(r#"{"partitionKey":["1"]}"#.to_owned())],
            on_failure: Some("arn:aws:sqs:us-east-1:000000000000:failed".to_owned()),
            event_count_metrics: Some(true),
        };
        assert_eq!(record.settings, settings);
        assert!(record.paused);
        let shards = vec!["shardId-000000000002".to_owned()];
        assert_eq!(record.rewind, Some(Rewind { shards, to: RewindTo::Position { position: 17 } }));
        assert_eq!(encode(&record), sample.trim_ascii_end(), "written as it was, byte by byte");
    }
}
