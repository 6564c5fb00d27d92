//! Overload is answered, never queued without bound.

use std::time::Duration;

use millstream_types::Payload;

use crate::contract::{AppendError, Entry};

use super::support::{DAY, Fixture, SHARD, Settings, put};

const SMALL: Settings = Settings { admitted_bytes_max: 10_000, admission_wait_max: Duration::from_millis(20) };

pub async fn more_than_the_budget_waits_then_is_throttled<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = make(SMALL).await;
    log.create(SHARD, DAY).await.expect("a new log takes shards");
    let entry = [Entry { shard: SHARD, partition_key: "k", payload_bytes: 8_000, tag: 0 }];
    let mut first = log.reserve(&entry).await;
    let second = log.reserve(&entry).await;
    assert!(matches!(second.slots[..], [Err(AppendError::Throttled)]));
    assert_eq!(second.commit().await, [Err(AppendError::Throttled)]);
    first.slots[0].as_mut().expect("there is room").fill(Payload::Raw(&[1; 8_000]));
    assert!(first.commit().await[0].is_ok());
    put(&log, SHARD, &[2; 8_000]).await;
}

pub async fn a_batch_beyond_the_budget_is_admitted_alone<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = make(SMALL).await;
    log.create(SHARD, DAY).await.expect("a new log takes shards");
    put(&log, SHARD, &vec![3; 50_000]).await;
    put(&log, SHARD, b"after").await;
}
