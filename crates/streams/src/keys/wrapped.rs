//! A data key as it is stored: encrypted with a master key, and bound to its stream and number.
//!
//! Base64 of nonce, encrypted key and tag of the cipher. Persisted.

use std::fmt;
use std::sync::Arc;

use base64_simd::STANDARD;
use millstream_env::Random;
use millstream_log::encryption::{Key, Refused};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::MasterId;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct WrappedKey(String);

/// What a data key belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner<'a> {
    pub(crate) stream: u64,
    pub(crate) number: u32,
    pub(crate) master: &'a MasterId,
}

impl Owner<'_> {
    fn context(&self) -> Vec<u8> {
        format!("millstream data key {} {} {}", self.stream, self.number, self.master).into_bytes()
    }
}

impl WrappedKey {
    /// A new key. Nobody has seen it but in this form.
    pub(crate) fn make(master: &Key, owner: Owner<'_>, random: &Random) -> Self {
        let mut bytes = [0; Key::NONCE_BYTES + Key::BYTES + Key::TAG_BYTES];
        let (nonce, rest) = bytes.split_first_chunk_mut().expect("longer than a nonce");
        let (key, tag) = rest.split_at_mut(Key::BYTES);
        random.fill(nonce);
        random.fill(key);
        tag.copy_from_slice(&master.seal(nonce, &owner.context(), key));
        Self(STANDARD.encode_to_string(bytes))
    }

    pub(crate) fn open(&self, master: &Key, owner: Owner<'_>) -> Result<Arc<Key>, Refused> {
        let mut bytes = Zeroizing::new(STANDARD.decode_to_vec(&self.0).map_err(|_| Refused)?);
        let (nonce, rest) = bytes.split_first_chunk_mut().ok_or(Refused)?;
        let (key, tag) = rest.split_first_chunk_mut().ok_or(Refused)?;
        let tag = (&*tag).try_into().map_err(|_| Refused)?;
        master.open(nonce, &owner.context(), key, tag)?;
        Ok(Arc::new(Key::new(key)))
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(seed: u8) -> Key {
        Key::new(&[seed; Key::BYTES])
    }

    #[test]
    fn a_wrapped_key_opens_in_its_own_place_only() {
        let (one, other) = (MasterId::of("one"), MasterId::of("other"));
        let owner = Owner { stream: 1, number: 2, master: &one };
        let wrapped = WrappedKey::make(&master(1), owner, &Random::seeded(1));
        let key = wrapped.open(&master(1), owner).unwrap();
        let mut text = *b"text";
        let tag = key.seal(&[0; 24], b"", &mut text);
        wrapped.open(&master(1), owner).unwrap().open(&[0; 24], b"", &mut text, &tag).unwrap();
        assert_eq!(text, *b"text", "it is the same key each time");
        assert!(wrapped.open(&master(2), owner).is_err());
        for owner in [Owner { stream: 2, ..owner }, Owner { number: 1, ..owner }, Owner { master: &other, ..owner }] {
            assert!(wrapped.open(&master(1), owner).is_err(), "{owner:?}");
        }
        for text in ["", "AAAA", "no base64", &wrapped.0[..92]] {
            assert!(WrappedKey(text.to_owned()).open(&master(1), owner).is_err());
        }
        assert_eq!(format!("{wrapped:?}"), "WrappedKey");
    }
}
