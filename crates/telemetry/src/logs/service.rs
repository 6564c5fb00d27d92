//! The handle.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::{Revision, SharedStore, StoreError, Versioned};
use millstream_env::{HostClock, Random, ServiceClock, Tasks};
use millstream_types::Scope;

use super::content::{ContentStore, Storage};
use super::errors::{Internal, LookupError};
use super::model::{self, Group, Stream};
use super::names::GroupName;

/// How often written events are synced.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Every so many syncs, retention is applied.
const SYNCS_PER_EXPIRY: u32 = 60;
/// Values read from the catalog at once.
const LISTED_AT_ONCE: usize = 256;
const MILLIS_PER_DAY: u64 = 24 * 3600 * 1000;

/// Settings of the service.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of log events of all groups; beyond it the oldest go, whatever their retention. Default 1 GiB.
    pub logs_bytes_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { logs_bytes_max: 1024 * 1024 * 1024 }
    }
}

/// What the service stands on.
#[derive(Clone, Debug)]
pub struct Parts {
    pub store: SharedStore,
    pub storage: Storage,
    /// Times of events, retention.
    pub clock: ServiceClock,
    /// When to sync, and how long a role's permissions are believed.
    pub host_clock: HostClock,
    pub random: Random,
    pub tasks: Tasks,
}

/// The service could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the catalog did not answer while log groups were opened: {0}")]
    Store(#[from] StoreError),
    #[error("{0}; a newer version of millstream may have written it")]
    Unreadable(String),
    #[error("the folder of log events cannot be opened: {0}")]
    Storage(#[from] io::Error),
}

/// CloudWatch Logs of all accounts and regions. Clones are the same service.
#[derive(Clone, Debug)]
pub struct Logs {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: SharedStore,
    pub(super) clock: ServiceClock,
    pub(super) host_clock: HostClock,
    pub(super) random: Random,
    pub(super) tasks: Tasks,
    pub(super) content: ContentStore,
}

/// A group and the revision under which it can be changed.
pub(super) struct StoredGroup {
    pub(super) revision: Revision,
    pub(super) group: Group,
}

impl Logs {
    /// Opens the service and starts its upkeep. When the task tree is told to stop, what was written is synced.
    pub async fn open(parts: Parts, options: Options) -> Result<Self, OpenError> {
        let Parts { store, storage, clock, host_clock, random, tasks } = parts;
        let mut known = HashSet::new();
        for (key, kept) in list_all(&store, model::GROUPS_PREFIX).await? {
            let group: Group =
                model::decode(&key, &kept.value).map_err(|Internal(reason)| OpenError::Unreadable(reason))?;
            known.insert(group.id);
        }
        let opening = tasks.clone();
        let open = move || ContentStore::open(storage, options.logs_bytes_max, &known, opening);
        let content = tasks.blocking(open).await.map_err(io::Error::other)??;
        let logs = Self { inner: Arc::new(Inner { store, clock, host_clock, random, tasks: tasks.clone(), content }) };
        let upkeep = logs.clone();
        tasks.spawn(async move { upkeep.keep_up().await });
        Ok(logs)
    }

    pub(super) fn now_millis(&self) -> u64 {
        self.inner.clock.now().millis()
    }

    pub(super) async fn find_group(&self, name: &GroupName) -> Result<Option<StoredGroup>, Internal> {
        let key = model::group_key(name);
        let Some(Versioned { revision, value }) = self.inner.store.get(&key).await? else { return Ok(None) };
        Ok(Some(StoredGroup { revision, group: model::decode(&key, &value)? }))
    }

    pub(super) async fn expect_group(&self, name: &GroupName) -> Result<Group, LookupError> {
        Ok(self.find_group(name).await?.ok_or_else(LookupError::no_group)?.group)
    }

    pub(super) async fn find_stream(&self, group: &Group, stream: &str) -> Result<Option<Stream>, Internal> {
        let key = model::stream_key(group.id, stream);
        match self.inner.store.get(&key).await? {
            Some(kept) => Ok(Some(model::decode(&key, &kept.value)?)),
            None => Ok(None),
        }
    }

    pub(super) async fn expect_stream(&self, group: &Group, stream: &str) -> Result<Stream, LookupError> {
        self.find_stream(group, stream).await?.ok_or_else(LookupError::no_stream)
    }

    /// All streams of a group whose names begin with `prefix`, by name.
    pub(super) async fn streams(&self, group: &Group, prefix: &str) -> Result<Vec<(String, Stream)>, Internal> {
        let folder = model::streams_prefix(group.id);
        let mut streams = Vec::new();
        for (key, kept) in list_all(&self.inner.store, &format!("{folder}{prefix}")).await? {
            let stream = model::decode(&key, &kept.value)?;
            streams.push((key[folder.len()..].to_owned(), stream));
        }
        Ok(streams)
    }

    /// All groups of one account and region whose names begin with `prefix`, by name.
    pub(super) async fn groups(&self, scope: &Scope, prefix: &str) -> Result<Vec<(String, Group)>, Internal> {
        let folder = model::groups_prefix(scope);
        let mut groups = Vec::new();
        for (key, kept) in list_all(&self.inner.store, &format!("{folder}{prefix}")).await? {
            let group = model::decode(&key, &kept.value)?;
            groups.push((key[folder.len()..].to_owned(), group));
        }
        Ok(groups)
    }

    /// Events before this moment are not there any more.
    pub(super) fn horizon(&self, group: &Group) -> u64 {
        group.retention_days.map_or(0, |days| self.now_millis().saturating_sub(u64::from(days) * MILLIS_PER_DAY))
    }

    async fn keep_up(&self) {
        let mut syncs = 0_u32;
        loop {
            let stopping = tokio::select! {
                () = self.inner.host_clock.sleep(SYNC_EVERY) => false,
                () = self.inner.tasks.cancelled() => true,
            };
            if let Err(error) = self.inner.content.sync().await {
                tracing::warn!(%error, "log events cannot be synced");
            }
            if stopping {
                return;
            }
            syncs += 1;
            let expiry_due = syncs.is_multiple_of(SYNCS_PER_EXPIRY);
            if (expiry_due || self.inner.content.is_over_cap())
                && let Err(Internal(reason)) = self.trim(expiry_due).await
            {
                tracing::warn!(reason, "old log events cannot be removed");
            }
        }
    }

    /// Applies the cap, and the groups' retention when `expire` is set.
    pub(super) async fn trim(&self, expire: bool) -> Result<(), Internal> {
        let mut ids = Vec::new();
        for (key, kept) in list_all(&self.inner.store, model::GROUPS_PREFIX).await? {
            let group: Group = model::decode(&key, &kept.value)?;
            ids.push(group.id);
            if expire && group.retention_days.is_some() {
                self.inner.content.expire(group.id, self.horizon(&group)).await?;
            }
        }
        if self.inner.content.is_over_cap() {
            tracing::warn!("the size cap of log events is reached; removing the oldest");
            self.inner.content.enforce_cap(ids).await?;
        }
        Ok(())
    }
}

pub(super) async fn list_all(store: &SharedStore, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
    let mut items: Vec<(String, Versioned)> = Vec::new();
    loop {
        let after = items.last().map(|(key, _)| key.clone());
        let page = store.list(prefix, after.as_deref(), LISTED_AT_ONCE).await?;
        items.extend(page.items);
        if !page.more {
            return Ok(items);
        }
    }
}
