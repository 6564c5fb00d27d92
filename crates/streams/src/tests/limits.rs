//! AWS's limits of calls and of deliveries, on a virtual clock.

use std::task::Poll;
use std::time::Duration;

use millstream_iam::RequestContext;
use millstream_wire::ApiError;
use millstream_wire::kinesis::ShardIteratorType::{AfterSequenceNumber, Latest, TrimHorizon};
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;

use super::fixture::{Fixture, NAME, arn};
use super::subscriptions::{SHARD, from, is_quiet};
use crate::traffic::calls::{Counted, RATES};
use crate::{Options, Streams, Subscription, SubscriptionEvent};

const ON_STREAM: &str = "Rate exceeded for stream orders under account 000000000000.";
const ON_ACCOUNT: &str = "Rate exceeded for account 000000000000.";

/// Calls an operation with an input that may be wrong: its calls count all the same.
#[expect(clippy::too_many_lines, reason = "a table: the input of each operation")]
async fn call(streams: &Streams, context: &RequestContext, operation: &str) -> Result<(), ApiError> {
    let name = Some(NAME.to_owned());
    let resource_arn = arn().to_string();
    let consumer_name = "none".to_owned();
    macro_rules! call {
        ($method:ident, $input:expr) => {
            streams.$method(context, $input).await.map(drop).map_err(ApiError::from)
        };
    }
    match operation {
        "AddTagsToStream" => {
            call!(add_tags_to_stream, AddTagsToStreamInput { stream_name: name, ..Default::default() })
        }
        "CreateStream" => {
            call!(create_stream, CreateStreamInput { stream_name: NAME.to_owned(), ..Default::default() })
        }
        "DecreaseStreamRetentionPeriod" => call!(
            decrease_stream_retention_period,
            DecreaseStreamRetentionPeriodInput { stream_name: name, retention_period_hours: 24, ..Default::default() }
        ),
        "DeleteStream" => {
            call!(delete_stream, DeleteStreamInput { stream_arn: Some(resource_arn), ..Default::default() })
        }
        "DeregisterStreamConsumer" => call!(
            deregister_stream_consumer,
            DeregisterStreamConsumerInput {
                stream_arn: Some(resource_arn),
                consumer_name: Some(consumer_name),
                ..Default::default()
            }
        ),
        "DescribeAccountSettings" => call!(describe_account_settings, DescribeAccountSettingsInput {}),
        "DescribeLimits" => call!(describe_limits, DescribeLimitsInput {}),
        "DescribeStream" => {
            call!(describe_stream, DescribeStreamInput { stream_name: name, ..Default::default() })
        }
        "DescribeStreamConsumer" => call!(
            describe_stream_consumer,
            DescribeStreamConsumerInput {
                stream_arn: Some(resource_arn),
                consumer_name: Some(consumer_name),
                ..Default::default()
            }
        ),
        "DescribeStreamSummary" => {
            call!(describe_stream_summary, DescribeStreamSummaryInput { stream_name: name, ..Default::default() })
        }
        "DisableEnhancedMonitoring" => call!(
            disable_enhanced_monitoring,
            DisableEnhancedMonitoringInput { stream_name: name, ..Default::default() }
        ),
        "EnableEnhancedMonitoring" => {
            call!(enable_enhanced_monitoring, EnableEnhancedMonitoringInput { stream_name: name, ..Default::default() })
        }
        "IncreaseStreamRetentionPeriod" => call!(
            increase_stream_retention_period,
            IncreaseStreamRetentionPeriodInput { stream_name: name, retention_period_hours: 24, ..Default::default() }
        ),
        "ListShards" => call!(list_shards, ListShardsInput { stream_name: name, ..Default::default() }),
        "ListStreamConsumers" => {
            call!(list_stream_consumers, ListStreamConsumersInput { stream_arn: resource_arn, ..Default::default() })
        }
        "ListStreams" => call!(list_streams, ListStreamsInput::default()),
        "ListTagsForResource" => {
            call!(list_tags_for_resource, ListTagsForResourceInput { resource_arn, stream_id: None })
        }
        "ListTagsForStream" => {
            call!(list_tags_for_stream, ListTagsForStreamInput { stream_name: name, ..Default::default() })
        }
        "MergeShards" => call!(merge_shards, MergeShardsInput { stream_name: name, ..Default::default() }),
        "RegisterStreamConsumer" => call!(
            register_stream_consumer,
            RegisterStreamConsumerInput { stream_arn: resource_arn, consumer_name, ..Default::default() }
        ),
        "RemoveTagsFromStream" => {
            call!(remove_tags_from_stream, RemoveTagsFromStreamInput { stream_name: name, ..Default::default() })
        }
        "SplitShard" => call!(split_shard, SplitShardInput { stream_name: name, ..Default::default() }),
        "TagResource" => call!(tag_resource, TagResourceInput { resource_arn, ..Default::default() }),
        "UntagResource" => call!(untag_resource, UntagResourceInput { resource_arn, ..Default::default() }),
        "UpdateAccountSettings" => call!(
            update_account_settings,
            UpdateAccountSettingsInput {
                minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput {
                    status: MinimumThroughputBillingCommitmentInputStatus::Disabled,
                },
            }
        ),
        "UpdateShardCount" => call!(
            update_shard_count,
            UpdateShardCountInput {
                stream_name: name,
                target_shard_count: 1000,
                scaling_type: ScalingType::UniformScaling,
                stream_arn: None,
                stream_id: None,
            }
        ),
        "UpdateStreamWarmThroughput" => call!(
            update_stream_warm_throughput,
            UpdateStreamWarmThroughputInput { stream_name: name, ..Default::default() }
        ),
        operation => panic!("{operation} is not called here"),
    }
}

/// The text with which the limit of calls has refused.
fn refusal(result: Result<(), ApiError>) -> Option<String> {
    let Err(ApiError::Modelled(error)) = result else { return None };
    (error.shape.code == "LimitExceededException" && error.message.starts_with("Rate exceeded for"))
        .then_some(error.message)
}

#[tokio::test]
async fn each_operation_has_its_own_rate() {
    for (operation, counted, per_second) in RATES {
        let fixture = Fixture::limited(1).await;
        fixture.time.advance(Duration::from_secs(1));
        let refused = async || refusal(call(&fixture.streams, &fixture.context, operation).await);
        for i in 0..per_second {
            assert_eq!(refused().await, None, "call {i} of {operation}");
        }
        let on_account =
            ["DescribeAccountSettings", "DescribeLimits", "ListStreams", "UpdateAccountSettings"].contains(&operation);
        let text = if on_account { ON_ACCOUNT } else { ON_STREAM };
        assert_eq!(refused().await.as_deref(), Some(text), "{operation}");
        // Other regions are not concerned, and another stream only where the account is counted.
        let mut elsewhere = fixture.context.clone();
        elsewhere.scope.region = "eu-west-1".parse().unwrap();
        assert_eq!(refusal(call(&fixture.streams, &elsewhere, operation).await), None, "{operation}");
        fixture.time.advance(Duration::from_millis(1000_u64.div_ceil(per_second.unsigned_abs())));
        assert_eq!(refused().await, None, "{operation}");
        assert_eq!(refused().await.as_deref(), Some(text), "{operation}");
        assert!(!on_account || counted == Counted::PerAccount);
    }
}

#[tokio::test]
async fn without_limits_nobody_counts() {
    let fixture = Fixture::with_stream(1).await;
    for (operation, _, per_second) in RATES {
        for _ in 0..=per_second {
            assert_eq!(refusal(call(&fixture.streams, &fixture.context, operation).await), None, "{operation}");
        }
    }
}

#[tokio::test]
async fn calls_on_a_stream_do_not_disturb_those_on_another() {
    let fixture = Fixture::limited(1).await;
    let list = async |name: &str| {
        let stream_arn = arn().to_string().replace(NAME, name);
        let input = ListStreamConsumersInput { stream_arn, ..Default::default() };
        refusal(fixture.streams.list_stream_consumers(&fixture.context, input).await.map(drop).map_err(ApiError::from))
    };
    for _ in 0..5 {
        assert_eq!(list(NAME).await, None);
    }
    assert_eq!(list(NAME).await.as_deref(), Some(ON_STREAM));
    assert_eq!(list("others").await, None);
}

impl Fixture {
    /// The ARN of a consumer that is registered and ACTIVE, with no more calls than that takes.
    async fn quiet_consumer(&self, name: &str) -> String {
        let consumer = self.register(name).await.unwrap();
        let mut watch = self.streams.watch(&arn()).unwrap();
        loop {
            let stream = self.streams.lookup(&arn()).await.unwrap().unwrap();
            if stream.header.consumers.get(name).unwrap().state == crate::model::ConsumerState::Active {
                return consumer.consumer_arn;
            }
            watch.changed().await;
        }
    }

    async fn fill(&self, records: u64, bytes: usize) {
        let data = vec![7; bytes - 1];
        for _ in 0..records {
            self.put("k", &data).await;
            self.time.advance(Duration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn a_consumer_subscribes_to_a_shard_once_a_second() {
    let fixture = Fixture::limited(2).await;
    let consumer = fixture.quiet_consumer("app").await;
    let subscription = fixture.subscribe(&consumer, SHARD, from(Latest)).await.unwrap();
    drop(subscription);
    let often =
        "Rate exceeded for consumer app on shard shardId-000000000000 in stream orders under account 000000000000.";
    fixture.time.advance(Duration::from_millis(999));
    let refused = fixture.subscribe(&consumer, SHARD, from(Latest)).await.unwrap_err();
    assert_eq!(refused, SubscribeToShardError::LimitExceeded(often.to_owned()));
    fixture.subscribe(&consumer, "shardId-000000000001", from(Latest)).await.unwrap();
    let other = fixture.quiet_consumer("other").await;
    fixture.subscribe(&other, SHARD, from(Latest)).await.unwrap();
    // From then on it is the place that is taken for five seconds; a call that is refused for it counts as well.
    fixture.time.advance(Duration::from_millis(1));
    let refused = fixture.subscribe(&consumer, SHARD, from(Latest)).await.unwrap_err();
    assert!(matches!(refused, SubscribeToShardError::ResourceInUse(_)), "{refused:?}");
    let refused = fixture.subscribe(&consumer, SHARD, from(Latest)).await.unwrap_err();
    assert_eq!(refused, SubscribeToShardError::LimitExceeded(often.to_owned()));
    fixture.time.advance(Duration::from_secs(4));
    fixture.subscribe(&consumer, SHARD, from(Latest)).await.unwrap();
}

const MIB: usize = 1024 * 1024;

/// The next event, if it is there now.
async fn ready(subscription: &mut Subscription) -> Option<SubscriptionEvent> {
    let mut next = Box::pin(subscription.next());
    for _ in 0..20 {
        if let Poll::Ready(event) = futures_util::poll!(&mut next) {
            return Some(event.expect("the subscription lives").expect("no error"));
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Takes what is there now: how many records came.
async fn drain(subscription: &mut Subscription) -> usize {
    let mut records = 0;
    while let Some(event) = ready(subscription).await {
        records += event.records.len();
    }
    records
}

#[tokio::test]
async fn a_consumer_receives_two_mebibytes_a_second_of_a_shard() {
    let fixture = Fixture::limited(1).await;
    let [one, two] = [fixture.quiet_consumer("one").await, fixture.quiet_consumer("two").await];
    fixture.fill(40, MIB / 2).await;
    let mut first = fixture.subscribe(&one, SHARD, from(TrimHorizon)).await.unwrap();
    let mut received = drain(&mut first).await;
    // A second's worth.
    assert_eq!(received, 4);
    for tenths in 1..=90 {
        fixture.time.advance(Duration::from_millis(100));
        received += drain(&mut first).await;
        // Each event holds two of these records, and comes as soon as those before are paid for.
        let paid_tenths = (4 * 10 + 4 * tenths).min(40 * 10);
        assert!(received * 10 >= paid_tenths && (received - 2) * 10 < paid_tenths, "{received} after {tenths} tenths");
    }
    assert_eq!(received, 40);
    // Another consumer was not held back by it.
    let mut second = fixture.subscribe(&two, SHARD, from(TrimHorizon)).await.unwrap();
    assert_eq!(drain(&mut second).await, 4);
}

#[tokio::test]
async fn what_is_delayed_is_neither_lost_nor_doubled_and_the_end_is_in_time() {
    let fixture = Fixture::limited(1).await;
    let consumer = fixture.quiet_consumer("app").await;
    fixture.fill(12, MIB - 1).await;
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    let mut numbers = Vec::new();
    let started = fixture.clock.now();
    while numbers.len() < 12 {
        assert!(fixture.clock.now().since(started) < Duration::from_secs(10));
        let Some(event) = ready(&mut subscription).await else {
            fixture.time.advance(Duration::from_millis(10));
            continue;
        };
        numbers.extend(event.records.iter().map(|record| record.position.0));
        // Said truly though it is late.
        assert_eq!(event.millis_behind_latest == 0, numbers.len() == 12);
    }
    assert_eq!(numbers, (0..12).collect::<Vec<_>>());
    // Two at once, a third on credit, and the rest at half a second each.
    let took = fixture.clock.now().since(started);
    assert!((Duration::from_millis(4400)..=Duration::from_millis(4700)).contains(&took), "{took:?}");
    fixture.time.advance(Duration::from_mins(5));
    assert!(subscription.next().await.is_none());
}

#[tokio::test]
async fn a_new_subscription_does_not_begin_with_a_new_allowance() {
    let fixture = Fixture::limited(1).await;
    let input = UpdateMaxRecordSizeInput {
        max_record_size_in_kib: 10 * 1024,
        stream_arn: Some(arn().to_string()),
        stream_id: None,
    };
    fixture.streams.update_max_record_size(&fixture.context, input).await.unwrap();
    let consumer = fixture.quiet_consumer("app").await;
    let (_, number) = fixture.put("k", b"small").await;
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    assert_eq!(drain(&mut subscription).await, 1);
    fixture.time.advance(Duration::from_secs(3));
    fixture.put("k", &vec![7; 10 * MIB - 1]).await;
    // On credit: four seconds' worth beyond what was there.
    assert_eq!(drain(&mut subscription).await, 1);
    drop(subscription);
    fixture.time.advance(Duration::from_secs(2));
    let position = StartingPosition { sequence_number: Some(number), ..from(AfterSequenceNumber) };
    let mut again = fixture.subscribe(&consumer, SHARD, position).await.unwrap();
    assert!(is_quiet(&mut again).await);
    fixture.time.advance(Duration::from_millis(1900));
    assert!(is_quiet(&mut again).await);
    fixture.time.advance(Duration::from_millis(101));
    assert_eq!(drain(&mut again).await, 1);
}

#[tokio::test]
async fn a_consumer_that_has_to_wait_notices_what_happens_meanwhile() {
    let fixture = Fixture::limited(1).await;
    let consumer = fixture.quiet_consumer("app").await;
    fixture.fill(4, MIB - 1).await;
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    assert_eq!(drain(&mut subscription).await, 3);
    let mut next = Box::pin(subscription.next());
    assert!(futures_util::poll!(&mut next).is_pending());
    fixture.deregister(&consumer).await.unwrap();
    let ended = next.await.unwrap().unwrap_err();
    assert!(matches!(ended, SubscribeToShardEventStreamError::ResourceNotFound(_)), "{ended:?}");
}

#[tokio::test]
async fn without_limits_a_consumer_receives_what_there_is() {
    let fixture = Fixture::new_with(Options::default()).await;
    fixture.create(1).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    let consumer = fixture.consumer("app").await;
    fixture.fill(12, MIB - 1).await;
    let mut subscription = fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
    assert_eq!(drain(&mut subscription).await, 12);
    drop(subscription);
    fixture.time.advance(Duration::from_secs(5));
    fixture.subscribe(&consumer, SHARD, from(TrimHorizon)).await.unwrap();
}
