//! A key and what it does: XAES-256-GCM, which is AES-256-GCM with nonces of 24 bytes (C2SP, XAES-256-GCM).
//!
//! The first half of a nonce makes a key of its own, the second half is that key's nonce. So nonces can be random for any
//! number of records, and what has the same first half shares the work.
//!
//! A key's bytes are wiped from memory with it, and nothing prints them.

use std::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::aes::cipher::BlockCipherEncrypt;
use aes_gcm::{Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

/// A key of XAES-256-GCM.
pub struct Key {
    block: Aes256Enc,
    /// The mask of the derivation: AES of nothing, doubled as in CMAC.
    mask: u128,
}

/// What a key and the first half of a nonce make.
pub(super) struct Subkey {
    half: [u8; HALF_BYTES],
    cipher: Aes256Gcm,
}

/// The bytes were changed, belong elsewhere, or were encrypted with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes cannot be decrypted: they were changed, belong elsewhere or have another key")]
pub struct Refused;

const HALF_BYTES: usize = Key::NONCE_BYTES / 2;

impl Key {
    pub const BYTES: usize = 32;
    pub const NONCE_BYTES: usize = 24;
    pub const TAG_BYTES: usize = 16;

    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        let block = Aes256Enc::new(bytes.into());
        let nothing = encrypt(&block, 0);
        let carry = if nothing >> 127 == 1 { 0x87 } else { 0 };
        Self { block, mask: (nothing << 1) ^ carry }
    }

    /// Encrypts in place, bound to `context`, which must be the same when it is opened. A nonce is never used twice.
    pub fn seal(&self, nonce: &[u8; Self::NONCE_BYTES], context: &[u8], bytes: &mut [u8]) -> [u8; Self::TAG_BYTES] {
        self.subkey(nonce).seal(nonce, context, bytes)
    }

    /// Decrypts in place. When refused, `bytes` hold nothing of use.
    pub fn open(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        context: &[u8],
        bytes: &mut [u8],
        tag: &[u8; Self::TAG_BYTES],
    ) -> Result<(), Refused> {
        self.subkey(nonce).open(nonce, context, bytes, tag)
    }

    /// For this nonce and all that begin with the same half.
    pub(super) fn subkey(&self, nonce: &[u8; Self::NONCE_BYTES]) -> Subkey {
        let half = *nonce.first_chunk().expect("a half is shorter");
        let mut key = Zeroizing::new([0; Self::BYTES]);
        for (part, number) in key.chunks_exact_mut(16).zip([1, 2]) {
            let mut message = [0; 16];
            message[..4].copy_from_slice(&[0, number, b'X', 0]);
            message[4..].copy_from_slice(&half);
            part.copy_from_slice(&encrypt(&self.block, u128::from_be_bytes(message) ^ self.mask).to_be_bytes());
        }
        Subkey { half, cipher: Aes256Gcm::new((&*key).into()) }
    }
}

fn encrypt(block: &Aes256Enc, text: u128) -> u128 {
    let mut bytes = text.to_be_bytes().into();
    block.encrypt_block(&mut bytes);
    u128::from_be_bytes(bytes.into())
}

impl Subkey {
    /// Whether it is the key for this nonce.
    pub(super) fn fits(&self, nonce: &[u8; Key::NONCE_BYTES]) -> bool {
        nonce.starts_with(&self.half)
    }

    pub(super) fn seal(
        &self,
        nonce: &[u8; Key::NONCE_BYTES],
        context: &[u8],
        bytes: &mut [u8],
    ) -> [u8; Key::TAG_BYTES] {
        let tag = self.cipher.encrypt_inout_detached(self.rest(nonce).into(), context, bytes.into());
        tag.expect("records are far below the cipher's 64 GiB").into()
    }

    pub(super) fn open(
        &self,
        nonce: &[u8; Key::NONCE_BYTES],
        context: &[u8],
        bytes: &mut [u8],
        tag: &[u8; Key::TAG_BYTES],
    ) -> Result<(), Refused> {
        let opened = self.cipher.decrypt_inout_detached(self.rest(nonce).into(), context, bytes.into(), tag.into());
        opened.map_err(|_| Refused)
    }

    fn rest<'n>(&self, nonce: &'n [u8; Key::NONCE_BYTES]) -> &'n [u8; HALF_BYTES] {
        assert!(self.fits(nonce), "a nonce belongs to the key that its first half makes");
        nonce.last_chunk().expect("a half is shorter")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: u8, context: &[u8], expected: u128, rest: [u8; 12]) {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let mut text = *b"XAES-256-GCM";
        let key = Key::new(&[key; Key::BYTES]);
        let tag = key.seal(nonce, context, &mut text);
        let mut sealed = text.to_vec();
        sealed.extend(tag);
        assert_eq!(sealed[..16], expected.to_be_bytes());
        assert_eq!(sealed[16..], rest);
        key.open(nonce, context, &mut text, &tag).unwrap();
        assert_eq!(text, *b"XAES-256-GCM");
    }

    #[test]
    fn the_vectors_of_the_specification() {
        // One with and one without a carry of the mask.
        let rest = [0x74, 0xe9, 0x6e, 0x52, 0xda, 0xf2, 0xfc, 0xf7, 0x07, 0x5e, 0x22, 0x71];
        check(1, b"", 0xce54_6ef6_3c9c_c607_6592_3609_b33a_9a19, rest);
        let rest = [0x3f, 0xdb, 0x41, 0xab, 0xd7, 0x40, 0xa2, 0x1f, 0x71, 0xeb, 0x76, 0x9d];
        check(3, b"c2sp.org/XAES-256-GCM", 0x986e_c183_2593_df54_43a1_7943_7fd0_83bf, rest);
    }
}
