//! The secret every issued key depends on, kept under `secret/iam`.

use bytes::Bytes;
use millstream_catalog::{Expect, SharedStore, StoreError};
use millstream_env::Random;
use serde::{Deserialize, Serialize};

use super::OpenError;

const KEY: &str = "secret/iam";

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// Base64 of 32 bytes.
    secret: String,
}

/// The secret in the catalog, made now if there is none. Of two servers that make one, both use the one stored first.
pub(super) async fn load_or_create(store: &SharedStore, random: &Random) -> Result<Vec<u8>, OpenError> {
    if let Some(found) = store.get(KEY).await? {
        return decode(&found.value);
    }
    let secret = random.bytes::<32>();
    let stored = Stored { v: 1, secret: base64_simd::STANDARD.encode_to_string(secret) };
    let value = Bytes::from(serde_json::to_vec(&stored).expect("the secret is a plain string"));
    match store.put(KEY, Expect::Absent, value).await {
        Ok(_) => Ok(secret.to_vec()),
        Err(StoreError::Conflict) => match store.get(KEY).await? {
            Some(found) => decode(&found.value),
            None => Err(OpenError::DamagedSecret { key: KEY }),
        },
        Err(error) => Err(error.into()),
    }
}

fn decode(value: &[u8]) -> Result<Vec<u8>, OpenError> {
    let damaged = OpenError::DamagedSecret { key: KEY };
    let Ok(stored) = serde_json::from_slice::<Stored>(value) else { return Err(damaged) };
    match base64_simd::STANDARD.decode_to_vec(&stored.secret) {
        Ok(secret) if secret.len() == 32 => Ok(secret),
        _ => Err(damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_version_one_keeps_loading() {
        let value = br#"{"v":1,"secret":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
        assert_eq!(decode(value).unwrap(), (0..32).collect::<Vec<u8>>());
        assert!(decode(br#"{"v":1,"secret":"AAEC"}"#).is_err());
    }
}
