//! Records of the Kinesis Producer Library that hold records: with a consumer as its event source, a mapping takes them
//! apart (event source mapping reference, section 5).

use bytes::Bytes;
use millstream_log::Record;
use millstream_types::{HashKey, HashKeyRange, aggregation};

/// The records that functions see of `records`, in their order. All that were in one have its position, and with it its
/// sequence number. Those whose key does not belong into the shard are dropped without trace. Without a `shard` the
/// records are not looked into.
pub(crate) fn take_apart(records: Vec<Record>, shard: Option<HashKeyRange>) -> Vec<Record> {
    match shard {
        None => records,
        Some(shard) => records.into_iter().flat_map(|record| inside(record, shard)).collect(),
    }
}

fn inside(record: Record, shard: HashKeyRange) -> Vec<Record> {
    let Some(inside) = aggregation::decode(&record.data) else { return vec![record] };
    let hash_key = |sub: &aggregation::SubRecord| {
        let explicit = sub.explicit_hash_key.as_ref().and_then(|key| key.parse().ok());
        explicit.unwrap_or_else(|| HashKey::of_partition_key(&sub.partition_key))
    };
    let belongs = |sub: &aggregation::SubRecord| shard.contains(hash_key(sub));
    let seen = |sub: aggregation::SubRecord| Record {
        partition_key: Bytes::from(sub.partition_key),
        data: Bytes::from(sub.data),
        ..record.clone()
    };
    inside.into_iter().filter(belongs).map(seen).collect()
}
