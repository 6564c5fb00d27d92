//! Records expire by service time, shard by shard.

use std::time::Duration;

use crate::contract::{Position, ReadFrom, ShardConfig};

use super::support::{ALL, DAY, Fixture, OTHER, SHARD, Settings, append, positions, put, read, read_all, started};

const HOUR: Duration = Duration::from_hours(1);

fn hours(count: u32) -> ShardConfig {
    ShardConfig { retention: HOUR * count }
}

pub async fn records_expire_by_service_time<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    append(&log, SHARD, &[b"a", b"b"]).await;
    time.advance(HOUR);
    put(&log, SHARD, b"c").await;
    time.advance(23 * HOUR);
    assert_eq!(read_all(&log, SHARD).await.len(), 3, "exactly as old as the retention is not older");
    time.advance(Duration::from_millis(1));
    let batch = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert_eq!(positions(&batch.records), [2]);
    time.advance(HOUR);
    let empty = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert!(empty.records.is_empty() && empty.behind.is_none());
    assert_eq!(empty.next, Position(3), "a read moves past expired records");
}

pub async fn a_longer_retention_brings_nothing_back<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    put(&log, SHARD, b"a").await;
    time.advance(25 * HOUR);
    put(&log, SHARD, b"b").await;
    log.configure(SHARD, hours(48)).await.expect("the shard exists");
    assert_eq!(positions(&read_all(&log, SHARD).await), [1]);
    time.advance(47 * HOUR);
    assert_eq!(positions(&read_all(&log, SHARD).await), [1], "the new setting holds for what was there");
}

pub async fn a_shorter_retention_hides_at_once<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    log.configure(SHARD, hours(48)).await.expect("the shard exists");
    put(&log, SHARD, b"a").await;
    put(&log, OTHER, b"a").await;
    time.advance(30 * HOUR);
    put(&log, SHARD, b"b").await;
    assert_eq!(read_all(&log, SHARD).await.len(), 2);
    log.configure(SHARD, DAY).await.expect("the shard exists");
    assert_eq!(positions(&read_all(&log, SHARD).await), [1]);
    log.configure(SHARD, hours(48)).await.expect("the shard exists");
    assert_eq!(positions(&read_all(&log, SHARD).await), [1], "what was hidden stays hidden");
    assert!(read_all(&log, OTHER).await.is_empty(), "each shard has its own retention");
}

pub async fn expired_positions_are_not_used_again<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, time, keep: _keep } = started(make).await;
    append(&log, SHARD, &[b"a", b"b", b"c"]).await;
    time.advance(48 * HOUR);
    assert!(read_all(&log, SHARD).await.is_empty());
    assert_eq!(put(&log, SHARD, b"d").await.position, Position(3));
    let bounds = log.bounds(SHARD).expect("the shard exists");
    assert!(bounds.horizon <= Position(3) && bounds.next == Position(4));
}
