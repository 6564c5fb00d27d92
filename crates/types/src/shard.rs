//! Shard identifiers.

use std::fmt;
use std::str::FromStr;

use crate::arn::Invalid;

/// The number of a shard within its stream, 0 to 2^31 - 1: grows with every shard, never reused in a stream's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(u32);

impl ShardIndex {
    pub const MAX: u32 = i32::MAX as u32;

    /// `None` above [`ShardIndex::MAX`].
    pub const fn new(index: u32) -> Option<Self> {
        if index <= Self::MAX { Some(Self(index)) } else { None }
    }

    pub const fn get(self) -> u32 {
        self.0
    }
}

/// `shardId-` and 12 decimal digits. Parsed leniently as AWS does: what follows the first `-` (or the whole text) must
/// be digits with a value up to 2^31 - 1 (recorded: kinesalite tests).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub ShardIndex);

impl FromStr for ShardId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.split_once('-').map_or(text, |(_, rest)| rest);
        let index = Some(digits)
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .and_then(ShardIndex::new);
        index.map(Self).ok_or_else(|| Invalid { what: "shard id", value: text.to_owned() })
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0.get())
    }
}
