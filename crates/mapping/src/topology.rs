//! Which shards of a stream may be worked on now: a child only when its parents are drained, so that order per
//! partition key survives a split or a merge (event source mapping reference, section 5.2).

use std::collections::BTreeSet;

use millstream_log::ShardKey;
use millstream_types::{HashKeyRange, ShardId};

/// What a mapping must know about a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    pub id: ShardId,
    pub key: ShardKey,
    /// When the shard was created, seconds since the epoch: a part of its sequence numbers.
    pub created_seconds: u64,
    /// Partition keys that belong into it.
    pub hash_key_range: HashKeyRange,
    /// The shard that was split, or the two that were merged; none for the first shards of a stream.
    pub parents: Vec<ShardId>,
}

/// The shards that are not in `drained` and whose parents all are. A parent that the stream no longer lists has left it
/// together with its records: it counts as drained.
pub fn ready<'a>(shards: &'a [ShardInfo], drained: &BTreeSet<ShardId>) -> Vec<&'a ShardInfo> {
    let open: BTreeSet<ShardId> = shards.iter().map(|shard| shard.id).filter(|id| !drained.contains(id)).collect();
    let is_ready = |shard: &&ShardInfo| open.contains(&shard.id) && shard.parents.iter().all(|id| !open.contains(id));
    shards.iter().filter(is_ready).collect()
}

#[cfg(test)]
mod tests {
    use millstream_types::ShardIndex;

    use super::*;

    fn id(index: u32) -> ShardId {
        ShardId(ShardIndex::new(index).unwrap())
    }

    fn shard(index: u32, parents: &[u32]) -> ShardInfo {
        ShardInfo {
            id: id(index),
            key: ShardKey { stream: 1, shard: index },
            created_seconds: 0,
            hash_key_range: HashKeyRange::whole(),
            parents: parents.iter().copied().map(id).collect(),
        }
    }

    fn check(shards: &[ShardInfo], drained: &[u32], expected: &[u32]) {
        let drained = drained.iter().copied().map(id).collect();
        let ready: Vec<u32> = ready(shards, &drained).iter().map(|shard| shard.id.0.get()).collect();
        assert_eq!(ready, expected);
    }

    #[test]
    fn children_wait_for_all_their_parents() {
        // 0 is split into 1 and 2, then 2 and 3 are merged into 4.
        let shards = [shard(0, &[]), shard(1, &[0]), shard(2, &[0]), shard(3, &[]), shard(4, &[2, 3])];
        check(&shards, &[], &[0, 3]);
        check(&shards, &[3], &[0]);
        check(&shards, &[0], &[1, 2, 3]);
        check(&shards, &[0, 2], &[1, 3]);
        check(&shards, &[0, 2, 3], &[1, 4]);
        check(&shards, &[0, 1, 2, 3, 4], &[]);
    }

    #[test]
    fn a_parent_that_left_the_stream_holds_nobody_up() {
        check(&[shard(5, &[4]), shard(6, &[4, 5])], &[], &[5]);
    }
}
