//! Every setting on create and on update: accepted, shown as it was given, kept, removed, refused.

use millstream_wire::lambda::{
    EventSourceMappingConfiguration, EventSourceMappingMetric, Filter, FunctionResponseType,
};

use super::*;
use crate::testing::CONSUMER;

const QUEUE: &str = "arn:aws:sqs:us-west-2:123456789012:q";
const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:t";
const BUCKET: &str = "arn:aws:s3:::failed";
const PATTERN: &str = r#"{"partitionKey":["1"]}"#;

fn criteria(patterns: &[&str]) -> FilterCriteria {
    let filters = patterns.iter().map(|pattern| Filter { pattern: Some((*pattern).to_owned()) });
    FilterCriteria { filters: Some(filters.collect()) }
}

fn destination(arn: &str) -> DestinationConfig {
    let on_failure = OnFailure { destination: Some(arn.to_owned()) };
    DestinationConfig { on_failure: Some(on_failure), on_success: None }
}

fn metrics(metrics: &[EventSourceMappingMetric]) -> EventSourceMappingMetricsConfig {
    EventSourceMappingMetricsConfig { metrics: Some(metrics.to_vec()) }
}

/// Sets the same members of a create and of an update request.
macro_rules! given {
    ($input:expr, $set:ident) => {{
        let input = &mut $input;
        $set!(input);
    }};
}

macro_rules! every_setting {
    ($input:ident) => {
        $input.batch_size = Some(500);
        $input.maximum_batching_window_in_seconds = Some(30);
        $input.parallelization_factor = Some(10);
        $input.maximum_retry_attempts = Some(3);
        $input.maximum_record_age_in_seconds = Some(60);
        $input.bisect_batch_on_function_error = Some(true);
        $input.function_response_types = Some(vec![FunctionResponseType::ReportBatchItemFailures]);
        $input.filter_criteria = Some(criteria(&[r#"{ "data": {"kind":["a"]}}"#, PATTERN]));
        $input.destination_config = Some(destination(QUEUE));
        $input.metrics_config = Some(metrics(&[EventSourceMappingMetric::EventCount]));
    };
}

fn shows_every_setting(document: &EventSourceMappingConfiguration) {
    assert_eq!(document.batch_size, Some(500));
    assert_eq!(document.maximum_batching_window_in_seconds, Some(30));
    assert_eq!(document.parallelization_factor, Some(10));
    assert_eq!(document.maximum_retry_attempts, Some(3));
    assert_eq!(document.maximum_record_age_in_seconds, Some(60));
    assert_eq!(document.bisect_batch_on_function_error, Some(true));
    assert_eq!(document.function_response_types, Some(vec![FunctionResponseType::ReportBatchItemFailures]));
    assert_eq!(document.filter_criteria, Some(criteria(&[r#"{ "data": {"kind":["a"]}}"#, PATTERN])), "as it was given");
    assert_eq!(document.destination_config, Some(destination(QUEUE)));
    assert_eq!(document.metrics_config, Some(metrics(&[EventSourceMappingMetric::EventCount])));
    assert_eq!(document.tumbling_window_in_seconds, Some(0));
}

/// Updates an enabled mapping and waits until the change is in effect.
async fn change(
    world: &World,
    uuid: &str,
    change: impl FnOnce(&mut UpdateEventSourceMappingRequest),
) -> EventSourceMappingConfiguration {
    let mut input = update(uuid);
    change(&mut input);
    let answer = world.mappings.update_event_source_mapping(&context(), input).await.unwrap();
    assert_eq!(answer.state.as_deref(), Some("Updating"));
    world.reaches(uuid, "Enabled").await;
    world.get(uuid).await.unwrap()
}

/// The text with which an update is refused, and that it has changed nothing.
async fn change_refusal(
    world: &World,
    uuid: &str,
    change: impl FnOnce(&mut UpdateEventSourceMappingRequest),
) -> String {
    let before = world.get(uuid).await;
    let mut input = update(uuid);
    change(&mut input);
    let UpdateEventSourceMappingError::InvalidParameterValue(text) = update_refusal(world, input).await else {
        panic!("refused in another way")
    };
    assert_eq!(world.get(uuid).await, before);
    text
}

#[tokio::test(start_paused = true)]
async fn every_setting_is_accepted_on_create_and_shown() {
    let world = World::new(1).await;
    let mut input = request(TrimHorizon);
    given!(input, every_setting);
    let document = world.create(input).await;
    shows_every_setting(&document);
    let uuid = document.uuid.unwrap();
    world.reaches(&uuid, "Enabled").await;
    shows_every_setting(&world.get(&uuid).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn every_setting_is_accepted_on_update_and_shown_once_it_is_in_effect() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    let before = world.get(&uuid).await.unwrap();
    let mut input = update(&uuid);
    given!(input, every_setting);
    let answer = world.mappings.update_event_source_mapping(&context(), input).await.unwrap();
    assert_eq!((answer.batch_size, answer.filter_criteria), (before.batch_size, before.filter_criteria));
    assert_eq!(answer.destination_config, before.destination_config);
    world.reaches(&uuid, "Enabled").await;
    shows_every_setting(&world.get(&uuid).await.unwrap());
    let same = change(&world, &uuid, |_| {}).await;
    shows_every_setting(&same);
}

#[tokio::test(start_paused = true)]
async fn each_setting_changes_alone() {
    let world = World::new(1).await;
    let mut input = request(TrimHorizon);
    given!(input, every_setting);
    let uuid = world.create_enabled(input).await;
    let mut expected = world.get(&uuid).await.unwrap();
    let mut check = async |set: &dyn Fn(&mut UpdateEventSourceMappingRequest),
                           shown: &dyn Fn(&mut EventSourceMappingConfiguration)| {
        let document = change(&world, &uuid, set).await;
        shown(&mut expected);
        expected.last_modified.clone_from(&document.last_modified);
        assert_eq!(document, expected);
    };
    check(&|i| i.batch_size = Some(1), &|d| d.batch_size = Some(1)).await;
    check(&|i| i.maximum_batching_window_in_seconds = Some(0), &|d| d.maximum_batching_window_in_seconds = Some(0))
        .await;
    check(&|i| i.parallelization_factor = Some(1), &|d| d.parallelization_factor = Some(1)).await;
    check(&|i| i.maximum_retry_attempts = Some(-1), &|d| d.maximum_retry_attempts = Some(-1)).await;
    check(&|i| i.maximum_retry_attempts = Some(0), &|d| d.maximum_retry_attempts = Some(0)).await;
    check(&|i| i.maximum_record_age_in_seconds = Some(-1), &|d| d.maximum_record_age_in_seconds = Some(-1)).await;
    check(&|i| i.bisect_batch_on_function_error = Some(false), &|d| d.bisect_batch_on_function_error = Some(false))
        .await;
    check(&|i| i.function_response_types = Some(vec![]), &|d| d.function_response_types = Some(vec![])).await;
    check(&|i| i.tumbling_window_in_seconds = Some(900), &|d| d.tumbling_window_in_seconds = Some(900)).await;
    check(&|i| i.filter_criteria = Some(criteria(&[PATTERN])), &|d| d.filter_criteria = Some(criteria(&[PATTERN])))
        .await;
    check(&|i| i.destination_config = Some(destination(TOPIC)), &|d| d.destination_config = Some(destination(TOPIC)))
        .await;
    check(&|i| i.metrics_config = Some(metrics(&[])), &|d| d.metrics_config = Some(metrics(&[]))).await;
}

#[tokio::test(start_paused = true)]
async fn no_filters_on_create_leave_the_member_out() {
    let world = World::new(1).await;
    assert_eq!(world.create(with(|i| i.filter_criteria = Some(criteria(&[])))).await.filter_criteria, None);
    let empty = |i: &mut CreateEventSourceMappingRequest| {
        i.function_name = "g".to_owned();
        i.filter_criteria = Some(FilterCriteria::default());
    };
    assert_eq!(world.create(with(empty)).await.filter_criteria, None);
}

#[tokio::test(start_paused = true)]
async fn filters_and_destination_stay_until_they_are_removed() {
    let world = World::new(1).await;
    let input = with(|i| {
        i.filter_criteria = Some(criteria(&[PATTERN]));
        i.destination_config = Some(destination(BUCKET));
    });
    let uuid = world.create_enabled(input).await;
    let document = change(&world, &uuid, |i| {
        i.batch_size = Some(7);
        i.destination_config = Some(DestinationConfig::default());
    });
    let document = document.await;
    assert_eq!(
        (document.filter_criteria, document.destination_config),
        (Some(criteria(&[PATTERN])), Some(destination(BUCKET)))
    );
    let document = change(&world, &uuid, |i| i.filter_criteria = Some(FilterCriteria::default())).await;
    assert_eq!((document.filter_criteria, document.destination_config), (None, Some(destination(BUCKET))));
    let document = change(&world, &uuid, |i| i.destination_config = Some(destination(""))).await;
    let none = DestinationConfig { on_failure: Some(OnFailure::default()), on_success: None };
    assert_eq!(document.destination_config, Some(none));
}

#[tokio::test(start_paused = true)]
async fn ages_below_a_minute_are_refused() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    let text = "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)";
    for age in [0, 1, 59] {
        assert_eq!(refusal(&world, with(|i| i.maximum_record_age_in_seconds = Some(age))).await, text);
        assert_eq!(change_refusal(&world, &uuid, |i| i.maximum_record_age_in_seconds = Some(age)).await, text);
    }
    let largest = with(|i| i.maximum_record_age_in_seconds = Some(604_800));
    assert_eq!(world.create(largest).await.maximum_record_age_in_seconds, Some(604_800));
}

#[tokio::test(start_paused = true)]
async fn the_models_bounds_are_accepted() {
    let world = World::new(1).await;
    let document = world.create(with(|i| {
        i.batch_size = Some(10_000);
        i.maximum_batching_window_in_seconds = Some(300);
        i.maximum_retry_attempts = Some(10_000);
        i.tumbling_window_in_seconds = Some(900);
    }));
    let document = document.await;
    assert_eq!((document.batch_size, document.maximum_batching_window_in_seconds), (Some(10_000), Some(300)));
    assert_eq!((document.maximum_retry_attempts, document.tumbling_window_in_seconds), (Some(10_000), Some(900)));
    let large = world.create_enabled(with(|i| {
        i.function_name = "g".to_owned();
        i.batch_size = Some(5000);
    }));
    let large = large.await;
    assert_eq!(
        world.get(&large).await.unwrap().maximum_batching_window_in_seconds,
        Some(0),
        "not enforced for Kinesis"
    );
}

#[tokio::test(start_paused = true)]
async fn bad_filters_are_refused() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    for pattern in [
        "single-string",
        "{}",
        "",
        "[1]",
        r#"{"data":"text"}"#,
        r#"{"data":["text"]}"#,
        r#"{"data":{"a":[{"no-such":1}]}}"#,
        r#"[{"eventName": ["INSERT"=123}]"#,
    ] {
        let text = refusal(&world, with(|i| i.filter_criteria = Some(criteria(&[PATTERN, pattern])))).await;
        assert_eq!(text, "Invalid filter pattern definition.", "{pattern}");
        let text = change_refusal(&world, &uuid, |i| i.filter_criteria = Some(criteria(&[pattern]))).await;
        assert_eq!(text, "Invalid filter pattern definition.", "{pattern}");
    }
    assert!(world.create(with(|i| i.filter_criteria = Some(criteria(&[PATTERN; 5])))).await.filter_criteria.is_some());
    let text = refusal(&world, with(|i| i.filter_criteria = Some(criteria(&[PATTERN; 6])))).await;
    assert!(text.contains("(6) exceeds the limit of 5 filters"), "{text}");
    assert!(
        change_refusal(&world, &uuid, |i| i.filter_criteria = Some(criteria(&[PATTERN; 6])))
            .await
            .contains("limit of 5")
    );
}

#[tokio::test(start_paused = true)]
async fn metrics_of_other_event_sources_are_refused() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    for foreign in [EventSourceMappingMetric::ErrorCount, EventSourceMappingMetric::KafkaMetrics] {
        let both = [EventSourceMappingMetric::EventCount, foreign];
        let text = refusal(&world, with(|i| i.metrics_config = Some(metrics(&both)))).await;
        assert!(text.starts_with("Unsupported MetricsConfig parameter"), "{text}");
        assert!(text.contains(both[1].as_str()), "{text}");
        change_refusal(&world, &uuid, |i| i.metrics_config = Some(metrics(&both))).await;
    }
    assert_eq!(world.create(request(TrimHorizon)).await.metrics_config, None, "shown only when it is set");
}

#[tokio::test(start_paused = true)]
async fn keys_for_filters_are_refused() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    let key = || Some("arn:aws:kms:us-west-2:123456789012:key/k".to_owned());
    let text = refusal(&world, with(|i| i.kms_key_arn = key())).await;
    assert!(text.starts_with("KMSKeyArn is not supported by Millstream"), "{text}");
    assert!(change_refusal(&world, &uuid, |i| i.kms_key_arn = key()).await.starts_with("KMSKeyArn"));
}

#[tokio::test(start_paused = true)]
async fn windows_go_with_one_lane_only() {
    let world = World::new(1).await;
    let both = with(|i| {
        i.parallelization_factor = Some(2);
        i.tumbling_window_in_seconds = Some(60);
    });
    let text = refusal(&world, both).await;
    assert!(text.contains("ParallelizationFactor") && text.contains("TumblingWindowInSeconds"), "{text}");
    let uuid = world.create_enabled(with(|i| i.parallelization_factor = Some(2))).await;
    let refused = change_refusal(&world, &uuid, |i| i.tumbling_window_in_seconds = Some(60)).await;
    assert_eq!(refused, text, "together with what is there");
    let document = change(&world, &uuid, |i| {
        i.parallelization_factor = Some(1);
        i.tumbling_window_in_seconds = Some(60);
    });
    assert_eq!(document.await.tumbling_window_in_seconds, Some(60));
}

#[tokio::test(start_paused = true)]
async fn destinations_are_standard_queues_topics_and_buckets() {
    let world = World::new(1).await;
    for (name, arn) in [("f", QUEUE), ("g", TOPIC), ("f:1", BUCKET)] {
        let document = world.create(with(|i| {
            i.function_name = name.to_owned();
            i.destination_config = Some(destination(arn));
        }));
        assert_eq!(document.await.destination_config, Some(destination(arn)));
    }
    let uuid = world.create_enabled(with(|i| i.function_name = "g:1".to_owned())).await;
    for arn in [
        "arn:aws:sqs:us-west-2:123456789012:q.fifo",
        "arn:aws:sns:us-west-2:123456789012:t.fifo",
        "arn:aws:s3:::b/folder",
        "arn:aws:s3:::",
        "arn:aws:lambda:us-west-2:123456789012:function:f",
        "arn:aws:kinesis:us-west-2:123456789012:stream/s",
        "q",
        "https://sqs.us-west-2.amazonaws.com/123456789012/q",
    ] {
        let text = refusal(&world, with(|i| i.destination_config = Some(destination(arn)))).await;
        assert!(text.starts_with("The provided destination config") && text.contains(arn), "{text}");
        change_refusal(&world, &uuid, |i| i.destination_config = Some(destination(arn))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn on_success_is_refused_before_the_function_is_looked_for() {
    let world = World::new(1).await;
    let on_success = || {
        let on_success = Some(OnSuccess { destination: Some(QUEUE.to_owned()) });
        Some(DestinationConfig { on_failure: None, on_success })
    };
    let text = "Unsupported DestinationConfig parameter for given event source mapping type.";
    let unknown = with(|i| {
        i.function_name = "unknown".to_owned();
        i.destination_config = on_success();
    });
    assert_eq!(refusal(&world, unknown).await, text);
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    assert_eq!(change_refusal(&world, &uuid, |i| i.destination_config = on_success()).await, text);
}

#[tokio::test(start_paused = true)]
async fn the_role_must_be_allowed_to_send_to_the_destination() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    for (action, arn) in
        [("sqs:SendMessage", QUEUE), ("sns:Publish", TOPIC), ("s3:PutObject", BUCKET), ("s3:ListBucket", BUCKET)]
    {
        *world.identity.refused.lock().unwrap() = Some(action);
        let words = "The provided execution role does not have permissions to call ";
        let text = refusal(&world, with(|i| i.destination_config = Some(destination(arn)))).await;
        assert!(text.starts_with(words) && text.contains(action.split(':').nth(1).unwrap()), "{text}");
        assert_eq!(change_refusal(&world, &uuid, |i| i.destination_config = Some(destination(arn))).await, text);
        *world.identity.refused.lock().unwrap() = None;
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_the_stream_can_be_the_event_source() {
    let world = World::new(1).await;
    let unknown = format!("{STREAM}/consumer/other:1700000000");
    let text = refusal(&world, with(|i| i.event_source_arn = Some(unknown.clone()))).await;
    assert!(text.contains(&unknown), "{text}");
    let malformed = with(|i| i.event_source_arn = Some(format!("{STREAM}/consumer/c")));
    assert_eq!(refusal(&world, malformed).await, "Unrecognized event source.");
    let uuid = world.create_enabled(with(|i| i.event_source_arn = Some(CONSUMER.to_owned()))).await;
    let document = world.get(&uuid).await.unwrap();
    assert_eq!(document.event_source_arn.as_deref(), Some(CONSUMER));
    world.create_enabled(request(TrimHorizon)).await;
}
