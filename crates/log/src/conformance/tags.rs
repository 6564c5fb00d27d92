//! The tag of a record.

use millstream_types::Payload;

use crate::contract::Entry;

use super::support::{Fixture, SHARD, Settings, read_all, started};

pub async fn tags_are_kept<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    let Fixture { log, keep: _keep, .. } = started(make).await;
    let entries = [0, 255, 1].map(|tag| Entry { shard: SHARD, partition_key: "k", payload_bytes: 1, tag });
    let mut reservation = log.reserve(&entries).await;
    for index in [0, 1] {
        reservation.slots[index].as_mut().expect("there is room").fill(Payload::Raw(b"x"));
    }
    reservation.commit().await;
    let found: Vec<_> = read_all(&log, SHARD).await.iter().map(|record| (record.position.0, record.tag)).collect();
    assert_eq!(found, [(0, 0), (1, 255)]);
}
