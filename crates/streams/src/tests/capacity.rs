//! Modes, limits, load: what decides how much a stream takes.

use std::time::Duration;

use millstream_wire::direct::PutResult;
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;

use super::fixture::{Fixture, NAME, arn, entry, target};
use crate::StreamName;

async fn set_mode(
    fixture: &Fixture,
    stream_mode: StreamMode,
    warm_throughput_mibps: Option<i32>,
) -> Result<(), UpdateStreamModeError> {
    let input = UpdateStreamModeInput {
        stream_arn: arn().to_string(),
        stream_id: None,
        stream_mode_details: StreamModeDetails { stream_mode },
        warm_throughput_mibps,
    };
    fixture.streams.update_stream_mode(&fixture.context, input).await
}

async fn commit(
    fixture: &Fixture,
    status: MinimumThroughputBillingCommitmentInputStatus,
) -> MinimumThroughputBillingCommitmentOutput {
    let input = UpdateAccountSettingsInput {
        minimum_throughput_billing_commitment: MinimumThroughputBillingCommitmentInput { status },
    };
    let output = fixture.streams.update_account_settings(&fixture.context, input).await.unwrap();
    let described = fixture.streams.describe_account_settings(&fixture.context, DescribeAccountSettingsInput {}).await;
    let described = described.unwrap().minimum_throughput_billing_commitment.unwrap();
    assert_eq!(Some(&described), output.minimum_throughput_billing_commitment.as_ref());
    described
}

async fn warm(
    fixture: &Fixture,
    mibps: i32,
) -> Result<UpdateStreamWarmThroughputOutput, UpdateStreamWarmThroughputError> {
    let input = UpdateStreamWarmThroughputInput {
        stream_name: Some(NAME.to_owned()),
        warm_throughput_mibps: mibps,
        stream_arn: None,
        stream_id: None,
    };
    fixture.streams.update_stream_warm_throughput(&fixture.context, input).await
}

#[tokio::test]
async fn the_mode_switches_twice_a_day() {
    let fixture = Fixture::with_stream(2).await;
    set_mode(&fixture, StreamMode::Provisioned, None).await.unwrap();
    set_mode(&fixture, StreamMode::OnDemand, None).await.unwrap();
    assert_eq!(fixture.summary().await.open_shard_count, 2);
    set_mode(&fixture, StreamMode::OnDemand, None).await.unwrap();
    set_mode(&fixture, StreamMode::Provisioned, None).await.unwrap();
    let refused = set_mode(&fixture, StreamMode::OnDemand, None).await;
    assert!(matches!(refused, Err(UpdateStreamModeError::LimitExceeded(_))));
    let mode = fixture.summary().await.stream_mode_details.unwrap().stream_mode;
    assert_eq!(mode, StreamMode::Provisioned);
    fixture.time.advance(Duration::from_hours(24));
    set_mode(&fixture, StreamMode::OnDemand, None).await.unwrap();
}

#[tokio::test]
async fn a_commitment_lasts_a_day_and_allows_warm_streams() {
    use MinimumThroughputBillingCommitmentInputStatus::{Disabled, Enabled};
    use MinimumThroughputBillingCommitmentOutputStatus as Status;
    let fixture = Fixture::with_stream(2).await;
    assert_eq!(commit(&fixture, Disabled).await.status, Status::Disabled);
    set_mode(&fixture, StreamMode::OnDemand, None).await.unwrap();
    assert!(matches!(warm(&fixture, 6).await, Err(UpdateStreamWarmThroughputError::InvalidArgument(_))));
    assert!(set_mode(&fixture, StreamMode::OnDemand, Some(6)).await.is_err());

    let enabled = commit(&fixture, Enabled).await;
    let started = fixture.clock.now();
    let earliest = started.plus(Duration::from_hours(24));
    assert_eq!(
        (enabled.status, enabled.started_at, enabled.earliest_allowed_end_at),
        (Status::Enabled, Some(started), Some(earliest))
    );
    let answer = warm(&fixture, 6).await.unwrap().warm_throughput.unwrap();
    assert_eq!((answer.target_mibps, answer.current_mibps), (Some(6), Some(2)));
    fixture.until(StreamStatus::Active).await;
    let summary = fixture.summary().await;
    assert_eq!(summary.open_shard_count, 6);
    let shown = summary.warm_throughput.unwrap();
    assert_eq!((shown.target_mibps, shown.current_mibps), (Some(6), Some(6)));
    // Less does not take shards away.
    warm(&fixture, 3).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    assert_eq!(fixture.summary().await.open_shard_count, 6);
    assert!(warm(&fixture, 10_241).await.is_err());

    assert_eq!(commit(&fixture, Disabled).await.status, Status::EnabledUntilEarliestAllowedEnd);
    assert_eq!(commit(&fixture, Enabled).await.status, Status::Enabled);
    commit(&fixture, Disabled).await;
    let fixture = fixture.restarted().await;
    fixture.time.advance(Duration::from_hours(24));
    let ended = commit(&fixture, Disabled).await;
    assert_eq!((ended.status, ended.ended_at), (Status::Disabled, Some(earliest)));

    set_mode(&fixture, StreamMode::Provisioned, None).await.unwrap();
    assert_eq!(fixture.summary().await.warm_throughput, None);
    assert!(warm(&fixture, 8).await.is_err());
}

#[tokio::test]
async fn an_on_demand_stream_splits_what_takes_much() {
    let fixture = Fixture::new().await;
    let input = CreateStreamInput { stream_name: NAME.to_owned(), ..CreateStreamInput::default() };
    fixture.streams.create_stream(&fixture.context, input).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    // "a" hashes into the first of four shards: more than 450 MB in a quarter of an hour.
    let data = vec![0; 1024 * 1024 - 1];
    let burst: Vec<_> = (0..9).map(|_| entry("a", &data)).collect();
    for _ in 0..52 {
        let reply = fixture.streams.put_records(&fixture.context, target(), &burst).await.unwrap();
        assert_eq!(reply.failed_record_count, 0);
        fixture.time.advance(Duration::from_secs(10));
        tokio::task::yield_now().await;
        if fixture.summary().await.open_shard_count > 4 {
            break;
        }
    }
    for _ in 0..1000 {
        fixture.time.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    fixture.until(StreamStatus::Active).await;
    assert_eq!(fixture.summary().await.open_shard_count, 5);
    let stream = fixture.streams.lookup(&arn()).await.unwrap().unwrap();
    let closed: Vec<u32> = stream.shards().iter().filter(|s| s.closed_at().is_some()).map(|s| s.key().shard).collect();
    assert_eq!(closed, [0]);
}

#[tokio::test]
async fn a_stream_without_load_is_not_read_for_scaling() {
    let fixture = Fixture::new().await;
    let input = CreateStreamInput { stream_name: NAME.to_owned(), ..CreateStreamInput::default() };
    fixture.streams.create_stream(&fixture.context, input).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    fixture.put("a", b"little").await;
    let name = StreamName::from_arn(&arn()).unwrap();
    let registry = &fixture.streams.inner.registry;
    registry.forget(&name);
    for _ in 0..20 {
        fixture.time.advance(Duration::from_mins(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(!registry.is_cached(&name));
    }
    assert_eq!(registry.traffic.streams(), [name]);
}

#[tokio::test]
async fn what_a_stream_took_before_it_was_on_demand_does_not_split_it() {
    let fixture = Fixture::with_stream(1).await;
    let data = vec![0; 1024 * 1024 - 1];
    let burst: Vec<_> = (0..9).map(|_| entry("a", &data)).collect();
    for _ in 0..52 {
        fixture.streams.put_records(&fixture.context, target(), &burst).await.unwrap();
    }
    set_mode(&fixture, StreamMode::OnDemand, None).await.unwrap();
    fixture.put("a", b"little").await;
    for _ in 0..3 {
        fixture.time.advance(Duration::from_mins(1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(fixture.summary().await.open_shard_count, 1);
}

fn stored(results: &[PutResult]) -> usize {
    results.iter().filter(|result| matches!(result, PutResult::Stored { .. })).count()
}

#[tokio::test]
async fn with_limits_a_shard_takes_a_thousand_records_a_second() {
    let fixture = Fixture::limited(1).await;
    let many: Vec<_> = (0..500).map(|_| entry("a", b"x")).collect();
    for expected in [500, 500, 0] {
        let reply = fixture.streams.put_records(&fixture.context, target(), &many).await.unwrap();
        assert_eq!(stored(&reply.results), expected);
        assert_eq!(reply.failed_record_count, 500 - expected);
    }
    fixture.time.advance(Duration::from_millis(100));
    let reply = fixture.streams.put_records(&fixture.context, target(), &many).await.unwrap();
    assert_eq!(stored(&reply.results), 100);
    let PutResult::Failed { error_code, error_message } = &reply.results[100] else { panic!() };
    assert_eq!(*error_code, "ProvisionedThroughputExceededException");
    assert_eq!(
        error_message,
        "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000."
    );
    let one = fixture.streams.put_record(&fixture.context, target(), &entry("a", b"x"), None).await;
    assert!(matches!(one, Err(PutRecordError::ProvisionedThroughputExceeded(_))));
    let traffic = fixture.streams.lookup(&arn()).await.unwrap().unwrap().shards()[0].traffic().counters();
    assert_eq!((traffic.incoming_records, traffic.write_throttled), (1100, 901));
}

#[tokio::test]
async fn with_limits_a_shard_takes_a_mebibyte_a_second_and_large_records_from_what_comes_later() {
    let fixture = Fixture::limited(1).await;
    let input = UpdateMaxRecordSizeInput {
        max_record_size_in_kib: 10 * 1024,
        stream_arn: Some(arn().to_string()),
        stream_id: None,
    };
    fixture.streams.update_max_record_size(&fixture.context, input).await.unwrap();
    let large = vec![0; 3 * 1024 * 1024];
    fixture.put("a", &large).await;
    fixture.time.advance(Duration::from_millis(2900));
    let early = fixture.streams.put_record(&fixture.context, target(), &entry("a", &large), None).await;
    assert!(matches!(early, Err(PutRecordError::ProvisionedThroughputExceeded(_))));
    fixture.time.advance(Duration::from_millis(200));
    fixture.put("a", b"small").await;
}

#[tokio::test]
async fn with_limits_a_shard_is_read_five_times_and_two_mebibytes_a_second() {
    let fixture = Fixture::limited(1).await;
    fixture.put("a", b"x").await;
    let mut iterators = Vec::new();
    for _ in 0..5 {
        iterators.push(fixture.iterator(ShardIteratorType::TrimHorizon, None, None).await.unwrap());
    }
    let text = "Rate exceeded for Shard - 000000000000/orders/shardId-000000000000".to_owned();
    assert_eq!(
        fixture.iterator(ShardIteratorType::TrimHorizon, None, None).await,
        Err(GetShardIteratorError::ProvisionedThroughputExceeded(text.clone()))
    );
    for iterator in &iterators {
        fixture.get(iterator).await.unwrap();
    }
    assert_eq!(fixture.get(&iterators[0]).await.unwrap_err(), GetRecordsError::ProvisionedThroughputExceeded(text));
    fixture.time.advance(Duration::from_secs(1));
    // A call may return more than a second's worth; the next ones wait for it.
    let data = vec![0; 1000 * 1024];
    for _ in 0..8 {
        fixture.put("a", &data).await;
        fixture.time.advance(Duration::from_secs(1));
    }
    assert_eq!(fixture.get(&iterators[0]).await.unwrap().records.len(), 9);
    fixture.time.advance(Duration::from_millis(2800));
    assert!(fixture.get(&iterators[0]).await.is_err());
    fixture.time.advance(Duration::from_millis(300));
    assert!(fixture.get_some(&iterators[0], Some(1)).await.is_ok());
}

#[tokio::test]
async fn enhanced_monitoring_shows_what_is_enabled() {
    use MetricsName::*;
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a", b"xyz").await;
    assert!(fixture.streams.shard_metrics().await.is_empty());
    let enable = async |metrics: Vec<MetricsName>| {
        let input = EnableEnhancedMonitoringInput {
            shard_level_metrics: metrics,
            stream_name: Some(NAME.to_owned()),
            stream_arn: None,
            stream_id: None,
        };
        let output = fixture.streams.enable_enhanced_monitoring(&fixture.context, input).await.unwrap();
        (output.current_shard_level_metrics.unwrap(), output.desired_shard_level_metrics.unwrap())
    };
    assert_eq!(enable(vec![IncomingRecords, IncomingBytes]).await, (vec![], vec![IncomingBytes, IncomingRecords]));
    let shown: Vec<_> =
        fixture.streams.shard_metrics().await.iter().map(|metric| (metric.name, metric.value)).collect();
    assert_eq!(shown, [(IncomingBytes, 4), (IncomingRecords, 1)]);
    assert_eq!(enable(vec![All]).await.1.len(), 7);
    let described = &fixture.describe().await.unwrap().enhanced_monitoring[0];
    assert_eq!(described.shard_level_metrics.as_ref().unwrap().len(), 7);
    let input = DisableEnhancedMonitoringInput {
        shard_level_metrics: vec![All],
        stream_name: Some(NAME.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    let output = fixture.streams.disable_enhanced_monitoring(&fixture.context, input).await.unwrap();
    assert_eq!(output.desired_shard_level_metrics, Some(vec![]));
    assert!(fixture.streams.shard_metrics().await.is_empty());
}

#[tokio::test]
async fn both_families_of_tag_operations_see_the_same_tags() {
    let fixture = Fixture::with_stream(1).await;
    let input = TagResourceInput {
        resource_arn: arn().to_string(),
        stream_id: None,
        tags: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into(),
    };
    fixture.streams.tag_resource(&fixture.context, input).await.unwrap();
    let input = RemoveTagsFromStreamInput {
        stream_name: Some(NAME.to_owned()),
        tag_keys: vec!["a".to_owned()],
        ..Default::default()
    };
    fixture.streams.remove_tags_from_stream(&fixture.context, input).await.unwrap();
    let list = async || {
        let input = ListTagsForResourceInput { resource_arn: arn().to_string(), stream_id: None };
        fixture.streams.list_tags_for_resource(&fixture.context, input).await.unwrap().tags.unwrap()
    };
    assert_eq!(list().await, [Tag { key: "b".to_owned(), value: Some("2".to_owned()) }]);
    let input = UntagResourceInput { resource_arn: arn().to_string(), stream_id: None, tag_keys: vec!["b".to_owned()] };
    fixture.streams.untag_resource(&fixture.context, input).await.unwrap();
    assert!(list().await.is_empty());
}
