//! A key and what it does. Its bytes are wiped from memory with it, and nothing prints them.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

/// A key of XChaCha20-Poly1305.
pub struct Key(XChaCha20Poly1305);

/// The bytes were changed, belong elsewhere, or were encrypted with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes cannot be decrypted: they were changed, belong elsewhere or have another key")]
pub struct Refused;

impl Key {
    pub const BYTES: usize = 32;
    pub const NONCE_BYTES: usize = 24;
    pub const TAG_BYTES: usize = 16;

    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(bytes.into()))
    }

    /// Encrypts in place, bound to `context`, which must be the same when it is opened. A nonce is never used twice.
    pub fn seal(&self, nonce: &[u8; Self::NONCE_BYTES], context: &[u8], bytes: &mut [u8]) -> [u8; Self::TAG_BYTES] {
        let tag = self.0.encrypt_inout_detached(nonce.into(), context, bytes.into());
        tag.expect("records are far below the cipher's 256 GiB").into()
    }

    /// Decrypts in place. When refused, `bytes` hold nothing of use.
    pub fn open(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        context: &[u8],
        bytes: &mut [u8],
        tag: &[u8; Self::TAG_BYTES],
    ) -> Result<(), Refused> {
        self.0.decrypt_inout_detached(nonce.into(), context, bytes.into(), tag.into()).map_err(|_| Refused)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
