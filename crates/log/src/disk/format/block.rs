//! The header of a commit block.
//!
//! | at | what |
//! |---|---|
//! | 0 | magic |
//! | 4 | flags (16 bits), format of the block (16 bits) |
//! | 8 | length with padding (32 bits), 12: bytes used |
//! | 16 | number of records (32 bits), 20: further block numbers that an empty block stands for |
//! | 24 | segment, 32: block number |
//! | 40 | `durable_upto`: the highest block acknowledged when this one was built |
//! | 48 | time it was built, milliseconds |
//! | 56 | reserved (32 bits) |
//! | 60 | CRC32C of the 60 bytes before |

use super::bytes::{put, u16_at, u32_at, u64_at};
use super::{PAGE_BYTES, crc32c};

const MAGIC: u32 = 0x314b_424d;
const FORMAT: u16 = 1;

/// What a block is for. Persisted as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum Kind {
    /// Records.
    Data,
    /// The first block of a segment: every live shard.
    Checkpoint,
    /// Empty: its `durable_upto` says that everything before it was acknowledged.
    Closing,
}

impl Kind {
    fn bits(self) -> u16 {
        match self {
            Self::Data => 0,
            Self::Checkpoint => 1,
            Self::Closing => 2,
        }
    }

    fn from_bits(bits: u16) -> Option<Self> {
        [Self::Data, Self::Checkpoint, Self::Closing].into_iter().find(|kind| kind.bits() == bits)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct BlockHeader {
    pub(in crate::disk) kind: Kind,
    /// With padding: a multiple of 4 KiB.
    pub(in crate::disk) length: u32,
    /// Header and records.
    pub(in crate::disk) used: u32,
    pub(in crate::disk) records: u32,
    /// Blocks behind this one that were empty too, and were left out when the segment was rewritten.
    pub(in crate::disk) more_numbers: u32,
    pub(in crate::disk) segment: u64,
    pub(in crate::disk) number: u64,
    pub(in crate::disk) durable_upto: u64,
    pub(in crate::disk) time_ms: u64,
}

impl BlockHeader {
    pub(in crate::disk) const BYTES: usize = 64;

    pub(in crate::disk) fn encode(&self, out: &mut [u8]) {
        out[..Self::BYTES].fill(0);
        put(out, 0, MAGIC.to_le_bytes());
        put(out, 4, self.kind.bits().to_le_bytes());
        put(out, 6, FORMAT.to_le_bytes());
        put(out, 8, self.length.to_le_bytes());
        put(out, 12, self.used.to_le_bytes());
        put(out, 16, self.records.to_le_bytes());
        put(out, 20, self.more_numbers.to_le_bytes());
        put(out, 24, self.segment.to_le_bytes());
        put(out, 32, self.number.to_le_bytes());
        put(out, 40, self.durable_upto.to_le_bytes());
        put(out, 48, self.time_ms.to_le_bytes());
        let crc = crc32c(&out[..60]);
        put(out, 60, crc.to_le_bytes());
    }

    /// `None` when these bytes are not a whole, undamaged header.
    pub(in crate::disk) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::BYTES)?;
        if u32_at(bytes, 0) != MAGIC || u32_at(bytes, 60) != crc32c(&bytes[..60]) || u16_at(bytes, 6) != FORMAT {
            return None;
        }
        let header = Self {
            kind: Kind::from_bits(u16_at(bytes, 4))?,
            length: u32_at(bytes, 8),
            used: u32_at(bytes, 12),
            records: u32_at(bytes, 16),
            more_numbers: u32_at(bytes, 20),
            segment: u64_at(bytes, 24),
            number: u64_at(bytes, 32),
            durable_upto: u64_at(bytes, 40),
            time_ms: u64_at(bytes, 48),
        };
        let sound = (header.length as usize).is_multiple_of(PAGE_BYTES)
            && header.used <= header.length
            && header.used as usize >= Self::BYTES
            && header.durable_upto < header.number;
        sound.then_some(header)
    }
}
