//! Pause, resume, step, skip, rewind.

use millstream_log::Record;

use super::*;
use crate::machine::DiscardReason;
use crate::machine::table::LaneState;

async fn resume(world: &World, uuid: &str) {
    world.mappings.resume_mapping(&scope(), uuid).await.unwrap();
}

async fn rewind(world: &World, uuid: &str, shards: &[String], target: RewindTarget) {
    world.mappings.rewind_mapping(&scope(), uuid, shards, target).await.unwrap();
    let is_done = async || !world.mappings.mapping_status(&scope(), uuid).await.unwrap().rewinding;
    world.eventually("the rewind is done", is_done).await;
}

/// The batch of shard 0 has failed and waits.
async fn waits(world: &World, uuid: &str) {
    let is_waiting = async || {
        let report = report(world, uuid, 0).await;
        report.lanes.first().is_some_and(|lane| lane.state == LaneState::Waiting)
    };
    world.eventually("the failed batch waits", is_waiting).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_mapping_begins_nothing_and_goes_on_when_resumed() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    paused(&world, &uuid).await;
    world.put(0, &["a"]).await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&[]).await;
    let status = world.mappings.mapping_status(&scope(), &uuid).await.unwrap();
    assert!(status.paused);
    assert_eq!(status.state, "Enabled", "AWS's state stays");
    resume(&world, &uuid).await;
    world.delivered(&["a"]).await;
    assert!(!world.mappings.mapping_status(&scope(), &uuid).await.unwrap().paused);
}

#[tokio::test(start_paused = true)]
async fn a_pause_lets_the_batch_in_flight_end() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.function.hold(true);
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    paused(&world, &uuid).await;
    world.put(0, &["b"]).await;
    world.function.hold(false);
    world.result_becomes(&uuid, "OK").await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&["a"]).await;
    resume(&world, &uuid).await;
    world.delivered(&["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_survives_restart_and_crash() {
    let mut world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    paused(&world, &uuid).await;
    world.put(0, &["a"]).await;
    world.restart().await;
    world.settle(Duration::from_secs(1)).await;
    world.delivered(&[]).await;
    world.crash().await;
    phase_becomes(&world, &uuid, 0, ShardPhase::Suspended).await;
    world.delivered(&[]).await;
    resume(&world, &uuid).await;
    world.delivered(&["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_sends_one_batch_of_each_shard_or_of_one() {
    let world = World::new(2).await;
    let input = CreateEventSourceMappingRequest { batch_size: Some(1), ..request(TrimHorizon) };
    let uuid = world.create_enabled(input).await;
    let early = world.mappings.step_mapping(&scope(), &uuid, None).await;
    assert!(matches!(early, Err(OperatorError::Conflict(text)) if text.contains("is not paused")));
    paused(&world, &uuid).await;
    phase_becomes(&world, &uuid, 1, ShardPhase::Suspended).await;
    world.put(0, &["a", "b"]).await;
    world.put(1, &["x", "y"]).await;
    assert_eq!(world.mappings.step_mapping(&scope(), &uuid, Some(&name(1))).await.unwrap(), 1);
    world.delivered(&["x"]).await;
    assert_eq!(world.mappings.step_mapping(&scope(), &uuid, None).await.unwrap(), 2);
    world.eventually("one more of each", async || world.function.texts().len() == 3).await;
    world.settle(Duration::from_secs(1)).await;
    let mut texts = world.function.texts();
    texts.sort();
    assert_eq!(texts, ["a", "x", "y"]);
    let unknown = world.mappings.step_mapping(&scope(), &uuid, Some(&name(7))).await;
    assert!(matches!(unknown, Err(OperatorError::Conflict(_))));
    let bad = world.mappings.step_mapping(&scope(), &uuid, Some("seven")).await;
    assert!(matches!(bad, Err(OperatorError::Invalid(_))));
}

#[tokio::test(start_paused = true)]
async fn a_skip_passes_over_the_batch_that_waits_and_keeps_it_as_failed() {
    let world = World::new(1).await;
    world.function.then_fail();
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    let nothing = world.mappings.skip_batches(&scope(), &uuid, None).await;
    assert!(matches!(nothing, Err(OperatorError::Conflict(text)) if text.contains("nothing to skip")));
    world.put(0, &["poison", "more"]).await;
    world.delivered(&["poison", "more"]).await;
    waits(&world, &uuid).await;
    world.put(0, &["next"]).await;
    let skipped = world.mappings.skip_batches(&scope(), &uuid, Some(&name(0))).await.unwrap();
    let [(skipped_shard, first, last)] = skipped.as_slice() else { panic!("one batch: {skipped:?}") };
    assert_eq!((*skipped_shard, first.position.0, last.position.0), (shard(0), 0, 1));
    world.delivered(&["poison", "more", "next"]).await;
    let failed = world.mappings.failed_batches(&scope(), &uuid, None, 10).await.unwrap().batches;
    assert_eq!((failed[0].batch.reason, failed[0].batch.records), (DiscardReason::Skipped, 2));
    assert!(world.destination.delivered().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failing_batch_of_a_paused_mapping_can_be_skipped() {
    let world = World::new(1).await;
    world.function.then_fail();
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.function.hold(true);
    world.put(0, &["poison"]).await;
    world.delivered(&["poison"]).await;
    paused(&world, &uuid).await;
    world.function.hold(false);
    waits(&world, &uuid).await;
    assert_eq!(world.mappings.skip_batches(&scope(), &uuid, None).await.unwrap().len(), 1);
    world.put(0, &["next"]).await;
    resume(&world, &uuid).await;
    world.delivered(&["poison", "next"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_invocation_of_a_window_can_be_skipped() {
    let world = World::new(1).await;
    let input = CreateEventSourceMappingRequest { tumbling_window_in_seconds: Some(60), ..request(TrimHorizon) };
    let uuid = world.create_enabled(input).await;
    world.function.then(Outcome::Ok(r#"{"state":1}"#.into()));
    (0..20).for_each(|_| world.function.then_fail());
    world.put(0, &["a"]).await;
    world.in_time("the last invocation fails", async || world.function.deliveries().len() == 2).await;
    waits(&world, &uuid).await;
    assert_eq!(world.mappings.skip_batches(&scope(), &uuid, None).await.unwrap(), [], "it has no records");
    let nothing = world.mappings.skip_batches(&scope(), &uuid, None).await;
    assert!(matches!(nothing, Err(OperatorError::Conflict(_))));
}

#[tokio::test(start_paused = true)]
async fn a_rewind_to_the_horizon_delivers_everything_again() {
    let world = World::new(2).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.put(1, &["x"]).await;
    world.delivered(&["a", "x"]).await;
    rewind(&world, &uuid, &[name(0)], RewindTarget::TrimHorizon).await;
    world.delivered(&["a", "x", "a"]).await;
    rewind(&world, &uuid, &[], RewindTarget::TrimHorizon).await;
    world.eventually("both again", async || world.function.texts().len() == 5).await;
    assert_eq!(world.get(&uuid).await.unwrap().state.as_deref(), Some("Enabled"));
}

#[tokio::test(start_paused = true)]
async fn a_rewind_to_the_latest_passes_over_what_is_there() {
    let world = World::new(2).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    paused(&world, &uuid).await;
    world.put(0, &["a", "b"]).await;
    world.put(1, &["x"]).await;
    rewind(&world, &uuid, &[name(0)], RewindTarget::Latest).await;
    resume(&world, &uuid).await;
    world.delivered(&["x"]).await;
    world.put(0, &["c"]).await;
    world.delivered(&["x", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rewind_to_a_moment_delivers_what_arrived_from_then_on() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["early"]).await;
    world.time.advance(Duration::from_mins(1));
    world.put(0, &["late"]).await;
    world.delivered(&["early", "late"]).await;
    let moment = world.clock.now();
    rewind(&world, &uuid, &[], RewindTarget::AtTimestamp(moment)).await;
    world.delivered(&["early", "late", "late"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rewind_to_a_record_needs_exactly_its_shard() {
    let world = World::new(2).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    paused(&world, &uuid).await;
    world.put(0, &["a", "b", "c"]).await;
    let identity = crate::event::ShardIdentity { id: shard(0), created_seconds: 1_700_000_000 };
    let key = millstream_log::ShardKey { stream: 1, shard: 0 };
    let limit = millstream_log::ReadLimit { records: 10, bytes: 1000 };
    let from = millstream_log::ReadFrom::Position(millstream_log::Position(0));
    let stored = std::sync::Arc::clone(&world.log).read(key, from, limit).await.unwrap().records;
    let number = identity.sequence_number(&stored[1]).to_string();
    let earlier = crate::event::ShardIdentity { created_seconds: 1_600_000_000, ..identity };
    let beyond = Record { position: millstream_log::Position(4), ..stored[1].clone() };
    let another = Record { arrival: stored[1].arrival.plus(Duration::from_secs(1)), ..stored[1].clone() };
    let wrong =
        [earlier.sequence_number(&stored[1]), identity.sequence_number(&beyond), identity.sequence_number(&another)];
    let wrong = wrong.iter().map(ToString::to_string).chain(["17".to_owned()]).collect::<Vec<_>>();
    let named = [(vec![], &number), (vec![name(0), name(1)], &number), (vec![name(1)], &number)];
    for (shards, number) in named.into_iter().chain(wrong.iter().map(|number| (vec![name(0)], number))) {
        let target = RewindTarget::SequenceNumber(number.clone());
        let refused = world.mappings.rewind_mapping(&scope(), &uuid, &shards, target).await;
        assert!(matches!(refused, Err(OperatorError::Invalid(_))), "{shards:?} {number}: {refused:?}");
    }
    rewind(&world, &uuid, &[name(0)], RewindTarget::SequenceNumber(number)).await;
    resume(&world, &uuid).await;
    world.delivered(&["b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_mapping_that_was_never_enabled_is_rewound_once_it_is() {
    let world = World::new(1).await;
    world.put(0, &["a"]).await;
    let input = CreateEventSourceMappingRequest { enabled: Some(false), ..request(Latest) };
    let uuid = world.create(input).await.uuid.unwrap();
    world.reaches(&uuid, "Disabled").await;
    let refused = world.mappings.rewind_mapping(&scope(), &uuid, &[], RewindTarget::TrimHorizon).await;
    assert!(matches!(refused, Err(OperatorError::Conflict(text)) if text.contains("pause it, enable it")));
    world.mappings.pause_mapping(&scope(), &uuid).await.unwrap();
    world.update(&uuid, |input| input.enabled = Some(true)).await;
    world.reaches(&uuid, "Enabled").await;
    rewind(&world, &uuid, &[], RewindTarget::TrimHorizon).await;
    resume(&world, &uuid).await;
    world.delivered(&["a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rewind_that_a_crash_interrupts_is_done_afterwards() {
    let mut world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.settle(Duration::from_millis(200)).await;
    world.function.hold(true);
    world.put(0, &["b"]).await;
    world.delivered(&["a", "b"]).await;
    world.mappings.rewind_mapping(&scope(), &uuid, &[], RewindTarget::TrimHorizon).await.unwrap();
    world.settle(Duration::from_millis(200)).await;
    assert!(world.mappings.mapping_status(&scope(), &uuid).await.unwrap().rewinding, "a batch is still in flight");
    let again = world.mappings.rewind_mapping(&scope(), &uuid, &[], RewindTarget::Latest).await;
    assert!(matches!(again, Err(OperatorError::Conflict(text)) if text.contains("under way")));
    world.crash().await;
    world.delivered(&["a", "b"]).await;
    assert!(!world.mappings.mapping_status(&scope(), &uuid).await.unwrap().rewinding);
}

#[tokio::test(start_paused = true)]
async fn a_rewind_forgets_the_retries_of_a_failing_batch() {
    let world = World::new(1).await;
    world.function.then_fail();
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    waits(&world, &uuid).await;
    rewind(&world, &uuid, &[], RewindTarget::Latest).await;
    world.put(0, &["b"]).await;
    world.delivered(&["a", "b"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_rewound_parent_is_worked_on_before_its_children_again() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["parent"]).await;
    world.split(0).await;
    world.put(1, &["child"]).await;
    world.delivered(&["parent", "child"]).await;
    rewind(&world, &uuid, &[], RewindTarget::TrimHorizon).await;
    world.delivered(&["parent", "child", "parent", "child"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_named() {
    let world = World::new(1).await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    for unknown in [NO_UUID, "", "../x"] {
        assert!(matches!(world.mappings.pause_mapping(&scope(), unknown).await, Err(OperatorError::NotFound(_))));
        let found = world.mappings.mapping_status(&scope(), unknown).await;
        assert!(matches!(found, Err(OperatorError::NotFound(_))));
    }
    let target = || RewindTarget::TrimHorizon;
    let no_shard = world.mappings.rewind_mapping(&scope(), &uuid, &[name(9)], target()).await;
    assert!(matches!(no_shard, Err(OperatorError::NotFound(text)) if text.contains(&name(9))));
    world.stream.set(None);
    let no_stream = world.mappings.rewind_mapping(&scope(), &uuid, &[], target()).await;
    assert!(matches!(no_stream, Err(OperatorError::Conflict(_))));
}
