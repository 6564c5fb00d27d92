//! Where reads begin and how far they go.

use std::time::Duration;

use crate::contract::{Position, ReadFrom, ReadLimit};

use super::support::{ALL, Fixture, SHARD, START, Settings, append, positions, put, read, started};

pub async fn limits_hold<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    append(&log, SHARD, &[&[0; 99][..]; 10]).await;
    let from = ReadFrom::Position(Position(2));
    let by_count = read(&log, SHARD, from, ReadLimit { records: 3, bytes: usize::MAX }).await;
    assert_eq!(positions(&by_count.records), [2, 3, 4]);
    assert_eq!(by_count.next, Position(5));
    // Each record counts 99 bytes of data and 1 of its key.
    let by_bytes = read(&log, SHARD, from, ReadLimit { records: 100, bytes: 250 }).await;
    assert_eq!(positions(&by_bytes.records), [2, 3]);
    let exact = read(&log, SHARD, from, ReadLimit { records: 100, bytes: 300 }).await;
    assert_eq!(positions(&exact.records), [2, 3, 4]);
    let rest = read(&log, SHARD, from, ALL).await;
    assert_eq!((rest.records.len(), rest.next), (8, Position(10)));
}

pub async fn one_record_is_always_returned<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    append(&log, SHARD, &[&[1; 5000], &[2; 5000]]).await;
    let batch = read(&log, SHARD, ReadFrom::Position(Position(0)), ReadLimit { records: 10, bytes: 1 }).await;
    assert_eq!(positions(&batch.records), [0]);
    assert_eq!(batch.behind, Some(START));
}

pub async fn reads_by_time<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    let mut moments = Vec::new();
    for _ in 0..5 {
        let stored = append(&log, SHARD, &[b"a", b"b"]).await;
        moments.push(stored[0].expect("stored").arrival);
        time.advance(Duration::from_secs(10));
    }
    for (index, moment) in (0..).zip(&moments) {
        let at = read(&log, SHARD, ReadFrom::Time(*moment), ALL).await;
        assert_eq!(at.records[0].position, Position(2 * index), "at the moment of a record");
        let after = read(&log, SHARD, ReadFrom::Time(moment.plus(Duration::from_millis(1))), ALL).await;
        assert_eq!(after.records.first().map(|r| r.position.0), (index < 4).then_some(2 * index + 2));
    }
    let before = read(&log, SHARD, ReadFrom::Time(START.minus(Duration::from_secs(1))), ALL).await;
    assert_eq!(before.records.len(), 10);
    let future = read(&log, SHARD, ReadFrom::Time(START.plus(Duration::from_secs(1000))), ALL).await;
    assert_eq!((future.records.len(), future.next), (0, Position(10)));
}

pub async fn the_tip_returns_nothing<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    assert_eq!(read(&log, SHARD, ReadFrom::Tip, ALL).await.next, Position(0));
    append(&log, SHARD, &[b"a", b"b"]).await;
    let tip = read(&log, SHARD, ReadFrom::Tip, ALL).await;
    assert!(tip.records.is_empty() && tip.behind.is_none() && !tip.ended);
    put(&log, SHARD, b"c").await;
    let after = read(&log, SHARD, ReadFrom::Position(tip.next), ALL).await;
    assert_eq!(after.records[0].data, "c");
}

pub async fn behind_tells_the_newest_arrival<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    put(&log, SHARD, b"a").await;
    time.advance(Duration::from_secs(3));
    let newest = put(&log, SHARD, b"b").await;
    let one = ReadLimit { records: 1, bytes: usize::MAX };
    let first = read(&log, SHARD, ReadFrom::Position(Position(0)), one).await;
    assert_eq!(first.behind, Some(newest.arrival));
    let second = read(&log, SHARD, ReadFrom::Position(first.next), one).await;
    assert_eq!(second.behind, None);
}

pub async fn reading_past_the_end_waits_there<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    put(&log, SHARD, b"a").await;
    let batch = read(&log, SHARD, ReadFrom::Position(Position(5)), ALL).await;
    assert!(batch.records.is_empty() && batch.next == Position(5) && batch.behind.is_none() && !batch.ended);
}
