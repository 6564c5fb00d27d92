mod settings;

use std::sync::Arc;
use std::time::Duration;

use millstream_wire::lambda::EventSourcePosition::{AtTimestamp, Latest, TrimHorizon};
use millstream_wire::lambda::error::{
    CreateEventSourceMappingError, DeleteEventSourceMappingError, GetEventSourceMappingError,
    UpdateEventSourceMappingError,
};
use millstream_wire::lambda::{
    CreateEventSourceMappingRequest, DeleteEventSourceMappingRequest, DestinationConfig,
    EventSourceMappingMetricsConfig, FilterCriteria, GetEventSourceMappingRequest, ListEventSourceMappingsRequest,
    OnFailure, OnSuccess, UpdateEventSourceMappingRequest,
};

use crate::testing::{STREAM, TestCatalog, World, context, request};

const NO_UUID: &str = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";

/// The text with which a creation is refused.
async fn refusal(world: &World, input: CreateEventSourceMappingRequest) -> String {
    match world.mappings.create_event_source_mapping(&context(), input).await {
        Err(CreateEventSourceMappingError::InvalidParameterValue(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

async fn update_refusal(world: &World, input: UpdateEventSourceMappingRequest) -> UpdateEventSourceMappingError {
    world.mappings.update_event_source_mapping(&context(), input).await.unwrap_err()
}

fn update(uuid: &str) -> UpdateEventSourceMappingRequest {
    UpdateEventSourceMappingRequest { uuid: uuid.to_owned(), ..UpdateEventSourceMappingRequest::default() }
}

async fn list(world: &World, input: ListEventSourceMappingsRequest) -> (Vec<String>, Option<String>) {
    let page = world.mappings.list_event_source_mappings(&context(), input).await.unwrap();
    let uuids = page.event_source_mappings.unwrap().into_iter().map(|document| document.uuid.unwrap()).collect();
    (uuids, page.next_marker)
}

#[tokio::test(start_paused = true)]
async fn the_answer_has_the_recorded_members() {
    let world = World::new(1).await;
    let document = world.create(request(Latest)).await;
    let uuid = document.uuid.clone().unwrap();
    assert_eq!(document.event_source_mapping_arn.as_deref().unwrap(), {
        format!("arn:aws:lambda:us-west-2:123456789012:event-source-mapping:{uuid}")
    });
    assert_eq!(document.event_source_arn.as_deref(), Some(STREAM));
    assert_eq!(document.function_arn.as_deref(), Some("arn:aws:lambda:us-west-2:123456789012:function:f"));
    assert_eq!(document.starting_position, Some(Latest));
    assert_eq!((document.batch_size, document.maximum_batching_window_in_seconds), (Some(100), Some(0)));
    assert_eq!((document.maximum_record_age_in_seconds, document.maximum_retry_attempts), (Some(-1), Some(-1)));
    assert_eq!((document.parallelization_factor, document.tumbling_window_in_seconds), (Some(1), Some(0)));
    assert_eq!(document.bisect_batch_on_function_error, Some(false));
    assert_eq!(document.function_response_types, Some(vec![]));
    let destinations = DestinationConfig { on_failure: Some(OnFailure::default()), on_success: None };
    assert_eq!(document.destination_config, Some(destinations));
    assert_eq!(document.last_processing_result.as_deref(), Some("No records processed"));
    assert_eq!(document.state.as_deref(), Some("Creating"));
    assert_eq!(document.state_transition_reason.as_deref(), Some("User action"));
    assert_eq!(document.starting_position_timestamp, None);
    assert_eq!(document.filter_criteria, None);
    assert_eq!(document.kms_key_arn, None);
}

#[tokio::test(start_paused = true)]
async fn creation_is_refused_in_the_recorded_order_and_words() {
    let world = World::new(1).await;
    let nothing = CreateEventSourceMappingRequest { function_name: "no".to_owned(), ..Default::default() };
    assert_eq!(refusal(&world, nothing).await, "Unrecognized event source.");
    let mut input = CreateEventSourceMappingRequest { function_name: "no".to_owned(), ..request(TrimHorizon) };
    input.destination_config = Some(DestinationConfig {
        on_failure: None,
        on_success: Some(OnSuccess { destination: Some("arn:aws:sqs:us-west-2:123456789012:q".to_owned()) }),
    });
    assert_eq!(
        refusal(&world, input.clone()).await,
        "Unsupported DestinationConfig parameter for given event source mapping type."
    );
    input.destination_config = None;
    input.starting_position = None;
    assert_eq!(
        refusal(&world, input.clone()).await,
        "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
    );
    input.starting_position = Some(TrimHorizon);
    assert_eq!(refusal(&world, input.clone()).await, "Function does not exist");
    input.function_name = "f".to_owned();
    input.event_source_arn = Some(STREAM.replace("lambda-stream", "other"));
    assert_eq!(
        refusal(&world, input.clone()).await,
        "Stream not found: arn:aws:kinesis:us-west-2:123456789012:stream/other"
    );
    *world.identity.refused.lock().unwrap() = Some("kinesis:ListShards");
    assert_eq!(
        refusal(&world, request(TrimHorizon)).await,
        format!(
            "Cannot access stream {STREAM}. Please ensure the role can perform the GetRecords, GetShardIterator, \
             DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
        )
    );
    *world.identity.distrusted.lock().unwrap() = true;
    let expected = "The role defined for the function cannot be assumed by Lambda.";
    assert_eq!(refusal(&world, request(TrimHorizon)).await, expected);
}

#[tokio::test(start_paused = true)]
async fn starting_timestamps_go_with_at_timestamp_only() {
    let world = World::new(1).await;
    let now = world.clock.now();
    assert!(refusal(&world, request(AtTimestamp)).await.contains("is required"));
    let early = CreateEventSourceMappingRequest { starting_position_timestamp: Some(now), ..request(Latest) };
    assert!(refusal(&world, early).await.contains("only allowed"));
    let future = Some(now.plus(Duration::from_secs(1)));
    let future = CreateEventSourceMappingRequest { starting_position_timestamp: future, ..request(AtTimestamp) };
    assert!(refusal(&world, future).await.contains("future"));
    let fine = CreateEventSourceMappingRequest { starting_position_timestamp: Some(now), ..request(AtTimestamp) };
    assert_eq!(world.create(fine).await.starting_position_timestamp, Some(now));
}

fn with(change: impl FnOnce(&mut CreateEventSourceMappingRequest)) -> CreateEventSourceMappingRequest {
    let mut input = request(TrimHorizon);
    change(&mut input);
    input
}

#[tokio::test(start_paused = true)]
async fn members_of_other_event_sources_are_refused_by_name() {
    let world = World::new(1).await;
    let queues = with(|i| i.queues = Some(vec!["q".to_owned()]));
    assert_eq!(refusal(&world, queues).await, "Unsupported Queues parameter for given event source mapping type.");
    let topics = with(|i| i.topics = Some(vec!["t".to_owned()]));
    assert_eq!(refusal(&world, topics).await, "Unsupported Topics parameter for given event source mapping type.");
}

#[tokio::test(start_paused = true)]
async fn defaults_are_accepted_as_terraform_sends_them() {
    let world = World::new(1).await;
    let input = with(|input| {
        input.batch_size = Some(100);
        input.maximum_batching_window_in_seconds = Some(0);
        input.parallelization_factor = Some(1);
        input.bisect_batch_on_function_error = Some(false);
        input.maximum_retry_attempts = Some(-1);
        input.maximum_record_age_in_seconds = Some(-1);
        input.tumbling_window_in_seconds = Some(0);
        input.function_response_types = Some(vec![]);
        input.filter_criteria = Some(FilterCriteria { filters: Some(vec![]) });
        input.destination_config = Some(DestinationConfig { on_failure: Some(OnFailure::default()), on_success: None });
        input.kms_key_arn = Some(String::new());
        input.metrics_config = Some(EventSourceMappingMetricsConfig { metrics: Some(vec![]) });
        input.queues = Some(vec![]);
    });
    let uuid = world.create_enabled(input).await;
    let mut input = update(&uuid);
    input.filter_criteria = Some(FilterCriteria::default());
    input.destination_config =
        Some(DestinationConfig { on_failure: Some(OnFailure { destination: Some(String::new()) }), on_success: None });
    world.mappings.update_event_source_mapping(&context(), input).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_second_mapping_of_the_same_pair_is_refused() {
    let world = World::new(1).await;
    let uuid = world.create(request(TrimHorizon)).await.uuid.unwrap();
    let again = world.mappings.create_event_source_mapping(&context(), request(Latest)).await;
    let expected = format!(
        "The event source arn (\" {STREAM} \") and function (\" f \") provided mapping already exists. Please update or \
         delete the existing mapping with UUID {uuid}"
    );
    assert_eq!(again, Err(CreateEventSourceMappingError::ResourceConflict(expected.clone())));
    let other = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    let onto_f = UpdateEventSourceMappingRequest { function_name: Some("f".to_owned()), ..update(&other) };
    assert_eq!(update_refusal(&world, onto_f).await, UpdateEventSourceMappingError::ResourceConflict(expected));
}

#[tokio::test(start_paused = true)]
async fn mappings_in_transition_are_in_use() {
    let world = World::new(1).await;
    let uuid = world.create(request(TrimHorizon)).await.uuid.unwrap();
    let text = |verb| format!("Cannot {verb} the event source mapping because it is in use.");
    assert_eq!(
        update_refusal(&world, update(&uuid)).await,
        UpdateEventSourceMappingError::ResourceInUse(text("update"))
    );
    let input = DeleteEventSourceMappingRequest { uuid };
    let refused = world.mappings.delete_event_source_mapping(&context(), input).await;
    assert_eq!(refused, Err(DeleteEventSourceMappingError::ResourceInUse(text("delete"))));
}

#[tokio::test(start_paused = true)]
async fn unknown_mappings_do_not_exist() {
    let world = World::new(1).await;
    let text = || "The resource you requested does not exist.".to_owned();
    for uuid in [NO_UUID, "", "x/../y", "nothing"] {
        let input = GetEventSourceMappingRequest { uuid: uuid.to_owned() };
        let found = world.mappings.get_event_source_mapping(&context(), input).await;
        assert_eq!(found, Err(GetEventSourceMappingError::ResourceNotFound(text())));
        let refused = update_refusal(&world, update(uuid)).await;
        assert_eq!(refused, UpdateEventSourceMappingError::ResourceNotFound(text()));
        let input = DeleteEventSourceMappingRequest { uuid: uuid.to_owned() };
        let refused = world.mappings.delete_event_source_mapping(&context(), input).await;
        assert_eq!(refused, Err(DeleteEventSourceMappingError::ResourceNotFound(text())));
    }
}

#[tokio::test(start_paused = true)]
async fn listings_filter_and_page() {
    let world = World::new(1).await;
    let mut uuids = Vec::new();
    for name in ["f", "f:1", "g", "g:$LATEST"] {
        uuids.push(world.create(with(|i| i.function_name = name.to_owned())).await.uuid.unwrap());
    }
    let (f, mut all) = (uuids[0].clone(), uuids);
    all.sort();
    let everything = ListEventSourceMappingsRequest::default;
    assert_eq!(list(&world, everything()).await, (all.clone(), None));
    let by_stream = ListEventSourceMappingsRequest { event_source_arn: Some(STREAM.to_owned()), ..everything() };
    assert_eq!(list(&world, by_stream).await.0, all);
    for name in ["f", "arn:aws:lambda:us-west-2:123456789012:function:f", "123456789012:function:f"] {
        let by_function = ListEventSourceMappingsRequest { function_name: Some(name.to_owned()), ..everything() };
        assert_eq!(list(&world, by_function).await, (vec![f.clone()], None), "{name}");
    }
    for (function, stream) in [(Some("unknown"), None), (None, Some("arn:aws:kinesis:us-west-2:123456789012:stream/x"))]
    {
        let none = ListEventSourceMappingsRequest {
            function_name: function.map(str::to_owned),
            event_source_arn: stream.map(str::to_owned),
            ..everything()
        };
        assert_eq!(list(&world, none).await, (vec![], None));
    }
    let (first, marker) = list(&world, ListEventSourceMappingsRequest { max_items: Some(3), ..everything() }).await;
    assert_eq!(first, all[..3]);
    assert!(marker.is_some());
    let rest = ListEventSourceMappingsRequest { max_items: Some(3), marker, ..everything() };
    assert_eq!(list(&world, rest).await, (all[3..].to_vec(), None));
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_a_mapping_that_never_came_to_be_is_free() {
    use millstream_catalog::Expect;
    let world = World::new(1).await;
    let key = format!("mapping-claim/123456789012/us-west-2/f:/{STREAM}");
    world.catalog.put(&key, Expect::Absent, NO_UUID.into()).await.unwrap();
    world.create_enabled(request(TrimHorizon)).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_mappings_that_take_a_function_at_once_one_gets_it() {
    let catalog = Arc::new(TestCatalog::default());
    let world = World::with_catalog(1, Arc::clone(&catalog) as _).await;
    let first = world.create_enabled(with(|i| i.function_name = "g".to_owned())).await;
    let second = world.create_enabled(with(|i| i.function_name = "f:1".to_owned())).await;
    let onto_f = |uuid: &str| UpdateEventSourceMappingRequest { function_name: Some("f".to_owned()), ..update(uuid) };
    let (mappings, input) = (world.mappings.clone(), onto_f(&second));
    let other = async move { drop(mappings.update_event_source_mapping(&context(), input).await.unwrap()) };
    // The first has claimed the pair, and nothing else yet.
    catalog.before_write(&format!("mapping/123456789012/us-west-2/{first}"), Box::pin(other));
    let refused =
        update_refusal(&world, UpdateEventSourceMappingRequest { batch_size: Some(7), ..onto_f(&first) }).await;
    let UpdateEventSourceMappingError::ResourceConflict(text) = refused else { panic!("{refused:?}") };
    assert!(text.ends_with(&second), "{text}");
    for (uuid, function) in [(&first, "g"), (&second, "f")] {
        world.reaches(uuid, "Enabled").await;
        let document = world.get(uuid).await.unwrap();
        assert_eq!(document.function_arn.unwrap().rsplit(':').next(), Some(function));
        assert_eq!(document.batch_size, Some(100));
    }
    let again =
        world.mappings.create_event_source_mapping(&context(), with(|i| i.function_name = "g".to_owned())).await;
    assert!(matches!(again, Err(CreateEventSourceMappingError::ResourceConflict(_))), "its own claim is still there");
}
