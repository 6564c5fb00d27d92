//! What is on the disk. All numbers are little endian; none of the values named here may ever change its meaning.
//!
//! ```text
//! <folder>/FORMAT                    version, store id, feature bits
//! <folder>/LOCK                      held by the process that has the log open
//! <folder>/log/<class>/<id>.log      segment: header page, checkpoint block, commit blocks
//! <folder>/log/<class>/<id>.idx      index of a sealed segment, derived from it
//! ```
//!
//! A segment's header and each of its blocks begin on a multiple of 4 KiB, so that a torn write never touches bytes that
//! were acknowledged before. Block numbers are dense over the whole log: the first block of a segment follows the last
//! valid block of the one before. That number in the header of the *next* segment is what tells the end of a segment,
//! whatever lies behind it in the file.

pub(super) mod block;
pub(super) mod bytes;
pub(super) mod fact;
pub(super) mod index;
pub(super) mod record;
pub(super) mod segment;
pub(super) mod store;
#[cfg(test)]
mod tests;

/// Alignment of everything that is written on its own.
pub(super) const PAGE_BYTES: usize = 4096;

/// CRC32C, as in iSCSI and ext4.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).expect("a 32-bit checksum")
}

/// Folds a number into a checksum's 32 bits, so that bytes never verify in another's place.
pub(super) fn seed(number: u64) -> u32 {
    let low = u32::try_from(number & 0xffff_ffff).expect("masked to 32 bits");
    let high = u32::try_from(number >> 32).expect("shifted to 32 bits");
    low ^ high.rotate_left(16)
}
