//! Functions in the catalog: their keys, and changes by compare-and-set.

use bytes::Bytes;
use millstream_catalog::{Expect, PAGE_ITEMS_MAX, Revision, SharedStore, StoreError};
use millstream_types::Scope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::record::{FORMAT, FunctionRecord, VersionRecord};

/// How often a change is tried again when others change the same function.
const ATTEMPTS_MAX: usize = 32;

/// A record and its place in the catalog.
#[derive(Clone, Debug)]
pub(crate) struct Stored<T> {
    pub(crate) key: String,
    pub(crate) revision: Revision,
    pub(crate) record: T,
}

/// The functions of all accounts and regions.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    catalog: SharedStore,
}

impl Records {
    pub(crate) fn new(catalog: SharedStore) -> Self {
        Self { catalog }
    }

    /// A function, unless it is deleted.
    pub(crate) async fn function(&self, scope: &Scope, name: &str) -> Result<Option<Stored<FunctionRecord>>, Failure> {
        let found = self.read::<FunctionRecord>(&function_key(scope, name)).await?;
        Ok(found.filter(|stored| !stored.record.deleting))
    }

    /// A function whose deletion was begun and perhaps interrupted.
    pub(crate) async fn deleted(&self, scope: &Scope, name: &str) -> Result<Option<Stored<FunctionRecord>>, Failure> {
        let found = self.read::<FunctionRecord>(&function_key(scope, name)).await?;
        Ok(found.filter(|stored| stored.record.deleting))
    }

    /// `false` when there is one of that name.
    pub(crate) async fn create(&self, scope: &Scope, name: &str, record: &FunctionRecord) -> Result<bool, Failure> {
        match self.catalog.put(&function_key(scope, name), Expect::Absent, encode(record)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a function. `change` may run several times; its refusal ends the attempt. `None` when there is none.
    pub(crate) async fn change<T>(
        &self,
        scope: &Scope,
        name: &str,
        mut change: impl FnMut(&mut FunctionRecord) -> Result<T, Failure> + Send,
    ) -> Result<Option<(FunctionRecord, T)>, Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut stored) = self.function(scope, name).await? else { return Ok(None) };
            let before = stored.record.clone();
            let result = change(&mut stored.record)?;
            if stored.record == before || self.replace(&stored).await? {
                return Ok(Some((stored.record, result)));
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// `false` when it was changed meanwhile.
    pub(crate) async fn replace<T: Serialize + Sync>(&self, stored: &Stored<T>) -> Result<bool, Failure> {
        match self.catalog.put(&stored.key, Expect::Revision(stored.revision), encode(&stored.record)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a record of that revision; one that changed meanwhile stays.
    pub(crate) async fn remove<T: Sync>(&self, stored: &Stored<T>) -> Result<(), Failure> {
        match self.catalog.delete(&stored.key, stored.revision).await {
            Ok(()) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn version(
        &self,
        scope: &Scope,
        name: &str,
        number: u64,
    ) -> Result<Option<Stored<VersionRecord>>, Failure> {
        self.read(&version_key(scope, name, number)).await
    }

    /// Stores a version under a number that no other has; a leftover of an interrupted attempt is replaced.
    pub(crate) async fn put_version(
        &self,
        scope: &Scope,
        name: &str,
        number: u64,
        record: &VersionRecord,
    ) -> Result<(), Failure> {
        let key = version_key(scope, name, number);
        for _ in 0..ATTEMPTS_MAX {
            let expect = match self.catalog.get(&key).await? {
                Some(found) => Expect::Revision(found.revision),
                None => Expect::Absent,
            };
            match self.catalog.put(&key, expect, encode(record)).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// One page of the functions of a scope, by name, after `after`; deleted ones included.
    pub(crate) async fn functions(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<FunctionRecord>, Failure> {
        let prefix = function_key(scope, "");
        self.list(&prefix, after.map(|name| function_key(scope, name)).as_deref(), limit).await
    }

    /// One page of the published versions of a function, by number, after `after`.
    pub(crate) async fn versions(
        &self,
        scope: &Scope,
        name: &str,
        after: u64,
        limit: usize,
    ) -> Result<Listing<VersionRecord>, Failure> {
        let prefix = format!("{}/", function_versions_key(scope, name));
        self.list(&prefix, Some(&version_key(scope, name, after)), limit).await
    }

    /// Every function of every scope, page by page: `after` is the key of the last one seen.
    pub(crate) async fn all_functions(&self, after: Option<&str>) -> Result<Listing<FunctionRecord>, Failure> {
        self.list(FUNCTIONS, after, PAGE_ITEMS_MAX).await
    }

    /// Every published version of every scope, page by page.
    pub(crate) async fn all_versions(&self, after: Option<&str>) -> Result<Listing<VersionRecord>, Failure> {
        self.list(VERSIONS, after, PAGE_ITEMS_MAX).await
    }

    async fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<Stored<T>>, Failure> {
        let Some(found) = self.catalog.get(key).await? else { return Ok(None) };
        Ok(Some(Stored { key: key.to_owned(), revision: found.revision, record: decode(key, &found.value)? }))
    }

    async fn list<T: DeserializeOwned>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<T>, Failure> {
        let page = self.catalog.list(prefix, after, limit).await?;
        let items = page.items.into_iter().map(|(key, found)| {
            let record = decode(&key, &found.value)?;
            Ok(Stored { key, revision: found.revision, record })
        });
        Ok(Listing { items: items.collect::<Result<_, Failure>>()?, more: page.more })
    }
}

/// One page of records.
#[derive(Debug)]
pub(crate) struct Listing<T> {
    pub(crate) items: Vec<Stored<T>>,
    pub(crate) more: bool,
}

const FUNCTIONS: &str = "function/";
const VERSIONS: &str = "function-version/";

pub(crate) fn function_key(scope: &Scope, name: &str) -> String {
    format!("{FUNCTIONS}{}/{}/{name}", scope.account, scope.region)
}

fn function_versions_key(scope: &Scope, name: &str) -> String {
    format!("{VERSIONS}{}/{}/{name}", scope.account, scope.region)
}

/// The number is padded so that keys sort by it.
fn version_key(scope: &Scope, name: &str, number: u64) -> String {
    format!("{}/{number:020}", function_versions_key(scope, name))
}

/// Scope and name from the key of a function.
pub(crate) fn split_function_key(key: &str) -> Option<(Scope, &str)> {
    let mut parts = key.strip_prefix(FUNCTIONS)?.splitn(3, '/');
    let (account, region, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((Scope { account: account.parse().ok()?, region: region.parse().ok()? }, name))
}

/// The number from the key of a version.
pub(crate) fn number_of(key: &str) -> u64 {
    key.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

pub(crate) fn encode(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("plain data becomes JSON").into()
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(|error| {
        Failure::from(StoreError::Unavailable(format!("{key} is not a record of format {FORMAT}: {error}")))
    })
}
