//! Reads and changes roles.

use bytes::Bytes;
use millstream_catalog::{Expect, StoreError, Versioned};
use millstream_types::AccountId;

use super::record::{RoleRecord, store_key};
use crate::iam::Iam;

/// How often a change is tried anew when another one comes in between.
const ATTEMPTS_MAX: usize = 16;

/// A role cannot be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("The role with name {0} cannot be found.")]
    NoSuchRole(String),
    /// Others changed the role all the time.
    #[error("the role {0} is being changed by many at once")]
    Contended(String),
    #[error("the role {0} is damaged in the catalog")]
    Damaged(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Iam {
    pub(crate) async fn read_role(&self, account: &AccountId, name: &str) -> Result<RoleRecord, RoleError> {
        let found = self.shared.store.get(&store_key(account.as_str(), name)).await?;
        decode(name, &found.ok_or_else(|| RoleError::NoSuchRole(name.to_owned()))?)
    }

    /// Applies `change` to the role and stores it. `change` may run more than once, each time on what is stored then.
    pub(crate) async fn change_role<E: From<RoleError>>(
        &self,
        account: &AccountId,
        name: &str,
        mut change: impl FnMut(&mut RoleRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = store_key(account.as_str(), name);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.shared.store.get(&key).await.map_err(RoleError::Store)?;
            let found = found.ok_or_else(|| RoleError::NoSuchRole(name.to_owned()))?;
            let before = decode(name, &found)?;
            let mut after = before.clone();
            change(&mut after)?;
            if after == before {
                return Ok(());
            }
            let expect = Expect::Revision(found.revision);
            match self.shared.store.put(&key, expect, Bytes::from(after.encode())).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(RoleError::Store(error).into()),
            }
        }
        Err(RoleError::Contended(name.to_owned()).into())
    }

    /// Deletes the role if `check` lets it.
    pub(crate) async fn remove_role<E: From<RoleError>>(
        &self,
        account: &AccountId,
        name: &str,
        check: impl Fn(&RoleRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let key = store_key(account.as_str(), name);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.shared.store.get(&key).await.map_err(RoleError::Store)?;
            let found = found.ok_or_else(|| RoleError::NoSuchRole(name.to_owned()))?;
            check(&decode(name, &found)?)?;
            match self.shared.store.delete(&key, found.revision).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(RoleError::Store(error).into()),
            }
        }
        Err(RoleError::Contended(name.to_owned()).into())
    }
}

fn decode(name: &str, found: &Versioned) -> Result<RoleRecord, RoleError> {
    RoleRecord::decode(&found.value).ok_or_else(|| RoleError::Damaged(name.to_owned()))
}
