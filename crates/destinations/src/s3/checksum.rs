//! Checksums of content: what the client says of it is verified, and kept for readers.
//!
//! S3 guide, "Checking object integrity". Of the algorithms that clients may name, those are known that AWS's SDKs make
//! without further libraries.

use base64_simd::STANDARD;
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// How a checksum is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "CRC32")]
    Crc32,
    #[serde(rename = "CRC32C")]
    Crc32C,
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    #[serde(rename = "SHA1")]
    Sha1,
    #[serde(rename = "SHA256")]
    Sha256,
}

impl Algorithm {
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32C, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As `x-amz-checksum-algorithm` and elements (`ChecksumCRC32`) have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32C => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// `x-amz-checksum-crc32`
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32C => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// By its name, whatever the case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a checksum.
    pub fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32C => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The checksum of `content`, most significant byte first.
    pub fn of(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1::Sha1::digest(content).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(content).to_vec(),
            Self::Crc32 | Self::Crc32C | Self::Crc64Nvme => {
                let crc = crc_fast::checksum(self.crc().expect("a CRC"), content);
                crc.to_be_bytes()[8 - self.length()..].to_vec()
            }
        }
    }

    /// The checksum of two contents, one behind the other, of theirs; `None` where that is not possible.
    pub fn joined(self, first: &[u8], second: &[u8], second_bytes: u64) -> Option<Vec<u8>> {
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let crc = crc_fast::checksum_combine(self.crc()?, number(first), number(second), second_bytes);
        Some(crc.to_be_bytes()[8 - self.length()..].to_vec())
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32C => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// What a checksum of an object of many parts was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Of the whole content.
    #[default]
    #[serde(rename = "FULL_OBJECT")]
    FullObject,
    /// Of the checksums of the parts, whose number follows it.
    #[serde(rename = "COMPOSITE")]
    Composite,
}

impl Kind {
    /// As `x-amz-checksum-type` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// A checksum and how it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    pub algorithm: Algorithm,
    /// Base64, followed by `-PARTS` when it is composite.
    pub value: String,
    #[serde(default)]
    pub kind: Kind,
}

impl Checksum {
    /// The checksum of `content`.
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        Self::whole(algorithm, &algorithm.of(content))
    }

    /// A checksum of a whole content, of its bytes.
    pub fn whole(algorithm: Algorithm, bytes: &[u8]) -> Self {
        Self { algorithm, value: STANDARD.encode_to_string(bytes), kind: Kind::FullObject }
    }

    /// What a client says, if it can be a checksum of that kind.
    pub fn claimed(algorithm: Algorithm, value: &str) -> Option<Self> {
        let bytes = STANDARD.decode_to_vec(value).ok()?;
        (bytes.len() == algorithm.length()).then(|| Self::whole(algorithm, &bytes))
    }

    /// The bytes of a checksum that is not composite.
    pub(super) fn bytes(&self) -> Vec<u8> {
        STANDARD.decode_to_vec(&self.value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checksums_are_the_known_ones() {
        // The check values of the CRC catalogue, of the text `123456789`, and of FIPS 180 for `abc`.
        let check = |algorithm: Algorithm, content: &[u8], expected: &str| {
            let hex = algorithm.of(content).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            assert_eq!(hex, expected, "{algorithm:?}");
        };
        check(Algorithm::Crc32, b"123456789", "cbf43926");
        check(Algorithm::Crc32C, b"123456789", "e3069283");
        check(Algorithm::Crc64Nvme, b"123456789", "ae8b14860a799888");
        check(Algorithm::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(Checksum::of(Algorithm::Crc32, b"").value, "AAAAAA==");
        assert_eq!(Checksum::claimed(Algorithm::Crc32, "AAAAAA=="), Some(Checksum::of(Algorithm::Crc32, b"")));
        for value in ["", "AAAA", "AAAAAA", "AAAAAAA=", "????"] {
            assert_eq!(Checksum::claimed(Algorithm::Crc32, value), None, "{value}");
        }
        assert_eq!(Algorithm::by_name("crc32c"), Some(Algorithm::Crc32C));
    }

    proptest! {
        #[test]
        fn checksums_of_two_halves_make_that_of_the_whole(first: Vec<u8>, second: Vec<u8>) {
            let whole = [&first[..], &second[..]].concat();
            for algorithm in Algorithm::ALL {
                let joined = algorithm.joined(&algorithm.of(&first), &algorithm.of(&second), second.len() as u64);
                if let Some(joined) = joined {
                    prop_assert_eq!(joined, algorithm.of(&whole));
                } else {
                    prop_assert!(matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256));
                }
            }
        }
    }
}
