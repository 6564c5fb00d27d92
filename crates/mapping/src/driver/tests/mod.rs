mod checkpoints;
mod failures;
mod retries;
mod updates;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::Random;
use millstream_functions::Outcome;
use millstream_log::encryption::{DataKeys, Key, StreamKeys};
use millstream_log::{EncryptedLog, Position, ReadFrom, ReadLimit, ShardKey, SharedLog};
use millstream_wire::lambda::EventSourcePosition::{AtTimestamp, Latest, TrimHorizon};
use millstream_wire::lambda::{
    CreateEventSourceMappingRequest, DeleteEventSourceMappingRequest, ListEventSourceMappingsRequest,
    UpdateEventSourceMappingRequest,
};

use crate::machine::BatchOutcome::{self, FunctionFailed, NotDelivered, Succeeded};
use crate::result::ProcessingResult;
use crate::testing::{World, context, request};

const ACCESS: &str = ProcessingResult::NoAccess.text();

async fn set_enabled(world: &World, uuid: &str, enabled: bool) -> String {
    let input = UpdateEventSourceMappingRequest {
        uuid: uuid.to_owned(),
        enabled: Some(enabled),
        ..UpdateEventSourceMappingRequest::default()
    };
    let answer = world.mappings.update_event_source_mapping(&context(), input).await.unwrap();
    answer.state.unwrap()
}

/// The catalog's keys under a prefix.
async fn keys(world: &World, prefix: &str) -> Vec<String> {
    let page = world.catalog.list(prefix, None, 1000).await.unwrap();
    page.items.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test(start_paused = true)]
async fn records_go_from_the_stream_to_the_function_as_soon_as_they_are_there() {
    let world = World::new(1).await;
    world.put(0, &["before"]).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.delivered(&["before"]).await;
    world.put(0, &["a", "b"]).await;
    world.delivered(&["before", "a", "b"]).await;
    world.put(0, &["c"]).await;
    world.delivered(&["before", "a", "b", "c"]).await;
    assert_eq!(world.function.batches(), [1, 2, 1], "what one read gave is sent at once");
    world.result_becomes(&uuid, "OK").await;
    let history = world.mappings.batch_history(&uuid);
    assert_eq!(history.values().next().unwrap().len(), 3);
}

/// One key for all streams.
#[derive(Debug)]
struct OneKey;

impl DataKeys for OneKey {
    fn of(&self, _: u64) -> Option<Arc<StreamKeys>> {
        let keys = BTreeMap::from([(1, Arc::new(Key::new(&[7; Key::BYTES])))]);
        Some(Arc::new(StreamKeys::new(Some(1), keys)))
    }
}

#[tokio::test(start_paused = true)]
async fn functions_see_encrypted_records_as_they_were_put() {
    let mut stored = None;
    let around = |log: SharedLog| -> SharedLog {
        Arc::new(EncryptedLog::new(Arc::clone(stored.insert(log)), Arc::new(OneKey), Random::seeded(1)))
    };
    let world = World::with_log(1, around).await;
    world.put(0, &["for the function", "also"]).await;
    world.create_enabled(request(TrimHorizon)).await;
    world.delivered(&["for the function", "also"]).await;
    let (key, all) = (ShardKey { stream: 1, shard: 0 }, ReadLimit { records: 10, bytes: 1000 });
    let stored = stored.unwrap().read(key, ReadFrom::Position(Position(0)), all).await.unwrap().records;
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|record| !record.data.windows(4).any(|bytes| [&b"func"[..], b"also"].contains(&bytes))));
}

#[tokio::test(start_paused = true)]
async fn with_latest_everything_put_after_enabled_is_delivered_and_nothing_before() {
    let world = World::new(2).await;
    world.put(0, &["old"]).await;
    world.create_enabled(request(Latest)).await;
    world.put(0, &["new"]).await;
    world.put(1, &["other"]).await;
    world.eventually("both arrive", async || world.function.texts().len() == 2).await;
    let mut texts = world.function.texts();
    texts.sort();
    assert_eq!(texts, ["new", "other"]);
}

#[tokio::test(start_paused = true)]
async fn with_at_timestamp_records_from_that_moment_on_are_delivered() {
    let world = World::new(1).await;
    world.put(0, &["early"]).await;
    world.time.advance(Duration::from_mins(1));
    world.put(0, &["late"]).await;
    let moment = world.clock.now();
    let input = CreateEventSourceMappingRequest { starting_position_timestamp: Some(moment), ..request(AtTimestamp) };
    world.create_enabled(input).await;
    world.delivered(&["late"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_is_tried_again_with_the_same_bytes() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.function.then_fail();
    world.function.then(Outcome::NotReady("pending".to_owned()));
    world.put(0, &["poison"]).await;
    world.result_becomes(&uuid, "PROBLEM: Function call failed").await;
    world.put(0, &["next"]).await;
    world.time.advance(Duration::from_millis(500));
    world.delivered(&["poison", "poison"]).await;
    world.time.advance(Duration::from_millis(100));
    world.delivered(&["poison", "poison", "poison", "next"]).await;
    let deliveries = world.function.deliveries();
    assert_eq!(deliveries[0].event, deliveries[2].event);
    assert_eq!(deliveries[0].event.as_ptr(), deliveries[2].event.as_ptr(), "the event is built once");
    world.result_becomes(&uuid, "OK").await;
    let history = world.mappings.batch_history(&uuid).into_values().next().unwrap();
    let outcomes: Vec<BatchOutcome> = history.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [FunctionFailed, NotDelivered, Succeeded, Succeeded]);
}

#[tokio::test(start_paused = true)]
async fn a_batching_window_gathers() {
    let world = World::new(1).await;
    let input =
        CreateEventSourceMappingRequest { maximum_batching_window_in_seconds: Some(10), ..request(TrimHorizon) };
    world.create_enabled(input).await;
    world.put(0, &["a"]).await;
    world.settle(Duration::from_millis(10)).await;
    world.put(0, &["b"]).await;
    world.settle(Duration::from_millis(10)).await;
    assert!(world.function.batches().is_empty());
    world.time.advance(Duration::from_secs(10));
    world.delivered(&["a", "b"]).await;
    assert_eq!(world.function.batches(), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_mapping_goes_on_where_it_was() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.function.hold(true);
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    assert_eq!(set_enabled(&world, &uuid, false).await, "Disabling");
    world.put(0, &["b"]).await;
    world.settle(Duration::from_secs(2)).await;
    assert_eq!(world.get(&uuid).await.unwrap().state.unwrap(), "Disabling", "an invocation is still running");
    world.function.hold(false);
    world.reaches(&uuid, "Disabled").await;
    world.settle(Duration::from_secs(2)).await;
    world.delivered(&["a"]).await;
    assert_eq!(set_enabled(&world, &uuid, true).await, "Enabling");
    world.delivered(&["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mapping_created_disabled_becomes_disabled_and_delivers_nothing() {
    let world = World::new(1).await;
    world.put(0, &["a"]).await;
    let input = CreateEventSourceMappingRequest { enabled: Some(false), ..request(TrimHorizon) };
    let uuid = world.create(input).await.uuid.unwrap();
    world.reaches(&uuid, "Disabled").await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&[]).await;
    set_enabled(&world, &uuid, true).await;
    world.delivered(&["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_orderly_restart_repeats_nothing() {
    let mut world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a", "b"]).await;
    world.delivered(&["a", "b"]).await;
    world.restart().await;
    world.put(0, &["c"]).await;
    world.delivered(&["a", "b", "c"]).await;
    let history = world.mappings.batch_history(&uuid).into_values().next().unwrap();
    assert_eq!(history.len(), 2, "the last batch of the former life is remembered");
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_only_the_last_moments_are_repeated() {
    let mut world = World::new(1).await;
    world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.settle(Duration::from_millis(150)).await;
    world.function.hold(true);
    world.put(0, &["b"]).await;
    world.delivered(&["a", "b"]).await;
    world.crash().await;
    world.delivered(&["b"]).await;
    world.put(0, &["c"]).await;
    world.delivered(&["b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_while_a_mapping_is_created_loses_nothing() {
    let mut world = World::new(1).await;
    let uuid = world.create(request(TrimHorizon)).await.uuid.unwrap();
    world.crash().await;
    world.reaches(&uuid, "Enabled").await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn children_follow_when_their_parent_is_done_also_after_a_restart() {
    let mut world = World::new(1).await;
    world.create_enabled(request(Latest)).await;
    world.function.hold(true);
    world.put(0, &["parent"]).await;
    world.split(0).await;
    world.put(1, &["left"]).await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&["parent"]).await;
    world.function.hold(false);
    world.delivered(&["parent", "left"]).await;
    world.put(2, &["right"]).await;
    world.delivered(&["parent", "left", "right"]).await;
    world.restart().await;
    world.put(1, &["more"]).await;
    world.delivered(&["parent", "left", "right", "more"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_fails_does_not_hold_up_another() {
    let world = World::new(2).await;
    world.create_enabled(request(TrimHorizon)).await;
    world.function.then_fail();
    world.put(0, &["bad"]).await;
    world.delivered(&["bad"]).await;
    world.put(1, &["good"]).await;
    world.delivered(&["bad", "good"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_role_without_permission_stops_the_mapping_visibly_until_it_is_restored() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.result_becomes(&uuid, "OK").await;
    *world.identity.refused.lock().unwrap() = Some("kinesis:GetRecords");
    touch(&world, "role/123456789012/lambda-kinesis-role").await;
    world.result_becomes(&uuid, ACCESS).await;
    world.put(0, &["b"]).await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&["a"]).await;
    assert_eq!(world.get(&uuid).await.unwrap().state.unwrap(), "Enabled");
    *world.identity.refused.lock().unwrap() = None;
    touch(&world, "role/123456789012/lambda-kinesis-role").await;
    world.delivered(&["a", "b"]).await;
    world.result_becomes(&uuid, "OK").await;
}

/// Changes something in the catalog, as its owner would.
async fn touch(world: &World, key: &str) {
    use millstream_catalog::Expect;
    let expect = world.catalog.get(key).await.unwrap().map_or(Expect::Absent, |found| Expect::Revision(found.revision));
    world.catalog.put(key, expect, "{}".into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deleted_function_suspends_the_mapping_until_there_is_one_again() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    *world.identity.missing.lock().unwrap() = true;
    touch(&world, "function/123456789012/us-west-2/f").await;
    world.result_becomes(&uuid, "PROBLEM: Function does not exist").await;
    assert_eq!(world.get(&uuid).await.unwrap().state.unwrap(), "Enabled");
    world.put(0, &["a"]).await;
    *world.identity.missing.lock().unwrap() = false;
    touch(&world, "function/123456789012/us-west-2/f").await;
    world.delivered(&["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_created_anew_is_read_from_its_beginning() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(Latest)).await;
    world.put(0, &["a", "b", "c"]).await;
    world.delivered(&["a", "b", "c"]).await;
    world.stream.set(None);
    world.result_becomes(&uuid, "PROBLEM: Stream not found").await;
    world.create_stream(2, 1).await;
    world.put(0, &["new"]).await;
    world.delivered(&["a", "b", "c", "new"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_mapping_leaves_nothing_behind_and_can_be_created_again() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.settle(Duration::from_millis(200)).await;
    let input = DeleteEventSourceMappingRequest { uuid: uuid.clone() };
    let answer = world.mappings.delete_event_source_mapping(&context(), input).await.unwrap();
    assert_eq!(answer.state.unwrap(), "Deleting");
    world.eventually("it is gone", async || world.get(&uuid).await.is_none()).await;
    world.settle(Duration::from_millis(200)).await;
    for prefix in ["mapping", "pos/"] {
        assert_eq!(keys(&world, prefix).await, Vec::<String>::new());
    }
    world.create_enabled(request(TrimHorizon)).await;
    world.delivered(&["a", "a"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_takes_effect_without_losing_the_position() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    let input = UpdateEventSourceMappingRequest {
        uuid: uuid.clone(),
        function_name: Some("g:1".to_owned()),
        batch_size: Some(2),
        ..UpdateEventSourceMappingRequest::default()
    };
    let answer = world.mappings.update_event_source_mapping(&context(), input).await.unwrap();
    assert_eq!(answer.state.as_deref(), Some("Updating"));
    assert_eq!(answer.batch_size, Some(100), "the old values are answered");
    world.reaches(&uuid, "Enabled").await;
    let after = world.get(&uuid).await.unwrap();
    assert_eq!(after.batch_size, Some(2));
    assert_eq!(after.function_arn.as_deref(), Some("arn:aws:lambda:us-west-2:123456789012:function:g:1"));
    world.function.hold(true);
    world.put(0, &["b"]).await;
    world.eventually("b is in flight", async || world.function.texts().len() == 2).await;
    world.put(0, &["c", "d", "e"]).await;
    world.function.hold(false);
    world.delivered(&["a", "b", "c", "d", "e"]).await;
    assert_eq!(world.function.batches(), [1, 1, 2, 1]);
    assert_eq!(world.function.deliveries()[1].function, "g:1");
}

#[tokio::test(start_paused = true)]
async fn several_mappings_read_one_stream_independently() {
    let world = World::new(1).await;
    world.create_enabled(request(TrimHorizon)).await;
    let second = CreateEventSourceMappingRequest { function_name: "g".to_owned(), ..request(TrimHorizon) };
    world.create_enabled(second).await;
    world.put(0, &["a"]).await;
    world.eventually("both get it", async || world.function.texts() == ["a", "a"]).await;
    let mut functions: Vec<String> = world.function.deliveries().into_iter().map(|d| d.function).collect();
    functions.sort();
    assert_eq!(functions, ["f", "g"]);
}

#[tokio::test(start_paused = true)]
async fn checkpoints_are_written_at_most_100_ms_late() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.settle(Duration::from_millis(101)).await;
    let key = format!("pos/{uuid}/shardId-000000000000");
    let kept = world.catalog.get(&key).await.unwrap().unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept.value).unwrap();
    assert_eq!(kept["lanes"], serde_json::json!([1]));
    assert_eq!(kept["last"]["outcome"], "Succeeded");
}

/// Changes a kept mapping as another version would have written it.
async fn rewrite(world: &World, uuid: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let key = format!("mapping/123456789012/us-west-2/{uuid}");
    let kept = world.catalog.get(&key).await.unwrap().unwrap();
    let mut value = serde_json::from_slice(&kept.value).unwrap();
    change(&mut value);
    let expect = millstream_catalog::Expect::Revision(kept.revision);
    world.catalog.put(&key, expect, value.to_string().into()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mapping_of_another_version_is_left_alone_and_in_the_way_of_no_other() {
    let mut world = World::new(1).await;
    let unknown = world.create_enabled(request(TrimHorizon)).await;
    let second = CreateEventSourceMappingRequest { function_name: "g".to_owned(), ..request(TrimHorizon) };
    let known = world.create_enabled(second).await;
    rewrite(&world, &unknown, |mapping| mapping["starting_position"] = "Elsewhere".into()).await;
    world.restart().await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    let listed =
        world.mappings.list_event_source_mappings(&context(), ListEventSourceMappingsRequest::default()).await.unwrap();
    let uuids = listed.event_source_mappings.unwrap().into_iter().map(|mapping| mapping.uuid.unwrap());
    assert_eq!(uuids.collect::<Vec<_>>(), [known]);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_whose_filters_are_not_understood_is_suspended() {
    let mut world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    rewrite(&world, &uuid, |mapping| mapping["settings"]["filters"] = serde_json::json!([r#"{"data":[{"new":1}]}"#]))
        .await;
    let told = ProcessingResult::UnknownFilters.text();
    world.result_becomes(&uuid, told).await;
    world.restart().await;
    world.put(0, &["a"]).await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&[]).await;
    assert_eq!(world.get(&uuid).await.unwrap().last_processing_result.as_deref(), Some(told));
    rewrite(&world, &uuid, |mapping| mapping["settings"]["filters"] = serde_json::json!([])).await;
    world.delivered(&["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_result_that_changes_makes_nobody_look_at_everything_again() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.settle(Duration::from_secs(1)).await;
    let before = world.stream.looks();
    world.function.then_fail();
    world.put(0, &["a"]).await;
    world.result_becomes(&uuid, "PROBLEM: Function call failed").await;
    world.in_time("it succeeds", async || world.function.deliveries().len() == 2).await;
    world.result_becomes(&uuid, "OK").await;
    world.settle(Duration::from_secs(1)).await;
    assert_eq!(world.stream.looks(), before);
    set_enabled(&world, &uuid, false).await;
    world.reaches(&uuid, "Disabled").await;
}
