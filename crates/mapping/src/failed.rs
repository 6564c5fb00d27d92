//! The list of failed batches of every mapping, in the catalog.

use millstream_catalog::{Expect, SharedStore, StoreError};

use crate::record::{FailedRecord, decode, encode, failed_of};
use crate::store::Error;

/// Failed batches kept for a mapping. The oldest make room: AWS keeps none at all.
pub(crate) const FAILED_MAX: usize = 1000;
/// How many over the bound there may be before some are removed, so that not every failure lists them all.
const SLACK: usize = 100;
const ATTEMPTS_MAX: usize = 8;
const PAGE_ITEMS: usize = 1000;

/// The failed batches of all mappings.
#[derive(Debug)]
pub(crate) struct FailedBatches {
    catalog: SharedStore,
    /// How many were kept since a mapping's list was last counted.
    since_counted: std::sync::Mutex<std::collections::HashMap<String, usize>>,
}

impl FailedBatches {
    pub(crate) fn new(catalog: SharedStore) -> Self {
        Self { catalog, since_counted: std::sync::Mutex::default() }
    }

    /// Keeps a failed batch of a mapping under its key, durably. Repeating it is harmless.
    pub(crate) async fn keep(&self, uuid: &str, key: &str, record: &FailedRecord) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let expect = self.catalog.get(key).await?.map_or(Expect::Absent, |found| Expect::Revision(found.revision));
            match self.catalog.put(key, expect, encode(record)).await {
                Ok(_) => {
                    if expect == Expect::Absent && self.is_count_due(uuid) {
                        self.make_room(uuid).await?;
                    }
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Failed batches of a mapping in the order they were given up, after the key `after`; with their keys. At most
    /// `limit`.
    pub(crate) async fn list(
        &self,
        uuid: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<(String, FailedRecord)>, bool), Error> {
        let page = self.catalog.list(&failed_of(uuid), after, limit.clamp(1, PAGE_ITEMS)).await?;
        let mut records = Vec::with_capacity(page.items.len());
        for (key, found) in page.items {
            let record = decode(&key, &found.value)?;
            records.push((key, record));
        }
        Ok((records, page.more))
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Option<FailedRecord>, Error> {
        let Some(found) = self.catalog.get(key).await? else { return Ok(None) };
        Ok(Some(decode(key, &found.value)?))
    }

    /// Forgets the failed batch with this key. Repeating it is harmless.
    pub(crate) async fn remove(&self, key: &str) -> Result<(), Error> {
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

    /// Forgets all failed batches of a mapping.
    pub(crate) async fn remove_all(&self, uuid: &str) -> Result<(), Error> {
        for key in self.keys(uuid).await? {
            self.remove(&key).await?;
        }
        self.lock().remove(uuid);
        Ok(())
    }

    fn is_count_due(&self, uuid: &str) -> bool {
        let mut counts = self.lock();
        let is_new = !counts.contains_key(uuid);
        let count = counts.entry(uuid.to_owned()).or_default();
        *count += 1;
        let is_due = is_new || *count >= SLACK;
        if is_due {
            *count = 0;
        }
        is_due
    }

    async fn make_room(&self, uuid: &str) -> Result<(), Error> {
        let keys = self.keys(uuid).await?;
        for key in &keys[..keys.len().saturating_sub(FAILED_MAX)] {
            self.remove(key).await?;
        }
        Ok(())
    }

    async fn keys(&self, uuid: &str) -> Result<Vec<String>, Error> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let page = self.catalog.list(&failed_of(uuid), keys.last().map(String::as_str), PAGE_ITEMS).await?;
            keys.extend(page.items.into_iter().map(|(key, _)| key));
            if !page.more {
                return Ok(keys);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, usize>> {
        self.since_counted.lock().expect("no code panics while holding this lock")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use millstream_catalog::MemoryStore;

    #[tokio::test]
    async fn the_oldest_make_room() {
        let failed = FailedBatches::new(Arc::new(MemoryStore::new()));
        let sample: FailedRecord = decode("sample", include_bytes!("../samples/failed-v1.json")).unwrap();
        let key = |uuid, at_ms| format!("{}{at_ms:015}-shardId-000000000000-40", failed_of(uuid));
        let kept = (FAILED_MAX + 3 * SLACK) as u64;
        for at_ms in 0..kept {
            let mut record = sample.clone();
            record.at_ms = at_ms;
            failed.keep("one", &key("one", at_ms), &record).await.unwrap();
        }
        failed.keep("other", &key("other", 0), &sample).await.unwrap();
        let keys = failed.keys("one").await.unwrap();
        assert!((FAILED_MAX..FAILED_MAX + SLACK).contains(&keys.len()), "{}", keys.len());
        let (first, more) = failed.list("one", None, 2).await.unwrap();
        assert!(more);
        assert_eq!(first[0].1.at_ms, kept - keys.len() as u64, "the oldest are gone");
        assert_eq!(failed.get(keys.last().unwrap()).await.unwrap().unwrap().at_ms, kept - 1);
        failed.remove_all("one").await.unwrap();
        assert_eq!(failed.keys("one").await.unwrap(), [""; 0]);
        assert_eq!(failed.keys("other").await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn keeping_the_same_again_changes_its_line() {
        let failed = FailedBatches::new(Arc::new(MemoryStore::new()));
        let mut record: FailedRecord = decode("sample", include_bytes!("../samples/failed-v1.json")).unwrap();
        let key = format!("{}000000000000001-shardId-000000000000-40", failed_of("one"));
        failed.keep("one", &key, &record).await.unwrap();
        record.delivery = crate::record::DeliveryState::Delivered;
        failed.keep("one", &key, &record).await.unwrap();
        let (list, more) = failed.list("one", None, 10).await.unwrap();
        assert_eq!((list.len(), more), (1, false));
        assert_eq!(list[0].1, record);
    }
}
