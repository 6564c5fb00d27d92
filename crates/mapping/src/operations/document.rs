//! The mapping document of the answers: exactly the members that AWS sends for a Kinesis mapping (recorded).

use millstream_env::Timestamp;
use millstream_wire::lambda::{DestinationConfig, EventSourceMappingConfiguration, EventSourcePosition, OnFailure};

use crate::record::{MappingKey, MappingRecord, StartingPosition};

pub(super) fn document(key: &MappingKey, record: &MappingRecord) -> EventSourceMappingConfiguration {
    let (starting_position, timestamp) = match record.starting_position {
        StartingPosition::TrimHorizon => (EventSourcePosition::TrimHorizon, None),
        StartingPosition::Latest => (EventSourcePosition::Latest, None),
        StartingPosition::AtTimestamp { ms } => (EventSourcePosition::AtTimestamp, Some(Timestamp::from_millis(ms))),
    };
    EventSourceMappingConfiguration {
        uuid: Some(key.uuid.clone()),
        event_source_mapping_arn: Some(key.arn()),
        event_source_arn: Some(record.event_source_arn.clone()),
        function_arn: Some(record.function.arn(&key.scope)),
        starting_position: Some(starting_position),
        starting_position_timestamp: timestamp,
        batch_size: Some(whole(record.settings.batch_size)),
        maximum_batching_window_in_seconds: Some(whole(record.settings.maximum_batching_window_in_seconds)),
        // The values that these settings have as long as no other is accepted.
        parallelization_factor: Some(1),
        maximum_record_age_in_seconds: Some(-1),
        maximum_retry_attempts: Some(-1),
        bisect_batch_on_function_error: Some(false),
        tumbling_window_in_seconds: Some(0),
        function_response_types: Some(Vec::new()),
        destination_config: Some(DestinationConfig { on_failure: Some(OnFailure::default()), on_success: None }),
        last_modified: Some(Timestamp::from_millis(record.last_modified_ms)),
        last_processing_result: Some(record.last_processing_result.clone()),
        state: Some(record.state.text().to_owned()),
        state_transition_reason: Some(record.state_transition_reason.clone()),
        ..EventSourceMappingConfiguration::default()
    }
}

fn whole(value: u32) -> i32 {
    i32::try_from(value).expect("settings were given as positive i32")
}
