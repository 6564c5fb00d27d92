//! Buckets: made, found, listed, deleted.

use millstream_catalog::{Expect, PAGE_ITEMS_MAX, Revision, StoreError};
use millstream_types::{AccountId, Region};

use super::limits::BUCKETS_MAX;
use super::names::BucketName;
use super::record::{BUCKETS, BucketRecord, Record};
use super::{Buckets, Error};

/// One line of the list of an account's buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBucket {
    pub name: String,
    pub region: String,
    pub created_ms: u64,
}

impl Buckets {
    /// Makes a bucket of `owner`.
    pub async fn create_bucket(&self, owner: &AccountId, name: &BucketName, region: &Region) -> Result<(), Error> {
        let key = BucketRecord::key(name);
        if let Some((_, found)) = self.find(name).await? {
            return Err(existing(&found, owner, name));
        }
        if self.list_buckets(owner).await?.len() >= BUCKETS_MAX {
            return Err(Error::TooManyBuckets);
        }
        let record = BucketRecord::new(self.random_id(16), owner, region.as_str(), self.now_ms());
        match self.shared.catalog.put(&key, Expect::Absent, record.encode()).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => match self.find(name).await? {
                Some((_, found)) => Err(existing(&found, owner, name)),
                None => Err(Error::OperationAborted),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The bucket, for a caller of that account.
    pub async fn bucket(&self, account: &AccountId, name: &BucketName) -> Result<BucketRecord, Error> {
        self.owned(account, name).await.map(|(_, record)| record)
    }

    /// All buckets of an account, in order of name.
    pub async fn list_buckets(&self, owner: &AccountId) -> Result<Vec<ListedBucket>, Error> {
        let mut listed = Vec::new();
        self.each_bucket(|name, record| {
            if record.owner == owner.as_str() {
                let BucketRecord { region, created_ms, .. } = record;
                listed.push(ListedBucket { name: name.to_owned(), region, created_ms });
            }
        })
        .await?;
        Ok(listed)
    }

    /// Deletes a bucket that is empty. Uploads into it that are not complete end with it.
    pub async fn delete_bucket(&self, account: &AccountId, name: &BucketName) -> Result<(), Error> {
        let (buckets, account, name) = (self.clone(), account.clone(), name.clone());
        self.finish(async move { buckets.mark_and_delete(&account, &name).await }).await
    }

    async fn mark_and_delete(&self, account: &AccountId, name: &BucketName) -> Result<(), Error> {
        let (revision, record) = self.owned(account, name).await?;
        if record.deleting {
            return Err(Error::OperationAborted);
        }
        // Before the mark, which would keep others from putting objects for nothing.
        if !self.shared.catalog.list(&record.objects(), None, 1).await?.items.is_empty() {
            return Err(Error::BucketNotEmpty(name.to_string()));
        }
        let marked = BucketRecord { deleting: true, ..record.clone() };
        let key = BucketRecord::key(name);
        let revision = self.shared.catalog.put(&key, Expect::Revision(revision), marked.encode()).await?;
        self.finish_deletion(name, revision, record).await
    }

    /// Deletes the marked bucket, or takes the mark off again when it is not empty or that is not known.
    pub(super) async fn finish_deletion(
        &self,
        name: &BucketName,
        revision: Revision,
        record: BucketRecord,
    ) -> Result<(), Error> {
        let catalog = &self.shared.catalog;
        let key = BucketRecord::key(name);
        let objects = catalog.list(&record.objects(), None, 1).await;
        if matches!(&objects, Ok(page) if page.items.is_empty()) {
            match catalog.delete(&key, revision).await {
                Ok(()) => return self.end_uploads(&record).await,
                Err(error) => {
                    self.unmark(key, revision, BucketRecord { deleting: false, ..record }.encode()).await;
                    return Err(error.into());
                }
            }
        }
        self.unmark(key, revision, BucketRecord { deleting: false, ..record }.encode()).await;
        objects?;
        Err(Error::BucketNotEmpty(name.to_string()))
    }

    /// The bucket with its revision, for a caller of that account.
    pub(super) async fn owned(
        &self,
        account: &AccountId,
        name: &BucketName,
    ) -> Result<(Revision, BucketRecord), Error> {
        let found = self.find(name).await?.ok_or_else(|| Error::NoSuchBucket(name.to_string()))?;
        // Only a policy of the bucket could let others in, and there are none.
        if found.1.owner == account.as_str() { Ok(found) } else { Err(Error::AccessDenied) }
    }

    /// The bucket, for a change in it.
    pub(super) async fn writable(&self, account: &AccountId, name: &BucketName) -> Result<BucketRecord, Error> {
        let (_, record) = self.owned(account, name).await?;
        if record.deleting { Err(Error::OperationAborted) } else { Ok(record) }
    }

    pub(super) async fn find(&self, name: &BucketName) -> Result<Option<(Revision, BucketRecord)>, Error> {
        let key = BucketRecord::key(name);
        let Some(found) = self.shared.catalog.get(&key).await? else { return Ok(None) };
        Ok(Some((found.revision, BucketRecord::decode(&key, &found.value)?)))
    }

    /// Every bucket of every account, in order of name. `false` when there are some that cannot be read, which are left out.
    pub(super) async fn each_bucket(&self, mut visit: impl FnMut(&str, BucketRecord) + Send) -> Result<bool, Error> {
        let mut are_all = true;
        let mut after: Option<String> = None;
        loop {
            let page = self.shared.catalog.list(BUCKETS, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (key, found) in &page.items {
                match BucketRecord::decode(key, &found.value) {
                    Ok(record) => visit(&key[BUCKETS.len()..], record),
                    Err(error) => {
                        are_all = false;
                        tracing::error!(?error, "a bucket cannot be read, and is left out");
                    }
                }
            }
            if !page.more {
                return Ok(are_all);
            }
            after = page.items.last().map(|(key, _)| key.clone());
        }
    }
}

fn existing(found: &BucketRecord, owner: &AccountId, name: &BucketName) -> Error {
    if found.owner == owner.as_str() {
        Error::BucketAlreadyOwnedByYou(name.to_string())
    } else {
        Error::BucketAlreadyExists(name.to_string())
    }
}
