use std::time::Duration;

use millstream_types::sequence_number::Parts;
use millstream_types::{SequenceNumber, Timestamp};
use millstream_wire::CommonError;
use millstream_wire::kinesis::ShardIteratorType::{
    AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Latest, TrimHorizon,
};
use millstream_wire::kinesis::StreamStatus;
use millstream_wire::kinesis::error::{GetRecordsError, GetShardIteratorError};

use super::fixture::{Fixture, NOW, data};

#[tokio::test]
async fn all_five_types_begin_where_they_should() {
    let fixture = Fixture::with_stream(1).await;
    let mut numbers = Vec::new();
    for text in ["0", "1", "2"] {
        numbers.push(fixture.put("a", text.as_bytes()).await.1);
        fixture.time.advance(Duration::from_secs(10));
    }
    let latest = fixture.iterator(Latest, None, None).await.unwrap();
    fixture.put("a", b"3").await;
    let starting = fixture.describe().await.unwrap().shards[0].sequence_number_range.starting_sequence_number.clone();
    for (kind, number, seconds, expected) in [
        (TrimHorizon, None, None, &["0", "1", "2", "3"][..]),
        (Latest, None, None, &[]),
        (AtSequenceNumber, Some(&numbers[1]), None, &["1", "2", "3"]),
        (AfterSequenceNumber, Some(&numbers[1]), None, &["2", "3"]),
        (AtSequenceNumber, Some(&starting), None, &["0", "1", "2", "3"]),
        (AfterSequenceNumber, Some(&starting), None, &["0", "1", "2", "3"]),
        (AtTimestamp, None, Some(0), &["0", "1", "2", "3"]),
        (AtTimestamp, None, Some(10), &["1", "2", "3"]),
        (AtTimestamp, None, Some(11), &["2", "3"]),
        (AtTimestamp, None, Some(30), &["3"]),
    ] {
        let timestamp = seconds.map(|seconds| NOW.plus(Duration::from_secs(seconds)));
        let iterator = fixture.iterator(kind, number.map(String::as_str), timestamp).await.unwrap();
        let page = fixture.get(&iterator).await.unwrap();
        let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
        assert_eq!(data(&page), expected, "{kind:?} {number:?} {seconds:?}");
        assert_eq!(page.millis_behind_latest, 0);
    }
    assert_eq!(data(&fixture.get(&latest).await.unwrap()), [b"3"]);
}

#[tokio::test]
async fn reading_goes_on_with_fresh_iterators_and_says_how_far_behind_it_is() {
    let fixture = Fixture::with_stream(1).await;
    for text in ["0", "1", "2"] {
        fixture.put("a", text.as_bytes()).await;
        fixture.time.advance(Duration::from_secs(1));
    }
    let mut iterator = fixture.iterator(TrimHorizon, None, None).await.unwrap();
    for (text, behind) in [("0", 3000), ("1", 2000), ("2", 0)] {
        let page = fixture.get_some(&iterator, Some(1)).await.unwrap();
        assert_eq!((data(&page), page.millis_behind_latest), (vec![text.as_bytes()], behind));
        iterator = page.next_shard_iterator.unwrap();
    }
    let [first, second] = [fixture.get(&iterator).await.unwrap(), fixture.get(&iterator).await.unwrap()];
    assert_ne!(first.next_shard_iterator, second.next_shard_iterator);
    fixture.put("a", b"3").await;
    assert_eq!(data(&fixture.get(&iterator).await.unwrap()), [b"3"]);
}

#[tokio::test]
async fn an_iterator_by_a_time_nothing_has_reached_waits() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a", b"early").await;
    fixture.time.advance(Duration::from_secs(5));
    let at = fixture.clock.now();
    let iterator = fixture.iterator(AtTimestamp, None, Some(at)).await.unwrap();
    let page = fixture.get(&iterator).await.unwrap();
    assert!(page.records.is_empty());
    fixture.put("a", b"late").await;
    assert_eq!(data(&fixture.get(&page.next_shard_iterator.unwrap()).await.unwrap()), [b"late"]);
}

#[tokio::test]
async fn iterators_expire_and_survive_a_restart() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a", b"x").await;
    let iterator = fixture.iterator(TrimHorizon, None, None).await.unwrap();
    fixture.time.advance(Duration::from_mins(5));
    let fixture = fixture.restarted().await;
    assert_eq!(data(&fixture.get(&format!("\"{iterator}\"")).await.unwrap()), [b"x"]);
    fixture.time.advance(Duration::from_millis(1));
    assert_eq!(
        fixture.get(&iterator).await.unwrap_err(),
        GetRecordsError::ExpiredIterator(
            "Iterator expired. The iterator was created at time Fri Jan 15 08:00:00 UTC 2027 while right now it is Fri \
             Jan 15 08:05:00 UTC 2027 which is further in the future than the tolerated delay of 300000 milliseconds."
                .to_owned()
        )
    );
}

#[tokio::test]
async fn iterators_belong_to_one_incarnation_of_their_stream() {
    let fixture = Fixture::with_stream(1).await;
    let iterator = fixture.iterator(TrimHorizon, None, None).await.unwrap();
    fixture.delete().await.unwrap();
    let missing = "Shard shardId-000000000000 in stream orders under account 000000000000 does not exist".to_owned();
    assert_eq!(fixture.get(&iterator).await.unwrap_err(), GetRecordsError::ResourceNotFound(missing.clone()));
    assert_eq!(
        fixture.iterator(TrimHorizon, None, None).await.unwrap_err(),
        GetShardIteratorError::ResourceNotFound(missing)
    );
    fixture.until_gone().await;
    fixture.create(1).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    let answer = fixture.get(&iterator).await.unwrap_err();
    assert!(matches!(answer, GetRecordsError::Common(CommonError::InternalFailure(_))));
    assert_eq!(
        fixture.get("x").await.unwrap_err(),
        GetRecordsError::InvalidArgument("Invalid ShardIterator.".to_owned())
    );
}

async fn refused(
    fixture: &Fixture,
    shard: &str,
    kind: millstream_wire::kinesis::ShardIteratorType,
    number: Option<&str>,
) -> String {
    match fixture.iterator_of(shard, kind, number, None).await.unwrap_err() {
        GetShardIteratorError::InvalidArgument(text) | GetShardIteratorError::ResourceNotFound(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_combinations_and_shards_get_the_recorded_texts() {
    let fixture = Fixture::with_stream(2).await;
    let shard = "shardId-000000000000";
    let both = "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
                TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified";
    assert_eq!(
        refused(&fixture, shard, AtSequenceNumber, None).await,
        format!("{both} AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")
    );
    assert_eq!(
        refused(&fixture, shard, Latest, Some("5")).await,
        format!("{both} LATEST and also a StartingSequenceNumber.")
    );
    assert_eq!(
        refused(&fixture, shard, AtTimestamp, None).await,
        "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp \
         parameter."
    );
    assert_eq!(
        refused(&fixture, "ABKLFD8", Latest, None).await,
        "Could not find shard ABKLFD8 in stream orders under account 000000000000."
    );
    assert_eq!(
        refused(&fixture, "shardId-5", Latest, None).await,
        "Shard shardId-000000000005 in stream orders under account 000000000000 does not exist"
    );
    let future = fixture.iterator(AtTimestamp, None, Some(NOW.plus(Duration::from_millis(1)))).await.unwrap_err();
    assert_eq!(
        future,
        GetShardIteratorError::InvalidArgument(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: \
             {}, currentTimestampInMillis: {}",
            NOW.millis() + 1,
            NOW.millis(),
        ))
    );
}

#[tokio::test]
async fn numbers_of_other_shards_and_streams_are_told_apart() {
    let fixture = Fixture::with_stream(2).await;
    let shard = "shardId-000000000000";
    let number = |created: u64, shard_index: u32| {
        SequenceNumber::new(Parts {
            shard_created_seconds: created,
            index: 1,
            time_seconds: NOW.seconds(),
            shard_index,
        })
        .to_string()
    };
    assert_eq!(
        refused(&fixture, shard, AtSequenceNumber, Some(&number(NOW.seconds(), 1))).await,
        "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with \
         shardId-000000000000"
    );
    let foreign = number(NOW.seconds() - 1, 0);
    assert_eq!(
        refused(&fixture, shard, AtSequenceNumber, Some(&foreign)).await,
        format!(
            "StartingSequenceNumber {foreign} used in GetShardIterator on shard shardId-000000000000 in stream orders \
             under account 000000000000 is invalid because it did not come from this stream."
        )
    );
    let nonsense = "1".repeat(60);
    assert_eq!(
        refused(&fixture, shard, AfterSequenceNumber, Some(&nonsense)).await,
        format!(
            "StartingSequenceNumber {nonsense} used in GetShardIterator on shard shardId-000000000000 in stream orders \
             under account 000000000000 is invalid."
        )
    );
    let oldest = fixture.iterator(AtSequenceNumber, Some("0"), None).await.unwrap_err();
    assert!(matches!(oldest, GetShardIteratorError::Common(CommonError::InternalFailure(_))));
}

#[tokio::test]
async fn a_number_beyond_the_tip_reads_from_the_tip() {
    let fixture = Fixture::with_stream(1).await;
    let (_, number) = fixture.put("a", b"0").await;
    let parts = number.parse::<SequenceNumber>().unwrap().parts().unwrap();
    let beyond = SequenceNumber::new(Parts { index: SequenceNumber::MAX_INDEX, ..parts }).to_string();
    let iterator = fixture.iterator(AfterSequenceNumber, Some(&beyond), None).await.unwrap();
    fixture.put("a", b"1").await;
    assert_eq!(data(&fixture.get(&iterator).await.unwrap()), [b"1"]);
}

#[tokio::test]
async fn trimmed_records_are_passed_over() {
    let fixture = Fixture::with_stream(1).await;
    let (_, number) = fixture.put("a", b"old").await;
    fixture.time.advance(Duration::from_hours(24) + Duration::from_millis(1));
    fixture.put("a", b"new").await;
    for (kind, number, timestamp) in [
        (TrimHorizon, None, None),
        (AtSequenceNumber, Some(number.as_str()), None),
        (AtTimestamp, None, Some(Timestamp::EPOCH)),
    ] {
        let iterator = fixture.iterator(kind, number, timestamp).await.unwrap();
        assert_eq!(data(&fixture.get(&iterator).await.unwrap()), [b"new"], "{kind:?}");
    }
}
