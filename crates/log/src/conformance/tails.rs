//! Wake-ups are never lost.

use crate::contract::{Position, ReadFrom, ReadLimit, ShardKey};

use super::support::{Fixture, OTHER, SHARD, Settings, append, put, read, started};

pub async fn an_append_wakes_every_tail<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let mut tails: Vec<_> = (0..3).map(|_| log.tail(SHARD).expect("the shard exists")).collect();
    put(&log, SHARD, b"a").await;
    for tail in &mut tails {
        tail.changed().await;
    }
}

pub async fn a_tail_is_told_what_came_between_its_waits<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let mut tail = log.tail(SHARD).expect("the shard exists");
    for _ in 0..3 {
        put(&log, SHARD, b"a").await;
        tail.changed().await;
        put(&log, SHARD, b"b").await;
        put(&log, SHARD, b"c").await;
        tail.changed().await;
    }
    let other = log.tail(OTHER).expect("the shard exists");
    drop(other);
}

pub async fn a_seal_wakes_tails<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let mut tail = log.tail(SHARD).expect("the shard exists");
    log.seal(SHARD).await.expect("the shard exists");
    tail.changed().await;
}

pub async fn a_tail_follower_sees_everything<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    const RECORDS: u64 = 200;
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let writer = async {
        for i in 0..RECORDS {
            append(&log, SHARD, &[&i.to_le_bytes()]).await[0].expect("stored");
        }
        log.seal(SHARD).await.expect("the shard exists");
    };
    let reader = async {
        let mut tail = log.tail(SHARD).expect("the shard exists");
        let (mut next, mut seen) = (Position(0), 0_u64);
        loop {
            let limit = ReadLimit { records: 7, bytes: usize::MAX };
            let batch = read(&log, SHARD, ReadFrom::Position(next), limit).await;
            for record in &batch.records {
                assert_eq!(record.data, seen.to_le_bytes()[..]);
                seen += 1;
            }
            next = batch.next;
            if batch.ended {
                return seen;
            }
            if batch.behind.is_none() {
                tail.changed().await;
            }
        }
    };
    let (seen, ()) = futures_util::future::join(reader, writer).await;
    assert_eq!(seen, RECORDS);
}

pub async fn an_unknown_shard_has_no_tail<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    assert!(log.tail(ShardKey { stream: 999, shard: 0 }).is_none());
}
