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
        // By hand: an answer of `PutRecords` has hundreds, and padding costs more than the rest of it.
        let mut text = *b"shardId-000000000000";
        let mut rest = self.0.get();
        for place in text.iter_mut().rev() {
            if rest == 0 {
                break;
            }
            *place = b'0' + u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
        f.write_str(std::str::from_utf8(&text).expect("ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_have_twelve_digits_and_round_trip(index in prop_oneof![0..1000_u32, 0..=ShardIndex::MAX]) {
            let id = ShardId(ShardIndex::new(index).unwrap());
            let text = id.to_string();
            prop_assert_eq!(&text, &format!("shardId-{index:012}"));
            prop_assert_eq!(text.parse(), Ok(id));
        }
    }
}
