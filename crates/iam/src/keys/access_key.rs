//! Long-term keys, stored under `access-key/<key id>`.

use std::fmt;

use bytes::Bytes;
use millstream_catalog::{Expect, SharedStore, StoreError};
use millstream_types::AccountId;
use serde::{Deserialize, Serialize};

use crate::caller::Principal;

/// A key as the verifier needs it. `Debug` does not show the secret.
#[derive(Clone)]
pub(crate) struct AccessKey {
    pub(crate) account: AccountId,
    pub(crate) secret: String,
    pub(crate) principal: Principal,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("account", &self.account)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    v: u32,
    account: String,
    secret_access_key: String,
    active: bool,
    owner: Owner,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Owner {
    Root,
}

fn store_key(access_key_id: &str) -> String {
    format!("access-key/{access_key_id}")
}

/// The active key with this id. `access_key_id` has passed the key ring's check, so it is short and plain.
pub(crate) async fn find(store: &SharedStore, access_key_id: &str) -> Result<Option<AccessKey>, StoreError> {
    let Some(found) = store.get(&store_key(access_key_id)).await? else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&found.value)
        .map_err(|error| StoreError::Unavailable(format!("the access key {access_key_id} is damaged: {error}")))?;
    if !stored.active {
        return Ok(None);
    }
    let Owner::Root = stored.owner;
    Ok(stored.account.parse().ok().map(|account| AccessKey {
        account,
        secret: stored.secret_access_key,
        principal: Principal::Root,
    }))
}

/// Stores a new key of an account's root. [`StoreError::Conflict`] when the id is taken.
pub(crate) async fn create_root(
    store: &SharedStore,
    account: &AccountId,
    access_key_id: &str,
    secret_access_key: &str,
) -> Result<(), StoreError> {
    let stored = Stored {
        v: 1,
        account: account.to_string(),
        secret_access_key: secret_access_key.to_owned(),
        active: true,
        owner: Owner::Root,
    };
    let value = Bytes::from(serde_json::to_vec(&stored).expect("the key is plain strings"));
    store.put(&store_key(access_key_id), Expect::Absent, value).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_of_version_one_keeps_loading() {
        let text = r#"{"v":1,"account":"000000000000","secret_access_key":"s","active":true,"owner":"root"}"#;
        let stored: Stored = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&stored).unwrap(), text);
    }
}
