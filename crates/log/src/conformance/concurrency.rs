//! Several writers at once.

use std::collections::BTreeSet;

use millstream_types::Payload;

use crate::contract::{Entry, ShardKey, SharedLog};

use super::support::{DAY, Fixture, Settings, read_all};

const SHARDS: u32 = 5;
const WRITERS: u32 = 8;
const BATCHES: u32 = 20;
const BATCH: u32 = 25;

fn key(shard: u32) -> ShardKey {
    ShardKey { stream: 1, shard }
}

/// Writes batches over all shards; returns (shard, position, text) of each record.
async fn write(log: SharedLog, writer: u32) -> Vec<(u32, u64, String)> {
    let mut stored = Vec::new();
    for batch in 0..BATCHES {
        let texts: Vec<_> =
            (0..BATCH).map(|i| ((writer + batch + i) % SHARDS, format!("{writer}-{batch}-{i}"))).collect();
        let entries: Vec<_> = texts
            .iter()
            .map(|(shard, text)| Entry { shard: key(*shard), partition_key: text, payload_bytes: text.len(), tag: 0 })
            .collect();
        let mut reservation = log.reserve(&entries).await;
        for (slot, (_, text)) in reservation.slots.iter_mut().zip(&texts) {
            slot.as_mut().expect("there is room").fill(Payload::Raw(text.as_bytes()));
        }
        for (result, (shard, text)) in reservation.commit().await.into_iter().zip(texts) {
            stored.push((shard, result.expect("stored").position.0, text));
        }
    }
    stored
}

pub async fn concurrent_writers_fill_shards_without_holes<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = make(Settings::default()).await;
    for shard in 0..SHARDS {
        log.create(key(shard), DAY).await.expect("a new log takes shards");
    }
    let written = futures_util::future::join_all((0..WRITERS).map(|writer| write(log.clone(), writer))).await;
    let acknowledged: BTreeSet<_> = written.into_iter().flatten().collect();
    let mut found = BTreeSet::new();
    for shard in 0..SHARDS {
        for (expected, record) in (0..).zip(read_all(&log, key(shard)).await) {
            assert_eq!(record.position.0, expected, "positions are dense");
            assert_eq!(record.partition_key, record.data);
            found.insert((shard, expected, String::from_utf8(record.data.to_vec()).expect("as written")));
        }
    }
    assert_eq!(found, acknowledged);
}
