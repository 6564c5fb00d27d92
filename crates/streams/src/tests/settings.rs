use std::collections::BTreeMap;

use millstream_wire::CommonError;
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;

use super::fixture::{Fixture, NAME};
use crate::model;

async fn create(fixture: &Fixture, change: impl FnOnce(&mut CreateStreamInput)) -> Result<(), CreateStreamError> {
    let mut input = CreateStreamInput { stream_name: NAME.to_owned(), ..CreateStreamInput::default() };
    change(&mut input);
    fixture.streams.create_stream(&fixture.context, input).await
}

fn mode(stream_mode: StreamMode) -> StreamModeDetails {
    StreamModeDetails { stream_mode }
}

#[tokio::test]
async fn modes_and_counts_of_new_streams() {
    let fixture = Fixture::new().await;
    for (mode, count) in [(mode(StreamMode::OnDemand), Some(1)), (mode(StreamMode::Provisioned), None)] {
        let refused =
            create(&fixture, |input| (input.stream_mode_details, input.shard_count) = (Some(mode), count)).await;
        assert!(matches!(refused, Err(CreateStreamError::InvalidArgument(_))));
    }
    let refused = create(&fixture, |input| input.warm_throughput_mibps = Some(10)).await;
    assert!(matches!(refused, Err(CreateStreamError::InvalidArgument(_))));
    assert!(fixture.describe().await.is_err());

    create(&fixture, |input| {
        (input.warm_throughput_mibps, input.max_record_size_in_kib) = (Some(0), Some(2048));
    })
    .await
    .unwrap();
    fixture.until(StreamStatus::Active).await;
    let summary = fixture.summary().await;
    assert_eq!((summary.open_shard_count, summary.max_record_size_in_kib), (4, Some(2048)));
    assert_eq!(summary.stream_mode_details, Some(mode(StreamMode::OnDemand)));
    assert_eq!(
        create(&fixture, |input| input.shard_count = Some(1)).await,
        Err(CreateStreamError::ResourceInUse("Stream orders under account 000000000000 already exists.".to_owned()))
    );
    let limits = fixture.streams.describe_limits(&fixture.context, DescribeLimitsInput {}).await.unwrap();
    assert_eq!((limits.open_shard_count, limits.on_demand_stream_count), (4, 1));
    fixture.put("a", &vec![0; 2 * 1024 * 1024]).await;
}

#[tokio::test]
async fn the_shard_quota_is_kept() {
    let fixture = Fixture::with_stream(3).await;
    let more = create(&fixture, |input| {
        (input.stream_name, input.shard_count) = ("more".to_owned(), Some(19_998));
    })
    .await;
    assert_eq!(
        more,
        Err(CreateStreamError::LimitExceeded(
            "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count \
             for the account: 3. Limit: 20000. Number of additional shards that would have resulted from this request: \
             19998. Refer to the AWS Service Limits page \
             (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to \
             request higher limits."
                .to_owned()
        ))
    );
}

#[tokio::test]
async fn many_creations_at_once_wait_for_their_turn() {
    let fixture = Fixture::new().await;
    for i in 0..20 {
        create(&fixture, |input| (input.stream_name, input.shard_count) = (format!("s{i}"), Some(1))).await.unwrap();
    }
}

async fn increase(fixture: &Fixture, hours: i32) -> Result<(), IncreaseStreamRetentionPeriodError> {
    let input = IncreaseStreamRetentionPeriodInput {
        stream_name: Some(NAME.to_owned()),
        retention_period_hours: hours,
        ..Default::default()
    };
    fixture.streams.increase_stream_retention_period(&fixture.context, input).await
}

async fn decrease(fixture: &Fixture, hours: i32) -> Result<(), DecreaseStreamRetentionPeriodError> {
    let input = DecreaseStreamRetentionPeriodInput {
        stream_name: Some(NAME.to_owned()),
        retention_period_hours: hours,
        ..Default::default()
    };
    fixture.streams.decrease_stream_retention_period(&fixture.context, input).await
}

#[tokio::test]
async fn retention_changes_within_its_bounds_and_takes_effect() {
    let fixture = Fixture::with_stream(2).await;
    increase(&fixture, 24).await.unwrap();
    increase(&fixture, 25).await.unwrap();
    let description = fixture.describe().await.unwrap();
    assert_eq!((description.retention_period_hours, description.stream_status), (25, StreamStatus::Active));
    fixture.put("a", b"x").await;
    fixture.time.advance(std::time::Duration::from_hours(24) + std::time::Duration::from_millis(1));
    assert_eq!(fixture.all_of("shardId-000000000000").await.len(), 1);
    assert_eq!(
        increase(&fixture, 24).await,
        Err(IncreaseStreamRetentionPeriodError::InvalidArgument(
            "Requested retention period (24 hours) for stream orders can not be shorter than existing retention period \
             (25 hours). Use DecreaseRetentionPeriod API."
                .to_owned()
        ))
    );
    assert_eq!(
        decrease(&fixture, 23).await,
        Err(DecreaseStreamRetentionPeriodError::InvalidArgument(
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."
                .to_owned()
        ))
    );
    decrease(&fixture, 24).await.unwrap();
    assert!(fixture.all_of("shardId-000000000000").await.is_empty());
    assert_eq!(
        decrease(&fixture, 25).await,
        Err(DecreaseStreamRetentionPeriodError::InvalidArgument(
            "Requested retention period (25 hours) for stream orders can not be longer than existing retention period \
             (24 hours). Use IncreaseRetentionPeriod API."
                .to_owned()
        ))
    );
    for (hours, constraint) in [(0, "greater than or equal to 1"), (8761, "less than or equal to 8760")] {
        assert_eq!(
            increase(&fixture, hours).await,
            Err(IncreaseStreamRetentionPeriodError::Common(CommonError::Validation(format!(
                "1 validation error detected: Value '{hours}' at 'retentionPeriodHours' failed to satisfy constraint: \
                 Member must have value {constraint}"
            ))))
        );
    }
    let before = fixture.store.get("stream/000000000000/us-east-1/orders").await.unwrap().unwrap();
    decrease(&fixture, 24).await.unwrap();
    let after = fixture.store.get("stream/000000000000/us-east-1/orders").await.unwrap().unwrap();
    assert_eq!(before, after, "the present value changes nothing");
}

async fn add_tags(fixture: &Fixture, tags: BTreeMap<String, String>) -> Result<(), AddTagsToStreamError> {
    let input = AddTagsToStreamInput { stream_name: Some(NAME.to_owned()), tags, ..Default::default() };
    fixture.streams.add_tags_to_stream(&fixture.context, input).await
}

async fn tags(fixture: &Fixture, after: Option<&str>, limit: i32) -> (Vec<String>, bool) {
    let input = ListTagsForStreamInput {
        stream_name: Some(NAME.to_owned()),
        exclusive_start_tag_key: after.map(str::to_owned),
        limit: Some(limit),
        ..Default::default()
    };
    let listed = fixture.streams.list_tags_for_stream(&fixture.context, input).await.unwrap();
    (listed.tags.into_iter().map(|tag| tag.key).collect(), listed.has_more_tags)
}

#[tokio::test]
async fn tags_are_added_listed_and_removed() {
    let fixture = Fixture::with_stream(1).await;
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    add_tags(&fixture, pairs(&[("b", "1"), ("a", "2"), ("é ", "")])).await.unwrap();
    assert_eq!(tags(&fixture, None, 2).await, (vec!["a".to_owned(), "b".to_owned()], true));
    assert_eq!(tags(&fixture, Some("aa"), 50).await, (vec!["b".to_owned(), "é ".to_owned()], false));
    let characters = "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . \
                      / = + - % @.";
    for (key, text) in [
        ("a;b", characters),
        ("a\tb", characters),
        (
            "a%",
            "Failed to add tags to stream orders under account 000000000000 because some tags contained illegal \
             characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.",
        ),
    ] {
        let refused = add_tags(&fixture, pairs(&[(key, "x")])).await;
        assert_eq!(refused, Err(AddTagsToStreamError::InvalidArgument(text.to_owned())), "{key}");
    }
    let many: BTreeMap<_, _> = (0..48).map(|i| (format!("t{i}"), String::new())).collect();
    assert_eq!(
        add_tags(&fixture, many).await,
        Err(AddTagsToStreamError::InvalidArgument(
            "Failed to add tags to stream orders under account 000000000000 because a given stream cannot have more \
             than 50 tags associated with it."
                .to_owned()
        ))
    );
    let remove = RemoveTagsFromStreamInput {
        stream_name: Some(NAME.to_owned()),
        tag_keys: vec!["a".to_owned(), "unknown".to_owned()],
        ..Default::default()
    };
    fixture.streams.remove_tags_from_stream(&fixture.context, remove).await.unwrap();
    assert_eq!(tags(&fixture, None, 50).await.0, ["b", "é "]);
}

#[tokio::test]
async fn a_stream_that_is_being_deleted_refuses_changes() {
    let fixture = Fixture::with_stream(1).await;
    // Deleting without its background steps: the header alone says so.
    let key = "stream/000000000000/us-east-1/orders";
    let kept = fixture.store.get(key).await.unwrap().unwrap();
    let mut header: model::Header = model::decode(key, &kept.value).unwrap();
    header.status = model::Status::Deleting;
    let expect = millstream_catalog::Expect::Revision(kept.revision);
    fixture.store.put(key, expect, model::encode(&header)).await.unwrap();
    fixture.until(StreamStatus::Deleting).await;
    assert!(fixture.describe().await.unwrap().shards.is_empty());
    let state = "Stream orders under account 000000000000 not ACTIVE, instead in state DELETING".to_owned();
    assert_eq!(
        add_tags(&fixture, BTreeMap::from([("a".to_owned(), String::new())])).await,
        Err(AddTagsToStreamError::ResourceInUse(state.clone()))
    );
    assert_eq!(increase(&fixture, 48).await, Err(IncreaseStreamRetentionPeriodError::ResourceInUse(state.clone())));
    let input = ListShardsInput { stream_name: Some(NAME.to_owned()), ..Default::default() };
    assert_eq!(fixture.streams.list_shards(&fixture.context, input).await, Err(ListShardsError::ResourceInUse(state)));
}
