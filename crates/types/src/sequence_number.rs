//! Sequence numbers in the recorded version 2 layout of 47 hexadecimal digits.
//!
//! | bits (from the lowest) | meaning |
//! |---|---|
//! | 184–187 | constant 2 |
//! | 148–183 | creation time of the shard, seconds |
//! | 144–147 | low four bits of the shard index |
//! | 80–143 | running index, top bit 0 |
//! | 72–79 | 0 |
//! | 36–71 | time of this number, seconds |
//! | 4–35 | shard index |
//! | 0–3 | version, 2 |

use std::fmt;
use std::str::FromStr;

use crate::arn::Invalid;

mod decoded;

pub use decoded::Decoded;

/// An unsigned number below 2^256 in its canonical decimal form: what clients send and compare as a big integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    high: u128,
    low: u128,
}

/// What a version 2 number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// When the shard was created, seconds since the epoch, below 2^36.
    pub shard_created_seconds: u64,
    /// The place within the shard, below 2^63.
    pub index: u64,
    /// When the number was made, seconds since the epoch, below 2^36.
    pub time_seconds: u64,
    pub shard_index: u32,
}

impl SequenceNumber {
    pub const MAX_INDEX: u64 = (1 << 63) - 1;
    const SECONDS_BOUND: u64 = 1 << 36;

    /// Makes the number of `parts`, whose bounds must hold.
    pub fn new(parts: Parts) -> Self {
        let Parts { shard_created_seconds, index, time_seconds, shard_index } = parts;
        assert!(shard_created_seconds < Self::SECONDS_BOUND && time_seconds < Self::SECONDS_BOUND, "36-bit seconds");
        assert!(index <= Self::MAX_INDEX, "63-bit index");
        // Bit 128 of the whole is bit 48 of the running index.
        let low = u128::from(index & ((1 << 48) - 1)) << 80
            | u128::from(time_seconds) << 36
            | u128::from(shard_index) << 4
            | 2;
        let high = 2 << 56
            | u128::from(shard_created_seconds) << 20
            | u128::from(shard_index & 15) << 16
            | u128::from(index >> 48);
        Self { high, low }
    }

    /// The parts of a well-formed version 2 number.
    pub fn parts(self) -> Option<Parts> {
        let field = |value: u128, shift: u32, bits: u32| (value >> shift) & ((1 << bits) - 1);
        let small = |value: u128| u64::try_from(value).expect("fields are at most 64 bits wide");
        let shard_index = u32::try_from(field(self.low, 4, 32)).expect("32 bits fit");
        let parts = Parts {
            shard_created_seconds: small(field(self.high, 20, 36)),
            index: small(field(self.high, 0, 16) << 48 | field(self.low, 80, 48)),
            time_seconds: small(field(self.low, 36, 36)),
            shard_index,
        };
        (parts.index <= Self::MAX_INDEX && Self::new(parts) == self).then_some(parts)
    }
}

impl FromStr for SequenceNumber {
    type Err = Invalid;

    /// Decimal digits without leading zeros, below 2^256.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid { what: "sequence number", value: text.to_owned() };
        if text.is_empty() || (text.starts_with('0') && text != "0") {
            return Err(invalid());
        }
        let mut number = Self { high: 0, low: 0 };
        for byte in text.bytes() {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10).ok_or_else(invalid)?;
            number = number.times_ten_plus(digit).ok_or_else(invalid)?;
        }
        Ok(number)
    }
}

impl SequenceNumber {
    fn times_ten_plus(self, digit: u8) -> Option<Self> {
        // Multiply the low half in two 64-bit steps so that the carry stays visible.
        let mask = u128::from(u64::MAX);
        let bottom = (self.low & mask) * 10 + u128::from(digit);
        let middle = (self.low >> 64) * 10 + (bottom >> 64);
        let high = self.high.checked_mul(10)?.checked_add(middle >> 64)?;
        Some(Self { high, low: (middle << 64) | (bottom & mask) })
    }

    /// Divides by 10^19, the largest power of ten in 64 bits, and gives the remainder.
    fn divide_by_ten_to_19(self) -> (Self, u64) {
        const DIVISOR: u128 = 10_000_000_000_000_000_000;
        let mask = u128::from(u64::MAX);
        let mut remainder = 0;
        let mut quotient = [0; 4];
        for (i, limb) in [self.high >> 64, self.high & mask, self.low >> 64, self.low & mask].into_iter().enumerate() {
            let value = remainder << 64 | limb;
            quotient[i] = value / DIVISOR;
            remainder = value % DIVISOR;
        }
        let whole = Self { high: quotient[0] << 64 | quotient[1], low: quotient[2] << 64 | quotient[3] };
        (whole, u64::try_from(remainder).expect("a remainder is below its 64-bit divisor"))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups = [0; 5];
        let (mut rest, mut count) = (*self, 0);
        while count == 0 || rest != (Self { high: 0, low: 0 }) {
            (rest, groups[count]) = rest.divide_by_ten_to_19();
            count += 1;
        }
        write!(f, "{}", groups[count - 1])?;
        groups[..count - 1].iter().rev().try_for_each(|group| write!(f, "{group:019}"))
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SequenceNumber({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_real_number_decodes_as_recorded() {
        let number: SequenceNumber = "49674026002850188218576229259473476449429298564223254594".parse().unwrap();
        let parts = number.parts().unwrap();
        assert_eq!(parts.shard_created_seconds, 0x0_69ef_bd45);
        assert_eq!(parts.index, 0x5_0ccb_9d26);
        assert_eq!(parts.time_seconds, 0x0_69ef_c052);
        assert_eq!(parts.shard_index, 0xc04);
        assert_eq!(SequenceNumber::new(parts), number);
    }

    #[test]
    fn consecutive_initial_shards_differ_as_recorded() {
        let start = |shard_index| {
            SequenceNumber::new(Parts {
                shard_created_seconds: 1_700_000_000,
                index: 0,
                time_seconds: 1_700_000_000,
                shard_index,
            })
        };
        let difference: SequenceNumber = "22300745198530623141535718272648361505980432".parse().unwrap();
        let (a, b) = (start(0), start(1));
        assert_eq!(b.low - a.low, difference.low);
        assert_eq!(b.high - a.high, difference.high);
    }

    proptest! {
        #[test]
        fn numbers_round_trip_and_have_56_digits(
            shard_created_seconds in 1_000_000_000_u64..1 << 36, index in 0..=SequenceNumber::MAX_INDEX,
            time_seconds in 0_u64..1 << 36, shard_index in 0_u32..=i32::MAX as u32,
        ) {
            let parts = Parts { shard_created_seconds, index, time_seconds, shard_index };
            let number = SequenceNumber::new(parts);
            prop_assert_eq!(number.parts(), Some(parts));
            let text = number.to_string();
            prop_assert_eq!(text.len(), 56);
            prop_assert_eq!(text.parse::<SequenceNumber>().unwrap(), number);
        }

        #[test]
        fn order_within_a_shard_is_by_index(a in 0..=SequenceNumber::MAX_INDEX, b in 0..=SequenceNumber::MAX_INDEX, t in 0_u64..1 << 36, u in 0_u64..1 << 36) {
            let make = |index, time_seconds| SequenceNumber::new(Parts { shard_created_seconds: 5, index, time_seconds, shard_index: 9 });
            prop_assume!(a != b);
            prop_assert_eq!(a < b, make(a, t) < make(b, u));
        }
    }
}
