//! The header of a record within a block. Behind it lie the partition key and the decoded payload.
//!
//! | at | what |
//! |---|---|
//! | 0 | length of all of it (32 bits) |
//! | 4 | CRC32C of everything from 8 on, with block number and length folded in |
//! | 8 | shard ordinal (32 bits) |
//! | 12 | kind (8 bits), 13: tag of a data record, else 0 (8 bits), 14: length of the key (16 bits) |
//! | 16 | position |
//! | 24 | arrival, milliseconds |

use super::bytes::{put, u16_at, u32_at, u64_at};
use super::{crc32c, seed};

/// What a record says. Persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::disk) enum Kind {
    Data = 1,
    /// A place that was reserved and not filled; its bytes are zero.
    Void = 2,
    Created = 3,
    Configured = 4,
    Sealed = 5,
    Deleted = 6,
    /// In checkpoints: what the log as a whole must know.
    CheckpointHead = 7,
    /// In checkpoints: one live shard. The position is its next one.
    CheckpointShard = 8,
    /// In checkpoints: a range of positions that cannot be served.
    CheckpointDamage = 9,
    /// The shard goes on in another retention class from this position on.
    Left = 10,
    /// The shard comes back from another class, from this position on.
    Entered = 11,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        use Kind::{
            CheckpointDamage, CheckpointHead, CheckpointShard, Configured, Created, Data, Deleted, Entered, Left,
            Sealed, Void,
        };
        let facts = [Created, Configured, Sealed, Deleted, Left, Entered];
        let checkpoint = [CheckpointHead, CheckpointShard, CheckpointDamage];
        [Data, Void].into_iter().chain(facts).chain(checkpoint).find(|kind| *kind as u8 == number)
    }

    /// Whether it takes a position in its shard.
    pub(in crate::disk) fn has_position(self) -> bool {
        matches!(self, Self::Data | Self::Void)
    }
}

/// Keys have at most 256 characters of at most 4 bytes.
pub(in crate::disk) const KEY_BYTES_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct RecordHeader {
    /// Header, key and payload.
    pub(in crate::disk) length: u32,
    pub(in crate::disk) ordinal: u32,
    pub(in crate::disk) kind: Kind,
    /// The caller's; a store that has tags other than 0 says so in its `FORMAT` file.
    pub(in crate::disk) tag: u8,
    pub(in crate::disk) key_bytes: u16,
    pub(in crate::disk) position: u64,
    pub(in crate::disk) arrival_ms: u64,
}

impl RecordHeader {
    pub(in crate::disk) const BYTES: usize = 32;

    /// Completes `record`, whose key and payload are in place, for the block `number`.
    pub(in crate::disk) fn encode(&self, record: &mut [u8], number: u64) {
        assert_eq!(record.len(), self.length as usize, "the record has the length reserved");
        put(record, 0, self.length.to_le_bytes());
        put(record, 8, self.ordinal.to_le_bytes());
        record[12] = self.kind as u8;
        record[13] = self.tag;
        put(record, 14, self.key_bytes.to_le_bytes());
        put(record, 16, self.position.to_le_bytes());
        put(record, 24, self.arrival_ms.to_le_bytes());
        let crc = checksum(record, number);
        put(record, 4, crc.to_le_bytes());
    }

    /// What stands at the start of `bytes`, if it could be a record that ends within them. The checksum is not looked at.
    pub(in crate::disk) fn plausible(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..Self::BYTES)?;
        let header = Self {
            length: u32_at(head, 0),
            ordinal: u32_at(head, 8),
            kind: Kind::from_number(head[12])?,
            tag: head[13],
            key_bytes: u16_at(head, 14),
            position: u64_at(head, 16),
            arrival_ms: u64_at(head, 24),
        };
        let length = header.length as usize;
        let sound = (header.tag == 0 || header.kind == Kind::Data)
            && header.key_bytes as usize <= KEY_BYTES_MAX
            && length >= Self::BYTES + header.key_bytes as usize
            && length <= bytes.len()
            && header.position < 1 << 63;
        sound.then_some(header)
    }

    /// The record at the start of `bytes`, when it is whole and belongs to the block `number`.
    pub(in crate::disk) fn decode(bytes: &[u8], number: u64) -> Option<Self> {
        let header = Self::plausible(bytes)?;
        let record = &bytes[..header.length as usize];
        (u32_at(record, 4) == checksum(record, number)).then_some(header)
    }

    /// Where the payload begins within the record.
    pub(in crate::disk) fn payload_at(&self) -> usize {
        Self::BYTES + self.key_bytes as usize
    }
}

fn checksum(record: &[u8], number: u64) -> u32 {
    crc32c(&record[8..]) ^ seed(number) ^ u32_at(record, 0).rotate_left(8)
}
