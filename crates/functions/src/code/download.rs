//! Links under which `GetFunction` lets its caller fetch the archive: unsigned, hard to guess, short-lived.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use millstream_blobs::Digest;
use millstream_env::{HostClock, Random, Timestamp};
use sha2::Sha256;

/// As long as AWS's links live.
const LINK_LIFETIME: Duration = Duration::from_mins(10);
const DIGEST_BYTES: usize = 32;
const EXPIRY_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// Makes and checks tokens. The key lives as long as the process: links do not outlive a restart.
#[derive(Clone)]
pub(crate) struct Downloads {
    key: [u8; 32],
    clock: HostClock,
}

impl std::fmt::Debug for Downloads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key never reaches a log line.
        f.debug_struct("Downloads").finish_non_exhaustive()
    }
}

impl Downloads {
    pub(crate) fn new(random: &Random, clock: HostClock) -> Self {
        Self { key: random.bytes(), clock }
    }

    /// Digest, expiry and their authentication code, safe in a URL.
    pub(crate) fn token(&self, digest: Digest) -> String {
        let expiry = self.clock.now().plus(LINK_LIFETIME).millis();
        let mut token = [&digest.as_bytes()[..], &expiry.to_be_bytes()].concat();
        let tag = self.mac(&token).finalize().into_bytes();
        token.extend_from_slice(&tag);
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(token)
    }

    /// What the token allows to fetch; `None` when it is not ours or too old.
    pub(crate) fn verify(&self, token: &str) -> Option<Digest> {
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok()?;
        let (content, tag) = bytes.split_at_checked(DIGEST_BYTES + EXPIRY_BYTES)?;
        if tag.len() != TAG_BYTES {
            return None;
        }
        self.mac(content).verify_slice(tag).ok()?;
        let (digest, expiry) = content.split_first_chunk::<DIGEST_BYTES>()?;
        let expiry = Timestamp::from_millis(u64::from_be_bytes(expiry.try_into().ok()?));
        (self.clock.now() < expiry).then(|| Digest::from_bytes(*digest))
    }

    fn mac(&self, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::new_from_slice(&self.key).expect("a key of any length will do");
        mac.update(content);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_open_their_blob_for_ten_minutes() {
        let random = Random::seeded(1);
        let at = |seconds| HostClock::fixed_at(Timestamp::from_seconds(seconds));
        let mut downloads = Downloads::new(&random, at(1000));
        let digest = Digest::of(b"code");
        let token = downloads.token(digest);
        assert_eq!(downloads.verify(&token), Some(digest));
        downloads.clock = at(1599);
        assert_eq!(downloads.verify(&token), Some(digest));
        downloads.clock = at(1600);
        assert_eq!(downloads.verify(&token), None);
    }

    #[test]
    fn other_tokens_open_nothing() {
        let random = Random::seeded(1);
        let downloads = Downloads::new(&random, HostClock::real());
        let token = downloads.token(Digest::of(b"code"));
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(downloads.verify(&String::from_utf8(bytes).unwrap()), None);
        }
        for text in ["", "A", &token[..token.len() - 4], "ünïcode", &format!("{token}AAAA")] {
            assert_eq!(downloads.verify(text), None);
        }
        let foreign = Downloads::new(&random, HostClock::real());
        assert_eq!(foreign.verify(&token), None);
    }
}
