//! The hash key space of a stream: 0 to 2^128 - 1, partitioned by its open shards.

use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};

use crate::arn::Invalid;

/// A place in the hash key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey(pub u128);

impl HashKey {
    /// The MD5 of the UTF-8 partition key, read as a big-endian number.
    pub fn of_partition_key(partition_key: &str) -> Self {
        Self(u128::from_be_bytes(Md5::digest(partition_key.as_bytes()).into()))
    }
}

impl FromStr for HashKey {
    type Err = Invalid;

    /// Decimal without leading zeros or sign.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
        let value = if canonical { text.parse().ok() } else { None };
        value.map(Self).ok_or_else(|| Invalid { what: "hash key", value: text.to_owned() })
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An inclusive range of hash keys; `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashKeyRange {
    pub start: HashKey,
    pub end: HashKey,
}

impl HashKeyRange {
    /// Every key there is.
    pub const fn whole() -> Self {
        Self { start: HashKey(0), end: HashKey(u128::MAX) }
    }

    pub fn contains(&self, key: HashKey) -> bool {
        self.start <= key && key <= self.end
    }

    /// The ranges of `count` initial shards: each floor(2^128 / count) wide, the last one to the end of the space
    /// (recorded: kinesalite tests). `count` > 0.
    pub fn uniform(count: u32) -> impl Iterator<Item = Self> {
        assert!(count > 0, "a stream has at least one shard");
        // floor(2^128 / n) without 129-bit arithmetic: 2^128 = MAX + 1.
        let n = u128::from(count);
        let width = (u128::MAX / n).wrapping_add(u128::from(u128::MAX % n == n - 1));
        (0..n).map(move |i| Self {
            // For one shard the width wraps to 0, and 0 * 0 is the right start.
            start: HashKey(width.wrapping_mul(i)),
            end: HashKey(if i == n - 1 { u128::MAX } else { width * (i + 1) - 1 }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partition_keys_hash_as_recorded() {
        for (key, hash) in [
            ("a", 16_955_237_001_963_240_173_058_271_559_858_726_497),
            ("b", 195_289_424_170_611_159_128_911_017_612_795_795_343),
            ("e", 299_611_584_147_932_843_547_128_611_849_858_313_266),
            ("f", 190_917_122_200_326_810_055_233_066_464_581_373_159),
        ] {
            assert_eq!(HashKey::of_partition_key(key), HashKey(hash));
        }
    }

    #[test]
    fn three_shards_divide_the_space_as_recorded() {
        let ranges: Vec<_> = HashKeyRange::uniform(3).map(|r| (r.start.0, r.end.0)).collect();
        assert_eq!(
            ranges,
            [
                (0, 113_427_455_640_312_821_154_458_202_477_256_070_484),
                (
                    113_427_455_640_312_821_154_458_202_477_256_070_485,
                    226_854_911_280_625_642_308_916_404_954_512_140_969
                ),
                (226_854_911_280_625_642_308_916_404_954_512_140_970, u128::MAX),
            ]
        );
    }

    #[test]
    fn any_number_of_shards_covers_the_space_without_holes() {
        for count in [1, 2, 3, 4, 5, 7, 64, 255, 256, 1000, 10_000] {
            let ranges: Vec<_> = HashKeyRange::uniform(count).collect();
            assert_eq!(ranges[0].start.0, 0);
            assert_eq!(ranges.last().unwrap().end.0, u128::MAX);
            assert!(ranges.windows(2).all(|pair| pair[0].end.0 + 1 == pair[1].start.0));
        }
    }
}
