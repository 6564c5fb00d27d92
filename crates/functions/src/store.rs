//! Functions in the catalog: their keys, and changes by compare-and-set.

use bytes::Bytes;
use millstream_catalog::{Expect, PAGE_ITEMS_MAX, Revision, SharedStore, StoreError};
use millstream_types::Scope;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::invoke_config::InvokeConfigRecord;
use crate::layers::{LayerName, LayerRecord, LayerVersionRecord};
use crate::names::{LATEST, Target};
use crate::policy::PolicyRecord;
use crate::record::{AliasRecord, FORMAT, FunctionRecord, VersionRecord};

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
        self.put_if(&function_key(scope, name), None, record).await
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
        self.put_if(&stored.key, Some(stored.revision), &stored.record).await
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

    pub(crate) async fn alias(
        &self,
        scope: &Scope,
        name: &str,
        alias: &str,
    ) -> Result<Option<Stored<AliasRecord>>, Failure> {
        self.read(&child_key(ALIASES, scope, name, alias)).await
    }

    /// `false` when there is one of that name.
    pub(crate) async fn create_alias(
        &self,
        scope: &Scope,
        name: &str,
        alias: &str,
        record: &AliasRecord,
    ) -> Result<bool, Failure> {
        self.put_if(&child_key(ALIASES, scope, name, alias), None, record).await
    }

    /// One page of the aliases of a function, by name, after `after`.
    pub(crate) async fn aliases(
        &self,
        scope: &Scope,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<AliasRecord>, Failure> {
        let after = after.map(|alias| child_key(ALIASES, scope, name, alias));
        self.list(&child_key(ALIASES, scope, name, ""), after.as_deref(), limit).await
    }

    pub(crate) async fn policy(&self, key: &str) -> Result<Option<Stored<PolicyRecord>>, Failure> {
        self.read(key).await
    }

    /// Writes over the policy of that revision; `false` when it was changed meanwhile.
    pub(crate) async fn put_policy(
        &self,
        key: &str,
        revision: Option<Revision>,
        policy: &PolicyRecord,
    ) -> Result<bool, Failure> {
        self.put_if(key, revision, policy).await
    }

    /// Takes the next number of a layer, which may be new.
    pub(crate) async fn next_layer_version(&self, layer: &LayerName) -> Result<u64, Failure> {
        let key = format!("{LAYERS}{}/{}/{}", layer.scope.account, layer.scope.region, layer.name);
        for _ in 0..ATTEMPTS_MAX {
            let found = self.read::<LayerRecord>(&key).await?;
            let (last, revision) = found.map_or((0, None), |found| (found.record.last_version, Some(found.revision)));
            let record = LayerRecord { v: FORMAT, last_version: last + 1 };
            if self.put_if(&key, revision, &record).await? {
                return Ok(record.last_version);
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Stores a version under a number that no other has.
    pub(crate) async fn put_layer_version(
        &self,
        layer: &LayerName,
        number: u64,
        record: &LayerVersionRecord,
    ) -> Result<(), Failure> {
        let key = layer_version_key(layer, number);
        if self.put_if(&key, None, record).await? { Ok(()) } else { Err(StoreError::Conflict.into()) }
    }

    pub(crate) async fn layer_version(
        &self,
        layer: &LayerName,
        number: u64,
    ) -> Result<Option<Stored<LayerVersionRecord>>, Failure> {
        self.read(&layer_version_key(layer, number)).await
    }

    /// What is not there is no error.
    pub(crate) async fn remove_layer_version(&self, layer: &LayerName, number: u64) -> Result<(), Failure> {
        self.remove_key(&layer_policy_key(layer, number)).await?;
        self.remove_key(&layer_version_key(layer, number)).await
    }

    /// One page of the versions of a layer, by number, after `after`.
    pub(crate) async fn layer_versions(
        &self,
        layer: &LayerName,
        after: u64,
    ) -> Result<Listing<LayerVersionRecord>, Failure> {
        let prefix = child_key(LAYER_VERSIONS, &layer.scope, &layer.name, "");
        self.list(&prefix, Some(&layer_version_key(layer, after)), PAGE_ITEMS_MAX).await
    }

    /// One page of the layers of a scope, by name, after `after`; also those that have no version any more.
    pub(crate) async fn layers(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<LayerRecord>, Failure> {
        let prefix = format!("{LAYERS}{}/{}/", scope.account, scope.region);
        self.list(&prefix, after.map(|name| format!("{prefix}{name}")).as_deref(), limit).await
    }

    /// Every layer version of every scope, page by page: `after` is the key of the last one seen.
    pub(crate) async fn all_layer_versions(&self, after: Option<&str>) -> Result<Listing<LayerVersionRecord>, Failure> {
        self.list(LAYER_VERSIONS, after, PAGE_ITEMS_MAX).await
    }

    pub(crate) async fn invoke_config(&self, target: &Target) -> Result<Option<Stored<InvokeConfigRecord>>, Failure> {
        self.read(&invoke_config_key(target)).await
    }

    /// Writes over what is there: each request says all that it changes.
    pub(crate) async fn put_invoke_config(&self, target: &Target, record: &InvokeConfigRecord) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let revision = self.invoke_config(target).await?.map(|stored| stored.revision);
            if self.put_if(&invoke_config_key(target), revision, record).await? {
                return Ok(());
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// `false` when there was none.
    pub(crate) async fn remove_invoke_config(&self, target: &Target) -> Result<bool, Failure> {
        let was_there = self.invoke_config(target).await?.is_some();
        self.remove_key(&invoke_config_key(target)).await?;
        Ok(was_there)
    }

    /// One page of the configurations of a function, by qualifier, after `after`.
    pub(crate) async fn invoke_configs(
        &self,
        target: &Target,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listing<InvokeConfigRecord>, Failure> {
        let prefix = child_key(INVOKE_CONFIGS, &target.scope, &target.name, "");
        self.list(&prefix, after.map(|after| format!("{prefix}{after}")).as_deref(), limit).await
    }

    /// Removes an alias, or what is left of a deleted version, with what hangs on it. What is not there is no error.
    pub(crate) async fn remove_qualified(&self, scope: &Scope, name: &str, qualifier: &str) -> Result<(), Failure> {
        for kind in [POLICIES, INVOKE_CONFIGS, ALIASES] {
            self.remove_key(&child_key(kind, scope, name, qualifier)).await?;
        }
        Ok(())
    }

    /// Removes everything that belongs to a function but itself.
    pub(crate) async fn remove_children(&self, scope: &Scope, name: &str) -> Result<(), Failure> {
        for kind in [POLICIES, INVOKE_CONFIGS, ALIASES, VERSIONS] {
            let prefix = child_key(kind, scope, name, "");
            loop {
                let page = self.catalog.list(&prefix, None, PAGE_ITEMS_MAX).await?;
                for (key, _) in &page.items {
                    self.remove_key(key).await?;
                }
                if !page.more {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn remove_key(&self, key: &str) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(found) = self.catalog.get(key).await? else { return Ok(()) };
            match self.catalog.delete(key, found.revision).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Writes over a value of that revision, or where there is none; `false` when that has changed.
    async fn put_if(
        &self,
        key: &str,
        revision: Option<Revision>,
        record: &(impl Serialize + Sync),
    ) -> Result<bool, Failure> {
        let expect = revision.map_or(Expect::Absent, Expect::Revision);
        match self.catalog.put(key, expect, encode(record)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
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
        let prefix = child_key(VERSIONS, scope, name, "");
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
const ALIASES: &str = "function-alias/";
const POLICIES: &str = "function-policy/";
const INVOKE_CONFIGS: &str = "function-invoke-config/";
const LAYERS: &str = "layer/";
const LAYER_VERSIONS: &str = "layer-version/";
const LAYER_POLICIES: &str = "layer-policy/";

pub(crate) fn function_key(scope: &Scope, name: &str) -> String {
    format!("{FUNCTIONS}{}/{}/{name}", scope.account, scope.region)
}

/// Of something that belongs to a function; with no text at the end, the prefix of all of its kind.
fn child_key(kind: &str, scope: &Scope, name: &str, child: &str) -> String {
    format!("{kind}{}/{}/{name}/{child}", scope.account, scope.region)
}

/// The number is padded so that keys sort by it.
fn version_key(scope: &Scope, name: &str, number: u64) -> String {
    child_key(VERSIONS, scope, name, &format!("{number:020}"))
}

fn layer_version_key(layer: &LayerName, number: u64) -> String {
    child_key(LAYER_VERSIONS, &layer.scope, &layer.name, &format!("{number:020}"))
}

/// The policy on exactly what the target names: the function (no version and no alias is called `@`), one version, or an
/// alias.
pub(crate) fn policy_key(target: &Target) -> String {
    child_key(POLICIES, &target.scope, &target.name, target.qualifier.as_deref().unwrap_or("@"))
}

/// The target has a qualifier: that of the newest is `$LATEST`.
fn invoke_config_key(target: &Target) -> String {
    child_key(INVOKE_CONFIGS, &target.scope, &target.name, target.qualifier.as_deref().unwrap_or(LATEST))
}

pub(crate) fn layer_policy_key(layer: &LayerName, number: u64) -> String {
    child_key(LAYER_POLICIES, &layer.scope, &layer.name, &number.to_string())
}

/// What a key ends in: the name of a function or of an alias.
pub(crate) fn last_part(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or_default()
}

/// Scope and name from the key of a function.
pub(crate) fn split_function_key(key: &str) -> Option<(Scope, &str)> {
    let mut parts = key.strip_prefix(FUNCTIONS)?.splitn(3, '/');
    let (account, region, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some((Scope { account: account.parse().ok()?, region: region.parse().ok()? }, name))
}

/// The number from the key of a version.
pub(crate) fn number_of(key: &str) -> u64 {
    last_part(key).parse().unwrap_or_default()
}

pub(crate) fn encode(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("plain data becomes JSON").into()
}

pub(crate) fn decode<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(value).map_err(|error| {
        Failure::from(StoreError::Unavailable(format!("{key} is not a record of format {FORMAT}: {error}")))
    })
}
