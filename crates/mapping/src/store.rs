//! Mappings in the catalog: reading, compare-and-set changes, and the claim on a pair of stream and function.

use bytes::Bytes;
use millstream_catalog::{Expect, Revision, SharedStore, StoreError};

use crate::names::FunctionReference;
use crate::record::{
    BadRecord, MAPPINGS, MappingKey, MappingRecord, PositionRecord, claim_key, decode, encode, position_key,
    positions_of,
};

/// How often a change is tried again when others change the same mapping.
const ATTEMPTS_MAX: usize = 32;
/// Items of one listing step.
const PAGE_ITEMS: usize = 1000;

/// The catalog failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Record(#[from] BadRecord),
}

/// The mappings of all accounts and regions.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    catalog: SharedStore,
}

/// Positions of a mapping's shards, by their catalog keys.
pub(crate) type Positions = Vec<(String, Revision, PositionRecord)>;

impl Records {
    pub(crate) fn new(catalog: SharedStore) -> Self {
        Self { catalog }
    }

    pub(crate) async fn get(&self, key: &MappingKey) -> Result<Option<(Revision, MappingRecord)>, Error> {
        let key = key.text();
        let Some(found) = self.catalog.get(&key).await? else { return Ok(None) };
        Ok(Some((found.revision, decode(&key, &found.value)?)))
    }

    /// Stores a new mapping.
    pub(crate) async fn create(&self, key: &MappingKey, record: &MappingRecord) -> Result<Revision, Error> {
        Ok(self.catalog.put(&key.text(), Expect::Absent, encode(record)).await?)
    }

    /// Changes a mapping. `change` may run several times and refuses with an error; `Ok(None)` when there is no such
    /// mapping, otherwise the new record.
    pub(crate) async fn change<E: From<Error>>(
        &self,
        key: &MappingKey,
        mut change: impl FnMut(&mut MappingRecord) -> Result<(), E> + Send,
    ) -> Result<Option<MappingRecord>, E> {
        for _ in 0..ATTEMPTS_MAX {
            let Some((revision, before)) = self.get(key).await? else { return Ok(None) };
            let mut record = before.clone();
            change(&mut record)?;
            if record == before {
                return Ok(Some(record));
            }
            match self.catalog.put(&key.text(), Expect::Revision(revision), encode(&record)).await {
                Ok(_) => return Ok(Some(record)),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(Error::from(error).into()),
            }
        }
        Err(Error::from(StoreError::Conflict).into())
    }

    /// Forgets a mapping with everything that belongs to it. Repeating it is harmless.
    pub(crate) async fn delete(&self, key: &MappingKey, record: &MappingRecord) -> Result<(), Error> {
        self.delete_positions(&key.uuid).await?;
        self.delete_value(&key.text()).await?;
        self.release(key, &record.function, &record.event_source_arn).await?;
        if let Some(pending) = &record.pending {
            self.release(key, &pending.function, &record.event_source_arn).await?;
        }
        Ok(())
    }

    /// Mappings in order of key: those under `prefix` after the key `after`; and the key after which there are more. One
    /// that cannot be understood is left out, so that it is in the way of no other.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<(Vec<(MappingKey, MappingRecord)>, Option<String>), Error> {
        let page = self.catalog.list(prefix, after, PAGE_ITEMS).await?;
        let next = page.items.last().filter(|_| page.more).map(|(key, _)| key.clone());
        let mut mappings = Vec::with_capacity(page.items.len());
        for (key, found) in page.items {
            let not_its_key = || BadRecord { key: key.clone(), reason: "not the key of a mapping".to_owned() };
            let mapping = MappingKey::parse(&key).ok_or_else(not_its_key);
            match mapping.and_then(|mapping| Ok((mapping, decode(&key, &found.value)?))) {
                Ok(mapping) => mappings.push(mapping),
                Err(error) => tracing::error!(%error, "a mapping is left alone"),
            }
        }
        Ok((mappings, next))
    }

    /// Every mapping there is.
    pub(crate) async fn all(&self) -> Result<Vec<(MappingKey, MappingRecord)>, Error> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (mut mappings, next) = self.list(MAPPINGS, after.as_deref()).await?;
            all.append(&mut mappings);
            if next.is_none() {
                return Ok(all);
            }
            after = next;
        }
    }

    /// Takes the pair of stream and function for a mapping. `Err(uuid)` inside: another mapping has it.
    pub(crate) async fn claim(
        &self,
        key: &MappingKey,
        function: &FunctionReference,
        stream_arn: &str,
    ) -> Result<Result<(), String>, Error> {
        let claim = claim_key(&key.scope, function, stream_arn);
        for _ in 0..ATTEMPTS_MAX {
            let expect = match self.catalog.get(&claim).await? {
                None => Expect::Absent,
                Some(found) => {
                    let holder = String::from_utf8_lossy(&found.value).into_owned();
                    if holder == key.uuid {
                        return Ok(Ok(()));
                    }
                    let holder = MappingKey { scope: key.scope.clone(), uuid: holder };
                    if self.holds(&holder, function, stream_arn).await? {
                        return Ok(Err(holder.uuid));
                    }
                    Expect::Revision(found.revision)
                }
            };
            match self.catalog.put(&claim, expect, Bytes::from(key.uuid.clone())).await {
                Ok(_) => return Ok(Ok(())),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Gives a claim back, if it is this mapping's.
    pub(crate) async fn release(
        &self,
        key: &MappingKey,
        function: &FunctionReference,
        stream_arn: &str,
    ) -> Result<(), Error> {
        let claim = claim_key(&key.scope, function, stream_arn);
        match self.catalog.get(&claim).await? {
            Some(found) if found.value == key.uuid.as_bytes() => {
                match self.catalog.delete(&claim, found.revision).await {
                    Ok(()) | Err(StoreError::Conflict) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            _ => Ok(()),
        }
    }

    /// All kept positions of a mapping.
    pub(crate) async fn positions(&self, uuid: &str) -> Result<Positions, Error> {
        let prefix = positions_of(uuid);
        let mut positions: Positions = Vec::new();
        loop {
            let after = positions.last().map(|(key, ..)| key.clone());
            let page = self.catalog.list(&prefix, after.as_deref(), PAGE_ITEMS).await?;
            for (key, found) in page.items {
                let record = decode(&key, &found.value)?;
                positions.push((key, found.revision, record));
            }
            if !page.more {
                return Ok(positions);
            }
        }
    }

    pub(crate) async fn delete_positions(&self, uuid: &str) -> Result<(), Error> {
        for (key, ..) in self.positions(uuid).await? {
            self.delete_value(&key).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_position(&self, uuid: &str, shard: millstream_types::ShardId) -> Result<(), Error> {
        self.delete_value(&position_key(uuid, shard)).await
    }

    async fn holds(&self, key: &MappingKey, function: &FunctionReference, stream_arn: &str) -> Result<bool, Error> {
        let Some((_, record)) = self.get(key).await? else { return Ok(false) };
        let is_its =
            *function == record.function || record.pending.is_some_and(|pending| pending.function == *function);
        Ok(is_its && record.event_source_arn == stream_arn)
    }

    async fn delete_value(&self, key: &str) -> Result<(), Error> {
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
}
