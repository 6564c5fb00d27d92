//! An update of each field while a batch is in flight: the batch ends, and nothing is lost or repeated.

use millstream_wire::lambda::{
    DestinationConfig, EventSourceMappingMetric, EventSourceMappingMetricsConfig, Filter, FilterCriteria,
    FunctionResponseType, OnFailure,
};

use super::*;

fn pattern(pattern: &str) -> FilterCriteria {
    FilterCriteria { filters: Some(vec![Filter { pattern: Some(pattern.to_owned()) }]) }
}

/// Updates a mapping while its first batch is in flight; a second batch follows with the new setting.
async fn check(what: &str, change: impl FnOnce(&mut UpdateEventSourceMappingRequest)) {
    let world = World::new(1).await;
    world.put(0, &["1"]).await;
    world.function.hold(true);
    // What a tumbling window asks for; nothing else looks at it.
    (0..20).for_each(|_| world.function.then(Outcome::Ok(r#"{"state":{}}"#.into())));
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.delivered(&["1"]).await;
    world.update(&uuid, change).await;
    world.put(0, &["2", "3"]).await;
    world.settle(Duration::from_secs(1)).await;
    let document = world.get(&uuid).await.unwrap();
    assert_eq!(document.state.as_deref(), Some("Updating"), "{what} waits for the batch in flight");
    world.delivered(&["1"]).await;
    world.function.hold(false);
    world.reaches(&uuid, "Enabled").await;
    let all_there = async || world.function.texts() == ["1", "2", "3"];
    world.in_time(&format!("everything is delivered once after a change of {what}"), all_there).await;
    let deliveries = world.function.deliveries();
    assert!(deliveries[0].function == "f" && (what == "FunctionName" || deliveries[1].function == "f"));
    world.result_becomes(&uuid, "OK").await;
}

#[tokio::test(start_paused = true)]
async fn each_field_can_change_while_a_batch_is_in_flight() {
    check("FunctionName", |i| i.function_name = Some("g".to_owned())).await;
    check("BatchSize", |i| i.batch_size = Some(1)).await;
    check("MaximumBatchingWindowInSeconds", |i| i.maximum_batching_window_in_seconds = Some(1)).await;
    check("ParallelizationFactor", |i| i.parallelization_factor = Some(10)).await;
    check("MaximumRetryAttempts", |i| i.maximum_retry_attempts = Some(0)).await;
    check("MaximumRecordAgeInSeconds", |i| i.maximum_record_age_in_seconds = Some(60)).await;
    check("BisectBatchOnFunctionError", |i| i.bisect_batch_on_function_error = Some(true)).await;
    check("TumblingWindowInSeconds", |i| i.tumbling_window_in_seconds = Some(900)).await;
    check("FunctionResponseTypes", |i| {
        i.function_response_types = Some(vec![FunctionResponseType::ReportBatchItemFailures]);
    })
    .await;
    check("FilterCriteria", |i| i.filter_criteria = Some(pattern(r#"{"partitionKey":["key"]}"#))).await;
    check("DestinationConfig", |i| {
        let destination = Some("arn:aws:sqs:us-west-2:123456789012:q".to_owned());
        i.destination_config =
            Some(DestinationConfig { on_failure: Some(OnFailure { destination }), on_success: None });
    })
    .await;
    check("MetricsConfig", |i| {
        let metrics = Some(vec![EventSourceMappingMetric::EventCount]);
        i.metrics_config = Some(EventSourceMappingMetricsConfig { metrics });
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_qualifier_is_kept_by_updates_of_other_fields() {
    let world = World::new(1).await;
    let input = CreateEventSourceMappingRequest { function_name: "f:1".to_owned(), ..request(TrimHorizon) };
    let uuid = world.create_enabled(input).await;
    world.update(&uuid, |input| input.batch_size = Some(7)).await;
    world.reaches(&uuid, "Enabled").await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    assert_eq!(world.function.deliveries()[0].function, "f:1");
    let arn = world.get(&uuid).await.unwrap().function_arn;
    assert_eq!(arn.as_deref(), Some("arn:aws:lambda:us-west-2:123456789012:function:f:1"));
}

#[tokio::test(start_paused = true)]
async fn filters_hold_from_their_update_on() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["1"]).await;
    world.delivered(&["1"]).await;
    world.update(&uuid, |i| i.filter_criteria = Some(pattern(r#"{"data":{"keep":[true]}}"#))).await;
    world.reaches(&uuid, "Enabled").await;
    world.put(0, &["2", r#"{"keep":true}"#, "3"]).await;
    world.delivered(&["1", r#"{"keep":true}"#]).await;
    world.update(&uuid, |i| i.filter_criteria = Some(FilterCriteria::default())).await;
    world.reaches(&uuid, "Enabled").await;
    world.put(0, &["4"]).await;
    world.delivered(&["1", r#"{"keep":true}"#, "4"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_factor_repeats_nothing_when_nothing_was_in_flight() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    let mut expected = Vec::new();
    for (factor, text) in [(10, "a"), (3, "b"), (1, "c")] {
        world.update(&uuid, |input| input.parallelization_factor = Some(factor)).await;
        world.reaches(&uuid, "Enabled").await;
        world.put(0, &[text]).await;
        expected.push(text);
        world.delivered(&expected).await;
    }
}
