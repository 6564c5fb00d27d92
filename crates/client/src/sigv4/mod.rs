//! AWS Signature Version 4 (AWS documentation, "Signature Version 4 for API requests"), without I/O.
//!
//! - [`encoding`]: percent-encoding, the canonical path and the canonical query.
//! - [`canonical`]: the canonical request and its hash.
//! - [`key`]: the credential scope, the string to sign, the derived key and the signature.
//! - [`date`]: the forms of dates.
//! - [`signer`]: puts a signature on a request, as a header or in its query.
//!
//! Verification is the server's business and lives in the crate `iam`, on top of these. `SigV4A` is not
//! supported.

pub mod canonical;
pub mod date;
pub mod encoding;
pub mod key;
pub mod signer;
#[cfg(test)]
mod tests;

pub use canonical::CanonicalParts;
pub use key::{CredentialScope, SigningKey};
pub use signer::{SignError, Signer};

/// The only algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The payload hash of a request whose body is not covered by its signature.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The payload hashes of requests whose body comes in chunks, signed each or not, with trailers or without (S3 API
/// reference, "Signature calculations for the Authorization header: transferring payload in multiple chunks").
pub const CHUNKED_PAYLOADS: [&str; 3] = [
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
];

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text
}
