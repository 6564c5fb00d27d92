//! Objects in parts (S3 guide, "Uploading and copying objects using multipart upload").
//!
//! The parts' contents become the object's without being copied: completing is one change of the object's record. While it
//! is made, the upload is marked, and neither parts nor the end of the upload are taken.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use millstream_blobs::Digest;
use millstream_catalog::{Expect, PAGE_ITEMS_MAX, Revision, StoreError};
use millstream_client::sigv4::hex;
use millstream_types::AccountId;

use super::checksum::{Algorithm, Checksum, Kind};
use super::conditions::WriteConditions;
use super::limits::{ATTEMPTS_MAX, PART_BYTES_MIN, PART_VERSIONS_MAX, PARTS_MAX, UPLOADS_MAX};
use super::names::{BucketName, ObjectKey};
use super::objects::{Stored, check_metadata};
use super::record::{BucketRecord, Metadata, ObjectRecord, PartRecord, Record, UploadRecord};
use super::sweep::skip_damaged;
use super::{Buckets, Error};

const UPLOAD_ID_DIGITS: usize = 64;

/// What a client says of the object that is to be made; it is made only if that is so.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub checksum: Option<(Algorithm, String)>,
    /// The name of the checksum's kind.
    pub kind: Option<String>,
    pub bytes: Option<u64>,
}

/// An upload to be begun.
#[derive(Clone, Debug, Default)]
pub struct NewUpload {
    pub metadata: Metadata,
    pub checksum: Option<(Algorithm, Kind)>,
}

/// A part as the client names it when the object is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    pub number: u32,
    pub etag: String,
    pub checksum: Option<Checksum>,
}

/// An upload as it was found.
struct Open {
    bucket: BucketRecord,
    place: String,
    revision: Revision,
    record: UploadRecord,
}

impl Buckets {
    /// Begins an upload; gives its id.
    pub async fn create_upload(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        key: &ObjectKey,
        new: NewUpload,
    ) -> Result<String, Error> {
        check_metadata(&new.metadata)?;
        let record = self.writable(account, bucket).await?;
        if self.uploads_of(&record).await?.len() >= UPLOADS_MAX {
            return Err(Error::SlowDown);
        }
        let id = self.random_id(UPLOAD_ID_DIGITS);
        let upload = UploadRecord::new(key, self.now_ms(), new.checksum, new.metadata);
        let place = format!("{}{id}", record.uploads());
        self.shared.catalog.put(&place, Expect::Absent, upload.encode()).await?;
        Ok(id)
    }

    /// Puts a part in the place of what was sent for its number before.
    pub async fn upload_part(
        &self,
        account: &AccountId,
        (bucket, key, upload_id): (&BucketName, &ObjectKey, &str),
        number: u32,
        content: Bytes,
        md5: Option<[u8; 16]>,
        checksum: Option<Checksum>,
    ) -> Result<Stored, Error> {
        if !(1..=PARTS_MAX).contains(&number) {
            return Err(Error::InvalidArgument {
                name: "partNumber",
                message: format!("Part number must be an integer between 1 and {PARTS_MAX}, inclusive"),
            });
        }
        let upload = self.open_upload(account, bucket, key, upload_id).await?;
        let wanted = upload.record.checksum.map(|(algorithm, _)| algorithm);
        if let (Some(wanted), Some(given)) = (wanted, &checksum)
            && wanted != given.algorithm
        {
            return Err(Error::InvalidRequest(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                wanted.name().to_lowercase(),
                given.algorithm.name().to_lowercase()
            )));
        }
        let hashes = self.checked(&content, md5, checksum, wanted).await?;
        let etag = hashes.etag();
        let (buckets, account, bucket) = (self.clone(), account.clone(), bucket.clone());
        let (key, upload_id) = (key.clone(), upload_id.to_owned());
        let work = async move {
            let piece = buckets.shared.contents.store(content).await?;
            let part = PartRecord::new(number, etag, buckets.now_ms(), Some(hashes.checksum), piece);
            buckets.keep_part(&account, (&bucket, &key, &upload_id), part.clone()).await?;
            Ok(Stored { etag: part.etag, checksum: part.checksum, modified_ms: part.modified_ms })
        };
        self.finish(work).await
    }

    /// Keeps the record of a part whose content is stored. The content is removed when it is sure that nothing refers to it.
    async fn keep_part(
        &self,
        account: &AccountId,
        upload: (&BucketName, &ObjectKey, &str),
        part: PartRecord,
    ) -> Result<(), Error> {
        let place = UploadRecord::part(upload.2, part.number);
        let (catalog, contents) = (&self.shared.catalog, &self.shared.contents);
        let pieces = vec![part.piece.clone()];
        let revision = match self.put_part(&place, part).await {
            Ok(revision) => revision,
            Err(error) => {
                if !error.may_have_happened() {
                    contents.remove(pieces).await;
                }
                return Err(error);
            }
        };
        match self.open_upload(account, upload.0, upload.1, upload.2).await {
            // An object that is being made may refer to this part.
            Ok(_) | Err(Error::OperationAborted) => Ok(()),
            Err(error) => {
                // The upload ended meanwhile. If it saw this part, the record is gone too.
                if catalog.delete(&place, revision).await.is_ok() {
                    contents.remove(pieces).await;
                }
                Err(error)
            }
        }
    }

    /// Puts the record of a part in the place of what is there, which it keeps in mind.
    async fn put_part(&self, place: &str, mut part: PartRecord) -> Result<Revision, Error> {
        let catalog = &self.shared.catalog;
        for _ in 0..ATTEMPTS_MAX {
            let former = catalog.get(place).await?;
            let expect = former.as_ref().map_or(Expect::Absent, |found| Expect::Revision(found.revision));
            part.replaced.clear();
            if let Some(former) = former {
                let former = PartRecord::decode(place, &former.value)?;
                part.replaced = former.replaced;
                part.replaced.push(former.piece);
            }
            if part.replaced.len() > PART_VERSIONS_MAX {
                break;
            }
            match catalog.put(place, expect, part.encode()).await {
                Ok(revision) => return Ok(revision),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(Error::of_change(error)),
            }
        }
        Err(Error::SlowDown)
    }

    /// Makes the object of the named parts, and ends the upload.
    pub async fn complete_upload(
        &self,
        account: &AccountId,
        (bucket, key, upload_id): (&BucketName, &ObjectKey, &str),
        parts: &[CompletedPart],
        expected: &Expected,
        conditions: &WriteConditions,
    ) -> Result<Stored, Error> {
        let upload = self.open_upload(account, bucket, key, upload_id).await?;
        let (buckets, bucket, key, upload_id) = (self.clone(), bucket.clone(), key.clone(), upload_id.to_owned());
        let (parts, expected, conditions) = (parts.to_vec(), expected.clone(), conditions.clone());
        let work = async move {
            let target = (&bucket, &key, &upload_id[..]);
            buckets.complete(upload, target, &parts, &expected, &conditions).await
        };
        self.finish(work).await
    }

    async fn complete(
        &self,
        Open { bucket: record, place, revision, record: upload }: Open,
        (bucket, key, upload_id): (&BucketName, &ObjectKey, &str),
        parts: &[CompletedPart],
        expected: &Expected,
        conditions: &WriteConditions,
    ) -> Result<Stored, Error> {
        let catalog = &self.shared.catalog;
        let marked = UploadRecord { completing: true, ..upload.clone() };
        let revision = catalog.put(&place, Expect::Revision(revision), marked.encode()).await?;
        let making = async {
            let stored = self.parts_of(upload_id).await?;
            let object = assemble(&upload, &stored, parts, expected)?;
            let answer = self.try_install(bucket, &record, key, &object, conditions).await?;
            Ok((stored, object, answer))
        };
        match making.await {
            Ok((stored, object, answer)) => {
                self.end_upload(&place, revision, stored, &object).await;
                Ok(answer)
            }
            Err(error) => {
                // Of a change whose outcome is not known, the next start finds out.
                if !Error::may_have_happened(&error) {
                    self.unmark(place, revision, upload.encode()).await;
                }
                Err(error)
            }
        }
    }

    /// Ends an upload without an object.
    pub async fn abort_upload(
        &self,
        account: &AccountId,
        (bucket, key, upload_id): (&BucketName, &ObjectKey, &str),
    ) -> Result<(), Error> {
        let upload = self.open_upload(account, bucket, key, upload_id).await?;
        let (buckets, upload_id) = (self.clone(), upload_id.to_owned());
        let work = async move { buckets.drop_upload(&upload.place, upload.revision, &upload_id).await };
        self.finish(work).await
    }

    /// The parts of an upload, in order of their numbers, with the upload itself.
    pub async fn list_parts(
        &self,
        account: &AccountId,
        (bucket, key, upload_id): (&BucketName, &ObjectKey, &str),
    ) -> Result<(UploadRecord, Vec<PartRecord>), Error> {
        let upload = self.open_upload(account, bucket, key, upload_id).await?;
        let parts = self.parts_of(upload_id).await?;
        Ok((upload.record, parts.into_iter().map(|(_, part)| part).collect()))
    }

    /// The uploads into a bucket with their ids, in order of key and beginning.
    pub async fn list_uploads(
        &self,
        account: &AccountId,
        bucket: &BucketName,
    ) -> Result<Vec<(String, UploadRecord)>, Error> {
        let record = self.bucket(account, bucket).await?;
        let mut uploads: Vec<_> =
            self.uploads_of(&record).await?.into_iter().map(|(id, _, upload)| (id, upload)).collect();
        uploads.sort_by(|(_, a), (_, b)| (&a.key, a.initiated_ms).cmp(&(&b.key, b.initiated_ms)));
        Ok(uploads)
    }

    /// Ends all uploads into a bucket that was deleted.
    pub(super) async fn end_uploads(&self, bucket: &BucketRecord) -> Result<(), Error> {
        for (id, revision, _) in self.uploads_of(bucket).await? {
            let place = format!("{}{id}", bucket.uploads());
            match self.drop_upload(&place, revision, &id).await {
                Ok(()) | Err(Error::OperationAborted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Finds out what became of the objects that a former process was making of uploads.
    pub(super) async fn finish_completions(&self) -> Result<(), Error> {
        let mut buckets = Vec::new();
        self.each_bucket(|_, record| buckets.push(record)).await?;
        let mut marked = Vec::new();
        for bucket in buckets {
            let uploads = match self.uploads_of(&bucket).await {
                Err(error) => {
                    skip_damaged(error)?;
                    continue;
                }
                Ok(uploads) => uploads,
            };
            marked.extend(
                uploads.into_iter().filter(|(_, _, upload)| upload.completing).map(|found| (bucket.clone(), found)),
            );
        }
        if marked.is_empty() {
            return Ok(());
        }
        let blobs: HashSet<_> = self.shared.contents.blobs.list().await?.into_iter().collect();
        for (bucket, (id, revision, upload)) in marked {
            self.finish_completion(&bucket, &id, revision, upload, &blobs).await.or_else(skip_damaged)?;
        }
        Ok(())
    }

    async fn finish_completion(
        &self,
        bucket: &BucketRecord,
        id: &str,
        revision: Revision,
        upload: UploadRecord,
        blobs: &HashSet<Digest>,
    ) -> Result<(), Error> {
        let place = format!("{}{id}", bucket.uploads());
        let parts = self.parts_of(id).await?;
        let object = self.found(bucket, &upload.key.parse()?).await?.map(|(_, object)| object);
        let is_whole = parts.iter().all(|(_, part)| blobs.contains(&part.piece.digest));
        match object.filter(|object| parts.iter().any(|(_, part)| object.pieces.contains(&part.piece))) {
            Some(object) => self.end_upload(&place, revision, parts, &object).await,
            // The object was made, and replaced by another one.
            None if !is_whole => self.drop_upload(&place, revision, id).await?,
            None => self.unmark(place, revision, UploadRecord { completing: false, ..upload }.encode()).await,
        }
        Ok(())
    }

    /// Ends an upload whose object is there. What fails here is done by the next start.
    async fn end_upload(
        &self,
        place: &str,
        revision: Revision,
        parts: Vec<(Revision, PartRecord)>,
        object: &ObjectRecord,
    ) {
        let upload_id = place.rsplit('/').next().unwrap_or_default();
        let used: HashSet<_> = object.pieces.iter().map(|piece| piece.digest).collect();
        for (revision, part) in parts {
            let removed = self.shared.catalog.delete(&UploadRecord::part(upload_id, part.number), revision).await;
            if removed.is_ok() {
                let mut unused = part.contents();
                unused.retain(|piece| !used.contains(&piece.digest));
                self.shared.contents.remove(unused).await;
            }
        }
        if let Err(error) = self.shared.catalog.delete(place, revision).await {
            tracing::warn!(place, %error, "a completed upload stays until the next start");
        }
    }

    async fn drop_upload(&self, place: &str, revision: Revision, upload_id: &str) -> Result<(), Error> {
        self.shared.catalog.delete(place, revision).await?;
        for (revision, part) in self.parts_of(upload_id).await? {
            let removed = self.shared.catalog.delete(&UploadRecord::part(upload_id, part.number), revision).await;
            if removed.is_ok() {
                self.shared.contents.remove(part.contents()).await;
            }
        }
        Ok(())
    }

    /// The upload, if it is one of that bucket and key and takes parts.
    async fn open_upload(
        &self,
        account: &AccountId,
        bucket: &BucketName,
        key: &ObjectKey,
        upload_id: &str,
    ) -> Result<Open, Error> {
        let bucket = self.bucket(account, bucket).await?;
        let missing = || Error::NoSuchUpload(upload_id.to_owned());
        if upload_id.len() != UPLOAD_ID_DIGITS || !upload_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let place = format!("{}{upload_id}", bucket.uploads());
        let found = self.shared.catalog.get(&place).await?.ok_or_else(missing)?;
        let record = UploadRecord::decode(&place, &found.value)?;
        if record.key != key.as_str() {
            return Err(missing());
        }
        if record.completing {
            return Err(Error::OperationAborted);
        }
        Ok(Open { bucket, place, revision: found.revision, record })
    }

    async fn uploads_of(&self, bucket: &BucketRecord) -> Result<Vec<(String, Revision, UploadRecord)>, Error> {
        let prefix = bucket.uploads();
        let (mut uploads, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.shared.catalog.list(&prefix, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (key, found) in &page.items {
                let upload = UploadRecord::decode(key, &found.value)?;
                uploads.push((key[prefix.len()..].to_owned(), found.revision, upload));
            }
            if !page.more {
                return Ok(uploads);
            }
            after = page.items.last().map(|(key, _)| key.clone());
        }
    }

    async fn parts_of(&self, upload_id: &str) -> Result<Vec<(Revision, PartRecord)>, Error> {
        let prefix = UploadRecord::parts(upload_id);
        let (mut parts, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.shared.catalog.list(&prefix, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (key, found) in &page.items {
                parts.push((found.revision, PartRecord::decode(key, &found.value)?));
            }
            if !page.more {
                return Ok(parts);
            }
            after = page.items.last().map(|(key, _)| key.clone());
        }
    }
}

/// The object of the named parts.
fn assemble(
    upload: &UploadRecord,
    stored: &[(Revision, PartRecord)],
    named: &[CompletedPart],
    expected: &Expected,
) -> Result<ObjectRecord, Error> {
    let stored: HashMap<u32, &PartRecord> = stored.iter().map(|(_, part)| (part.number, part)).collect();
    if !named.is_sorted_by(|a, b| a.number < b.number) {
        return Err(Error::InvalidPartOrder);
    }
    let mut parts = Vec::with_capacity(named.len());
    for CompletedPart { number, etag, checksum } in named {
        let part = stored.get(number).filter(|part| part.etag == etag.trim_matches('"'));
        let part = part.filter(|part| checksum.is_none() || *checksum == part.checksum);
        parts.push(*part.ok_or(Error::InvalidPart)?);
    }
    let Some((_, but_last)) = parts.split_last() else {
        return Err(Error::InvalidRequest("You must specify at least one part".to_owned()));
    };
    if let Some(small) = but_last.iter().find(|part| part.bytes() < PART_BYTES_MIN) {
        return Err(Error::EntityTooSmall { bytes: small.bytes(), part: small.number });
    }
    let mut md5 = Md5::new();
    for part in &parts {
        md5.update(unhex(&part.etag));
    }
    let etag = format!("{}-{}", hex(&md5.finalize()), parts.len());
    let made = checksum_of(upload, &parts);
    let pieces = parts.iter().map(|part| part.piece.clone()).collect();
    let object = ObjectRecord::new(pieces, etag, made, upload.metadata.clone());
    expected.check(&object)?;
    Ok(object)
}

impl Expected {
    fn check(&self, object: &ObjectRecord) -> Result<(), Error> {
        let refuse = |name: &str| {
            Err(Error::InvalidRequest(format!("The value of {name} does not match what the parts of the upload make.")))
        };
        let made = object.checksum.as_ref();
        if let Some((algorithm, value)) = &self.checksum {
            match made {
                Some(made) if made.algorithm == *algorithm && made.value == *value => {}
                Some(made) if made.algorithm == *algorithm => return Err(Error::BadChecksum(*algorithm)),
                _ => return refuse(algorithm.header()),
            }
        }
        if self.kind.as_deref().is_some_and(|kind| made.is_none_or(|made| made.kind.name() != kind)) {
            return refuse("x-amz-checksum-type");
        }
        if self.bytes.is_some_and(|bytes| bytes != object.bytes) {
            return refuse("x-amz-mp-object-size");
        }
        Ok(())
    }
}

/// The object's checksum, of those of its parts. Without a wish it is S3's own choice, of the whole object.
fn checksum_of(upload: &UploadRecord, parts: &[&PartRecord]) -> Option<Checksum> {
    let (algorithm, kind) = upload.checksum.unwrap_or((Algorithm::Crc64Nvme, Kind::FullObject));
    let each = parts.iter().map(|part| part.checksum.as_ref().map(|sum| (sum.bytes(), part.bytes())));
    let each: Vec<(Vec<u8>, u64)> = each.collect::<Option<_>>()?;
    match kind {
        Kind::Composite => {
            let sums: Vec<u8> = each.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
            let mut checksum = Checksum::of(algorithm, &sums);
            checksum.value = format!("{}-{}", checksum.value, parts.len());
            checksum.kind = Kind::Composite;
            Some(checksum)
        }
        Kind::FullObject => {
            let mut whole = algorithm.of(b"");
            for (bytes, length) in &each {
                whole = algorithm.joined(&whole, bytes, *length)?;
            }
            Some(Checksum::whole(algorithm, &whole))
        }
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}
