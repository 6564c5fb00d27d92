//! Objects: put, read, deleted, copied.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use millstream_catalog::{Expect, Revision, StoreError};
use millstream_types::AccountId;

use super::checksum::{Algorithm, Checksum};
use super::conditions::{self, ReadConditions, WriteConditions};
use super::content::{Content, Hashes};
use super::limits::{ATTEMPTS_MAX, METADATA_BYTES_MAX, PUT_BYTES_MAX};
use super::names::{BucketName, ObjectKey};
use super::record::{BucketRecord, Metadata, ObjectRecord, Record};
use super::{Buckets, Error};

/// An object to be put.
#[derive(Clone, Debug, Default)]
pub struct Put {
    pub content: Bytes,
    pub metadata: Metadata,
    /// What the client says that the content's MD5 is.
    pub md5: Option<[u8; 16]>,
    /// What the client says that the content's checksum is.
    pub checksum: Option<Checksum>,
    /// The checksum to be made when the client gives none; without either, S3's own choice.
    pub algorithm: Option<Algorithm>,
    pub conditions: WriteConditions,
}

/// An object that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub etag: String,
    pub checksum: Option<Checksum>,
    pub modified_ms: u64,
}

/// An object that was found.
#[derive(Debug)]
pub struct Found {
    pub object: ObjectRecord,
    /// Which part was asked for; `None` means all of it.
    pub range: Option<Range<u64>>,
    pub content: Content,
}

impl Buckets {
    /// Puts an object in the place of what is there; durable when it returns.
    pub async fn put_object(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        key: &ObjectKey,
        put: Put,
    ) -> Result<Stored, Error> {
        let Put { content, metadata, md5, checksum, algorithm, conditions } = put;
        check_metadata(&metadata)?;
        let record = self.writable(account, bucket).await?;
        // Before the work: a condition that fails now most often also fails later.
        conditions.check(key.as_str(), self.etag_of(&record, key).await?.as_deref())?;
        let hashes = self.checked(&content, md5, checksum, algorithm).await?;
        let (buckets, bucket, key) = (self.clone(), bucket.clone(), key.clone());
        let work = async move {
            let pieces =
                if content.is_empty() { Vec::new() } else { vec![buckets.shared.contents.store(content).await?] };
            let object = ObjectRecord::new(pieces, hashes.etag(), Some(hashes.checksum), metadata);
            buckets.install(&bucket, &record, &key, object, &conditions).await
        };
        self.finish(work).await
    }

    /// The object with its content, or a part of it.
    pub async fn get_object(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        key: &ObjectKey,
        conditions: &ReadConditions,
        range: Option<&str>,
    ) -> Result<Found, Error> {
        let record = self.bucket(account, bucket).await?;
        for _ in 0..ATTEMPTS_MAX {
            let object = self.present(&record, key).await?;
            conditions.check(&object.etag, object.modified_ms)?;
            let range = conditions::range(range, object.bytes)?;
            let wanted = range.clone().unwrap_or(0..object.bytes);
            if let Some(content) = self.shared.contents.open(&object.pieces, wanted).await? {
                return Ok(Found { object, range, content });
            }
            // It was replaced or deleted between the two reads.
            if self.present(&record, key).await? == object {
                return Err(Error::Internal(format!("the content of {bucket}/{key} is missing")));
            }
        }
        Err(Error::SlowDown)
    }

    /// What is known of the object.
    pub async fn head_object(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        key: &ObjectKey,
        conditions: &ReadConditions,
    ) -> Result<ObjectRecord, Error> {
        let record = self.bucket(account, bucket).await?;
        let object = self.present(&record, key).await?;
        conditions.check(&object.etag, object.modified_ms)?;
        Ok(object)
    }

    /// Deletes an object; no error when there is none.
    pub async fn delete_object(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        key: &ObjectKey,
        conditions: &WriteConditions,
    ) -> Result<(), Error> {
        let record = self.bucket(account, bucket).await?;
        let (buckets, key, conditions) = (self.clone(), key.clone(), conditions.clone());
        self.finish(async move { buckets.remove_object(&record, &key, &conditions).await }).await
    }

    async fn remove_object(
        &self,
        record: &BucketRecord,
        key: &ObjectKey,
        conditions: &WriteConditions,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.found(record, key).await?;
            conditions.check(key.as_str(), found.as_ref().map(|(_, object)| &object.etag[..]))?;
            let Some((revision, object)) = found else { return Ok(()) };
            match self.shared.catalog.delete(&record.object(key), revision).await {
                Ok(()) => {
                    self.shared.contents.remove(object.pieces).await;
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::SlowDown)
    }

    /// Copies an object, with its metadata or others. Its checksum is made anew as the source has it.
    pub async fn copy_object(
        &self,
        account: &AccountId,
        source: (&BucketName, &ObjectKey, &ReadConditions),
        target: (&BucketName, &ObjectKey),
        metadata: Option<Metadata>,
        algorithm: Option<Algorithm>,
    ) -> Result<Stored, Error> {
        // By its record first: nothing of it is loaded that is not to be copied, or for which there is no room.
        let object = self.head_object(account, source.0, source.1, source.2).await?;
        if object.bytes > PUT_BYTES_MAX {
            return Err(Error::EntityTooLarge { bytes: object.bytes, bytes_max: PUT_BYTES_MAX });
        }
        if metadata.is_none() && source.0 == target.0 && source.1 == target.1 {
            return Err(Error::InvalidRequest(
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes."
                    .to_owned(),
            ));
        }
        let _room = self.shared.contents.share(object.bytes * 2).await?;
        // Replaced or deleted meanwhile.
        let content = self.shared.contents.whole(&object.pieces).await?.ok_or(Error::SlowDown)?;
        let put = Put {
            content,
            metadata: metadata.unwrap_or(object.metadata),
            algorithm: algorithm.or(object.checksum.map(|checksum| checksum.algorithm)),
            ..Put::default()
        };
        self.put_object(account, target.0, target.1, put).await
    }

    /// Whether a body is what the client says of it.
    pub async fn check_digests(
        &self,
        body: &Bytes,
        md5: Option<[u8; 16]>,
        checksum: Option<Checksum>,
    ) -> Result<(), Error> {
        self.checked(body, md5, checksum, None).await.map(drop)
    }

    /// The hashes of a content, if they are what the client says.
    pub(super) async fn checked(
        &self,
        content: &Bytes,
        md5: Option<[u8; 16]>,
        checksum: Option<Checksum>,
        algorithm: Option<Algorithm>,
    ) -> Result<Hashes, Error> {
        let bytes = content.len() as u64;
        if bytes > PUT_BYTES_MAX {
            return Err(Error::EntityTooLarge { bytes, bytes_max: PUT_BYTES_MAX });
        }
        let claimed = checksum.as_ref().map(|checksum| checksum.algorithm);
        let algorithm = claimed.or(algorithm).unwrap_or(Algorithm::Crc64Nvme);
        let hashes = self.shared.contents.hash(content, algorithm).await?;
        if md5.is_some_and(|md5| md5 != hashes.md5) {
            return Err(Error::BadContentMd5);
        }
        if checksum.is_some_and(|checksum| checksum != hashes.checksum) {
            return Err(Error::BadChecksum(algorithm));
        }
        Ok(hashes)
    }

    /// Puts a record whose content is stored in the place of what is there. When that did not happen, the content is removed.
    pub(super) async fn install(
        &self,
        bucket: &BucketName,
        record: &BucketRecord,
        key: &ObjectKey,
        object: ObjectRecord,
        conditions: &WriteConditions,
    ) -> Result<Stored, Error> {
        let installed = self.try_install(bucket, record, key, &object, conditions).await;
        if installed.as_ref().is_err_and(|error| !error.may_have_happened()) {
            self.shared.contents.remove(object.pieces).await;
        }
        installed
    }

    pub(super) async fn try_install(
        &self,
        bucket: &BucketName,
        record: &BucketRecord,
        key: &ObjectKey,
        object: &ObjectRecord,
        conditions: &WriteConditions,
    ) -> Result<Stored, Error> {
        let place = record.object(key);
        let object = ObjectRecord { modified_ms: self.now_ms(), ..object.clone() };
        for _ in 0..ATTEMPTS_MAX {
            let former = self.found(record, key).await?;
            conditions.check(key.as_str(), former.as_ref().map(|(_, object)| &object.etag[..]))?;
            let expect = former.as_ref().map_or(Expect::Absent, |(revision, _)| Expect::Revision(*revision));
            let revision = match self.shared.catalog.put(&place, expect, object.encode()).await {
                Ok(revision) => revision,
                Err(StoreError::Conflict) => continue,
                Err(error) => return Err(Error::of_change(error)),
            };
            let is_new = former.is_none();
            if let Some((_, former)) = former {
                // An upload that is completed twice refers to the same content.
                let mut unused = former.pieces;
                let used: HashSet<_> = object.pieces.iter().map(|piece| piece.digest).collect();
                unused.retain(|piece| !used.contains(&piece.digest));
                self.shared.contents.remove(unused).await;
            }
            self.require_bucket(bucket, record, &place, revision, is_new).await?;
            let ObjectRecord { etag, checksum, modified_ms, .. } = object;
            return Ok(Stored { etag, checksum, modified_ms });
        }
        Err(Error::SlowDown)
    }

    /// Takes an object back when its bucket is being deleted meanwhile: it may not have been seen.
    ///
    /// What an object replaced may be acknowledged. Then it was seen, and the bucket stays; or it was as new as this one, and
    /// the bucket may go. So nothing is taken back before that is known.
    async fn require_bucket(
        &self,
        bucket: &BucketName,
        record: &BucketRecord,
        place: &str,
        revision: Revision,
        is_new: bool,
    ) -> Result<(), Error> {
        let unknown = |reason: &dyn std::fmt::Display| Error::OutcomeUnknown(reason.to_string());
        let mut attempts = 0;
        let error = loop {
            match self.find(bucket).await.map_err(|error| unknown(&error))? {
                Some((_, found)) if found.id == record.id && !found.deleting => return Ok(()),
                Some((_, found)) if found.id == record.id && is_new => break Error::OperationAborted,
                Some((_, found)) if found.id == record.id => attempts += 1,
                _ => break Error::NoSuchBucket(bucket.to_string()),
            }
            if attempts == ATTEMPTS_MAX {
                return Err(unknown(&"the bucket is being deleted"));
            }
            tokio::task::yield_now().await;
        };
        match self.shared.catalog.delete(place, revision).await {
            // Somebody else has replaced or deleted it, and with it the content.
            Ok(()) | Err(StoreError::Conflict) => Err(error),
            Err(failed) => Err(unknown(&failed)),
        }
    }

    pub(super) async fn found(
        &self,
        bucket: &BucketRecord,
        key: &ObjectKey,
    ) -> Result<Option<(Revision, ObjectRecord)>, Error> {
        let place = bucket.object(key);
        let Some(found) = self.shared.catalog.get(&place).await? else { return Ok(None) };
        Ok(Some((found.revision, ObjectRecord::decode(&place, &found.value)?)))
    }

    async fn present(&self, bucket: &BucketRecord, key: &ObjectKey) -> Result<ObjectRecord, Error> {
        let found = self.found(bucket, key).await?;
        found.map(|(_, object)| object).ok_or_else(|| Error::NoSuchKey(key.to_string()))
    }

    async fn etag_of(&self, bucket: &BucketRecord, key: &ObjectKey) -> Result<Option<String>, Error> {
        Ok(self.found(bucket, key).await?.map(|(_, object)| object.etag))
    }
}

pub(super) fn check_metadata(metadata: &Metadata) -> Result<(), Error> {
    for map in [&metadata.user, &metadata.system] {
        let bytes = map.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > METADATA_BYTES_MAX {
            return Err(Error::MetadataTooLarge { bytes });
        }
    }
    Ok(())
}
