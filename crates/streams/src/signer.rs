//! Texts that clients carry and only this server can have made.

use base64_simd::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs and checks opaque tokens. Those of one purpose are not accepted for another.
#[derive(Clone)]
pub(crate) struct Signer {
    keyed: Hmac<Sha256>,
}

pub(crate) const SIGNATURE_BYTES: usize = 32;

impl Signer {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self { keyed: Hmac::new_from_slice(secret).expect("HMAC takes keys of any length") }
    }

    /// `payload` and its signature, in base64.
    pub(crate) fn seal(&self, purpose: &str, mut payload: Vec<u8>) -> String {
        let signature = self.mac(purpose, &payload).finalize().into_bytes();
        payload.extend_from_slice(&signature);
        STANDARD.encode_to_string(payload)
    }

    /// The payload of a text that [`Signer::seal`] made for `purpose`, and of no other text, even one that differs only
    /// in unused bits of its base64.
    pub(crate) fn open(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let mut payload = STANDARD.decode_to_vec(text).ok()?;
        if STANDARD.encode_to_string(&payload) != text {
            return None;
        }
        let signature = payload.split_off(payload.len().checked_sub(SIGNATURE_BYTES)?);
        self.mac(purpose, &payload).verify_slice(&signature).ok()?;
        Some(payload)
    }

    fn mac(&self, purpose: &str, payload: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(payload);
        mac
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_what_was_sealed_is_opened(payload: Vec<u8>, position: prop::sample::Index, replacement in "[A-Za-z0-9+/=]") {
            let signer = Signer::new(&[7; 32]);
            let text = signer.seal("a", payload.clone());
            prop_assert_eq!(signer.open("a", &text), Some(payload));
            prop_assert_eq!(signer.open("b", &text), None);
            prop_assert_eq!(Signer::new(&[8; 32]).open("a", &text), None);
            let position = position.index(text.len());
            let mut changed = text.clone();
            changed.replace_range(position..=position, &replacement);
            prop_assert_eq!(signer.open("a", &changed).is_some(), changed == text);
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text: String) {
            prop_assert_eq!(Signer::new(&[7; 32]).open("a", &text), None);
        }
    }
}
