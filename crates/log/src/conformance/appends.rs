//! Order, positions, arrivals, void records.

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_types::Payload;

use crate::contract::{AppendError, Entry, Position, ReadFrom, ShardKey};

use super::support::{ALL, Fixture, OTHER, SHARD, START, Settings, append, positions, put, read, read_all, started};

pub async fn positions_are_dense_and_arrivals_never_go_back<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    let first = put(&log, SHARD, b"a").await;
    assert_eq!((first.position, first.arrival), (Position(0), START));
    time.advance(Duration::from_secs(5));
    let second = put(&log, SHARD, b"b").await;
    assert_eq!((second.position, second.arrival), (Position(1), START.plus(Duration::from_secs(5))));
    time.set(Timestamp::from_seconds(1));
    let third = put(&log, SHARD, b"c").await;
    assert_eq!((third.position, third.arrival), (Position(2), second.arrival), "the clock stepped back");
    let fresh = put(&log, OTHER, b"d").await;
    assert_eq!((fresh.position, fresh.arrival), (Position(0), Timestamp::from_seconds(1)), "shards have own arrivals");
}

pub async fn results_keep_the_order_of_the_entries<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let entries: Vec<_> = [SHARD, OTHER, SHARD, OTHER, OTHER]
        .map(|shard| Entry { shard, partition_key: "key", payload_bytes: 1, tag: 0 })
        .to_vec();
    let mut reservation = log.reserve(&entries).await;
    for (index, slot) in reservation.slots.iter_mut().enumerate() {
        slot.as_mut().expect("there is room").fill(Payload::Raw(&[b'0' + u8::try_from(index).expect("five entries")]));
    }
    let results = reservation.commit().await;
    let places: Vec<_> = results.iter().map(|result| result.expect("stored").position.0).collect();
    assert_eq!(places, [0, 0, 1, 1, 2]);
    let data: Vec<_> = read_all(&log, OTHER).await.into_iter().map(|record| record.data).collect();
    assert_eq!(data, [&b"1"[..], b"3", b"4"]);
    assert_eq!(read_all(&log, SHARD).await[0].partition_key, "key");
}

pub async fn void_records_are_invisible_but_take_their_place<F: Future<Output = Fixture>>(
    make: impl Fn(Settings) -> F,
) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    put(&log, SHARD, b"a").await;
    let entry = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 4, tag: 0 }];
    let results = log.reserve(&entry).await.commit().await;
    assert_eq!(results, [Err(AppendError::Unavailable)]);
    let after = put(&log, SHARD, b"c").await;
    assert_eq!(after.position, Position(2));
    assert_eq!(positions(&read_all(&log, SHARD).await), [0, 2]);
    let gap = read(&log, SHARD, ReadFrom::Position(Position(1)), ALL).await;
    assert_eq!(positions(&gap.records), [2]);
}

pub async fn a_dropped_reservation_is_void<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let entries = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 3, tag: 0 }; 2];
    let mut reservation = log.reserve(&entries).await;
    reservation.slots[0].as_mut().expect("there is room").fill(Payload::Raw(b"xyz"));
    drop(reservation);
    assert_eq!(put(&log, SHARD, b"a").await.position, Position(2));
    assert_eq!(positions(&read_all(&log, SHARD).await), [2]);
}

pub async fn unfilled_slots_are_void_beside_filled_ones<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let entries = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 1, tag: 0 }; 3];
    let mut reservation = log.reserve(&entries).await;
    for index in [0, 2] {
        reservation.slots[index].as_mut().expect("there is room").fill(Payload::Raw(b"x"));
    }
    let results = reservation.commit().await;
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!(results[1], Err(AppendError::Unavailable));
    assert_eq!(positions(&read_all(&log, SHARD).await), [0, 2]);
}

pub async fn base64_is_decoded_into_place<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let payloads = [Payload::Base64(b"aGVsbG8="), Payload::Base64Escaped(br"\/\u002b8="), Payload::Raw(b"raw")];
    let entries = payloads.map(|payload| Entry {
        shard: SHARD,
        partition_key: "schlüssel",
        payload_bytes: payload.decoded_len().expect("valid base64"),
        tag: 0,
    });
    let mut reservation = log.reserve(&entries).await;
    for (slot, payload) in reservation.slots.iter_mut().zip(payloads) {
        slot.as_mut().expect("there is room").fill(payload);
    }
    assert!(reservation.commit().await.iter().all(Result::is_ok));
    let records = read_all(&log, SHARD).await;
    let data: Vec<_> = records.iter().map(|record| &record.data[..]).collect();
    assert_eq!(data, [&b"hello"[..], b"\xff\xef", b"raw"]);
    assert!(records.iter().all(|record| record.partition_key == "schlüssel"));
}

pub async fn an_unknown_shard_refuses_only_its_own_entries<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let unknown = ShardKey { stream: 999, shard: 0 };
    let entries = [SHARD, unknown, SHARD].map(|shard| Entry { shard, partition_key: "k", payload_bytes: 1, tag: 0 });
    let mut reservation = log.reserve(&entries).await;
    for slot in reservation.slots.iter_mut().flatten() {
        slot.fill(Payload::Raw(b"x"));
    }
    let results = reservation.commit().await;
    assert_eq!(results[1], Err(AppendError::Sealed));
    assert_eq!(results[2].map(|stored| stored.position), Ok(Position(1)));
}

pub async fn readers_never_pass_an_unsettled_record<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let entry = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 5, tag: 0 }];
    let mut early = log.reserve(&entry).await;
    let mut late = log.reserve(&entry).await;
    late.slots[0].as_mut().expect("there is room").fill(Payload::Raw(b"later"));
    let mut late = late.commit();
    assert!(futures_util::poll!(&mut late).is_pending(), "a predecessor is not settled");
    let none = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert!(none.records.is_empty() && none.next == Position(0) && !none.ended);
    early.slots[0].as_mut().expect("there is room").fill(Payload::Raw(b"early"));
    assert!(early.commit().await[0].is_ok());
    assert!(late.await[0].is_ok());
    assert_eq!(positions(&read_all(&log, SHARD).await), [0, 1]);
}

pub async fn large_and_empty_records_are_kept<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let large: Vec<u8> = (0..10 << 20).map(|i: u32| u8::try_from(i % 251).expect("below 251")).collect();
    for data in [&large[..], b"", b"small"] {
        put(&log, SHARD, data).await;
    }
    let results = append(&log, SHARD, &[&large[..1 << 20]; 7]).await;
    assert!(results.iter().all(Result::is_ok));
    let records = read_all(&log, SHARD).await;
    assert_eq!(records.len(), 10);
    assert!(records[0].data == large && records[1].data.is_empty() && records[9].data == large[..1 << 20]);
}
