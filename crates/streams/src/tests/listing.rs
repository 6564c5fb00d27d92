use std::time::Duration;

use millstream_types::Timestamp;
use millstream_wire::kinesis::error::{ListShardsError, ListStreamsError};
use millstream_wire::kinesis::{
    CreateStreamInput, DescribeStreamInput, ListShardsInput, ListStreamsInput, ShardFilter, ShardFilterType,
    StreamStatus,
};
use proptest::prelude::*;

use super::fixture::{Fixture, NAME, NOW};

fn named() -> ListShardsInput {
    ListShardsInput { stream_name: Some(NAME.to_owned()), ..ListShardsInput::default() }
}

#[tokio::test]
async fn a_new_stream_is_described_as_recorded() {
    let fixture = Fixture::new().await;
    fixture.create(3).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    let description = fixture.describe().await.unwrap();
    assert_eq!(description.stream_arn, "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert_eq!(description.stream_creation_timestamp, Timestamp::from_seconds(1_800_000_000));
    assert!(!description.has_more_shards);
    let shard = &description.shards[2];
    assert_eq!(shard.hash_key_range.starting_hash_key, "226854911280625642308916404954512140970");
    assert_eq!(shard.hash_key_range.ending_hash_key, u128::MAX.to_string());
    let range = &shard.sequence_number_range;
    assert_eq!((range.starting_sequence_number.len(), &range.ending_sequence_number), (56, &None));
    let summary = fixture.summary().await;
    assert_eq!(
        (summary.open_shard_count, summary.consumer_count, summary.max_record_size_in_kib),
        (3, Some(0), Some(1024))
    );
    fixture.delete().await.unwrap();
    fixture.until_gone().await;
}

#[tokio::test]
async fn page_after_page_shows_every_shard_once() {
    let fixture = Fixture::with_stream(600).await;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let input = DescribeStreamInput {
            stream_name: Some(NAME.to_owned()),
            exclusive_start_shard_id: after,
            limit: Some(1000),
            ..DescribeStreamInput::default()
        };
        let page = fixture.streams.describe_stream(&fixture.context, input).await.unwrap().stream_description;
        assert!(page.shards.len() <= 100);
        seen.extend(page.shards.into_iter().map(|shard| shard.shard_id));
        after = seen.last().cloned();
        if !page.has_more_shards {
            break;
        }
    }
    let expected: Vec<String> = (0..600).map(|i| format!("shardId-{i:012}")).collect();
    assert_eq!(seen, expected);

    let mut input = ListShardsInput { max_results: Some(250), ..named() };
    let mut listed = Vec::new();
    loop {
        let page = fixture.streams.list_shards(&fixture.context, input).await.unwrap();
        listed.extend(page.shards.unwrap().into_iter().map(|shard| shard.shard_id));
        let Some(token) = page.next_token else { break };
        assert_eq!(fixture.streams.list_shards_token_stream(&token), Some(super::fixture::arn()));
        input = ListShardsInput { next_token: Some(token), max_results: Some(250), ..ListShardsInput::default() };
    }
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn tokens_stand_alone_and_expire() {
    let fixture = Fixture::with_stream(2).await;
    let list = async |input| fixture.streams.list_shards(&fixture.context, input).await;
    let token = list(ListShardsInput { max_results: Some(1), ..named() }).await.unwrap().next_token;
    assert_eq!(
        list(ListShardsInput::default()).await,
        Err(ListShardsError::InvalidArgument("Either NextToken or StreamName should be provided.".to_owned()))
    );
    assert_eq!(
        list(ListShardsInput { next_token: token.clone(), ..named() }).await,
        Err(ListShardsError::InvalidArgument("NextToken and StreamName cannot be provided together.".to_owned()))
    );
    let with_start = ListShardsInput {
        next_token: token.clone(),
        exclusive_start_shard_id: Some("shardId-0".to_owned()),
        ..ListShardsInput::default()
    };
    assert_eq!(
        list(with_start).await,
        Err(ListShardsError::InvalidArgument(
            "NextToken and ExclusiveStartShardId cannot be provided together.".to_owned()
        ))
    );
    let alone = ListShardsInput { next_token: token, ..ListShardsInput::default() };
    fixture.time.advance(Duration::from_mins(5));
    assert_eq!(list(alone.clone()).await.unwrap().shards.unwrap().len(), 1);
    fixture.time.advance(Duration::from_millis(1));
    assert!(matches!(list(alone).await, Err(ListShardsError::ExpiredNextToken(_))));
    let forged = ListShardsInput { next_token: Some("AAAA".to_owned()), ..ListShardsInput::default() };
    assert!(matches!(list(forged).await, Err(ListShardsError::InvalidArgument(_))));
}

#[tokio::test]
async fn filters_choose_shards() {
    let fixture = Fixture::with_stream(3).await;
    fixture.time.advance(Duration::from_secs(10));
    for (kind, shard_id, seconds, expected) in [
        (ShardFilterType::FromTrimHorizon, None, None, 3),
        (ShardFilterType::AtTrimHorizon, None, None, 3),
        (ShardFilterType::AtLatest, None, None, 3),
        (ShardFilterType::AtTimestamp, None, Some(5), 3),
        (ShardFilterType::FromTimestamp, None, Some(5), 3),
        (ShardFilterType::AfterShardId, Some("shardId-000000000001"), None, 1),
    ] {
        let filter = ShardFilter {
            r#type: kind,
            shard_id: shard_id.map(str::to_owned),
            timestamp: seconds.map(|seconds| NOW.plus(Duration::from_secs(seconds))),
        };
        let input = ListShardsInput { shard_filter: Some(filter), ..named() };
        let listed = fixture.streams.list_shards(&fixture.context, input).await.unwrap();
        assert_eq!(listed.shards.unwrap().len(), expected, "{kind:?}");
    }
    let filter = ShardFilter { r#type: ShardFilterType::AtTimestamp, shard_id: None, timestamp: None };
    let input = ListShardsInput { shard_filter: Some(filter), ..named() };
    let refused = fixture.streams.list_shards(&fixture.context, input).await;
    assert!(matches!(refused, Err(ListShardsError::InvalidArgument(_))));
    let input = ListShardsInput { stream_creation_timestamp: Some(Timestamp::from_seconds(1)), ..named() };
    let other = fixture.streams.list_shards(&fixture.context, input).await;
    assert!(matches!(other, Err(ListShardsError::ResourceNotFound(_))));
}

#[tokio::test]
async fn streams_are_listed_by_name_in_pages() {
    let fixture = Fixture::new().await;
    for name in ["b", "a", "d", "c", "e"] {
        let input = CreateStreamInput { stream_name: name.to_owned(), shard_count: Some(1), ..Default::default() };
        fixture.streams.create_stream(&fixture.context, input).await.unwrap();
    }
    let list = async |input| fixture.streams.list_streams(&fixture.context, input).await;
    let first = list(ListStreamsInput { limit: Some(2), ..Default::default() }).await.unwrap();
    assert_eq!((first.stream_names, first.has_more_streams), (vec!["a".to_owned(), "b".to_owned()], true));
    let second =
        list(ListStreamsInput { limit: Some(2), next_token: first.next_token, ..Default::default() }).await.unwrap();
    assert_eq!(second.stream_names, ["c", "d"]);
    let old = ListStreamsInput { exclusive_start_stream_name: Some("d".to_owned()), ..Default::default() };
    let last = list(old).await.unwrap();
    assert_eq!((last.stream_names, last.has_more_streams, last.next_token), (vec!["e".to_owned()], false, None));
    fixture.time.advance(Duration::from_secs(301));
    let expired = ListStreamsInput { next_token: second.next_token, ..Default::default() };
    assert!(matches!(list(expired).await, Err(ListStreamsError::ExpiredNextToken(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn pages_of_any_size_list_every_shard_once(shards in 1_i32..700, max_results in 1_i32..400) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::with_stream(shards).await;
            let mut input = ListShardsInput { max_results: Some(max_results), ..named() };
            let mut listed = 0;
            loop {
                let page = fixture.streams.list_shards(&fixture.context, input).await.unwrap();
                for shard in page.shards.unwrap() {
                    prop_assert_eq!(shard.shard_id, format!("shardId-{listed:012}"));
                    listed += 1;
                }
                let Some(token) = page.next_token else { break };
                input = ListShardsInput { next_token: Some(token), max_results: Some(max_results), ..Default::default() };
            }
            prop_assert_eq!(listed, shards);
            Ok(())
        })?;
    }
}
