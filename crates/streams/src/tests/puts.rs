use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use millstream_catalog::MemoryStore;
use millstream_env::{BoxFuture, HostClock, ServiceClock};
use millstream_log::{
    AppendError, Bounds, Entry, MemoryLog, ReadBatch, ReadError, ReadFrom, ReadLimit, Reservation, Sealed, ShardConfig,
    ShardError, ShardKey, ShardLog, SharedLog, Tail,
};
use millstream_types::{HashKey, SequenceNumber};
use millstream_wire::CommonError;
use millstream_wire::direct::{PutEntry, PutResult};

use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::{DeleteStreamInput, StreamStatus};
use proptest::prelude::*;

use super::fixture::{Fixture, NAME, NOW, arn, entry, target};
use crate::StreamTarget;

#[tokio::test]
async fn records_go_to_the_shard_of_their_hash_key_and_come_back_as_they_were() {
    let fixture = Fixture::with_stream(3).await;
    for (key, shard) in [("a", 0), ("f", 1), ("b", 1), ("e", 2)] {
        let (shard_id, _) = fixture.put(key, key.as_bytes()).await;
        assert_eq!(shard_id, format!("shardId-{shard:012}"), "{key}");
    }
    assert_eq!(fixture.all_of("shardId-000000000001").await, [b"f", b"b"]);
    let explicit = PutEntry { explicit_hash_key: Some(Cow::Borrowed("0")), ..entry("e", b"moved") };
    let stored = fixture.streams.put_record(&fixture.context, target(), &explicit, None).await.unwrap();
    assert_eq!(stored.shard_id.to_string(), "shardId-000000000000");
}

#[tokio::test]
async fn a_hundred_thousand_partition_keys_are_each_in_their_shard() {
    const SHARDS: u128 = 64;
    let fixture = Fixture::with_stream(64).await;
    let keys: Vec<String> = (0..100_000).map(|number| format!("key-{number}")).collect();
    for batch in keys.chunks(500) {
        let entries: Vec<_> = batch.iter().map(|key| entry(key, key.as_bytes())).collect();
        let reply = fixture.streams.put_records(&fixture.context, target(), &entries).await.unwrap();
        assert!(reply.results.iter().all(|result| matches!(result, PutResult::Stored { .. })));
    }
    let mut found = 0;
    for shard in 0..SHARDS {
        let width = (u128::MAX / SHARDS) + 1;
        for key in fixture.all_of(&format!("shardId-{shard:012}")).await {
            let key = String::from_utf8(key).unwrap();
            assert_eq!(HashKey::of_partition_key(&key).0 / width, shard, "{key}");
            found += 1;
        }
    }
    assert_eq!(found, keys.len());
}

#[tokio::test]
async fn bad_arguments_fail_the_whole_call_and_store_nothing() {
    let fixture = Fixture::with_stream(1).await;
    let large = vec![0; 1_048_577];
    let beyond = PutEntry {
        explicit_hash_key: Some(Cow::Borrowed("340282366920938463463374607431768211456")),
        ..entry("a", b"x")
    };
    let put = async |entries: &[PutEntry<'_>]| fixture.streams.put_records(&fixture.context, target(), entries).await;
    assert_eq!(
        put(&[entry("a", b"x"), beyond]).await.unwrap_err(),
        PutRecordsError::InvalidArgument(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was \
             340282366920938463463374607431768211456"
                .to_owned()
        )
    );
    assert_eq!(
        put(&[entry("a", b"x"), entry("b", &large)]).await.unwrap_err(),
        PutRecordsError::Common(CommonError::Validation(
            "1 validation error detected: Value at 'records.2.member.data' failed to satisfy constraint: Member must \
             have length less than or equal to 1048576."
                .to_owned()
        ))
    );
    let whole = vec![entry("a", &large[..1_048_576]); 10];
    assert_eq!(
        put(&whole).await.unwrap_err(),
        PutRecordsError::InvalidArgument("Records size exceeds 10 MB limit".to_owned())
    );
    assert_eq!(fixture.all_of("shardId-000000000000").await, Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn the_number_for_ordering_is_checked() {
    let fixture = Fixture::with_stream(2).await;
    let (_, number) = fixture.put("a", b"1").await;
    let put = async |number: &str| {
        fixture.streams.put_record(&fixture.context, target(), &entry("a", b"2"), Some(number)).await
    };
    let second = put(&number).await.unwrap().sequence_number;
    assert!(second > number.parse().unwrap());
    for accepted in ["0", "5", &fixture.put("e", b"other shard").await.1] {
        put(accepted).await.unwrap();
    }
    let parts = second.parts().unwrap();
    let future = millstream_types::sequence_number::Parts { time_seconds: NOW.seconds() + 1, ..parts };
    let future = SequenceNumber::new(future).to_string();
    for refused in [future.as_str(), "1000000000000000000000000000000000000000000000000000000000"] {
        assert_eq!(
            put(refused).await.unwrap_err(),
            PutRecordError::InvalidArgument(format!(
                "ExclusiveMinimumSequenceNumber {refused} used in PutRecord on stream {NAME} under account \
                 000000000000 is invalid."
            ))
        );
    }
}

#[tokio::test]
async fn streams_are_named_by_name_by_arn_or_by_both() {
    let fixture = Fixture::with_stream(1).await;
    let put = async |stream_name: Option<&str>, stream_arn: Option<String>| {
        let target = StreamTarget { stream_name, stream_arn: stream_arn.as_deref() };
        fixture.streams.put_record(&fixture.context, target, &entry("a", b"x"), None).await
    };
    let arn = arn().to_string();
    put(None, Some(arn.clone())).await.unwrap();
    put(Some(NAME), Some(arn.clone())).await.unwrap();
    assert!(matches!(put(Some("other"), Some(arn.clone())).await, Err(PutRecordError::InvalidArgument(_))));
    assert!(matches!(put(None, None).await, Err(PutRecordError::InvalidArgument(_))));
    assert_eq!(
        put(Some("none"), None).await.unwrap_err(),
        PutRecordError::ResourceNotFound("Stream none under account 000000000000 not found.".to_owned())
    );
    assert_eq!(
        put(None, Some(arn.replace("us-east-1", "eu-west-1"))).await.unwrap_err(),
        PutRecordError::ResourceNotFound("Stream orders under account 000000000000 not found.".to_owned())
    );
    // Whether another account's stream may be used is asked before: see the gateway's tests.
    let other = arn.replace("000000000000", "111111111111");
    assert_eq!(
        put(None, Some(other.clone())).await.unwrap_err(),
        PutRecordError::ResourceNotFound("Stream orders under account 111111111111 not found.".to_owned())
    );
    let input = DeleteStreamInput { stream_arn: Some(other.clone()), ..DeleteStreamInput::default() };
    assert_eq!(
        fixture.streams.delete_stream(&fixture.context, input).await.unwrap_err(),
        DeleteStreamError::AccessDenied(format!(
            "User: arn:aws:iam::000000000000:root is not authorized to perform: kinesis:DeleteStream on resource: \
             {other} because no resource-based policy allows the kinesis:DeleteStream action"
        ))
    );
}

#[tokio::test]
async fn a_stream_that_is_not_there_takes_no_records() {
    let fixture = Fixture::with_stream(1).await;
    fixture.delete().await.unwrap();
    let put = fixture.streams.put_record(&fixture.context, target(), &entry("a", b"x"), None).await;
    let not_found = "Stream orders under account 000000000000 not found.".to_owned();
    assert_eq!(put.unwrap_err(), PutRecordError::ResourceNotFound(not_found.clone()));
    let put = fixture.streams.put_records(&fixture.context, target(), &[entry("a", b"x")]).await;
    assert_eq!(put.unwrap_err(), PutRecordsError::ResourceNotFound(not_found));
}

/// A record's number, partition key and data.
type Read<'a> = (SequenceNumber, &'a str, &'a [u8]);

/// A log that refuses the records of its choice.
#[derive(Debug)]
struct Refusing {
    inner: MemoryLog,
    /// Answers for the coming reservation, by place.
    refusals: Mutex<HashMap<usize, AppendError>>,
}

impl ShardLog for Refusing {
    fn create(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.create(shard, config)
    }

    fn configure(&self, shard: ShardKey, config: ShardConfig) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.configure(shard, config)
    }

    fn reserve<'a>(&'a self, entries: &'a [Entry<'a>]) -> BoxFuture<'a, Reservation> {
        Box::pin(async move {
            let mut reservation = self.inner.reserve(entries).await;
            for (place, error) in self.refusals.lock().unwrap().drain() {
                reservation.slots[place] = Err(error);
            }
            reservation
        })
    }

    fn seal(&self, shard: ShardKey) -> BoxFuture<'_, Result<Sealed, ShardError>> {
        self.inner.seal(shard)
    }

    fn read(&self, shard: ShardKey, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'_, Result<ReadBatch, ReadError>> {
        self.inner.read(shard, from, limit)
    }

    fn bounds(&self, shard: ShardKey) -> Result<Bounds, ShardError> {
        self.inner.bounds(shard)
    }

    fn delete(&self, shard: ShardKey) -> BoxFuture<'_, Result<(), ShardError>> {
        self.inner.delete(shard)
    }

    fn tail(&self, shard: ShardKey) -> Option<Tail> {
        self.inner.tail(shard)
    }
}

#[tokio::test]
async fn failures_are_reported_record_by_record() {
    let (clock, time) = ServiceClock::virtual_at(NOW);
    let inner = MemoryLog::new(millstream_log::memory::Options::default(), clock.clone(), HostClock::real());
    let log = Arc::new(Refusing { inner, refusals: Mutex::default() });
    let shared: SharedLog = Arc::clone(&log) as SharedLog;
    let fixture = Fixture::over(clock, time, shared, Arc::new(MemoryStore::new())).await;
    fixture.create(1).await.unwrap();
    fixture.until(StreamStatus::Active).await;

    let errors = [AppendError::Throttled, AppendError::Full, AppendError::Unknown, AppendError::Sealed];
    *log.refusals.lock().unwrap() = errors.into_iter().enumerate().map(|(i, error)| (i + 1, error)).collect();
    let entries = ["0", "1", "2", "3", "4", "5"].map(|text| entry("a", text.as_bytes()));
    let reply = fixture.streams.put_records(&fixture.context, target(), &entries).await.unwrap();
    assert_eq!(reply.failed_record_count, 3);
    let codes: Vec<_> = reply
        .results
        .iter()
        .map(|result| match result {
            PutResult::Stored { .. } => None,
            PutResult::Failed { error_code, error_message } => Some((*error_code, error_message.as_str())),
        })
        .collect();
    assert_eq!(
        codes,
        [
            None,
            Some((
                "ProvisionedThroughputExceededException",
                "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000."
            )),
            Some(("InternalFailure", "Internal service failure: the disk of this server is full.")),
            Some(("InternalFailure", "Internal service failure.")),
            // A sealed shard is looked up again, and here there is still the same one.
            None,
            None,
        ]
    );
    assert_eq!(fixture.all_of("shardId-000000000000").await, [b"0", b"5", b"4"]);

    log.refusals.lock().unwrap().insert(0, AppendError::Throttled);
    let put = fixture.streams.put_record(&fixture.context, target(), &entry("a", b"x"), None).await;
    assert!(matches!(put, Err(PutRecordError::ProvisionedThroughputExceeded(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_shard_gives_its_records_in_the_order_of_their_numbers(
        shards in 1_i32..6,
        batches in prop::collection::vec(
            prop::collection::vec(("\\PC{1,8}", prop::option::of(any::<u128>()), any::<Vec<u8>>()), 1..12), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_stream(shards).await;
            let description = fixture.describe().await.unwrap();
            let mut expected: HashMap<String, Vec<Read<'_>>> = HashMap::new();
            for batch in &batches {
                let entries: Vec<PutEntry<'_>> = batch.iter().map(|(key, hash_key, data)| PutEntry {
                    explicit_hash_key: hash_key.map(|key| Cow::Owned(key.to_string())),
                    ..entry(key, data)
                }).collect();
                let reply = fixture.streams.put_records(&fixture.context, target(), &entries).await.unwrap();
                prop_assert_eq!(reply.failed_record_count, 0);
                for ((key, hash_key, data), result) in batch.iter().zip(reply.results) {
                    let PutResult::Stored { shard_id, sequence_number } = result else { panic!("no failures") };
                    let hash_key = hash_key.map_or_else(|| HashKey::of_partition_key(key), HashKey);
                    let shard = &description.shards[shard_id.0.get() as usize].hash_key_range;
                    let range: [u128; 2] = [&shard.starting_hash_key, &shard.ending_hash_key].map(|key| key.parse().unwrap());
                    prop_assert!(range[0] <= hash_key.0 && hash_key.0 <= range[1]);
                    expected.entry(shard_id.to_string()).or_default().push((sequence_number, key, data));
                }
            }
            for shard in &description.shards {
                let expected = expected.remove(&shard.shard_id).unwrap_or_default();
                prop_assert!(expected.is_sorted_by_key(|(number, ..)| *number));
                let kind = millstream_wire::kinesis::ShardIteratorType::TrimHorizon;
                let iterator = fixture.iterator_of(&shard.shard_id, kind, None, None).await.unwrap();
                let page = fixture.get(&iterator).await.unwrap();
                let read: Vec<_> = page.records.iter()
                    .map(|r| (page.shard.sequence_number(r), std::str::from_utf8(&r.partition_key).unwrap(), &r.data[..]))
                    .collect();
                prop_assert_eq!(read, expected);
            }
            Ok(())
        })?;
    }
}
