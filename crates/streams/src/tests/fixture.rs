//! A service on a virtual clock, and short forms of its calls.

use std::borrow::Cow;
use std::sync::Arc;

use millstream_catalog::{MemoryStore, SharedStore};
use millstream_env::{HostClock, Random, ServiceClock, Tasks, Timestamp, VirtualTime};
use millstream_iam::{Caller, Principal, RequestContext};
use millstream_log::{MemoryLog, SharedLog};
use millstream_types::{AccountId, Arn, Payload, Scope};
use millstream_wire::direct::PutEntry;
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;

use crate::{MasterKeys, Options, Parts, RecordsPage, StreamState, StreamTarget, Streams};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_500);
pub(super) const NAME: &str = "orders";

pub(super) struct Fixture {
    pub(super) streams: Streams,
    pub(super) time: VirtualTime,
    pub(super) clock: ServiceClock,
    pub(super) log: SharedLog,
    pub(super) store: SharedStore,
    pub(super) keys: MasterKeys,
    pub(super) tasks: Tasks,
    pub(super) context: RequestContext,
}

pub(super) fn context() -> RequestContext {
    let account = AccountId::default_account();
    RequestContext {
        scope: Scope { account: account.clone(), region: "us-east-1".parse().unwrap() },
        caller: Caller { account, access_key_id: "test".to_owned(), principal: Principal::Root },
        request_id: String::new(),
        endpoint: String::new(),
    }
}

pub(super) fn arn() -> Arn {
    context().scope.arn("kinesis", format_args!("stream/{NAME}"))
}

pub(super) fn target() -> StreamTarget<'static> {
    StreamTarget { stream_name: Some(NAME), stream_arn: None }
}

pub(super) fn entry<'a>(partition_key: &'a str, data: &'a [u8]) -> PutEntry<'a> {
    PutEntry {
        data: Payload::Raw(data),
        data_length: data.len(),
        partition_key: Cow::Borrowed(partition_key),
        explicit_hash_key: None,
    }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::new_with(Options::default()).await
    }

    pub(super) async fn new_with(options: Options) -> Self {
        let (clock, time) = ServiceClock::virtual_at(NOW);
        let log = MemoryLog::new(millstream_log::memory::Options::default(), clock.clone(), HostClock::real());
        let keys = MasterKeys::in_memory(Random::system());
        Self::opened(clock, time, Arc::new(log), Arc::new(MemoryStore::new()), keys, options).await
    }

    pub(super) async fn over(clock: ServiceClock, time: VirtualTime, log: SharedLog, store: SharedStore) -> Self {
        Self::over_with(clock, time, log, store, MasterKeys::in_memory(Random::system())).await
    }

    pub(super) async fn over_with(
        clock: ServiceClock,
        time: VirtualTime,
        log: SharedLog,
        store: SharedStore,
        keys: MasterKeys,
    ) -> Self {
        Self::opened(clock, time, log, store, keys, Options::default()).await
    }

    async fn opened(
        clock: ServiceClock,
        time: VirtualTime,
        log: SharedLog,
        store: SharedStore,
        keys: MasterKeys,
        options: Options,
    ) -> Self {
        let tasks = Tasks::new();
        let parts = Parts {
            log: Arc::clone(&log),
            keys: keys.clone(),
            store: Arc::clone(&store),
            clock: clock.clone(),
            host_clock: millstream_env::HostClock::real(),
            random: Random::system(),
            tasks: tasks.clone(),
        };
        let streams = Streams::open(parts, options).await.unwrap();
        Self { streams, time, clock, log, store, keys, tasks, context: context() }
    }

    /// The same data after the process has ended and begun again.
    pub(super) async fn restarted(self) -> Self {
        self.tasks.cancel();
        Self::over_with(self.clock, self.time, self.log, self.store, self.keys).await
    }

    pub(super) async fn with_stream(shards: i32) -> Self {
        let fixture = Self::new().await;
        fixture.create(shards).await.unwrap();
        fixture.until(StreamStatus::Active).await;
        fixture
    }

    /// As [`Fixture::with_stream`], with AWS's limits.
    pub(super) async fn limited(shards: i32) -> Self {
        let fixture = Self::new_with(Options { shard_limits: true, ..Options::default() }).await;
        fixture.create(shards).await.unwrap();
        let mut watch = fixture.streams.watch(&arn()).unwrap();
        // Not by describing it, which has a limit.
        while fixture.streams.lookup(&arn()).await.unwrap().unwrap().state() != StreamState::Active {
            watch.changed().await;
        }
        fixture
    }

    pub(super) async fn create(&self, shards: i32) -> Result<(), CreateStreamError> {
        let input = CreateStreamInput {
            stream_name: NAME.to_owned(),
            shard_count: Some(shards),
            ..CreateStreamInput::default()
        };
        self.streams.create_stream(&self.context, input).await
    }

    pub(super) async fn delete(&self) -> Result<(), DeleteStreamError> {
        let input = DeleteStreamInput { stream_name: Some(NAME.to_owned()), ..DeleteStreamInput::default() };
        self.streams.delete_stream(&self.context, input).await
    }

    pub(super) async fn delete_enforced(&self) -> Result<(), DeleteStreamError> {
        let input = DeleteStreamInput {
            stream_name: Some(NAME.to_owned()),
            enforce_consumer_deletion: Some(true),
            ..DeleteStreamInput::default()
        };
        self.streams.delete_stream(&self.context, input).await
    }

    pub(super) async fn register(&self, name: &str) -> Result<Consumer, RegisterStreamConsumerError> {
        let input = RegisterStreamConsumerInput {
            consumer_name: name.to_owned(),
            stream_arn: arn().to_string(),
            ..RegisterStreamConsumerInput::default()
        };
        Ok(self.streams.register_stream_consumer(&self.context, input).await?.consumer)
    }

    /// The ARN of a consumer that is registered and ACTIVE.
    pub(super) async fn consumer(&self, name: &str) -> String {
        let consumer = self.register(name).await.unwrap();
        self.until_consumer(name, Some(ConsumerStatus::Active)).await;
        consumer.consumer_arn
    }

    pub(super) async fn deregister(&self, consumer_arn: &str) -> Result<(), DeregisterStreamConsumerError> {
        let input = DeregisterStreamConsumerInput { consumer_arn: Some(consumer_arn.to_owned()), ..Default::default() };
        self.streams.deregister_stream_consumer(&self.context, input).await
    }

    pub(super) async fn deregister_named(&self, name: &str) -> Result<(), DeregisterStreamConsumerError> {
        let input = DeregisterStreamConsumerInput {
            stream_arn: Some(arn().to_string()),
            consumer_name: Some(name.to_owned()),
            ..Default::default()
        };
        self.streams.deregister_stream_consumer(&self.context, input).await
    }

    pub(super) async fn status_of(&self, consumer: &str) -> Option<ConsumerStatus> {
        let input = DescribeStreamConsumerInput {
            stream_arn: Some(arn().to_string()),
            consumer_name: Some(consumer.to_owned()),
            ..Default::default()
        };
        let described = self.streams.describe_stream_consumer(&self.context, input).await;
        Some(described.ok()?.consumer_description.consumer_status)
    }

    /// Waits until a consumer has a status, or is gone.
    pub(super) async fn until_consumer(&self, name: &str, status: Option<ConsumerStatus>) {
        let mut watch = self.streams.watch(&arn()).unwrap();
        while self.status_of(name).await != status {
            watch.changed().await;
        }
    }

    pub(super) async fn describe(&self) -> Result<StreamDescription, DescribeStreamError> {
        let input = DescribeStreamInput { stream_name: Some(NAME.to_owned()), ..DescribeStreamInput::default() };
        Ok(self.streams.describe_stream(&self.context, input).await?.stream_description)
    }

    pub(super) async fn summary(&self) -> StreamDescriptionSummary {
        let input = DescribeStreamSummaryInput { stream_name: Some(NAME.to_owned()), ..Default::default() };
        self.streams.describe_stream_summary(&self.context, input).await.unwrap().stream_description_summary
    }

    /// Waits until the stream has a status.
    pub(super) async fn until(&self, status: StreamStatus) {
        let mut watch = self.streams.watch(&arn()).unwrap();
        while self.describe().await.unwrap().stream_status != status {
            watch.changed().await;
        }
    }

    pub(super) async fn until_gone(&self) {
        let mut watch = self.streams.watch(&arn()).unwrap();
        while self.describe().await.is_ok() {
            watch.changed().await;
        }
    }

    /// Puts records with this partition key; gives their shard and numbers.
    pub(super) async fn put(&self, partition_key: &str, data: &[u8]) -> (String, String) {
        let entry = entry(partition_key, data);
        let stored = self.streams.put_record(&self.context, target(), &entry, None).await.unwrap();
        (stored.shard_id.to_string(), stored.sequence_number.to_string())
    }

    pub(super) async fn iterator(
        &self,
        kind: ShardIteratorType,
        number: Option<&str>,
        timestamp: Option<Timestamp>,
    ) -> Result<String, GetShardIteratorError> {
        self.iterator_of("shardId-000000000000", kind, number, timestamp).await
    }

    pub(super) async fn iterator_of(
        &self,
        shard: &str,
        shard_iterator_type: ShardIteratorType,
        number: Option<&str>,
        timestamp: Option<Timestamp>,
    ) -> Result<String, GetShardIteratorError> {
        let input = GetShardIteratorInput {
            shard_id: shard.to_owned(),
            shard_iterator_type,
            starting_sequence_number: number.map(str::to_owned),
            stream_arn: None,
            stream_id: None,
            stream_name: Some(NAME.to_owned()),
            timestamp,
        };
        Ok(self.streams.get_shard_iterator(&self.context, input).await?.shard_iterator.unwrap())
    }

    pub(super) async fn get(&self, iterator: &str) -> Result<RecordsPage, GetRecordsError> {
        self.get_some(iterator, None).await
    }

    pub(super) async fn get_some(&self, iterator: &str, limit: Option<i32>) -> Result<RecordsPage, GetRecordsError> {
        let input = GetRecordsInput { shard_iterator: iterator.to_owned(), limit, stream_arn: None, stream_id: None };
        self.streams.get_records(&self.context, input).await
    }

    /// The data of all records of a shard.
    pub(super) async fn all_of(&self, shard: &str) -> Vec<Vec<u8>> {
        let iterator = self.iterator_of(shard, ShardIteratorType::TrimHorizon, None, None).await.unwrap();
        self.get(&iterator).await.unwrap().records.iter().map(|record| record.data.to_vec()).collect()
    }
}

/// The data of a page's records.
pub(super) fn data(page: &RecordsPage) -> Vec<&[u8]> {
    page.records.iter().map(|record| &record.data[..]).collect()
}
