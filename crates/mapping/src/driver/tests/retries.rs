//! The count of a failing batch survives whatever happens to its mapping.

use super::failures::to;
use super::*;

const QUEUE: &str = "arn:aws:sqs:us-west-2:123456789012:failed";

/// A mapping with three retries whose batch has failed twice, durably.
async fn twice_failed(world: &World) -> String {
    world.function.then_fail();
    world.function.then_fail();
    world.put(0, &["a"]).await;
    let uuid = world.create_enabled(to(QUEUE, 3)).await;
    let key = format!("pos/{uuid}/shardId-000000000000");
    let is_kept = async || {
        let kept = world.catalog.get(&key).await.unwrap();
        kept.is_some_and(|kept| {
            let kept: serde_json::Value = serde_json::from_slice(&kept.value).unwrap();
            kept["failed"][0][0]["failures"] == 2
        })
    };
    world.in_time("two failures are kept", is_kept).await;
    assert_eq!(world.function.texts(), ["a", "a"]);
    uuid
}

/// Fails twice more: the batch is given up after `invocations` of the function as it is now, with the count of four.
async fn fails_for_good(world: &World, invocations: usize) {
    world.in_time("it is delivered", async || !world.destination.delivered().is_empty()).await;
    assert_eq!(world.function.texts().len(), invocations);
    let document: serde_json::Value = serde_json::from_slice(&world.destination.delivered()[0].document).unwrap();
    assert_eq!(document["requestContext"]["approximateInvokeCount"], 4);
}

fn fail_twice(world: &World) {
    world.function.then_fail();
    world.function.then_fail();
}

#[tokio::test(start_paused = true)]
async fn an_orderly_restart_keeps_the_count() {
    let mut world = World::new(1).await;
    twice_failed(&world).await;
    fail_twice(&world);
    world.restart().await;
    fails_for_good(&world, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_keeps_the_count() {
    let mut world = World::new(1).await;
    twice_failed(&world).await;
    world.crash().await;
    fail_twice(&world);
    fails_for_good(&world, 2).await;
}

#[tokio::test(start_paused = true)]
async fn disabling_in_the_middle_of_a_retry_keeps_the_count() {
    let world = World::new(1).await;
    let uuid = twice_failed(&world).await;
    assert_eq!(set_enabled(&world, &uuid, false).await, "Disabling");
    world.reaches(&uuid, "Disabled").await;
    fail_twice(&world);
    world.time.advance(Duration::from_mins(5));
    world.settle(Duration::from_secs(1)).await;
    assert_eq!(world.function.texts().len(), 2, "a disabled mapping tries nothing");
    set_enabled(&world, &uuid, true).await;
    fails_for_good(&world, 4).await;
}

#[tokio::test(start_paused = true)]
async fn disabling_while_a_retry_is_in_flight_waits_for_it() {
    let world = World::new(1).await;
    let uuid = twice_failed(&world).await;
    fail_twice(&world);
    world.function.hold(true);
    world.in_time("the third try runs", async || world.function.texts().len() == 3).await;
    set_enabled(&world, &uuid, false).await;
    world.settle(Duration::from_secs(1)).await;
    assert_eq!(world.get(&uuid).await.unwrap().state.unwrap(), "Disabling");
    world.function.hold(false);
    world.reaches(&uuid, "Disabled").await;
    set_enabled(&world, &uuid, true).await;
    fails_for_good(&world, 4).await;
}

#[tokio::test(start_paused = true)]
async fn an_update_keeps_the_count_and_a_smaller_limit_allows_one_more_try() {
    let world = World::new(1).await;
    let uuid = twice_failed(&world).await;
    fail_twice(&world);
    world.update(&uuid, |input| input.maximum_retry_attempts = Some(0)).await;
    world.in_time("it is delivered", async || !world.destination.delivered().is_empty()).await;
    assert_eq!(world.function.texts().len(), 3);
}
