//! Derived signing keys, so that a busy client costs one derivation a day.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use millstream_client::sigv4::{CredentialScope, SigningKey};

/// Derived keys kept; the oldest goes first. About 200 bytes each.
const SIGNING_KEYS_MAX: usize = 4096;

type Key = (String, CredentialScope);

/// A bounded cache of signing keys by access key id and scope. An access key id never gets a second secret.
#[derive(Debug, Default)]
pub(super) struct SigningKeyCache(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    keys: HashMap<Key, SigningKey>,
    order: VecDeque<Key>,
}

impl SigningKeyCache {
    /// The signing key of `access_key_id` for `scope`, derived from `secret` when it is not there.
    pub(super) fn get(&self, access_key_id: &str, scope: &CredentialScope, secret: &str) -> SigningKey {
        let key = (access_key_id.to_owned(), scope.clone());
        if let Some(found) = self.lock().keys.get(&key) {
            return found.clone();
        }
        let derived = SigningKey::derive(secret, scope);
        let mut entries = self.lock();
        if entries.keys.insert(key.clone(), derived.clone()).is_none() {
            entries.order.push_back(key);
        }
        while entries.order.len() > SIGNING_KEYS_MAX {
            if let Some(oldest) = entries.order.pop_front() {
                entries.keys.remove(&oldest);
            }
        }
        derived
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stays_within_its_bound_and_answers_right() {
        let cache = SigningKeyCache::default();
        let scope = |date: usize| CredentialScope {
            date: format!("{date:08}"),
            region: "us-east-1".to_owned(),
            service: "kinesis".to_owned(),
        };
        for date in 0..SIGNING_KEYS_MAX + 10 {
            cache.get("AKIDEXAMPLE", &scope(date), "secret");
        }
        assert_eq!(cache.lock().keys.len(), SIGNING_KEYS_MAX);
        let expected = SigningKey::derive("secret", &scope(20)).sign("text");
        assert_eq!(cache.get("AKIDEXAMPLE", &scope(20), "secret").sign("text"), expected);
    }
}
