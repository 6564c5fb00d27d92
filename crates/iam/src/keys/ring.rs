//! The server secret and what is derived from it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit as _, Mac as _};
use millstream_env::Random;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The alphabet of AWS's identifiers (base32, RFC 4648).
pub(crate) const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters of a key id that are random: 50 bits.
const RANDOM_LENGTH: usize = 10;
/// Characters that are the check: a foreign key looks like ours once in 2^30.
const CHECK_LENGTH: usize = 6;
/// Characters of a key id before the random ones.
const PREFIX_LENGTH: usize = 4;
/// Execution environments alive at one time.
const ENVIRONMENTS_MAX: usize = 100_000;

/// The kinds of key ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// `AKIA…`
    LongTerm,
    /// `ASIA…`
    Session,
}

impl KeyKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::LongTerm => "AKIA",
            Self::Session => "ASIA",
        }
    }
}

/// The keys derived from the server secret, and the execution environments whose sessions are good.
pub(crate) struct KeyRing {
    key_id_check: [u8; 32],
    session_secret: [u8; 32],
    session_seal: [u8; 32],
    /// Environments of functions that run now. They end with the server, and so do their sessions.
    environments: Mutex<HashSet<Arc<str>>>,
}

impl KeyRing {
    pub(crate) fn new(server_secret: &[u8]) -> Self {
        Self {
            key_id_check: mac(server_secret, &[b"access key id check"]),
            session_secret: mac(server_secret, &[b"session secret access key"]),
            session_seal: mac(server_secret, &[b"session token seal"]),
            environments: Mutex::default(),
        }
    }

    /// A fresh key id: prefix, random characters, and a check that only this server can compute.
    pub(crate) fn issue_key_id(&self, kind: KeyKind, random: &Random) -> String {
        let mut id = kind.prefix().to_owned();
        id.extend(random.bytes::<RANDOM_LENGTH>().iter().map(|byte| char::from(BASE32[usize::from(byte & 31)])));
        let check = self.check_of(&id);
        id + &check
    }

    /// The kind of `access_key_id` if this server issued it, be it revoked or expired; `None` for foreign keys.
    pub(crate) fn kind_of(&self, access_key_id: &str) -> Option<KeyKind> {
        if access_key_id.len() != PREFIX_LENGTH + RANDOM_LENGTH + CHECK_LENGTH || !access_key_id.is_ascii() {
            return None;
        }
        let kind = [KeyKind::LongTerm, KeyKind::Session].into_iter().find(|k| access_key_id.starts_with(k.prefix()))?;
        let (id, check) = access_key_id.split_at(PREFIX_LENGTH + RANDOM_LENGTH);
        bool::from(self.check_of(id).as_bytes().ct_eq(check.as_bytes())).then_some(kind)
    }

    fn check_of(&self, id: &str) -> String {
        let digest = mac(&self.key_id_check, &[id.as_bytes()]);
        digest[..CHECK_LENGTH].iter().map(|byte| char::from(BASE32[usize::from(byte & 31)])).collect()
    }

    /// The secret access key of a session key id: 40 characters, as AWS's.
    pub(crate) fn session_secret(&self, access_key_id: &str) -> String {
        secret_text(&mac(&self.session_secret, &[access_key_id.as_bytes()]))
    }

    /// The seal of a session token's content, bound to its key id.
    pub(super) fn seal(&self, access_key_id: &str, content: &[u8]) -> [u8; 32] {
        mac(&self.session_seal, &[access_key_id.as_bytes(), &[0], content])
    }

    /// From now on sessions of `environment` are good. `false` when there are too many environments.
    pub(crate) fn admit_environment(&self, environment: &Arc<str>) -> bool {
        let mut environments = self.environments.lock().expect("no code panics while holding this lock");
        if environments.len() >= ENVIRONMENTS_MAX && !environments.contains(environment) {
            return false;
        }
        environments.insert(Arc::clone(environment));
        true
    }

    /// From now on no session of `environment` is good.
    pub(crate) fn revoke_environment(&self, environment: &str) {
        self.environments.lock().expect("no code panics while holding this lock").remove(environment);
    }

    /// Whether sessions bound to `environment` are good; those bound to none are.
    pub(crate) fn environment_lives(&self, environment: Option<&str>) -> bool {
        let environments = self.environments.lock().expect("no code panics while holding this lock");
        environment.is_none_or(|environment| environments.contains(environment))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(..)")
    }
}

/// 30 of the bytes as 40 base64 characters, the form of a secret access key.
pub(crate) fn secret_text(bytes: &[u8; 32]) -> String {
    base64_simd::STANDARD.encode_to_string(&bytes[..30])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_ids_are_recognized_by_their_server_alone() {
        let (ours, theirs, random) = (KeyRing::new(b"one"), KeyRing::new(b"two"), Random::seeded(3));
        for kind in [KeyKind::LongTerm, KeyKind::Session] {
            let id = ours.issue_key_id(kind, &random);
            assert!(id.len() == 20 && id.starts_with(kind.prefix()), "{id}");
            assert_eq!(ours.kind_of(&id), Some(kind));
            assert_eq!(theirs.kind_of(&id), None);
        }
    }

    #[test]
    fn foreign_ids_are_not_ours() {
        let ring = KeyRing::new(b"one");
        for id in ["", "test", "123456789012", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "AKIAéééééééé"] {
            assert_eq!(ring.kind_of(id), None, "{id}");
        }
    }

    #[test]
    fn an_id_with_one_character_changed_is_not_ours() {
        let ring = KeyRing::new(b"one");
        let id = ring.issue_key_id(KeyKind::LongTerm, &Random::seeded(9));
        for position in 4..20 {
            let mut changed = id.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            assert_eq!(ring.kind_of(std::str::from_utf8(&changed).unwrap()), None);
        }
    }
}
