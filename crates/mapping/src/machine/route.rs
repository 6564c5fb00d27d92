//! Which lane takes a record: all records of a partition key go to the same one, so that their order is kept.

/// The lane of `partition_key` among `lanes`. Kept positions depend on it: it must never change.
pub(crate) fn lane_of(partition_key: &[u8], lanes: usize) -> usize {
    if lanes == 1 {
        return 0;
    }
    // FNV-1a, and a last mixing so that the low bits depend on all of them. Speed and an even spread are all it takes;
    // the MD5 of the key chose the shard and is of no use within it.
    let hash = partition_key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let once = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (once ^ (once >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    usize::try_from((mixed >> 33) % lanes as u64).expect("below the number of lanes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_their_lanes_and_spread_evenly() {
        // Written down: a change would mix up the positions that are kept.
        assert_eq!(["a", "b", "customer-17", ""].map(|key| lane_of(key.as_bytes(), 10)), [2, 8, 4, 7]);
        let mut counts = [0; 7];
        for key in 0..7000 {
            counts[lane_of(format!("key-{key}").as_bytes(), 7)] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
