//! How shards end.

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_types::Payload;

use crate::contract::{AppendError, Entry, Position, ReadFrom, ReadLimit, Sealed};

use super::support::{ALL, Fixture, OTHER, SHARD, START, Settings, append, put, read, started};

pub async fn nothing_follows_a_seal<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    append(&log, SHARD, &[b"a", b"b"]).await;
    let sealed = log.seal(SHARD).await.expect("the shard exists");
    assert_eq!(sealed, Sealed { closed_at: START, last: Some(Position(1)) });
    assert_eq!(append(&log, SHARD, &[b"c"]).await, [Err(AppendError::Sealed)]);
    assert_eq!(log.bounds(SHARD).expect("the shard exists").sealed, Some(sealed));
    let part = read(&log, SHARD, ReadFrom::Position(Position(0)), ReadLimit { records: 1, bytes: usize::MAX }).await;
    assert!(!part.ended, "one record is left");
    let rest = read(&log, SHARD, ReadFrom::Position(part.next), ALL).await;
    assert!(rest.ended && rest.records.len() == 1 && rest.behind.is_none());
    assert!(put(&log, OTHER, b"x").await.position == Position(0), "other shards go on");
}

pub async fn a_seal_repeated_gives_the_first_answer<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    put(&log, SHARD, b"a").await;
    let first = log.seal(SHARD).await;
    time.advance(Duration::from_mins(1));
    assert_eq!(log.seal(SHARD).await, first);
}

pub async fn an_empty_shard_can_be_sealed<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    assert_eq!(log.seal(SHARD).await.expect("the shard exists"), Sealed { closed_at: START, last: None });
    let batch = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert!(batch.ended && batch.records.is_empty());
}

pub async fn a_seal_waits_for_reservations_before_it<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let entry = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 1, tag: 0 }];
    let mut reservation = log.reserve(&entry).await;
    let mut seal = log.seal(SHARD);
    assert!(futures_util::poll!(&mut seal).is_pending());
    assert_eq!(append(&log, SHARD, &[b"late"]).await, [Err(AppendError::Sealed)]);
    reservation.slots[0].as_mut().expect("there is room").fill(Payload::Raw(b"x"));
    assert!(reservation.commit().await[0].is_ok());
    assert_eq!(seal.await.expect("the shard exists").last, Some(Position(0)));
    let batch = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert!(batch.ended && batch.records.len() == 1);
}

pub async fn a_seal_closes_no_earlier_than_the_last_record<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    put(&log, SHARD, b"a").await;
    time.set(Timestamp::from_seconds(1));
    assert_eq!(log.seal(SHARD).await.expect("the shard exists").closed_at, START);
}
