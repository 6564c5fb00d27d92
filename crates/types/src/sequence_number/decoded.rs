//! Reading numbers that came from outside as leniently as AWS does, its older layouts included.

use super::SequenceNumber;

/// What a number from outside says (recorded: kinesalite tests). Fields that a later layout added are `None` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// 0 and 1 are layouts of 2014; every number made today has 2.
    pub version: u8,
    pub shard_created_seconds: u64,
    /// Negative where the 32-bit field has its top bit set: AWS prints it that way.
    pub shard_index: i64,
    /// The place within the shard; `None` in version 1.
    pub index: Option<u64>,
    /// When the number was made; `None` in version 0.
    pub time_seconds: Option<u64>,
}

/// The first creation time, in seconds, that AWS refuses.
const CREATED_SECONDS_BOUND: u64 = 16_025_175_000;

impl SequenceNumber {
    /// Reads a number as AWS does in `PutRecord` and `GetShardIterator`: looser than [`SequenceNumber::parts`], since
    /// bits without meaning may have any value. `None` where AWS calls the number invalid.
    pub fn decode(self) -> Option<Decoded> {
        if self.high >> 1 == 0 {
            return Some(self.decode_version_0());
        }
        // Leading hexadecimal digit 2, and the bit that 3 would add unset: 2^185 up to 3 * 2^184.
        if self.high >> 56 != 2 {
            return None;
        }
        match self.low & 15 {
            1 => Some(self.decode_version_1()),
            2 => self.decode_version_2(),
            _ => None,
        }
    }

    fn bits(self, shift: u32, count: u32) -> u64 {
        let value = match shift {
            0 => self.low,
            1..128 => self.low >> shift | self.high << (128 - shift),
            _ => self.high >> (shift - 128),
        };
        u64::try_from(value & ((1 << count) - 1)).expect("fields are at most 64 bits wide")
    }

    fn decode_version_0(self) -> Decoded {
        // Small values count from 2^124, which sets none of the bits read here.
        Decoded {
            version: 0,
            shard_created_seconds: self.bits(88, 36),
            shard_index: i64::try_from(self.bits(0, 16)).expect("16 bits fit"),
            index: Some(self.bits(16, 64)),
            time_seconds: None,
        }
    }

    fn decode_version_1(self) -> Decoded {
        Decoded {
            version: 1,
            shard_created_seconds: self.bits(148, 36),
            shard_index: self.signed_shard_index(),
            index: None,
            time_seconds: Some(self.bits(100, 36)),
        }
    }

    fn decode_version_2(self) -> Option<Decoded> {
        let index = self.bits(80, 64);
        let shard_created_seconds = self.bits(148, 36);
        (index <= Self::MAX_INDEX && shard_created_seconds < CREATED_SECONDS_BOUND).then(|| Decoded {
            version: 2,
            shard_created_seconds,
            shard_index: self.signed_shard_index(),
            index: Some(index),
            time_seconds: Some(self.bits(36, 36)),
        })
    }

    fn signed_shard_index(self) -> i64 {
        let field = u32::try_from(self.bits(4, 32)).expect("32 bits fit");
        // The top bit is a sign in its own right: 0x80000000 prints as -2147483648.
        i64::from(field.cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Parts;
    use super::*;

    fn hex(digits: &str) -> SequenceNumber {
        let number = format!("{digits:0>64}");
        SequenceNumber {
            high: u128::from_str_radix(&number[..32], 16).unwrap(),
            low: u128::from_str_radix(&number[32..], 16).unwrap(),
        }
    }

    #[test]
    fn recorded_verdicts() {
        let zeros = "0".repeat(45);
        for (digits, valid) in [
            (format!("2{zeros}2"), true),
            (format!("2{zeros}1"), true),
            (format!("2{zeros}0"), false),
            (format!("2{zeros}3"), false),
            (format!("2{zeros}4"), false),
            (format!("1{zeros}2"), false),
            (format!("3{zeros}2"), false),
            ("20000000000800000000000000000000000000000000002".to_owned(), false),
            ("2ffffffffff7fffffffffffffff000000000007fffffff2".to_owned(), false),
            ("20000000000000000000000000000000000000800000002".to_owned(), true),
        ] {
            assert_eq!(hex(&digits).decode().is_some(), valid, "{digits}");
        }
    }

    #[test]
    fn a_shard_index_with_its_top_bit_set_is_negative() {
        let decoded = hex("20000000000000000000000000000000000000800000002").decode().unwrap();
        assert_eq!(decoded.shard_index, -2_147_483_648);
    }

    #[test]
    fn a_bare_five_reads_as_shard_five() {
        let decoded = "5".parse::<SequenceNumber>().unwrap().decode().unwrap();
        assert_eq!((decoded.version, decoded.shard_index), (0, 5));
    }

    proptest! {
        #[test]
        fn made_numbers_are_read_back(
            created in 0..CREATED_SECONDS_BOUND, index in 0..=SequenceNumber::MAX_INDEX,
            time in 0_u64..1 << 36, shard_index in 0_u32..=i32::MAX as u32,
        ) {
            let parts = Parts { shard_created_seconds: created, index, time_seconds: time, shard_index };
            prop_assert_eq!(SequenceNumber::new(parts).decode(), Some(Decoded {
                version: 2,
                shard_created_seconds: created,
                shard_index: i64::from(shard_index),
                index: Some(index),
                time_seconds: Some(time),
            }));
        }

        #[test]
        fn any_digits_are_judged_without_a_panic(digits in "[1-9][0-9]{0,80}") {
            if let Ok(number) = digits.parse::<SequenceNumber>() {
                let _ = number.decode();
            }
        }
    }
}
