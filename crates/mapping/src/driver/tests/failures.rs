//! Failed batches: the list, and what comes to the destination (event source mapping reference, section 6.3).

use millstream_destinations::Delivery;
use millstream_wire::lambda::{DestinationConfig, FunctionResponseType, OnFailure};

use super::*;
use crate::machine::DiscardReason;
use crate::operator::FailedBatchInfo;
use crate::record::DeliveryState;
use crate::testing::{ROLE, STREAM, scope};

const QUEUE: &str = "arn:aws:sqs:us-west-2:123456789012:failed";
const TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:failed";
const BUCKET: &str = "arn:aws:s3:::failed";

pub(super) fn to(arn: &str, retries: i32) -> CreateEventSourceMappingRequest {
    let on_failure = OnFailure { destination: Some(arn.to_owned()) };
    CreateEventSourceMappingRequest {
        maximum_retry_attempts: Some(retries),
        destination_config: Some(DestinationConfig { on_failure: Some(on_failure), on_success: None }),
        ..request(TrimHorizon)
    }
}

async fn list(world: &World, uuid: &str) -> Vec<FailedBatchInfo> {
    world.mappings.failed_batches(&scope(), uuid, None, 100).await.unwrap().batches
}

async fn all_delivered(world: &World, count: usize) -> Vec<Delivery> {
    let is_there = async || world.destination.delivered().len() == count;
    world.in_time(&format!("{count} failed batches are delivered"), is_there).await;
    world.destination.delivered()
}

fn json(delivery: &Delivery) -> serde_json::Value {
    serde_json::from_slice(&delivery.document).unwrap()
}

/// Sequence numbers in an event.
fn numbers(event: &[u8]) -> Vec<String> {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap();
    let records = event["Records"].as_array().unwrap();
    records.iter().map(|record| record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned()).collect()
}

/// What AWS sends for two records of `event` that failed twice, half a second apart.
fn document(event: &[u8]) -> String {
    let [first, last] = numbers(event).try_into().unwrap();
    format!(
        concat!(
            r#"{{"requestContext":{{"requestId":"request","#,
            r#""functionArn":"arn:aws:lambda:us-west-2:123456789012:function:f","#,
            r#""condition":"RetryAttemptsExhausted","approximateInvokeCount":2}},"#,
            r#""responseContext":{{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"}},"#,
            r#""version":"1.0","timestamp":"2023-11-14T22:13:20.500Z","#,
            r#""KinesisBatchInfo":{{"shardId":"shardId-000000000000","#,
            r#""startSequenceNumber":"{first}","endSequenceNumber":"{last}","#,
            r#""approximateArrivalOfFirstRecord":"2023-11-14T22:13:20.000Z","#,
            r#""approximateArrivalOfLastRecord":"2023-11-14T22:13:20.000Z","#,
            r#""batchSize":2,"streamArn":"{stream}"}}}}"#,
        ),
        first = first,
        last = last,
        stream = STREAM
    )
}

/// Two records fail twice; what comes to `arn`, with the mapping and the event.
async fn two_records_fail(world: &World, arn: &str) -> (Delivery, String, bytes::Bytes) {
    world.function.then_fail();
    world.function.then_fail();
    world.put(0, &["a", "b"]).await;
    let uuid = world.create_enabled(to(arn, 1)).await;
    world.delivered(&["a", "b"]).await;
    world.settle(Duration::from_millis(5)).await;
    world.time.advance(Duration::from_millis(500));
    let delivery = all_delivered(world, 1).await.remove(0);
    assert_eq!(world.function.batches(), [2, 2]);
    assert_eq!((delivery.destination.to_string().as_str(), delivery.role_arn.as_str()), (arn, ROLE));
    (delivery, uuid, world.function.deliveries()[0].event.clone())
}

#[tokio::test(start_paused = true)]
async fn queues_and_topics_get_the_recorded_document_without_the_event() {
    for arn in [QUEUE, TOPIC] {
        let world = World::new(1).await;
        let (delivery, _, event) = two_records_fail(&world, arn).await;
        assert_eq!(std::str::from_utf8(&delivery.document).unwrap(), document(&event));
    }
}

#[tokio::test(start_paused = true)]
async fn buckets_get_the_event_too_as_one_text() {
    let world = World::new(1).await;
    let (delivery, uuid, event) = two_records_fail(&world, BUCKET).await;
    let text = serde_json::to_string(std::str::from_utf8(&event).unwrap()).unwrap();
    let expected = document(&event).strip_suffix('}').unwrap().to_owned() + &format!(r#","payload":{text}}}"#);
    assert_eq!(std::str::from_utf8(&delivery.document).unwrap(), expected);
    assert!(json(&delivery)["payload"].is_string());
    let folder = format!("aws/lambda/{uuid}/shardId-000000000000/2023/11/14/2023-11-14T22.13.20-");
    let random = delivery.object_key.strip_prefix(&folder).expect("the key begins as recorded");
    assert_eq!(random.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
}

#[tokio::test(start_paused = true)]
async fn a_qualifier_stays_in_the_functions_arn() {
    let world = World::new(1).await;
    world.function.then_fail();
    world.put(0, &["a"]).await;
    let input = CreateEventSourceMappingRequest { function_name: "f:1".to_owned(), ..to(QUEUE, 0) };
    world.create_enabled(input).await;
    let delivery = all_delivered(&world, 1).await.remove(0);
    let arn = "arn:aws:lambda:us-west-2:123456789012:function:f:1";
    assert_eq!(json(&delivery)["requestContext"]["functionArn"], arn);
    assert_eq!(world.function.deliveries()[0].function, "f:1");
}

#[tokio::test(start_paused = true)]
async fn reported_failures_have_no_function_error() {
    let world = World::new(1).await;
    world.put(0, &["a"]).await;
    let nothing_known = r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#;
    (0..3).for_each(|_| world.function.then(Outcome::Ok(nothing_known.into())));
    let types = Some(vec![FunctionResponseType::ReportBatchItemFailures]);
    world.create_enabled(CreateEventSourceMappingRequest { function_response_types: types, ..to(QUEUE, 2) }).await;
    let document = json(&all_delivered(&world, 1).await[0]);
    let response = serde_json::json!({"statusCode": 200, "executedVersion": "$LATEST", "functionError": null});
    assert_eq!(document["responseContext"], response);
    assert!(document["responseContext"].as_object().unwrap().contains_key("functionError"));
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 3);
}

#[tokio::test(start_paused = true)]
async fn records_that_were_too_old_have_no_response() {
    let world = World::new(1).await;
    world.put(0, &["old"]).await;
    world.time.advance(Duration::from_secs(80));
    world.put(0, &["1", "2", "3", "4", "5"]).await;
    let input = CreateEventSourceMappingRequest { maximum_record_age_in_seconds: Some(60), ..to(QUEUE, 0) };
    let uuid = world.create_enabled(input).await;
    world.delivered(&["1", "2", "3", "4", "5"]).await;
    let document = json(&world.destination.delivered()[0]);
    assert_eq!(document.get("responseContext"), None);
    assert_eq!(document["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(document["requestContext"]["requestId"].as_str().unwrap().len(), 36, "made up");
    assert_eq!(document["KinesisBatchInfo"]["batchSize"], 1);
    let kept = list(&world, &uuid).await;
    assert_eq!(kept[0].batch.request_id, document["requestContext"]["requestId"].as_str().unwrap());
}

#[tokio::test(start_paused = true)]
async fn failed_batches_are_listed_in_the_order_in_which_they_were_given_up() {
    let world = World::new(1).await;
    let input = CreateEventSourceMappingRequest {
        batch_size: Some(1),
        maximum_retry_attempts: Some(0),
        ..request(TrimHorizon)
    };
    let uuid = world.create_enabled(input).await;
    for text in ["a", "b", "c"] {
        world.function.then_fail();
        world.put(0, &[text]).await;
        world
            .in_time("it is given up", async || {
                world
                    .mappings
                    .batch_history(&uuid)
                    .values()
                    .next()
                    .is_some_and(|h| h.len() == world.function.texts().len())
            })
            .await;
        world.time.advance(Duration::from_secs(1));
    }
    world.in_time("all are listed", async || list(&world, &uuid).await.len() == 3).await;
    let all = list(&world, &uuid).await;
    let firsts: Vec<u64> = all.iter().map(|info| info.batch.first).collect();
    assert_eq!(firsts, [0, 1, 2]);
    let one = &all[0];
    assert_eq!(one.shard.to_string(), "shardId-000000000000");
    assert_eq!((one.batch.last, one.batch.records, one.batch.invoke_count), (0, 1, 1));
    assert_eq!((one.batch.reason, one.batch.is_function_error), (DiscardReason::RetryAttemptsExhausted, true));
    assert_eq!(one.batch.delivery, DeliveryState::NoDestination);
    assert_eq!(one.batch.start_sequence_number, numbers(&world.function.deliveries()[0].event)[0]);
    let page = world.mappings.failed_batches(&scope(), &uuid, None, 2).await.unwrap();
    assert_eq!(page.batches, all[..2]);
    let rest = world.mappings.failed_batches(&scope(), &uuid, page.next.as_deref(), 2).await.unwrap();
    assert_eq!((rest.batches.as_slice(), rest.next), (&all[2..], None));
    assert!(world.destination.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_fails_is_tried_again() {
    let world = World::new(1).await;
    world.destination.fail(2);
    world.function.then_fail();
    world.put(0, &["bad"]).await;
    let uuid = world.create_enabled(to(QUEUE, 0)).await;
    world.delivered(&["bad"]).await;
    world.put(0, &["next"]).await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&["bad"]).await;
    let [kept] = list(&world, &uuid).await.try_into().unwrap();
    assert!(matches!(kept.batch.delivery, DeliveryState::Failed { .. }), "{:?}", kept.batch.delivery);
    all_delivered(&world, 1).await;
    world.delivered(&["bad", "next"]).await;
    let [kept] = list(&world, &uuid).await.try_into().unwrap();
    assert_eq!(kept.batch.delivery, DeliveryState::Delivered);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_goes_on_failing_does_not_block_its_shard() {
    let world = World::new(1).await;
    world.destination.fail(5);
    world.function.then_fail();
    world.put(0, &["bad"]).await;
    let uuid = world.create_enabled(to(QUEUE, 0)).await;
    world.delivered(&["bad"]).await;
    let began = world.clock.now();
    world.put(0, &["next"]).await;
    world.in_time("the shard goes on", async || world.function.texts() == ["bad", "next"]).await;
    let took = world.clock.now().since(began);
    assert!((7500..8000).contains(&took.as_millis()), "{took:?}");
    assert!(world.destination.delivered().is_empty());
    let [kept] = list(&world, &uuid).await.try_into().unwrap();
    assert!(matches!(kept.batch.delivery, DeliveryState::Failed { reason } if reason.contains("injected")));
}

#[tokio::test(start_paused = true)]
async fn a_crash_during_a_delivery_delivers_at_most_twice() {
    let mut world = World::new(1).await;
    world.destination.hold(true);
    world.function.then_fail();
    world.put(0, &["bad"]).await;
    let uuid = world.create_enabled(to(QUEUE, 0)).await;
    all_delivered(&world, 1).await;
    world.crash().await;
    world.function.then_fail();
    all_delivered(&world, 2).await;
    world.destination.hold(false);
    world.put(0, &["next"]).await;
    world.in_time("the shard goes on", async || world.function.texts() == ["bad", "next"]).await;
    let counts: Vec<serde_json::Value> = world
        .destination
        .delivered()
        .iter()
        .map(|d| json(d)["requestContext"]["approximateInvokeCount"].clone())
        .collect();
    assert_eq!(counts, [1, 1]);
    assert!(!list(&world, &uuid).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_a_delivery_delivers_once() {
    let mut world = World::new(1).await;
    world.function.then_fail();
    world.put(0, &["bad", "next"]).await;
    let uuid = world.create_enabled(CreateEventSourceMappingRequest { batch_size: Some(1), ..to(QUEUE, 0) }).await;
    world.delivered(&["bad", "next"]).await;
    world.crash().await;
    world.put(0, &["last"]).await;
    let arrived = async || world.function.texts().last().is_some_and(|text| text == "last");
    world.in_time("the shard goes on", arrived).await;
    assert!(!world.function.texts().contains(&"bad".to_owned()), "its end was durable before the next batch began");
    assert_eq!(world.destination.delivered().len(), 1);
    assert_eq!(list(&world, &uuid).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_mapping_takes_its_failed_batches_along() {
    let world = World::new(1).await;
    world.function.then_fail();
    world.put(0, &["bad"]).await;
    let uuid = world.create_enabled(to(QUEUE, 0)).await;
    all_delivered(&world, 1).await;
    let input = DeleteEventSourceMappingRequest { uuid: uuid.clone() };
    world.mappings.delete_event_source_mapping(&context(), input).await.unwrap();
    world.eventually("it is gone", async || world.get(&uuid).await.is_none()).await;
    assert_eq!(keys(&world, "failed/").await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_too_large_record_is_listed_and_shown_as_the_last_result() {
    let world = World::new(1).await;
    let large = "x".repeat(5_000_000);
    world.put(0, &[&large]).await;
    let uuid = world.create_enabled(to(BUCKET, 3)).await;
    let document = json(&all_delivered(&world, 1).await[0]);
    assert_eq!(document["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(document.get("responseContext"), None, "the function was never invoked");
    world.result_becomes(&uuid, ProcessingResult::RecordTooLarge.text()).await;
    assert_eq!(list(&world, &uuid).await[0].batch.reason, DiscardReason::TooLarge);
    assert!(world.function.texts().is_empty());
}

fn counted(input: CreateEventSourceMappingRequest) -> CreateEventSourceMappingRequest {
    use millstream_wire::lambda::{EventSourceMappingMetric, EventSourceMappingMetricsConfig};
    let metrics = Some(vec![EventSourceMappingMetric::EventCount]);
    CreateEventSourceMappingRequest { metrics_config: Some(EventSourceMappingMetricsConfig { metrics }), ..input }
}

#[tokio::test(start_paused = true)]
async fn a_destination_failure_is_counted_for_each_batch_that_was_dropped() {
    const FAILURES: &str = "millstream_function_destination_delivery_failures_total";
    let world = World::new(1).await;
    world.function.then_fail();
    world.destination.fail(4);
    world.create_enabled(counted(to(QUEUE, 0))).await;
    world.put(0, &["a"]).await;
    all_delivered(&world, 1).await;
    assert_eq!(world.total(FAILURES), 0, "the fifth try came there");
    world.function.then_fail();
    world.destination.fail(5);
    world.put(0, &["b", "c"]).await;
    world.in_time("the second is dropped", async || world.total("millstream_mapping_dropped_events_total") == 2).await;
    assert_eq!(world.total(FAILURES), 1);
    assert_eq!(world.total("millstream_mapping_on_failure_destination_delivered_events_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_skips_is_dropped_and_not_delivered() {
    let world = World::new(1).await;
    world.function.then_fail();
    let uuid = world.create_enabled(counted(to(QUEUE, 3))).await;
    world.put(0, &["a", "b"]).await;
    let is_skipped = async || world.mappings.skip_batches(&scope(), &uuid, None).await.is_ok();
    world.eventually("the batch can be skipped", is_skipped).await;
    world.eventually("it is dropped", async || world.total("millstream_mapping_dropped_events_total") == 2).await;
    assert_eq!(world.total("millstream_mapping_on_failure_destination_delivered_events_total"), 0);
}
