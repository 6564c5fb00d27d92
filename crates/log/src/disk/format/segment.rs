//! The first page of a segment.

use super::bytes::{put, u32_at, u64_at, u128_at};
use super::{PAGE_BYTES, crc32c};

const MAGIC: u64 = u64::from_le_bytes(*b"MSTRMSEG");
const FORMAT: u32 = 1;
const CRC_AT: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct SegmentHeader {
    pub(in crate::disk) store: u128,
    pub(in crate::disk) segment: u64,
    /// The retention class.
    pub(in crate::disk) class: u8,
    /// Number of its checkpoint block; everything before it ends one lower.
    pub(in crate::disk) first_block: u64,
    /// When it was begun, milliseconds.
    pub(in crate::disk) time_ms: u64,
}

/// Why a page is no segment header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum BadHeader {
    /// Never written, or damaged.
    Unreadable,
    /// Whole, and of a format that this program does not know.
    Format(u32),
}

impl SegmentHeader {
    pub(in crate::disk) fn encode(&self, page: &mut [u8]) {
        page[..PAGE_BYTES].fill(0);
        put(page, 0, MAGIC.to_le_bytes());
        put(page, 8, FORMAT.to_le_bytes());
        put(page, 12, u32::from(self.class).to_le_bytes());
        put(page, 16, self.store.to_le_bytes());
        put(page, 32, self.segment.to_le_bytes());
        put(page, 40, self.first_block.to_le_bytes());
        put(page, 48, self.time_ms.to_le_bytes());
        let crc = crc32c(&page[..CRC_AT]);
        put(page, CRC_AT, crc.to_le_bytes());
    }

    pub(in crate::disk) fn decode(page: &[u8]) -> Result<Self, BadHeader> {
        let head = page.get(..CRC_AT + 4).ok_or(BadHeader::Unreadable)?;
        if u64_at(head, 0) != MAGIC || u32_at(head, CRC_AT) != crc32c(&head[..CRC_AT]) {
            return Err(BadHeader::Unreadable);
        }
        match u32_at(head, 8) {
            FORMAT => Ok(Self {
                store: u128_at(head, 16),
                segment: u64_at(head, 32),
                class: head[12],
                first_block: u64_at(head, 40),
                time_ms: u64_at(head, 48),
            }),
            other => Err(BadHeader::Format(other)),
        }
    }
}
