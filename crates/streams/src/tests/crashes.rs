//! What was begun is finished at the next start, wherever it was interrupted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use millstream_catalog::{Expect, MemoryStore, MetaStore, Page, Revision, SharedStore, StoreError, Versioned, Watch};
use millstream_env::{BoxFuture, HostClock, Random, ServiceClock};
use millstream_log::{MemoryLog, ShardKey, SharedLog};
use millstream_wire::kinesis::{
    ConsumerStatus, IncreaseStreamRetentionPeriodInput, ScalingType, StreamStatus, UpdateShardCountInput,
};

use super::fixture::{Fixture, NAME, NOW, arn, entry, target};
use crate::MasterKeys;

/// A catalog that stops taking changes after some more of them. The one at the border happens unseen when `tears`.
#[derive(Debug)]
struct Crashing {
    inner: SharedStore,
    changes_left: AtomicUsize,
    tears: bool,
}

impl Crashing {
    /// Counts a change down: whether it happens, and whether its caller learns that. Opening the service is not counted.
    fn admit(&self, key: &str) -> (bool, bool) {
        if key == crate::model::SECRET_KEY {
            return (true, true);
        }
        let take = |left: usize| left.checked_sub(1);
        match self.changes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) {
            Ok(1) if self.tears => (true, false),
            Ok(_) => (true, true),
            Err(_) => (false, false),
        }
    }
}

fn crashed<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("crashed".to_owned()))
}

impl MetaStore for Crashing {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        self.inner.get(key)
    }

    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            let (happens, seen) = self.admit(key);
            let result = if happens { self.inner.put(key, expect, value).await } else { crashed() };
            if seen { result } else { crashed() }
        })
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let (happens, seen) = self.admit(key);
            let result = if happens { self.inner.delete(key, revision).await } else { crashed() };
            if seen { result } else { crashed() }
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.list(prefix, after, limit)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
}

struct World {
    store: SharedStore,
    keys: MasterKeys,
    log: SharedLog,
    clock: ServiceClock,
    time: millstream_env::VirtualTime,
}

impl World {
    fn new() -> Self {
        let (clock, time) = ServiceClock::virtual_at(NOW);
        let log = MemoryLog::new(millstream_log::memory::Options::default(), clock.clone(), HostClock::real());
        let keys = MasterKeys::in_memory(Random::system());
        Self { store: Arc::new(MemoryStore::new()), keys, log: Arc::new(log), clock, time }
    }

    async fn start_over(&self, store: SharedStore) -> Fixture {
        let (clock, time, keys) = (self.clock.clone(), self.time.clone(), self.keys.clone());
        Fixture::over_with(clock, time, Arc::clone(&self.log), store, keys).await
    }

    async fn start(&self) -> Fixture {
        self.start_over(Arc::clone(&self.store)).await
    }

    /// A process that takes `changes` more changes of the catalog and then none; what it began is left as it is.
    async fn crash_after(&self, changes: usize, tears: bool, work: impl AsyncFnOnce(&Fixture)) {
        let crashing = Crashing { inner: Arc::clone(&self.store), changes_left: changes.into(), tears };
        let fixture = self.start_over(Arc::new(crashing)).await;
        work(&fixture).await;
        // Lets the background steps run into the crash: on this runtime they run whenever this task yields.
        for _ in 0..2000 {
            tokio::task::yield_now().await;
        }
        fixture.tasks.cancel();
        tokio::task::yield_now().await;
    }
}

const SHARDS: i32 = 300;

#[tokio::test]
async fn an_interrupted_creation_is_finished() {
    for tears in [false, true] {
        for changes in 1..5 {
            let world = World::new();
            drop(world.start().await);
            world.crash_after(changes, tears, async |fixture| drop(fixture.create(SHARDS).await)).await;
            let fixture = world.start().await;
            fixture.until(StreamStatus::Active).await;
            let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
            assert_eq!(stream.shards().len(), 300, "after {changes} changes");
            assert!(stream.shards().iter().all(|shard| world.log.bounds(shard.key()).is_ok()));
            fixture.put("a", b"x").await;
        }
    }
}

#[tokio::test]
async fn an_interrupted_deletion_is_finished_and_leaves_nothing() {
    for tears in [false, true] {
        for changes in 1..5 {
            let world = World::new();
            let fixture = world.start().await;
            fixture.create(SHARDS).await.unwrap();
            fixture.until(StreamStatus::Active).await;
            let incarnation = fixture.streams.lookup(&arn()).await.unwrap().unwrap().incarnation();
            fixture.tasks.cancel();
            world.crash_after(changes, tears, async |fixture| drop(fixture.delete().await)).await;
            let fixture = world.start().await;
            fixture.until_gone().await;
            assert_eq!(world.store.list("stream", None, 10).await.unwrap().items.len(), 1, "only the secret is left");
            for shard in 0..300 {
                assert!(world.log.bounds(ShardKey { stream: incarnation, shard }).is_err());
            }
            fixture.create(1).await.unwrap();
            fixture.until(StreamStatus::Active).await;
        }
    }
}

#[tokio::test]
async fn interrupted_changes_of_consumers_are_finished() {
    for tears in [false, true] {
        for changes in 1..5 {
            let world = World::new();
            let fixture = world.start().await;
            fixture.create(1).await.unwrap();
            fixture.until(StreamStatus::Active).await;
            fixture.consumer("leaving").await;
            fixture.tasks.cancel();
            let work = async |fixture: &Fixture| {
                drop(fixture.register("coming").await);
                drop(fixture.deregister_named("leaving").await);
            };
            world.crash_after(changes, tears, work).await;
            let fixture = world.start().await;
            let begun = fixture.status_of("coming").await.is_some();
            assert!(begun, "the first change is the registration; {changes} happened");
            fixture.until_consumer("coming", Some(ConsumerStatus::Active)).await;
            if fixture.status_of("leaving").await != Some(ConsumerStatus::Active) {
                fixture.until_consumer("leaving", None).await;
            }
            let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
            assert!(stream.header.consumers.are_settled());
        }
    }
}

#[tokio::test]
async fn an_interrupted_change_of_retention_is_finished() {
    let world = World::new();
    let fixture = world.start().await;
    fixture.create(2).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    fixture.tasks.cancel();
    world
        .crash_after(1, false, async |fixture| {
            let input = IncreaseStreamRetentionPeriodInput {
                stream_name: Some(NAME.to_owned()),
                retention_period_hours: 48,
                ..Default::default()
            };
            let call = fixture.streams.increase_stream_retention_period(&fixture.context, input);
            // The call waits for what cannot be finished; its client goes away.
            let waited = tokio::select! { biased; result = call => Some(result), () = yield_for_a_while() => None };
            assert_eq!(waited, None);
        })
        .await;
    let fixture = world.start().await;
    fixture.until(StreamStatus::Active).await;
    assert_eq!(fixture.describe().await.unwrap().retention_period_hours, 48);
}

#[tokio::test]
async fn interrupted_changes_of_encryption_are_finished() {
    for tears in [false, true] {
        for changes in 1..6 {
            let world = World::new();
            let fixture = world.start().await;
            fixture.create(2).await.unwrap();
            fixture.until(StreamStatus::Active).await;
            fixture.put("a", b"before").await;
            fixture.tasks.cancel();
            let mut put = 1;
            let work = async |fixture: &Fixture| {
                for key_id in ["alias/a", "alias/b"] {
                    drop(fixture.start_encryption(key_id).await);
                    yield_for_a_while().await;
                    // Stored in the way that the stream had then, whatever of that was seen.
                    let entry = entry("a", b"meanwhile");
                    put +=
                        usize::from(fixture.streams.put_record(&fixture.context, target(), &entry, None).await.is_ok());
                }
            };
            world.crash_after(changes, tears, work).await;
            let fixture = world.start().await;
            fixture.until(StreamStatus::Active).await;
            let context = format!("{changes} changes, tears {tears}");
            let on = fixture.describe().await.unwrap().key_id;
            let expected = if changes < 3 { ["alias/a", "alias/a"] } else { ["alias/a", "alias/b"] };
            assert!(expected.contains(&on.as_deref().unwrap()), "{context}: {on:?}");
            fixture.put("a", b"after").await;
            let mut found = Vec::new();
            for shard in fixture.describe().await.unwrap().shards {
                found.extend(fixture.all_of(&shard.shard_id).await);
            }
            assert_eq!(found.len(), put + 1, "{context}");
            assert!(fixture.start_encryption("alias/c").await.is_ok(), "{context}");
        }
    }
}

async fn yield_for_a_while() {
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_deletion_that_overtakes_a_creation_leaves_nothing() {
    let world = World::new();
    let fixture = world.start().await;
    fixture.create(SHARDS).await.unwrap();
    fixture.delete().await.unwrap();
    fixture.until_gone().await;
    assert_eq!(world.store.list("stream", None, 10).await.unwrap().items.len(), 1);
}

/// Starts a split of a stream with two shards and then a scaling to 600, each interrupted after some changes of the
/// catalog, with a put before and after.
#[tokio::test]
async fn interrupted_resharding_is_finished_and_loses_nothing() {
    for tears in [false, true] {
        for changes in 1..12 {
            let world = World::new();
            let fixture = world.start().await;
            fixture.create(SHARDS).await.unwrap();
            fixture.until(StreamStatus::Active).await;
            fixture.put("a", b"before").await;
            fixture.tasks.cancel();
            world
                .crash_after(changes, tears, async |fixture| {
                    let input = UpdateShardCountInput {
                        scaling_type: ScalingType::UniformScaling,
                        target_shard_count: 2 * SHARDS,
                        stream_name: Some(NAME.to_owned()),
                        stream_arn: None,
                        stream_id: None,
                    };
                    drop(fixture.streams.update_shard_count(&fixture.context, input).await);
                })
                .await;
            let fixture = world.start().await;
            fixture.until(StreamStatus::Active).await;
            fixture.put("a", b"after").await;
            let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
            let open: Vec<_> = stream.shards().iter().filter(|shard| shard.closed_at().is_none()).collect();
            assert!([300, 600].contains(&open.len()), "{} open shards after {changes} changes", open.len());
            assert_eq!(stream.header.shards_open as usize, open.len());
            let mut found = Vec::new();
            for shard in stream.shards() {
                assert!(world.log.bounds(shard.key()).is_ok());
                found.extend(fixture.all_of(&shard.id().to_string()).await);
            }
            assert_eq!(found, [&b"before"[..], b"after"], "after {changes} changes");
            let known = u32::try_from(stream.shards().len()).unwrap();
            assert!(world.log.bounds(ShardKey { stream: stream.incarnation(), shard: known }).is_err());
            fixture.delete().await.unwrap();
            fixture.until_gone().await;
            for shard in 0..1200 {
                assert!(world.log.bounds(ShardKey { stream: stream.incarnation(), shard }).is_err());
            }
        }
    }
}
