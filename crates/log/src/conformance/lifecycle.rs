//! Shards come and go.

use crate::contract::{AppendError, Position, ReadError, ReadFrom, ShardConfig, ShardError, ShardKey};

use super::support::{ALL, DAY, Fixture, OTHER, SHARD, START, Settings, append, put, read_all, started};

pub async fn creating_twice_changes_nothing<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    put(&log, SHARD, b"a").await;
    log.create(SHARD, ShardConfig { retention: DAY.retention / 2 }).await.expect("creating again is no error");
    assert_eq!(put(&log, SHARD, b"b").await.position, Position(1));
    let bounds = log.bounds(SHARD).expect("the shard exists");
    assert_eq!((bounds.horizon, bounds.next, bounds.last_arrival), (Position(0), Position(2), Some(START)));
}

pub async fn a_deleted_shard_is_unknown<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    put(&log, SHARD, b"a").await;
    for _ in 0..2 {
        log.delete(SHARD).await.expect("deleting again is no error");
    }
    assert_eq!(append(&log, SHARD, &[b"b"]).await, [Err(AppendError::Sealed)]);
    assert!(matches!(log.read(SHARD, ReadFrom::Tip, ALL).await, Err(ReadError::NoShard(SHARD))));
    assert!(log.tail(SHARD).is_none());
    assert!(log.bounds(SHARD).is_err());
}

pub async fn unknown_shards_are_named<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let unknown = ShardKey { stream: 999, shard: 3 };
    let expected = ShardError::NoShard(unknown);
    assert_eq!(log.bounds(unknown), Err(expected.clone()));
    assert_eq!(log.seal(unknown).await, Err(expected.clone()));
    assert_eq!(log.configure(unknown, DAY).await, Err(expected));
    assert_eq!(log.delete(unknown).await, Ok(()));
    assert!(matches!(log.read(unknown, ReadFrom::Tip, ALL).await, Err(ReadError::NoShard(key)) if key == unknown));
}

pub async fn shards_are_independent<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    put(&log, SHARD, b"a").await;
    put(&log, OTHER, b"b").await;
    log.delete(SHARD).await.expect("the log works");
    log.seal(OTHER).await.expect("the shard exists");
    assert_eq!(read_all(&log, OTHER).await[0].data, "b");
}
