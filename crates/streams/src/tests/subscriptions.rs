//! What subscriptions receive, on a virtual clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millstream_catalog::{Expect, MemoryStore};
use millstream_env::{HostClock, ServiceClock, Timestamp};
use millstream_log::{MemoryLog, Position, ReadError, ShardConfig, ShardKey, SharedLog};
use millstream_types::{HashKeyRange, SequenceNumber};
use millstream_wire::kinesis::ShardIteratorType::{
    self, AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon,
};
use millstream_wire::kinesis::error::{SubscribeToShardError, SubscribeToShardEventStreamError as StreamError};
use millstream_wire::kinesis::{StartingPosition, SubscribeToShardInput};

use super::fixture::{Fixture, NOW, arn, entry, target};
use super::scripted_log::Scripted;
use crate::model::{self, Page, StoredShard};
use crate::registry::Stored;
use crate::{Options, Parts, StreamName, Streams, Subscription, SubscriptionEvent};

pub(super) const SHARD: &str = "shardId-000000000000";

pub(super) fn from(kind: ShardIteratorType) -> StartingPosition {
    StartingPosition { r#type: kind, sequence_number: None, timestamp: None }
}

fn from_number(kind: ShardIteratorType, number: &str) -> StartingPosition {
    StartingPosition { sequence_number: Some(number.to_owned()), ..from(kind) }
}

impl Fixture {
    pub(super) async fn subscribe(
        &self,
        consumer_arn: &str,
        shard: &str,
        starting_position: StartingPosition,
    ) -> Result<Subscription, SubscribeToShardError> {
        let input = SubscribeToShardInput {
            consumer_arn: consumer_arn.to_owned(),
            shard_id: shard.to_owned(),
            starting_position,
            stream_id: None,
        };
        self.streams.subscribe_to_shard(&self.context, input).await
    }

    /// A consumer of a new stream of one shard, and its subscription from the beginning.
    async fn subscribed() -> (Self, String, Subscription) {
        let fixture = Self::with_stream(1).await;
        let consumer = fixture.consumer("app").await;
        let subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
        (fixture, consumer, subscription)
    }

    /// Gives all tasks their turn.
    async fn settle(&self) {
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }
}

fn texts(event: &SubscriptionEvent) -> Vec<String> {
    event.records.iter().map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect()
}

async fn event(subscription: &mut Subscription) -> SubscriptionEvent {
    subscription.next().await.expect("the subscription lives").expect("no error")
}

/// Nothing comes now.
pub(super) async fn is_quiet(subscription: &mut Subscription) -> bool {
    let mut next = Box::pin(subscription.next());
    for _ in 0..20 {
        if futures_util::poll!(&mut next).is_ready() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

async fn ended_with(subscription: &mut Subscription) -> StreamError {
    let error = subscription.next().await.expect("an error before the end").unwrap_err();
    assert!(subscription.next().await.is_none(), "an error is the last message");
    error
}

#[tokio::test]
async fn records_are_pushed_as_they_are_put() {
    let (fixture, _, mut subscription) = Fixture::subscribed().await;
    for text in ["0", "1", "2"] {
        let mut next = Box::pin(subscription.next());
        assert!(futures_util::poll!(&mut next).is_pending());
        let (_, number) = fixture.put("a", text.as_bytes()).await;
        let event = next.await.unwrap().unwrap();
        assert_eq!((texts(&event), event.millis_behind_latest), (vec![text.to_owned()], 0));
        assert_eq!(event.continuation_sequence_number.unwrap().to_string(), number);
        assert_eq!(event.shard.sequence_number(&event.records[0]).to_string(), number);
        assert!(event.child_shards.is_empty());
    }
}

#[tokio::test]
async fn records_of_one_call_come_in_one_event() {
    let (fixture, _, mut subscription) = Fixture::subscribed().await;
    let entries: Vec<_> = (0..100).map(|_| entry("k", b"x")).collect();
    fixture.streams.put_records(&fixture.context, target(), &entries).await.unwrap();
    assert_eq!(event(&mut subscription).await.records.len(), 100);
}

#[tokio::test]
async fn an_event_has_about_a_mebibyte_at_most() {
    let (fixture, _, mut subscription) = Fixture::subscribed().await;
    let data = vec![7; 400 * 1024];
    for _ in 0..5 {
        fixture.put("k", &data).await;
    }
    fixture.time.advance(Duration::from_secs(1));
    let first = event(&mut subscription).await;
    assert_eq!((first.records.len(), first.millis_behind_latest), (2, 1000));
    assert_eq!(event(&mut subscription).await.records.len(), 2);
    let last = event(&mut subscription).await;
    assert_eq!((last.records.len(), last.millis_behind_latest), (1, 0));
    // One that is larger than an event may be comes alone.
    fixture.put("k", &vec![7; 1024 * 1024 - 1]).await;
    assert_eq!(event(&mut subscription).await.records.len(), 1);
}

#[tokio::test]
async fn all_five_types_begin_where_they_should() {
    let fixture = Fixture::with_stream(1).await;
    let mut numbers = Vec::new();
    for text in ["0", "1", "2"] {
        numbers.push(fixture.put("a", text.as_bytes()).await.1);
        fixture.time.advance(Duration::from_secs(10));
    }
    let at =
        |seconds| StartingPosition { timestamp: Some(NOW.plus(Duration::from_secs(seconds))), ..from(AtTimestamp) };
    let cases = [
        (from(TrimHorizon), &["0", "1", "2", "new"][..]),
        (from(Latest), &["new"]),
        (from_number(AtSequenceNumber, &numbers[1]), &["1", "2", "new"]),
        (from_number(AfterSequenceNumber, &numbers[1]), &["2", "new"]),
        (at(10), &["1", "2", "new"]),
        (at(30), &["new"]),
    ];
    let mut subscriptions = Vec::new();
    for (i, (position, expected)) in cases.into_iter().enumerate() {
        let consumer = fixture.consumer(&format!("app-{i}")).await;
        subscriptions.push((fixture.subscribe(&consumer, SHARD, position).await.unwrap(), expected));
    }
    fixture.put("a", b"new").await;
    for (mut subscription, expected) in subscriptions {
        assert_eq!(texts(&event(&mut subscription).await), expected);
    }
}

#[tokio::test]
async fn starting_positions_are_checked_as_those_of_iterators() {
    let fixture = Fixture::with_stream(2).await;
    let consumer = fixture.consumer("app").await;
    let (_, number) = fixture.put("a", b"x").await;
    let other = 1 - number.parse::<SequenceNumber>().unwrap().parts().unwrap().shard_index;
    let later = StartingPosition { timestamp: Some(NOW.plus(Duration::from_secs(1))), ..from(AtTimestamp) };
    for (shard, position, part) in [
        (SHARD.to_owned(), from(AtSequenceNumber), "and no StartingSequenceNumber."),
        (SHARD.to_owned(), from_number(TrimHorizon, &number), "and also a StartingSequenceNumber."),
        (SHARD.to_owned(), from(AtTimestamp), "Must specify timestampInMillis"),
        (SHARD.to_owned(), later, "cannot be greater than the currentTimestampInMillis"),
        (SHARD.to_owned(), from_number(AtSequenceNumber, &"1".repeat(60)), "used in SubscribeToShard on shard"),
        (format!("shardId-{other:012}"), from_number(AtSequenceNumber, &number), "It encodes shardId-"),
    ] {
        let refused = fixture.subscribe(&consumer, &shard, position).await.unwrap_err();
        let text = format!("{refused:?}");
        assert!(text.contains(part), "{text}");
    }
    // None of them took the place.
    fixture.subscribe(&consumer, SHARD, from(Latest)).await.unwrap();
}

#[tokio::test]
async fn what_does_not_exist_or_is_not_active_is_refused() {
    let fixture = Fixture::with_stream(1).await;
    let consumer = fixture.consumer("app").await;
    for (consumer, shard, text) in [
        (
            consumer.replace("app", "none"),
            SHARD,
            "Consumer none under stream orders and account 000000000000 not found.",
        ),
        (consumer.replace("orders", "none"), SHARD, "Stream none under account 000000000000 not found."),
        (consumer.clone(), "nonsense", "Could not find shard nonsense in stream orders under account 000000000000."),
        (
            consumer.clone(),
            "shardId-000000000001",
            "Shard shardId-000000000001 in stream orders under account 000000000000 does not exist",
        ),
    ] {
        let refused = fixture.subscribe(&consumer, shard, from(Latest)).await.unwrap_err();
        assert_eq!(refused, SubscribeToShardError::ResourceNotFound(text.to_owned()));
    }
    let foreign = consumer.replace("000000000000", "111111111111");
    let refused = fixture.subscribe(&foreign, SHARD, from(Latest)).await.unwrap_err();
    assert!(matches!(refused, SubscribeToShardError::ResourceNotFound(_)), "{refused:?}");

    fixture.tasks.cancel();
    let creating = fixture.register("new").await.unwrap().consumer_arn;
    let refused = fixture.subscribe(&creating, SHARD, from(Latest)).await.unwrap_err();
    let text = "Consumer new with creation timestamp 1800000000 under stream: orders , account 000000000000 is not in \
                ACTIVE status.";
    assert_eq!(refused, SubscribeToShardError::ResourceInUse(text.to_owned()));
}

const TAKEN: &str =
    "Another active subscription exists for this consumer: 000000000000:orders:shardId-000000000000:app";

#[tokio::test]
async fn a_second_call_is_refused_at_first_and_takes_over_later() {
    let (fixture, consumer, mut first) = Fixture::subscribed().await;
    fixture.time.advance(Duration::from_millis(4999));
    let refused = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap_err();
    assert_eq!(refused, SubscribeToShardError::ResourceInUse(TAKEN.to_owned()));
    assert!(is_quiet(&mut first).await);

    fixture.time.advance(Duration::from_millis(1));
    let mut waiting = Box::pin(first.next());
    let mut second = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    let taken_over = waiting.as_mut().await.unwrap();
    drop(waiting);
    assert_eq!(taken_over.unwrap_err(), StreamError::ResourceInUse(TAKEN.to_owned()));
    assert!(first.next().await.is_none());
    fixture.put("a", b"x").await;
    assert_eq!(texts(&event(&mut second).await), ["x"]);
    let refused = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await;
    assert!(matches!(refused, Err(SubscribeToShardError::ResourceInUse(_))));
}

#[tokio::test]
async fn consumers_and_shards_do_not_disturb_each_other() {
    let fixture = Fixture::with_stream(2).await;
    let [one, two] = [fixture.consumer("one").await, fixture.consumer("two").await];
    let (shard, _) = fixture.put("a", b"x").await;
    let other = if shard == SHARD { "shardId-000000000001" } else { SHARD };
    let mut first = fixture.subscribe(&one, &shard, from(TrimHorizon)).await.unwrap();
    let mut second = fixture.subscribe(&two, &shard, from(TrimHorizon)).await.unwrap();
    let mut third = fixture.subscribe(&one, other, from(TrimHorizon)).await.unwrap();
    assert_eq!(texts(&event(&mut first).await), ["x"]);
    assert_eq!(texts(&event(&mut second).await), ["x"]);
    assert!(is_quiet(&mut third).await);
}

#[tokio::test]
async fn an_idle_subscription_tells_every_five_seconds_where_it_is() {
    let (fixture, consumer, mut subscription) = Fixture::subscribed().await;
    let mut last = None;
    for _ in 0..3 {
        assert!(is_quiet(&mut subscription).await);
        fixture.time.advance(Duration::from_millis(4999));
        assert!(is_quiet(&mut subscription).await);
        fixture.time.advance(Duration::from_millis(1));
        let event = event(&mut subscription).await;
        assert_eq!((event.records.len(), event.millis_behind_latest), (0, 0));
        assert!(event.continuation_sequence_number > last, "it advances though nothing was read");
        last = event.continuation_sequence_number;
    }
    drop(subscription);
    fixture.put("a", b"x").await;
    let position = from_number(AfterSequenceNumber, &last.unwrap().to_string());
    let mut subscription = fixture.subscribe(&consumer, SHARD, position).await.unwrap();
    assert_eq!(texts(&event(&mut subscription).await), ["x"]);
}

#[tokio::test]
async fn reading_after_any_continuation_misses_and_repeats_nothing() {
    let (fixture, consumer, mut subscription) = Fixture::subscribed().await;
    for round in 0..4_u64 {
        fixture.put("a", format!("{round}").as_bytes()).await;
        assert_eq!(texts(&event(&mut subscription).await), [round.to_string()]);
        fixture.time.advance(Duration::from_secs(5));
        let mut number = event(&mut subscription).await.continuation_sequence_number.unwrap();
        if round % 2 == 1 {
            fixture.put("b", b"-").await;
            let after = event(&mut subscription).await.continuation_sequence_number.unwrap();
            assert!(number < after);
            number = after;
        }
        drop(subscription);
        let position = from_number(AfterSequenceNumber, &number.to_string());
        subscription = fixture.subscribe(&consumer, SHARD, position).await.unwrap();
    }
}

#[tokio::test]
async fn a_subscription_ends_after_five_minutes_without_a_word() {
    let (fixture, _, mut subscription) = Fixture::subscribed().await;
    fixture.time.advance(Duration::from_mins(5).saturating_sub(Duration::from_millis(1)));
    assert!(event(&mut subscription).await.records.is_empty());
    let mut end = Box::pin(subscription.next());
    assert!(futures_util::poll!(&mut end).is_pending());
    fixture.time.advance(Duration::from_millis(1));
    assert!(end.await.is_none());
}

#[tokio::test]
async fn the_shutdown_ends_subscriptions_at_once() {
    let (fixture, _, mut subscription) = Fixture::subscribed().await;
    let mut end = Box::pin(subscription.next());
    assert!(futures_util::poll!(&mut end).is_pending());
    fixture.tasks.cancel();
    assert!(end.await.is_none());
}

#[tokio::test]
async fn deregistering_the_consumer_ends_its_subscriptions() {
    let (fixture, consumer, mut subscription) = Fixture::subscribed().await;
    let other = fixture.consumer("other").await;
    let mut others = fixture.subscribe(&other, SHARD, from(TrimHorizon)).await.unwrap();
    assert!(is_quiet(&mut subscription).await);
    fixture.deregister(&consumer).await.unwrap();
    let text = "Consumer app under stream orders and account 000000000000 not found.";
    assert_eq!(ended_with(&mut subscription).await, StreamError::ResourceNotFound(text.to_owned()));
    fixture.put("a", b"x").await;
    assert_eq!(texts(&event(&mut others).await), ["x"]);
}

#[tokio::test]
async fn a_subscription_that_is_behind_notices_that_its_consumer_is_gone() {
    let (fixture, consumer, mut subscription) = Fixture::subscribed().await;
    for _ in 0..5 {
        fixture.put("k", &vec![7; 600 * 1024]).await;
    }
    event(&mut subscription).await;
    fixture.deregister(&consumer).await.unwrap();
    assert!(matches!(ended_with(&mut subscription).await, StreamError::ResourceNotFound(_)));
}

#[tokio::test]
async fn deleting_the_stream_ends_its_subscriptions_even_when_it_is_created_again() {
    for again in [false, true] {
        let (fixture, _, mut subscription) = Fixture::subscribed().await;
        assert!(is_quiet(&mut subscription).await);
        fixture.delete_enforced().await.unwrap();
        if again {
            fixture.until_gone().await;
            fixture.create(1).await.unwrap();
            fixture.settle().await;
        }
        let text = "Stream orders under account 000000000000 not found.";
        assert_eq!(ended_with(&mut subscription).await, StreamError::ResourceNotFound(text.to_owned()));
    }
}

/// Replaces the stream's only shard as a split does: the log's shard is sealed, then the children appear.
async fn split(fixture: &Fixture, between: impl AsyncFnOnce()) {
    let name = StreamName::from_arn(&arn()).unwrap();
    let registry = &fixture.streams.inner.registry;
    let Stored { revision, mut header } = registry.header(&name).await.unwrap().unwrap();
    let key = |shard| ShardKey { stream: header.id, shard };
    fixture.log.seal(key(0)).await.unwrap();
    between().await;
    let now = fixture.clock.now();
    let whole = HashKeyRange::uniform(1).next().unwrap();
    let parent = StoredShard::initial(0, whole, header.created().seconds()).with_lineage([None, None], Some(now));
    let mut shards = vec![parent];
    for (index, range) in (1..).zip(HashKeyRange::uniform(2)) {
        shards.push(StoredShard::initial(index, range, now.seconds() + 1).with_lineage([Some(0), None], None));
        fixture.log.create(key(index), ShardConfig { retention: header.retention() }).await.unwrap();
    }
    let page = model::page_key(&name, header.id, 0);
    let kept = fixture.store.get(&page).await.unwrap().unwrap();
    fixture.store.put(&page, Expect::Revision(kept.revision), model::encode(&Page::new(shards))).await.unwrap();
    (header.shards_made, header.shards_open) = (3, 2);
    registry.put(&name, Expect::Revision(revision), &header).await.unwrap();
}

#[tokio::test]
async fn the_last_event_of_a_closed_shard_names_its_children() {
    let (fixture, consumer, mut subscription) = Fixture::subscribed().await;
    fixture.put("a", b"x").await;
    split(&fixture, async || {
        // The shard is sealed and its children are not there yet: this is not the end.
        let event = event(&mut subscription).await;
        assert_eq!(texts(&event), ["x"]);
        assert!(event.continuation_sequence_number.is_some() && event.child_shards.is_empty());
        assert!(is_quiet(&mut subscription).await);
    })
    .await;
    let last = event(&mut subscription).await;
    assert_eq!((last.records.len(), last.continuation_sequence_number), (0, None));
    let children: Vec<&str> = last.child_shards.iter().map(|child| child.shard_id.as_str()).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert!(last.child_shards.iter().all(|child| child.parent_shards == [SHARD]));
    assert!(subscription.next().await.is_none());

    fixture.time.advance(Duration::from_secs(5));
    let mut again = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    let last = event(&mut again).await;
    assert_eq!((texts(&last), last.child_shards.len()), (vec!["x".to_owned()], 2));
    assert!(again.next().await.is_none());
    let mut child = fixture.subscribe(&consumer, "shardId-000000000001", from(TrimHorizon)).await.unwrap();
    assert!(is_quiet(&mut child).await);
}

async fn scripted() -> (Fixture, Arc<Scripted>) {
    let (clock, time) = ServiceClock::virtual_at(NOW);
    let inner = MemoryLog::new(millstream_log::memory::Options::default(), clock.clone(), HostClock::real());
    let log = Arc::new(Scripted::over(inner));
    let shared: SharedLog = Arc::<Scripted>::clone(&log);
    let fixture = Fixture::over(clock, time, shared, Arc::new(MemoryStore::new())).await;
    fixture.create(1).await.unwrap();
    fixture.until(millstream_wire::kinesis::StreamStatus::Active).await;
    (fixture, log)
}

#[tokio::test]
async fn damage_ends_the_subscription_and_is_named() {
    let (fixture, log) = scripted().await;
    let consumer = fixture.consumer("app").await;
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    let incarnation = fixture.streams.lookup(&arn()).await.unwrap().unwrap().incarnation();
    let damaged =
        ReadError::Damaged { shard: ShardKey { stream: incarnation, shard: 0 }, first: Position(3), last: Position(5) };
    *log.failure.lock().unwrap() = Some(damaged.clone());
    let error = ended_with(&mut subscription).await;
    assert_eq!(error, StreamError::InternalFailure(damaged.to_string()));

    *log.failure.lock().unwrap() = None;
    fixture.time.advance(Duration::from_secs(5));
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    *log.failure.lock().unwrap() = Some(ReadError::Unavailable("a reason for the log only".to_owned()));
    let error = ended_with(&mut subscription).await;
    assert_eq!(error, StreamError::InternalFailure("The log cannot be read at the moment.".to_owned()));
}

#[tokio::test]
async fn nothing_is_read_for_a_client_that_does_not_ask_and_nobody_waits_for_it() {
    let (fixture, log) = scripted().await;
    let [slow, fast] = [fixture.consumer("slow").await, fixture.consumer("fast").await];
    let mut slow = fixture.subscribe(&slow, SHARD, from(TrimHorizon)).await.unwrap();
    let mut fast = fixture.subscribe(&fast, SHARD, from(TrimHorizon)).await.unwrap();
    let before = log.reads.load(Ordering::SeqCst);
    for i in 0..10 {
        fixture.put("a", format!("{i}").as_bytes()).await;
        assert_eq!(texts(&event(&mut fast).await), [i.to_string()]);
        fixture.settle().await;
    }
    let reads = log.reads.load(Ordering::SeqCst) - before;
    assert!(reads <= 20, "{reads} reads for ten records of one subscription");
    // An idle one reads once whenever it is asked, and then waits.
    assert!(is_quiet(&mut fast).await);
    let before = log.reads.load(Ordering::SeqCst);
    assert!(is_quiet(&mut fast).await);
    assert_eq!(log.reads.load(Ordering::SeqCst) - before, 1);
    assert_eq!(event(&mut slow).await.records.len(), 10);
}

#[tokio::test]
async fn one_that_has_nothing_readable_left_says_where_it_is() {
    let (fixture, consumer, subscription) = Fixture::subscribed().await;
    drop(subscription);
    fixture.put("a", b"old").await;
    let (_, second) = fixture.put("a", b"old").await;
    fixture.time.advance(Duration::from_hours(25));
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    assert!(is_quiet(&mut subscription).await);
    fixture.time.advance(Duration::from_secs(5));
    let idle = event(&mut subscription).await;
    assert!(idle.records.is_empty());
    assert!(idle.continuation_sequence_number.unwrap() > second.parse().unwrap());
    fixture.put("a", b"new").await;
    assert_eq!(texts(&event(&mut subscription).await), ["new"]);
}

#[tokio::test]
async fn subscriptions_have_a_bound() {
    let (clock, time) = ServiceClock::virtual_at(NOW);
    let log = MemoryLog::new(millstream_log::memory::Options::default(), clock.clone(), HostClock::real());
    let (log, store): (SharedLog, millstream_catalog::SharedStore) = (Arc::new(log), Arc::new(MemoryStore::new()));
    let mut fixture = Fixture::over(clock, time, log, store).await;
    let parts: Parts = fixture.streams.inner.parts.clone();
    let options = Options { subscriptions_max: 2, ..Options::default() };
    fixture.streams = Streams::open(parts, options).await.unwrap();
    fixture.create(3).await.unwrap();
    fixture.until(millstream_wire::kinesis::StreamStatus::Active).await;
    let consumer = fixture.consumer("app").await;
    let mut held = Vec::new();
    for shard in [SHARD, "shardId-000000000001"] {
        held.push(fixture.subscribe(&consumer, shard, from(Latest)).await.unwrap());
    }
    let refused = fixture.subscribe(&consumer, "shardId-000000000002", from(Latest)).await.unwrap_err();
    let text = "This server has 2 active subscriptions already.";
    assert_eq!(refused, SubscribeToShardError::LimitExceeded(text.to_owned()));
    held.clear();
    fixture.time.advance(Duration::from_secs(5));
    fixture.subscribe(&consumer, "shardId-000000000002", from(Latest)).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_numbers_in_order() {
    let (fixture, _, mut subscription) = Fixture::subscribed().await;
    fixture.put("a", b"x").await;
    let first = event(&mut subscription).await.continuation_sequence_number;
    fixture.time.set(Timestamp::from_millis(NOW.millis() - 3_600_000));
    fixture.put("a", b"y").await;
    let second = event(&mut subscription).await;
    assert_eq!(texts(&second), ["y"]);
    assert!(second.continuation_sequence_number > first);
}
