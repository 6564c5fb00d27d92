//! Operations on objects.

use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CONTENT_RANGE, ETAG, HeaderName, RANGE};
use millstream_destinations::s3::conditions::{self, WriteConditions};
use millstream_destinations::s3::limits::LISTED_MAX;
use millstream_destinations::s3::{BucketName, Error, Found, ObjectKey, Put, Stored};

use super::address::Address;
use super::output::{body, checksum_elements, checksum_headers, iso, object_headers, quoted, set};
use super::refusal::Refusal;
use super::xml::{self, Document, Element};
use super::{Payload, Request, header, input};
use crate::answer::Answer;

/// Deletions of one `DeleteObjects` under way at once.
const DELETIONS_MAX: usize = 16;
/// Content up to this size is answered in one piece.
const WHOLE_BYTES_MAX: u64 = 64 * 1024;
/// Headers of an answer that its request may choose, as parameters with `response-` before them.
const CHOSEN: [&str; 6] =
    ["cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"];

impl Request<'_> {
    pub(super) async fn put_object(&self, payload: Payload) -> Result<Answer, Refusal> {
        let (bucket, key) = (self.bucket()?, self.key()?);
        self.require("PutObject", &bucket.object_arn(key.as_str())).await?;
        let headers = self.headers();
        let Payload { content, trailers, _received } = payload;
        let put = Put {
            content,
            metadata: input::metadata(headers)?,
            md5: input::content_md5(headers)?,
            checksum: input::checksum(headers, &trailers)?,
            algorithm: input::algorithm(headers)?,
            conditions: input::write_conditions(headers)?,
        };
        let stored = self.buckets.put_object(self.account(), &bucket, &key, put).await?;
        Ok(stored_answer(&stored))
    }

    pub(super) async fn get_object(&self) -> Result<Answer, Refusal> {
        let (bucket, key) = (self.bucket()?, self.key()?);
        self.require("GetObject", &bucket.object_arn(key.as_str())).await?;
        if self.query.get("partNumber").is_some() {
            return Err(Refusal::not_implemented());
        }
        let (headers, range) = (self.headers(), header(self.headers(), RANGE.as_str()));
        let conditions = input::read_conditions(headers, "");
        let found = self.buckets.get_object(self.account(), &bucket, &key, &conditions, range).await;
        let Found { object, range, content } = self.hide_missing(&bucket, found).await?;
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut answer = Answer::empty(status);
        object_headers(&mut answer.headers, &object, content.bytes(), range.is_none() && self.wants_checksum());
        if let Some(range) = range {
            let value = format!("bytes {}-{}/{}", range.start, range.end - 1, object.bytes);
            set(&mut answer.headers, CONTENT_RANGE, &value);
        }
        self.choose_headers(&mut answer);
        answer.body = if content.bytes() <= WHOLE_BYTES_MAX {
            content.whole().await?.into()
        } else {
            body(content, format!("{bucket}/{key}"))
        };
        Ok(answer)
    }

    pub(super) async fn head_object(&self) -> Result<Answer, Refusal> {
        let (bucket, key) = (self.bucket()?, self.key()?);
        self.require("GetObject", &bucket.object_arn(key.as_str())).await?;
        if self.query.get("partNumber").is_some() {
            return Err(Refusal::not_implemented());
        }
        let conditions = input::read_conditions(self.headers(), "");
        let found = self.buckets.head_object(self.account(), &bucket, &key, &conditions).await;
        let object = self.hide_missing(&bucket, found).await?;
        let range = conditions::range(header(self.headers(), RANGE.as_str()), object.bytes)?;
        let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
        let mut answer = Answer::empty(status);
        let bytes = range.as_ref().map_or(object.bytes, |range| range.end - range.start);
        object_headers(&mut answer.headers, &object, bytes, range.is_none() && self.wants_checksum());
        self.choose_headers(&mut answer);
        Ok(answer)
    }

    pub(super) async fn delete_object(&self) -> Result<Answer, Refusal> {
        let (bucket, key) = (self.bucket()?, self.key()?);
        self.require("DeleteObject", &bucket.object_arn(key.as_str())).await?;
        let conditions = input::write_conditions(self.headers())?;
        self.buckets.delete_object(self.account(), &bucket, &key, &conditions).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) async fn delete_objects(&self, payload: Payload) -> Result<Answer, Refusal> {
        let bucket = self.bucket()?;
        let headers = self.headers();
        let (md5, checksum) = (input::content_md5(headers)?, input::checksum(headers, &payload.trailers)?);
        if md5.is_none() && checksum.is_none() {
            return Err(Refusal::invalid_request("Missing required header for this request: Content-MD5"));
        }
        self.buckets.check_digests(&payload.content, md5, checksum).await?;
        let root =
            xml::read(&payload.content).filter(|root| root.name == "Delete").ok_or_else(Refusal::malformed_xml)?;
        let objects: Vec<_> = root.all("Object").collect();
        if objects.is_empty() || objects.len() > LISTED_MAX {
            return Err(Refusal::malformed_xml());
        }
        self.buckets.bucket(self.account(), &bucket).await?;
        let keys: Option<Vec<&str>> = objects.iter().map(|object| object.value("Key")).collect();
        let keys = keys.ok_or_else(Refusal::malformed_xml)?;
        let is_quiet = root.value("Quiet") == Some("true");
        let mut document = Document::new("DeleteResult");
        let mut deletions = Vec::with_capacity(objects.len());
        for (object, key) in objects.into_iter().zip(keys) {
            deletions.push(self.delete_named(&bucket, key, object));
        }
        let mut deletions = stream::iter(deletions).buffered(DELETIONS_MAX);
        while let Some((key, outcome)) = deletions.next().await {
            match outcome {
                Ok(()) if is_quiet => {}
                Ok(()) => drop(document.begin("Deleted").text("Key", key).end()),
                Err(refusal) => {
                    document.begin("Error").text("Key", key).text("Code", refusal.code);
                    document.text("Message", refusal.message()).end();
                }
            }
        }
        Ok(document.answer(StatusCode::OK))
    }

    async fn delete_named<'a>(
        &self,
        bucket: &BucketName,
        key: &'a str,
        object: &Element,
    ) -> (&'a str, Result<(), Refusal>) {
        let version = object.value("VersionId").filter(|version| *version != "null");
        let is_refused =
            version.is_some() || object.child("LastModifiedTime").is_some() || object.child("Size").is_some();
        if is_refused {
            return (key, Err(Refusal::not_implemented()));
        }
        (key, self.delete_one(bucket, key, object.value("ETag")).await)
    }

    async fn delete_one(&self, bucket: &BucketName, key: &str, etag: Option<&str>) -> Result<(), Refusal> {
        let key: ObjectKey = key.parse().map_err(Refusal::from)?;
        self.require("DeleteObject", &bucket.object_arn(key.as_str())).await?;
        let conditions = WriteConditions { if_match: etag.map(str::to_owned), if_none_match: false };
        Ok(self.buckets.delete_object(self.account(), bucket, &key, &conditions).await?)
    }

    pub(super) async fn copy_object(&self) -> Result<Answer, Refusal> {
        let (bucket, key, headers) = (self.bucket()?, self.key()?, self.headers());
        let source = Address::of_copy_source(header(headers, "x-amz-copy-source").unwrap_or_default())?;
        let source_bucket: BucketName =
            source.bucket.parse().map_err(|_| Error::NoSuchBucket(source.bucket.clone()))?;
        let source_key: ObjectKey = source.key.parse().map_err(Refusal::from)?;
        self.require("GetObject", &source_bucket.object_arn(source_key.as_str())).await?;
        self.require("PutObject", &bucket.object_arn(key.as_str())).await?;
        let metadata = match header(headers, "x-amz-metadata-directive") {
            None | Some("COPY") => None,
            Some("REPLACE") => Some(input::metadata(headers)?),
            Some(other) => {
                return Err(Refusal::invalid_argument(
                    "x-amz-metadata-directive",
                    other,
                    "Unknown metadata directive.",
                ));
            }
        };
        let conditions = input::read_conditions(headers, "x-amz-copy-source-");
        let copied = self
            .buckets
            .copy_object(
                self.account(),
                (&source_bucket, &source_key, &conditions),
                (&bucket, &key),
                metadata,
                input::algorithm(headers)?,
            )
            .await;
        let stored = match self.hide_missing(&source_bucket, copied).await {
            // For a copy, what the source already is, is no answer.
            Err(refusal) if refusal.status == 304 => {
                return Err(Error::PreconditionFailed("x-amz-copy-source-If-None-Match").into());
            }
            other => other?,
        };
        let mut document = Document::new("CopyObjectResult");
        document.text("LastModified", &iso(stored.modified_ms)).text("ETag", &quoted(&stored.etag));
        checksum_elements(&mut document, stored.checksum.as_ref());
        Ok(document.answer(StatusCode::OK))
    }

    pub(super) async fn get_object_tagging(&self) -> Result<Answer, Refusal> {
        let (bucket, key) = (self.bucket()?, self.key()?);
        self.require("GetObjectTagging", &bucket.object_arn(key.as_str())).await?;
        let found =
            self.buckets.head_object(self.account(), &bucket, &key, &conditions::ReadConditions::default()).await;
        self.hide_missing(&bucket, found).await?;
        let mut document = Document::new("Tagging");
        document.begin("TagSet").end();
        Ok(document.answer(StatusCode::OK))
    }

    /// Whether an object is there is told only to those who may list the bucket.
    async fn hide_missing<T>(&self, bucket: &BucketName, found: Result<T, Error>) -> Result<T, Refusal> {
        if let Err(Error::NoSuchKey(_)) = &found {
            self.require("ListBucket", &bucket.arn()).await?;
        }
        Ok(found?)
    }

    fn wants_checksum(&self) -> bool {
        header(self.headers(), "x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case("enabled"))
    }

    fn choose_headers(&self, answer: &mut Answer) {
        for name in CHOSEN {
            if let Some(value) = self.query.get(&format!("response-{name}")) {
                set(&mut answer.headers, HeaderName::from_static(name), value);
            }
        }
    }
}

/// The answer to a put: tag and checksum.
pub(super) fn stored_answer(stored: &Stored) -> Answer {
    let mut answer = Answer::empty(StatusCode::OK);
    set(&mut answer.headers, ETAG, &quoted(&stored.etag));
    if let Some(checksum) = &stored.checksum {
        checksum_headers(&mut answer.headers, checksum);
    }
    answer
}
