//! Tokens, numbers and names that nobody made: each gets AWS's error, none a panic.

use std::borrow::Cow;

use millstream_types::SequenceNumber;
use millstream_types::sequence_number::Parts;
use millstream_wire::ApiError;
use millstream_wire::CommonError;
use millstream_wire::direct::PutEntry;
use millstream_wire::kinesis::ShardIteratorType::{AfterSequenceNumber, AtSequenceNumber, TrimHorizon};
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::fixture::{Fixture, NAME, arn, entry, target};
use super::subscriptions::SHARD;

const CASES: usize = 2000;

/// As many values as a property has cases, the same in each run.
fn cases<S: Strategy>(strategy: S) -> impl Iterator<Item = S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..CASES).map(move |_| strategy.new_tree(&mut runner).expect("a value of the strategy").current())
}

/// Texts like this one and quite different ones; never this one.
fn unlike(text: String) -> impl Strategy<Value = String> {
    let (changed, cut, original) = (text.clone(), text.clone(), text.clone());
    prop_oneof![
        ".{0,600}",
        "[A-Za-z0-9+/]{0,130}={0,2}",
        (any::<prop::sample::Index>(), "[A-Za-z0-9+/=\u{e4}\"]").prop_map(move |(place, with)| {
            let place = place.index(changed.len());
            format!("{}{with}{}", &changed[..place], &changed[place + 1..])
        }),
        any::<prop::sample::Index>().prop_map(move |end| cut[..end.index(cut.len())].to_owned()),
        ".{1,4}".prop_map(move |more| format!("{text}{more}")),
    ]
    .prop_filter("the text itself", move |other| *other != original)
}

/// Digits of every size, numbers of every layout, and numbers that differ from this one in one part.
fn sequence_numbers(of: Parts) -> impl Strategy<Value = String> {
    let part = (0_usize..4, any::<u64>()).prop_map(move |(which, value)| {
        let mut parts = of;
        match which {
            0 => parts.shard_created_seconds = value % (1 << 36),
            1 => parts.index = value % (1 << 63),
            2 => parts.time_seconds = value % (1 << 36),
            _ => parts.shard_index = u32::try_from(value % (1 << 31)).unwrap(),
        }
        SequenceNumber::new(parts).to_string()
    });
    prop_oneof![".{0,140}", "[0-9]{0,130}", "[1-9][0-9]{54,56}", "0|[1-9][0-9]{0,40}", part]
}

#[tokio::test]
async fn shard_iterators() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a", b"x").await;
    let iterator = fixture.iterator(TrimHorizon, None, None).await.unwrap();
    fixture.get(&format!("\"{iterator}\"")).await.unwrap();
    for text in cases(unlike(iterator)) {
        let refused = fixture.get(&text).await.unwrap_err();
        assert_eq!(refused, GetRecordsError::InvalidArgument("Invalid ShardIterator.".to_owned()), "{text:?}");
        assert_eq!(fixture.streams.shard_iterator_stream(&text), None, "{text:?}");
    }
}

#[tokio::test]
async fn list_tokens() {
    let fixture = Fixture::with_stream(3).await;
    for name in ["a", "b"] {
        fixture.consumer(name).await;
    }
    let (streams, context) = (&fixture.streams, &fixture.context);
    let shards = async |next_token: Option<String>| {
        let named = next_token.is_none().then(|| NAME.to_owned());
        let input =
            ListShardsInput { stream_name: named, max_results: Some(1), next_token, ..ListShardsInput::default() };
        streams.list_shards(context, input).await
    };
    let consumers = async |next_token: Option<String>| {
        let input = ListStreamConsumersInput {
            stream_arn: arn().to_string(),
            max_results: Some(1),
            next_token,
            ..ListStreamConsumersInput::default()
        };
        streams.list_stream_consumers(context, input).await
    };
    let of_shards = shards(None).await.unwrap().next_token.unwrap();
    let of_consumers = consumers(None).await.unwrap().next_token.unwrap();
    let text = || "NextToken is invalid.".to_owned();
    // A token of one list is none of another.
    let foreign = consumers(Some(of_shards.clone())).await.unwrap_err();
    assert_eq!(foreign, ListStreamConsumersError::InvalidArgument(text()));
    for token in cases(unlike(of_shards)) {
        assert_eq!(streams.list_shards_token_stream(&token), None);
        let refused = shards(Some(token)).await.unwrap_err();
        assert_eq!(refused, ListShardsError::InvalidArgument(text()));
    }
    for token in cases(unlike(of_consumers)) {
        let input = ListStreamsInput { next_token: Some(token.clone()), ..ListStreamsInput::default() };
        let refused = streams.list_streams(context, input).await.unwrap_err();
        assert_eq!(refused, ListStreamsError::InvalidArgument(text()));
        let refused = consumers(Some(token)).await.unwrap_err();
        assert_eq!(refused, ListStreamConsumersError::InvalidArgument(text()));
    }
}

/// Whether a refused sequence number was refused in AWS's words.
fn is_known(operation: &str, number: &str, error: &ApiError) -> bool {
    match error {
        ApiError::Modelled(error) => {
            let used = format!(
                "StartingSequenceNumber {number} used in {operation} on shard {SHARD} in stream {NAME} under account \
                 000000000000 is invalid"
            );
            let text = &error.message;
            error.shape.code == "InvalidArgumentException"
                && (*text == format!("{used}.")
                    || *text == format!("{used} because it did not come from this stream.")
                    || text.starts_with("Invalid StartingSequenceNumber. It encodes shardId-"))
        }
        // As AWS does for the numbers of the oldest layout, which are small.
        ApiError::Common(CommonError::InternalFailure(_)) => number.len() <= 39,
        ApiError::Common(_) => false,
    }
}

#[tokio::test]
async fn sequence_numbers_of_all_kinds() {
    let fixture = Fixture::with_stream(1).await;
    let (_, number) = fixture.put("a", b"x").await;
    let parts = number.parse::<SequenceNumber>().unwrap().parts().unwrap();
    let (mut accepted, mut ordered) = (0, 0);
    for number in cases(sequence_numbers(parts)) {
        for kind in [AtSequenceNumber, AfterSequenceNumber] {
            match fixture.iterator(kind, Some(&number), None).await {
                Ok(iterator) => {
                    fixture.get(&iterator).await.unwrap();
                    accepted += 1;
                }
                Err(error) => assert!(is_known("GetShardIterator", &number, &error.clone().into()), "{error:?}"),
            }
        }
        let stored = fixture.streams.put_record(&fixture.context, target(), &entry("a", b"y"), Some(&number)).await;
        let text = format!(
            "ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {NAME} under account 000000000000 is \
             invalid."
        );
        match stored {
            Ok(_) => ordered += 1,
            Err(error) => assert_eq!(error, PutRecordError::InvalidArgument(text)),
        }
    }
    // The cases are not all of one kind.
    assert!((1..2 * CASES).contains(&accepted) && (1..CASES).contains(&ordered), "{accepted}, {ordered}");
}

#[tokio::test]
async fn shard_ids_and_hash_keys() {
    let fixture = Fixture::with_stream(2).await;
    for text in cases(prop_oneof![".{0,30}", "shardId-[0-9]{0,13}", "[0-9]{1,12}"]) {
        let Err(refused) = fixture.iterator_of(&text, TrimHorizon, None, None).await else { continue };
        let GetShardIteratorError::ResourceNotFound(words) = refused else { panic!("{refused:?}") };
        let in_stream = "in stream orders under account 000000000000";
        let unparsed = words == format!("Could not find shard {text} {in_stream}.");
        assert!(unparsed || words.ends_with(&format!("{in_stream} does not exist")), "{words}");
    }
    for text in cases(prop_oneof![".{0,40}", "[0-9]{1,40}", "[+-]?[0-9]{1,5}"]) {
        let entry = PutEntry { explicit_hash_key: Some(Cow::Borrowed(&text)), ..entry("a", b"x") };
        let Err(refused) = fixture.streams.put_record(&fixture.context, target(), &entry, None).await else {
            let key = text.parse::<u128>();
            assert!(key.is_ok_and(|key| key.to_string() == text), "{text} was accepted");
            continue;
        };
        let words = format!(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
        );
        assert_eq!(refused, PutRecordError::InvalidArgument(words));
    }
}
