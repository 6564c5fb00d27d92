//! How far each shard is, and what blocks it.

use millstream_log::{Position, Record};

use super::*;
use crate::machine::BatchOutcome;
use crate::machine::table::LaneState;
use crate::testing::context;

#[tokio::test(start_paused = true)]
async fn phases_follow_the_shards() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    phase_becomes(&world, &uuid, 0, ShardPhase::Running).await;
    world.function.hold(true);
    world.put(0, &["parent"]).await;
    world.delivered(&["parent"]).await;
    world.split(0).await;
    phase_becomes(&world, &uuid, 1, ShardPhase::WaitingForParents).await;
    assert_eq!(report(&world, &uuid, 0).await.phase, ShardPhase::Running);
    world.function.hold(false);
    phase_becomes(&world, &uuid, 0, ShardPhase::Done).await;
    phase_becomes(&world, &uuid, 1, ShardPhase::Running).await;
    phase_becomes(&world, &uuid, 2, ShardPhase::Running).await;
    let done = report(&world, &uuid, 0).await;
    assert_eq!((done.lag_records, done.position, done.lanes.len()), (0, None, 0));
    world.mappings.pause_mapping(&scope(), &uuid).await.unwrap();
    phase_becomes(&world, &uuid, 1, ShardPhase::Suspended).await;
    world.update(&uuid, |input| input.enabled = Some(false)).await;
    phase_becomes(&world, &uuid, 1, ShardPhase::Stopped).await;
}

#[tokio::test(start_paused = true)]
async fn the_lag_counts_records_and_time_to_the_first_open_one() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["done"]).await;
    world.delivered(&["done"]).await;
    world.result_becomes(&uuid, "OK").await;
    let idle = report(&world, &uuid, 0).await;
    assert_eq!((idle.lag_records, idle.lag, idle.position), (0, Duration::ZERO, None));
    assert_eq!(idle.last_batch.unwrap().outcome, BatchOutcome::Succeeded);
    paused(&world, &uuid).await;
    world.put(0, &["a", "b", "c"]).await;
    let arrival = world.clock.now();
    world.time.advance(Duration::from_secs(90));
    let behind = report(&world, &uuid, 0).await;
    assert_eq!((behind.lag_records, behind.lag), (3, Duration::from_secs(90)));
    let place = behind.position.unwrap();
    assert_eq!((place.position.0, place.arrival), (1, arrival));
    assert_eq!(place.sequence_number.len(), 56);
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_known_also_of_a_disabled_mapping() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(Latest)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.update(&uuid, |input| input.enabled = Some(false)).await;
    world.reaches(&uuid, "Disabled").await;
    world.put(0, &["b", "c"]).await;
    let stopped = report(&world, &uuid, 0).await;
    assert_eq!((stopped.phase, stopped.lag_records, stopped.lanes.len()), (ShardPhase::Stopped, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_blocked_lane_names_its_suspects() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.function.then_fail();
    world.function.then(Outcome::Throttled { reason: "x" });
    world.put(0, &["bad", "too"]).await;
    let lane = async || report(&world, &uuid, 0).await.lanes.into_iter().next();
    let is_waiting = async || lane().await.is_some_and(|lane| lane.state == LaneState::Waiting);
    world.eventually("the batch waits", is_waiting).await;
    let blocked = lane().await.unwrap();
    assert_eq!((blocked.blocked_by, blocked.failures, blocked.batch_records), (Some(BlockedBy::Failures), 1, 2));
    let (first, last) = blocked.batch.unwrap();
    assert_eq!((first.position.0, last.position.0), (0, 1));
    assert_eq!(blocked.next_try, Some(world.clock.now().plus(Duration::from_millis(500))));
    let last_batch = report(&world, &uuid, 0).await.last_batch.unwrap();
    assert_eq!((last_batch.outcome, last_batch.attempt), (BatchOutcome::FunctionFailed, 1));
    world.in_time("it goes on", async || world.function.deliveries().len() == 3).await;
    world.result_becomes(&uuid, "OK").await;
    assert_eq!(lane().await.unwrap().blocked_by, None);
}

#[tokio::test(start_paused = true)]
async fn a_lane_says_what_its_last_tries_came_to() {
    use millstream_wire::lambda::FunctionResponseType;
    let world = World::new(1).await;
    let types = Some(vec![FunctionResponseType::ReportBatchItemFailures]);
    let input = CreateEventSourceMappingRequest { function_response_types: types, ..request(TrimHorizon) };
    let uuid = world.create_enabled(input).await;
    let identity = crate::event::ShardIdentity { id: shard(0), created_seconds: 1_700_000_000 };
    let second = Record {
        position: Position(1),
        arrival: world.clock.now(),
        partition_key: "key".into(),
        data: "b".into(),
        tag: 0,
    };
    let number = identity.sequence_number(&second).to_string();
    let response = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{number}"}}]}}"#);
    world.function.then(Outcome::Ok(response.into()));
    world.function.then_fail();
    world.function.then(Outcome::Throttled { reason: "x" });
    world.put(0, &["a", "b"]).await;
    let lane = async || report(&world, &uuid, 0).await.lanes.into_iter().next().unwrap();
    let blocked_after = async |deliveries: usize| {
        let is_waiting =
            async || world.function.deliveries().len() == deliveries && lane().await.state == LaneState::Waiting;
        world.in_time("the batch waits", is_waiting).await;
        let lane = lane().await;
        (lane.blocked_by.unwrap(), lane.failures)
    };
    assert_eq!(blocked_after(1).await, (BlockedBy::Failures, 0), "the rest after a partial failure");
    assert_eq!(blocked_after(2).await, (BlockedBy::Failures, 1));
    assert_eq!(blocked_after(3).await, (BlockedBy::NotDelivered, 1), "it is throttled now");
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_function_is_not_reached_says_so() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.function.then(Outcome::NotReady("pending".to_owned()));
    world.put(0, &["a"]).await;
    let blocked = async || report(&world, &uuid, 0).await.lanes.first().and_then(|lane| lane.blocked_by);
    world.eventually("it is blocked", async || blocked().await == Some(BlockedBy::NotDelivered)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_whose_destination_is_not_reached_says_so() {
    use millstream_wire::lambda::{DestinationConfig, OnFailure};
    let world = World::new(1).await;
    world.function.then_fail();
    world.destination.fail(1);
    let destination = Some("arn:aws:sqs:us-west-2:123456789012:q".to_owned());
    let uuid = world
        .create_enabled(CreateEventSourceMappingRequest {
            maximum_retry_attempts: Some(0),
            destination_config: Some(DestinationConfig {
                on_failure: Some(OnFailure { destination }),
                on_success: None,
            }),
            ..request(TrimHorizon)
        })
        .await;
    world.put(0, &["a"]).await;
    let blocked = async || report(&world, &uuid, 0).await.lanes.first().and_then(|lane| lane.blocked_by);
    world.eventually("it is blocked", async || blocked().await == Some(BlockedBy::Destination)).await;
    world.in_time("it goes on", async || world.destination.delivered().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn reports_come_in_pages() {
    let world = World::new(5).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    let first = world.mappings.shard_reports(&scope(), &uuid, None, 3).await.unwrap();
    let ids = |reports: &ShardReports| reports.shards.iter().map(|report| report.shard).collect::<Vec<_>>();
    assert_eq!((ids(&first), first.next), (vec![shard(0), shard(1), shard(2)], Some(shard(2))));
    let rest = world.mappings.shard_reports(&scope(), &uuid, first.next, 3).await.unwrap();
    assert_eq!((ids(&rest), rest.next), (vec![shard(3), shard(4)], None));
    world.stream.set(None);
    let gone = world.mappings.shard_reports(&scope(), &uuid, None, 3).await.unwrap();
    assert_eq!((gone.shards.len(), gone.next), (0, None));
}

#[tokio::test(start_paused = true)]
async fn each_lane_of_a_shard_is_reported() {
    let world = World::new(1).await;
    let input = CreateEventSourceMappingRequest { parallelization_factor: Some(4), ..request(TrimHorizon) };
    let uuid = world.create_enabled(input).await;
    phase_becomes(&world, &uuid, 0, ShardPhase::Running).await;
    let lanes = report(&world, &uuid, 0).await.lanes;
    assert_eq!(lanes.len(), 4);
    assert!(lanes.iter().all(|lane| lane.state == LaneState::Idle && lane.blocked_by.is_none()));
}

#[tokio::test(start_paused = true)]
async fn mappings_of_other_accounts_are_not_seen() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    let mut other = context().scope;
    other.account = "999999999999".parse().unwrap();
    assert!(matches!(world.mappings.mapping_status(&other, &uuid).await, Err(OperatorError::NotFound(_))));
}
