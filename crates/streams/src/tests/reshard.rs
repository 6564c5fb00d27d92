use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use millstream_types::SequenceNumber;
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;
use proptest::prelude::*;

use super::fixture::{Fixture, NAME, arn, entry, target};

const HALF: u128 = 1 << 127;
const FIRST: &str = "shardId-000000000000";

async fn split(fixture: &Fixture, shard: &str, key: u128) -> Result<(), SplitShardError> {
    let input = SplitShardInput {
        shard_to_split: shard.to_owned(),
        new_starting_hash_key: key.to_string(),
        stream_name: Some(NAME.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    fixture.streams.split_shard(&fixture.context, input).await
}

async fn merge(fixture: &Fixture, shard: &str, adjacent: &str) -> Result<(), MergeShardsError> {
    let input = MergeShardsInput {
        shard_to_merge: shard.to_owned(),
        adjacent_shard_to_merge: adjacent.to_owned(),
        stream_name: Some(NAME.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    fixture.streams.merge_shards(&fixture.context, input).await
}

async fn scale(fixture: &Fixture, target: i32) -> Result<UpdateShardCountOutput, UpdateShardCountError> {
    let input = UpdateShardCountInput {
        scaling_type: ScalingType::UniformScaling,
        target_shard_count: target,
        stream_name: Some(NAME.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    fixture.streams.update_shard_count(&fixture.context, input).await
}

/// The open shards' ranges, in order.
async fn open_ranges(fixture: &Fixture) -> Vec<(u128, u128)> {
    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
    let open = stream.shards().iter().filter(|shard| shard.closed_at().is_none());
    let mut ranges: Vec<_> = open.map(|shard| (shard.hash_key_range().start.0, shard.hash_key_range().end.0)).collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "the open shards cover the space");
    assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, u128::MAX));
    ranges
}

async fn active(fixture: &Fixture) {
    fixture.until(StreamStatus::Active).await;
}

#[tokio::test]
async fn a_split_leaves_a_closed_parent_and_two_children() {
    let fixture = Fixture::with_stream(1).await;
    let (_, last_of_parent) = fixture.put("a", b"before").await;
    let tail = fixture.iterator(ShardIteratorType::Latest, None, None).await.unwrap();
    fixture.time.advance(Duration::from_millis(2700));
    split(&fixture, "0", HALF).await.unwrap();
    active(&fixture).await;

    let shards = fixture.describe().await.unwrap().shards;
    let [parent, lower, upper] = &shards[..] else { panic!("{shards:?}") };
    let ending: SequenceNumber = parent.sequence_number_range.ending_sequence_number.as_ref().unwrap().parse().unwrap();
    let parts = ending.parts().unwrap();
    assert_eq!((parts.index, parts.time_seconds), (SequenceNumber::MAX_INDEX, 1_800_000_003));
    assert!(last_of_parent.parse::<SequenceNumber>().unwrap() < ending);
    assert_eq!(
        (lower.hash_key_range.starting_hash_key.as_str(), upper.hash_key_range.starting_hash_key.as_str()),
        ("0", &*HALF.to_string())
    );
    assert_eq!(lower.hash_key_range.ending_hash_key, (HALF - 1).to_string());
    assert_eq!(upper.hash_key_range.ending_hash_key, u128::MAX.to_string());
    for child in [lower, upper] {
        assert_eq!((child.parent_shard_id.as_deref(), &child.adjacent_parent_shard_id), (Some(FIRST), &None));
        let start: SequenceNumber = child.sequence_number_range.starting_sequence_number.parse().unwrap();
        let parts = start.parts().unwrap();
        assert_eq!((parts.shard_created_seconds, parts.time_seconds), (1_800_000_004, 1_800_000_004));
        assert!(start > ending);
        assert_eq!(child.sequence_number_range.ending_sequence_number, None);
    }
    // The end of the parent: children, and nothing to go on with.
    let page = fixture.get(&tail).await.unwrap();
    assert_eq!((page.records.len(), &page.next_shard_iterator, page.millis_behind_latest), (0, &None, 0));
    let children: Vec<_> = page.child_shards.iter().map(|child| (&*child.shard_id, &*child.parent_shards[0])).collect();
    assert_eq!(children, [("shardId-000000000001", FIRST), ("shardId-000000000002", FIRST)]);
    assert_eq!(fixture.all_of(FIRST).await, [b"before"]);
    // "a" hashes into the lower half.
    let (shard, number) = fixture.put("a", b"after").await;
    assert_eq!(shard, "shardId-000000000001");
    assert!(number.parse::<SequenceNumber>().unwrap() > ending);
    assert_eq!(fixture.summary().await.open_shard_count, 2);
}

#[tokio::test]
async fn a_merge_joins_neighbours_in_one_direction_only() {
    let fixture = Fixture::with_stream(3).await;
    let text = |a: u32, b: u32| {
        MergeShardsError::InvalidArgument(format!(
            "Shards shardId-00000000000{a} and shardId-00000000000{b} in stream orders under account 000000000000 are \
             not an adjacent pair of shards eligible for merging"
        ))
    };
    assert_eq!(merge(&fixture, "shardId-0", "shardId-2").await, Err(text(0, 2)));
    assert_eq!(merge(&fixture, "shardId-1", "shardId-0").await, Err(text(1, 0)));
    assert_eq!(merge(&fixture, "shardId-2", "shardId-2").await, Err(text(2, 2)));
    merge(&fixture, "shardId-1", "shardId-2").await.unwrap();
    active(&fixture).await;
    let shards = fixture.describe().await.unwrap().shards;
    let child = &shards[3];
    assert_eq!(child.parent_shard_id.as_deref(), Some("shardId-000000000001"));
    assert_eq!(child.adjacent_parent_shard_id.as_deref(), Some("shardId-000000000002"));
    assert_eq!(open_ranges(&fixture).await.len(), 2);
    // Both parents tell of the child.
    for parent in ["shardId-000000000001", "shardId-000000000002"] {
        let iterator = fixture.iterator_of(parent, ShardIteratorType::TrimHorizon, None, None).await.unwrap();
        let page = fixture.get(&iterator).await.unwrap();
        assert_eq!(page.child_shards[0].parent_shards, ["shardId-000000000001", "shardId-000000000002"]);
    }
    assert!(
        matches!(merge(&fixture, "0", "1").await, Err(MergeShardsError::InvalidArgument(text)) if text.contains("is closed"))
    );
}

#[tokio::test]
async fn bad_splits_are_refused_as_recorded_and_change_nothing() {
    let fixture = Fixture::with_stream(3).await;
    let end = u128::MAX / 3 - 1;
    for key in [0, 1, end, u128::MAX] {
        assert_eq!(
            split(&fixture, "shardId-000000000000", key).await,
            Err(SplitShardError::InvalidArgument(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard shardId-000000000000 in stream orders under \
                 account 000000000000 is not both greater than one plus the shard's StartingHashKey 0 and less than \
                 the shard's EndingHashKey 113427455640312821154458202477256070484."
            )))
        );
    }
    for (shard, shown) in [("shardId-5", "shardId-000000000005"), ("x", "x"), ("2147483648", "2147483648")] {
        assert_eq!(
            split(&fixture, shard, 2).await,
            Err(SplitShardError::ResourceNotFound(format!(
                "Could not find shard {shown} in stream orders under account 000000000000."
            )))
        );
    }
    assert_eq!(fixture.describe().await.unwrap().shards.len(), 3);
    assert_eq!(fixture.summary().await.stream_status, StreamStatus::Active);
    split(&fixture, FIRST, 2).await.unwrap();
    // The answer came before the work was done.
    assert_eq!(
        split(&fixture, FIRST, 2).await,
        Err(SplitShardError::ResourceInUse(
            "Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING".to_owned()
        ))
    );
    active(&fixture).await;
    assert_eq!(open_ranges(&fixture).await[..2], [(0, 1), (2, end)]);
}

#[tokio::test]
async fn scaling_reaches_equal_ranges_within_its_limits() {
    let fixture = Fixture::with_stream(4).await;
    for (count, direction, bound) in [(9, "up", "over double"), (1, "down", "below half")] {
        assert_eq!(
            scale(&fixture, count).await,
            Err(UpdateShardCountError::LimitExceeded(format!(
                "UpdateShardCount cannot scale {direction} {bound} your current open shard count. Current open shard \
                 count: 4, Target shard count: {count}"
            )))
        );
    }
    let mut current = 4;
    for target in [8, 5, 7, 7, 4, 2, 1, 2, 3, 6] {
        let answer = scale(&fixture, target).await.unwrap();
        assert_eq!((answer.current_shard_count, answer.target_shard_count), (Some(current), Some(target)));
        active(&fixture).await;
        let ranges = open_ranges(&fixture).await;
        assert_eq!(ranges.len(), target.unsigned_abs() as usize);
        let width = u128::MAX / u128::from(target.unsigned_abs());
        assert!(ranges.iter().all(|(start, end)| (end - start).abs_diff(width) <= width >> 19));
        current = target;
    }
    assert!(
        matches!(scale(&fixture, 3).await, Err(UpdateShardCountError::LimitExceeded(text)) if text.contains("10 times"))
    );
    fixture.time.advance(Duration::from_hours(24));
    scale(&fixture, 3).await.unwrap();
}

#[tokio::test]
async fn many_shards_scale_in_several_rounds() {
    let fixture = Fixture::with_stream(700).await;
    scale(&fixture, 1400).await.unwrap();
    active(&fixture).await;
    assert_eq!(open_ranges(&fixture).await.len(), 1400);
    assert_eq!(fixture.summary().await.open_shard_count, 1400);
    fixture.put("a", b"x").await;
}

#[tokio::test]
async fn numbers_of_descendants_are_greater_also_when_shards_are_split_at_once() {
    let fixture = Fixture::with_stream(1).await;
    let mut newest: SequenceNumber = "0".parse().unwrap();
    let mut border = HALF;
    for shard in [0, 1, 3, 5, 7] {
        let (_, number) = fixture.put("a", b"x").await;
        let number = number.parse::<SequenceNumber>().unwrap();
        assert!(newest < number);
        newest = number;
        // The lower child is split again within the same second; "a" stays in it.
        split(&fixture, &shard.to_string(), border).await.unwrap();
        active(&fixture).await;
        border -= border / 16;
    }
}

#[tokio::test]
async fn an_on_demand_stream_is_not_resharded_by_its_owner() {
    let fixture = Fixture::new().await;
    let input = CreateStreamInput { stream_name: NAME.to_owned(), ..CreateStreamInput::default() };
    fixture.streams.create_stream(&fixture.context, input).await.unwrap();
    active(&fixture).await;
    assert!(matches!(split(&fixture, "0", HALF / 4).await, Err(SplitShardError::Validation(_))));
    assert!(matches!(merge(&fixture, "0", "1").await, Err(MergeShardsError::Validation(_))));
    assert!(matches!(scale(&fixture, 8).await, Err(UpdateShardCountError::Validation(_))));
}

#[tokio::test]
async fn expired_parents_leave_with_the_next_resharding() {
    let fixture = Fixture::with_stream(1).await;
    split(&fixture, "0", HALF).await.unwrap();
    active(&fixture).await;
    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
    let parent = stream.shards()[0].key();
    fixture.time.advance(Duration::from_hours(25));
    assert_eq!(fixture.describe().await.unwrap().shards.len(), 2);
    assert!(fixture.iterator(ShardIteratorType::TrimHorizon, None, None).await.is_err());
    merge(&fixture, "1", "2").await.unwrap();
    active(&fixture).await;
    assert!(fixture.log.bounds(parent).is_err(), "its place in the log is free");
    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
    assert_eq!(stream.shards().iter().map(|shard| shard.key().shard).collect::<Vec<_>>(), [1, 2, 3]);
    // A retention change and a deletion meet shards that are gone.
    let input = IncreaseStreamRetentionPeriodInput {
        stream_name: Some(NAME.to_owned()),
        retention_period_hours: 48,
        ..Default::default()
    };
    fixture.streams.increase_stream_retention_period(&fixture.context, input).await.unwrap();
    assert_eq!(fixture.summary().await.stream_status, StreamStatus::Active);
    fixture.delete().await.unwrap();
    fixture.until_gone().await;
}

#[tokio::test]
async fn shards_are_listed_by_time_without_a_hole_at_a_split() {
    let fixture = Fixture::with_stream(1).await;
    fixture.time.advance(Duration::from_millis(10_250));
    split(&fixture, "0", HALF).await.unwrap();
    active(&fixture).await;
    for ahead in [0, 250, 499, 750, 2000] {
        fixture.time.advance(Duration::from_millis(ahead));
        let input = ListShardsInput {
            stream_name: Some(NAME.to_owned()),
            shard_filter: Some(ShardFilter {
                r#type: ShardFilterType::AtTimestamp,
                shard_id: None,
                timestamp: Some(fixture.clock.now()),
            }),
            ..ListShardsInput::default()
        };
        let shards = fixture.streams.list_shards(&fixture.context, input).await.unwrap().shards.unwrap();
        let covers = |key: u128| {
            shards.iter().any(|shard| {
                let bound = |text: &str| text.parse::<u128>().unwrap();
                bound(&shard.hash_key_range.starting_hash_key) <= key
                    && key <= bound(&shard.hash_key_range.ending_hash_key)
            })
        };
        assert!(covers(0) && covers(HALF - 1) && covers(HALF) && covers(u128::MAX), "{shards:?}");
    }
}

/// Every record of a stream as a consumer finds it that reads parents before children: data by partition key, in order.
async fn read_by_lineage(fixture: &Fixture) -> BTreeMap<String, Vec<Vec<u8>>> {
    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
    let mut records: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    // Children have greater indexes than their parents.
    for shard in stream.shards() {
        let id = shard.id().to_string();
        let mut iterator = fixture.iterator_of(&id, ShardIteratorType::TrimHorizon, None, None).await.ok();
        while let Some(from) = iterator {
            let page = fixture.get(&from).await.unwrap();
            for record in &page.records {
                let key = String::from_utf8(record.partition_key.to_vec()).unwrap();
                records.entry(key).or_default().push(record.data.to_vec());
            }
            assert_eq!(page.next_shard_iterator.is_none(), !page.child_shards.is_empty());
            iterator = page.next_shard_iterator.filter(|_| page.millis_behind_latest > 0);
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Puts and resharding at the same time: whatever was acknowledged is there once, and in order of its key.
    #[test]
    fn nothing_is_lost_or_doubled_while_shards_change(seed: u64, changes in proptest::collection::vec(0_u32..100, 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_stream(2).await;
            let writers = (0..4_u64).map(|writer| {
                let fixture = &fixture;
                async move {
                    for i in 0..40_u64 {
                        let keys: Vec<String> = (0..3).map(|k| format!("{writer}-{k}")).collect();
                        let data = i.to_be_bytes();
                        let entries: Vec<_> = keys.iter().map(|key| entry(key, &data)).collect();
                        let reply = fixture.streams.put_records(&fixture.context, target(), &entries).await.unwrap();
                        assert_eq!(reply.failed_record_count, 0);
                        for _ in 0..(seed >> (writer * 8 + i % 8)) % 4 {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            });
            let resharder = async {
                for change in &changes {
                    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
                    let open = stream.shards().iter().filter(|shard| shard.closed_at().is_none());
                    let count = u32::try_from(open.count()).unwrap();
                    let wanted = count.div_ceil(2) + change % (count + count / 2 + 1);
                    scale(&fixture, wanted.clamp(count.div_ceil(2), count * 2).cast_signed()).await.unwrap();
                    active(&fixture).await;
                }
            };
            tokio::join!(futures_util::future::join_all(writers), resharder);
            let found: HashMap<_, _> = read_by_lineage(&fixture).await.into_iter().collect();
            assert_eq!(found.len(), 12);
            let all: Vec<Vec<u8>> = (0..40_u64).map(|i| i.to_be_bytes().to_vec()).collect();
            for (key, data) in found {
                assert_eq!(data, all, "records of {key}, seed {seed}");
            }
        });
    }
}

#[tokio::test]
async fn subscribers_are_led_from_a_shard_to_its_children() {
    let fixture = Fixture::with_stream(1).await;
    let consumer_arn = fixture.consumer("app").await;
    let subscribe = async |shard: &str| {
        let input = SubscribeToShardInput {
            consumer_arn: consumer_arn.clone(),
            shard_id: shard.to_owned(),
            starting_position: StartingPosition {
                r#type: ShardIteratorType::TrimHorizon,
                sequence_number: None,
                timestamp: None,
            },
            stream_id: None,
        };
        fixture.streams.subscribe_to_shard(&fixture.context, input).await.unwrap()
    };
    let mut subscription = subscribe(FIRST).await;
    fixture.put("a", b"before").await;
    let event = subscription.next().await.unwrap().unwrap();
    assert_eq!((&event.records[0].data[..], event.child_shards.len()), (&b"before"[..], 0));
    split(&fixture, FIRST, HALF).await.unwrap();
    let last = subscription.next().await.unwrap().unwrap();
    assert_eq!((last.records.len(), last.continuation_sequence_number, last.child_shards.len()), (0, None, 2));
    assert!(subscription.next().await.is_none());
    active(&fixture).await;
    fixture.put("a", b"after").await;
    let mut child = subscribe(&last.child_shards[0].shard_id).await;
    assert_eq!(&child.next().await.unwrap().unwrap().records[0].data[..], b"after");
}
