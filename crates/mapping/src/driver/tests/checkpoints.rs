//! Checkpoints that cannot be stored.

use super::*;
use crate::testing::TestCatalog;

async fn world() -> (Arc<TestCatalog>, World) {
    let catalog = Arc::new(TestCatalog::default());
    let world = World::with_catalog(1, Arc::clone(&catalog) as _).await;
    (catalog, world)
}

/// The first open position of a mapping's shard, as it is kept.
async fn kept(world: &World, uuid: &str) -> Option<u64> {
    let key = format!("pos/{uuid}/shardId-000000000000");
    let kept: serde_json::Value = serde_json::from_slice(&world.catalog.get(&key).await.ok()??.value).unwrap();
    kept["lanes"][0].as_u64()
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_was_stored_unnoticed_is_followed_by_the_next() {
    let (catalog, world) = world().await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.settle(Duration::from_millis(150)).await;
    catalog.lose_answer("pos/");
    world.put(0, &["b"]).await;
    world.delivered(&["a", "b"]).await;
    world.settle(Duration::from_millis(150)).await;
    world.put(0, &["c"]).await;
    world.delivered(&["a", "b", "c"]).await;
    world.eventually("the last is kept", async || kept(&world, &uuid).await == Some(3)).await;
    set_enabled(&world, &uuid, false).await;
    world.reaches(&uuid, "Disabled").await;
}

#[tokio::test(start_paused = true)]
async fn a_mapping_whose_checkpoints_are_not_stored_holds_up_no_other() {
    let (catalog, world) = world().await;
    let broken = world.create_enabled(request(TrimHorizon)).await;
    let other = CreateEventSourceMappingRequest { function_name: "g".to_owned(), ..request(TrimHorizon) };
    let other = world.create_enabled(other).await;
    catalog.refuse(Some(&format!("pos/{broken}")));
    world.put(0, &["a"]).await;
    world.eventually("both get it", async || world.function.texts() == ["a", "a"]).await;
    set_enabled(&world, &broken, false).await;
    set_enabled(&world, &other, false).await;
    world.reaches(&other, "Disabled").await;
    assert_eq!(world.get(&broken).await.unwrap().state.as_deref(), Some("Disabling"));
    catalog.refuse(None);
    world.reaches(&broken, "Disabled").await;
}

#[tokio::test(start_paused = true)]
async fn workers_are_not_replaced_before_their_last_checkpoint_is_stored() {
    let (catalog, world) = world().await;
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.eventually("it is kept", async || kept(&world, &uuid).await == Some(1)).await;
    catalog.refuse(Some("pos/"));
    world.put(0, &["b"]).await;
    world.delivered(&["a", "b"]).await;
    *world.identity.role.lock().unwrap() = "arn:aws:iam::123456789012:role/another".to_owned();
    touch(&world, "role/123456789012/another").await;
    world.settle(Duration::from_secs(3)).await;
    catalog.refuse(None);
    world.put(0, &["c"]).await;
    world.delivered(&["a", "b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn tries_that_change_no_position_write_nothing_before_the_end() {
    let (_, mut world) = world().await;
    (0..9).for_each(|_| world.function.then(Outcome::Throttled { reason: "x" }));
    let uuid = world.create_enabled(request(TrimHorizon)).await;
    world.put(0, &["a"]).await;
    world.delivered(&["a"]).await;
    world.settle(Duration::from_secs(1)).await;
    let key = format!("pos/{uuid}/shardId-000000000000");
    let revision = async |world: &World| world.catalog.get(&key).await.unwrap().map(|found| found.revision);
    let before = revision(&world).await;
    world.in_time("some tries are made", async || world.function.deliveries().len() == 5).await;
    world.settle(Duration::from_secs(1)).await;
    assert_eq!(revision(&world).await, before);
    world.restart().await;
    let kept = world.catalog.get(&key).await.unwrap().unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept.value).unwrap();
    assert_eq!(kept["last"]["attempt"], 5);
}
