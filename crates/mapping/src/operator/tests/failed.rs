//! Failed batches: looking at them, and sending them again.

use millstream_wire::lambda::FunctionResponseType;

use super::*;
use crate::record::DeliveryState;

fn no_retries() -> CreateEventSourceMappingRequest {
    CreateEventSourceMappingRequest { maximum_retry_attempts: Some(0), ..request(TrimHorizon) }
}

/// A mapping whose batch of `texts` was given up; its UUID and the batch.
async fn given_up(world: &World, input: CreateEventSourceMappingRequest, texts: &[&str]) -> (String, FailedBatchInfo) {
    world.function.then_fail();
    world.put(0, texts).await;
    let uuid = world.create_enabled(input).await;
    world.eventually("it is given up", async || !list(world, &uuid).await.is_empty()).await;
    let info = list(world, &uuid).await.remove(0);
    (uuid, info)
}

async fn list(world: &World, uuid: &str) -> Vec<FailedBatchInfo> {
    world.mappings.failed_batches(&scope(), uuid, None, 10).await.unwrap().batches
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_shows_its_records() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a", "b"]).await;
    let (same, records) = world.mappings.failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert_eq!(same.id, info.id);
    assert_eq!(same.batch.delivery, DeliveryState::NoDestination);
    let texts: Vec<&[u8]> = records.iter().map(|(_, record)| &record.data[..]).collect();
    assert_eq!(texts, [b"a", b"b"]);
    assert_eq!(records[0].0, same.batch.start_sequence_number);
    assert_eq!(records[1].0, same.batch.end_sequence_number);
}

#[tokio::test(start_paused = true)]
async fn a_redriven_batch_is_read_again_and_leaves_the_list_on_success() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a", "b"]).await;
    world.put(0, &["later"]).await;
    world.delivered(&["a", "b", "later"]).await;
    let redriven = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert_eq!((redriven.records, redriven.reports.len(), redriven.is_done), (2, 1, true));
    world.delivered(&["a", "b", "later", "a", "b"]).await;
    let deliveries = world.function.deliveries();
    assert_eq!(deliveries[0].event, deliveries[2].event, "the same event as the first time");
    assert!(list(&world, &uuid).await.is_empty());
    let again = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await;
    assert!(matches!(again, Err(OperatorError::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn a_redriven_batch_that_fails_stays() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a"]).await;
    world.function.then_fail();
    let redriven = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert!(!redriven.is_done);
    world.function.then(Outcome::Throttled { reason: "x" });
    let redriven = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert!(!redriven.is_done);
    assert_eq!(list(&world, &uuid).await, [info]);
}

#[tokio::test(start_paused = true)]
async fn a_redriven_batch_of_which_a_record_is_reported_stays() {
    let world = World::new(1).await;
    let types = Some(vec![FunctionResponseType::ReportBatchItemFailures]);
    let input = CreateEventSourceMappingRequest { function_response_types: types, ..no_retries() };
    let (uuid, info) = given_up(&world, input, &["a", "b"]).await;
    let number = &info.batch.end_sequence_number;
    let response = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{number}"}}]}}"#);
    world.function.then(Outcome::Ok(response.into()));
    let redriven = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert!(!redriven.is_done);
    assert_eq!(list(&world, &uuid).await.len(), 1);
    let redriven = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert!(redriven.is_done);
}

#[tokio::test(start_paused = true)]
async fn only_records_of_the_batch_are_sent_again() {
    use millstream_wire::lambda::{Filter, FilterCriteria};
    let world = World::new(1).await;
    let pattern = Some(r#"{"data":{"keep":[true]}}"#.to_owned());
    let criteria = FilterCriteria { filters: Some(vec![Filter { pattern }]) };
    let input = CreateEventSourceMappingRequest { filter_criteria: Some(criteria), ..no_retries() };
    let (one, two) = (r#"{"keep":true,"n":1}"#, r#"{"keep":true,"n":2}"#);
    let (uuid, info) = given_up(&world, input, &["-", one, "-", "-", two, "-"]).await;
    assert_eq!((info.batch.records, info.batch.gaps.as_slice()), (2, &[(2, 3)][..]));
    world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    world.delivered(&[one, two, one, two]).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_event_is_sent_again_in_one() {
    let world = World::new(1).await;
    let large = ["1", "2", "3", "4", "5", "6"].map(|text| text.repeat(1_000_000));
    let texts: Vec<&str> = large.iter().map(String::as_str).collect();
    let (uuid, info) = given_up(&world, no_retries(), &texts).await;
    assert_eq!(info.batch.records, 4);
    let redriven = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert_eq!((redriven.records, redriven.reports.len()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn records_that_left_the_stream_are_not_sent_again() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a", "b"]).await;
    world.stream.set(None);
    world.create_stream(2, 1).await;
    world.time.advance(Duration::from_secs(1));
    world.put(0, &["other", "records"]).await;
    let gone = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await;
    assert!(matches!(gone, Err(OperatorError::Conflict(text)) if text.contains("retention")), "a stream created anew");
    assert_eq!(world.mappings.failed_batch(&scope(), &uuid, &info.id).await.unwrap().1, []);
    assert_eq!(list(&world, &uuid).await, [info]);
}

#[tokio::test(start_paused = true)]
async fn records_past_the_retention_are_not_sent_again() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a", "b"]).await;
    world.time.advance(Duration::from_hours(25));
    world.put(0, &["new"]).await;
    let gone = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await;
    assert!(matches!(gone, Err(OperatorError::Conflict(text)) if text.contains("retention")));
    assert_eq!(list(&world, &uuid).await, [info], "it can still be looked at");
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_batch_leaves_the_list() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a"]).await;
    world.mappings.forget_failed_batch(&scope(), &uuid, &info.id).await.unwrap();
    assert!(list(&world, &uuid).await.is_empty());
    for id in [info.id.as_str(), "", "x/y", "../mapping"] {
        let refused = world.mappings.forget_failed_batch(&scope(), &uuid, id).await;
        assert!(matches!(refused, Err(OperatorError::NotFound(_))), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_can_be_redriven_while_its_mapping_is_disabled_but_not_without_its_function() {
    let world = World::new(1).await;
    let (uuid, info) = given_up(&world, no_retries(), &["a"]).await;
    world.update(&uuid, |input| input.enabled = Some(false)).await;
    world.reaches(&uuid, "Disabled").await;
    *world.identity.missing.lock().unwrap() = true;
    let refused = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await;
    assert!(matches!(refused, Err(OperatorError::Conflict(text)) if text.contains("function")));
    *world.identity.missing.lock().unwrap() = false;
    assert!(world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await.unwrap().is_done);
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_mapping_with_a_window_is_not_sent_again_without_its_state() {
    let world = World::new(1).await;
    let input = CreateEventSourceMappingRequest { tumbling_window_in_seconds: Some(60), ..no_retries() };
    let (uuid, info) = given_up(&world, input, &["a"]).await;
    let refused = world.mappings.redrive_failed_batch(&scope(), &uuid, &info.id).await;
    assert!(matches!(refused, Err(OperatorError::Conflict(text)) if text.contains("tumbling window")));
    assert_eq!(world.function.deliveries().len(), 1);
    assert_eq!(list(&world, &uuid).await, [info]);
}
