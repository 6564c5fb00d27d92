//! Names of buckets and keys of objects (S3 guide, "General purpose bucket naming rules" and "Naming Amazon S3 objects").

use std::fmt;
use std::str::FromStr;

use super::Error;

/// Longest key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;

/// The name of a bucket: unique among all accounts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(String);

impl BucketName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `arn:aws:s3:::bucket`
    pub fn arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.0)
    }

    /// `arn:aws:s3:::bucket/key`
    pub fn object_arn(&self, key: &str) -> String {
        format!("arn:aws:s3:::{}/{key}", self.0)
    }
}

impl FromStr for BucketName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_valid(text) { Ok(Self(text.to_owned())) } else { Err(Error::InvalidBucketName(text.to_owned())) }
    }
}

fn is_valid(text: &str) -> bool {
    const PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
    const SUFFIXES: [&str; 5] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"];
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().all(|&byte| plain(byte) || byte == b'.' || byte == b'-')
        && bytes.first().copied().is_some_and(plain)
        && bytes.last().copied().is_some_and(plain)
        && !text.contains("..")
        && text.parse::<std::net::Ipv4Addr>().is_err()
        && !PREFIXES.iter().any(|prefix| text.starts_with(prefix))
        && !SUFFIXES.iter().any(|suffix| text.ends_with(suffix))
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of an object: 1 to [`KEY_BYTES_MAX`] bytes of UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.len() {
            1..=KEY_BYTES_MAX => Ok(Self(text.to_owned())),
            bytes => Err(Error::KeyTooLong { bytes }),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules() {
        for name in ["abc", "my-bucket", "my.bucket.1", "1bucket", "a-1", &"a".repeat(63)] {
            assert!(name.parse::<BucketName>().is_ok(), "{name}");
        }
        for name in [
            "",
            "ab",
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-x",
            "b-s3alias",
            "b--ol-s3",
            "a b c",
            "bücket",
            "a/b",
            &"a".repeat(64),
        ] {
            assert_eq!(name.parse::<BucketName>(), Err(Error::InvalidBucketName(name.to_owned())));
        }
    }

    #[test]
    fn keys_are_bounded_in_bytes() {
        assert!("é".repeat(512).parse::<ObjectKey>().is_ok());
        assert_eq!("é".repeat(513).parse::<ObjectKey>(), Err(Error::KeyTooLong { bytes: 1026 }));
    }
}
