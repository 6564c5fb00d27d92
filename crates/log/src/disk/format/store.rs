//! The `FORMAT` file: which program may open this folder.
//!
//! Text, so that a person can read it: `millstream-log 1 <store id, hex> <feature bits, hex> <CRC32C, hex>`.

use super::crc32c;

const NAME: &str = "millstream-log";
const VERSION: u32 = 1;
/// What a store has that a program must know of to open it. Persisted as bits; written before the first use.
pub(in crate::disk) mod feature {
    /// Records with a tag other than 0: a program that does not know tags would serve ciphertext as data.
    pub(in crate::disk) const RECORD_TAGS: u64 = 1 << 0;
    /// Segments of more than the first retention class: a program that does not know classes would miss them.
    pub(in crate::disk) const RETENTION_CLASSES: u64 = 1 << 1;
    /// Empty blocks that stand for several: a program that does not know them would take the rest for damaged.
    pub(in crate::disk) const REWRITTEN_SEGMENTS: u64 = 1 << 2;
}

/// Features that this program knows.
const KNOWN_FEATURES: u64 = feature::RECORD_TAGS | feature::RETENTION_CLASSES | feature::REWRITTEN_SEGMENTS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) struct StoreFormat {
    pub(in crate::disk) store: u128,
    pub(in crate::disk) features: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error("the FORMAT file is damaged or is not of a record log")]
    Unreadable,
    #[error("the log has format version {0}, this program knows {VERSION}")]
    Version(u32),
    #[error("the log uses features {0:#x} that this program does not know")]
    Features(u64),
}

impl StoreFormat {
    pub(in crate::disk) fn encode(&self) -> String {
        let text = format!("{NAME} {VERSION} {:032x} {:016x}", self.store, self.features);
        format!("{text} {:08x}\n", crc32c(text.as_bytes()))
    }

    pub(in crate::disk) fn decode(text: &[u8]) -> Result<Self, FormatError> {
        let text = std::str::from_utf8(text).map_err(|_| FormatError::Unreadable)?;
        let (body, crc) = text.trim_end().rsplit_once(' ').ok_or(FormatError::Unreadable)?;
        let fields: Vec<&str> = body.split(' ').collect();
        let [NAME, version, store, features] = fields[..] else { return Err(FormatError::Unreadable) };
        let hex = |text: &str| u128::from_str_radix(text, 16).map_err(|_| FormatError::Unreadable);
        if hex(crc)? != u128::from(crc32c(body.as_bytes())) {
            return Err(FormatError::Unreadable);
        }
        let version: u32 = version.parse().map_err(|_| FormatError::Unreadable)?;
        if version != VERSION {
            return Err(FormatError::Version(version));
        }
        let features = u64::try_from(hex(features)?).map_err(|_| FormatError::Unreadable)?;
        if features & !KNOWN_FEATURES != 0 {
            return Err(FormatError::Features(features & !KNOWN_FEATURES));
        }
        Ok(Self { store: hex(store)?, features })
    }
}
