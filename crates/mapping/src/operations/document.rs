//! The mapping document of the answers: exactly the members that AWS sends for a Kinesis mapping (recorded).

use millstream_env::Timestamp;
use millstream_wire::lambda::{
    DestinationConfig, EventSourceMappingConfiguration, EventSourceMappingMetric, EventSourceMappingMetricsConfig,
    EventSourcePosition, Filter, FilterCriteria, FunctionResponseType, OnFailure,
};

use crate::record::{MappingKey, MappingRecord, Settings, StartingPosition};

pub(super) fn document(key: &MappingKey, record: &MappingRecord) -> EventSourceMappingConfiguration {
    let (starting_position, timestamp) = match record.starting_position {
        StartingPosition::TrimHorizon => (EventSourcePosition::TrimHorizon, None),
        StartingPosition::Latest => (EventSourcePosition::Latest, None),
        StartingPosition::AtTimestamp { ms } => (EventSourcePosition::AtTimestamp, Some(Timestamp::from_millis(ms))),
    };
    let settings = &record.settings;
    EventSourceMappingConfiguration {
        uuid: Some(key.uuid.clone()),
        event_source_mapping_arn: Some(key.arn()),
        event_source_arn: Some(record.event_source_arn.clone()),
        function_arn: Some(record.function.arn(&key.scope)),
        starting_position: Some(starting_position),
        starting_position_timestamp: timestamp,
        batch_size: Some(whole(settings.batch_size)),
        maximum_batching_window_in_seconds: Some(whole(settings.maximum_batching_window_in_seconds)),
        parallelization_factor: Some(whole(settings.parallelization_factor)),
        maximum_record_age_in_seconds: Some(settings.maximum_record_age_in_seconds.map_or(-1, whole)),
        maximum_retry_attempts: Some(settings.maximum_retry_attempts.map_or(-1, whole)),
        bisect_batch_on_function_error: Some(settings.bisect_batch_on_function_error),
        tumbling_window_in_seconds: Some(whole(settings.tumbling_window_in_seconds)),
        function_response_types: Some(if settings.report_batch_item_failures {
            vec![FunctionResponseType::ReportBatchItemFailures]
        } else {
            Vec::new()
        }),
        destination_config: Some(DestinationConfig {
            on_failure: Some(OnFailure { destination: settings.on_failure.clone() }),
            on_success: None,
        }),
        filter_criteria: filter_criteria(settings),
        metrics_config: settings.event_count_metrics.map(metrics_config),
        last_modified: Some(Timestamp::from_millis(record.last_modified_ms)),
        last_processing_result: Some(record.last_processing_result.clone()),
        state: Some(record.state.text().to_owned()),
        state_transition_reason: Some(record.state_transition_reason.clone()),
        ..EventSourceMappingConfiguration::default()
    }
}

/// Only when there are filters (recorded); the patterns exactly as they were given.
fn filter_criteria(settings: &Settings) -> Option<FilterCriteria> {
    let filters = settings.filters.iter().map(|pattern| Filter { pattern: pattern.clone() });
    (!settings.filters.is_empty()).then(|| FilterCriteria { filters: Some(filters.collect()) })
}

fn metrics_config(event_count: bool) -> EventSourceMappingMetricsConfig {
    let metrics = if event_count { vec![EventSourceMappingMetric::EventCount] } else { Vec::new() };
    EventSourceMappingMetricsConfig { metrics: Some(metrics) }
}

fn whole(value: u32) -> i32 {
    i32::try_from(value).expect("settings were given as positive i32")
}
