//! Operations on uploads in parts.

use http::StatusCode;
use millstream_destinations::s3::checksum::Checksum;
use millstream_destinations::s3::limits::PARTS_MAX;
use millstream_destinations::s3::{CompletedPart, NewUpload};

use super::objects::stored_answer;
use super::output::{checksum_elements, iso, owner_id, quoted, shown};
use super::refusal::Refusal;
use super::xml::{self, Document, Element};
use super::{Payload, Request, input};
use crate::answer::Answer;

impl Request<'_> {
    pub(super) async fn create_upload(&self) -> Result<Answer, Refusal> {
        let (bucket, key, headers) = (self.bucket()?, self.key()?, self.headers());
        self.require("PutObject", &bucket.object_arn(key.as_str())).await?;
        let checksum = input::upload_checksum(headers)?;
        let new = NewUpload { metadata: input::metadata(headers)?, checksum };
        let id = self.buckets.create_upload(self.account(), &bucket, &key, new).await?;
        let mut document = Document::new("InitiateMultipartUploadResult");
        document.text("Bucket", bucket.as_str()).text("Key", key.as_str()).text("UploadId", &id);
        let mut answer = document.answer(StatusCode::OK);
        if let Some((algorithm, kind)) = checksum {
            for (name, value) in [("x-amz-checksum-algorithm", algorithm.name()), ("x-amz-checksum-type", kind.name())]
            {
                super::output::set(&mut answer.headers, http::HeaderName::from_static(name), value);
            }
        }
        Ok(answer)
    }

    pub(super) async fn upload_part(&self, payload: Payload) -> Result<Answer, Refusal> {
        let (bucket, key, headers) = (self.bucket()?, self.key()?, self.headers());
        self.require("PutObject", &bucket.object_arn(key.as_str())).await?;
        let Payload { content, trailers, _received } = payload;
        // A number that is none is out of range too.
        let number = self.query.text("partNumber").parse().unwrap_or(0);
        let (md5, checksum) = (input::content_md5(headers)?, input::checksum(headers, &trailers)?);
        let upload = (&bucket, &key, self.query.text("uploadId"));
        let stored = self.buckets.upload_part(self.account(), upload, number, content, md5, checksum).await?;
        Ok(stored_answer(&stored))
    }

    pub(super) async fn complete_upload(&self, body: &[u8]) -> Result<Answer, Refusal> {
        let (bucket, key, headers) = (self.bucket()?, self.key()?, self.headers());
        self.require("PutObject", &bucket.object_arn(key.as_str())).await?;
        let root =
            xml::read(body).filter(|root| root.name == "CompleteMultipartUpload").ok_or_else(Refusal::malformed_xml)?;
        let parts: Option<Vec<CompletedPart>> = root.all("Part").map(read_part).collect();
        let parts = parts.filter(|parts| parts.len() <= PARTS_MAX as usize).ok_or_else(Refusal::malformed_xml)?;
        let expected = input::expected(headers)?;
        let conditions = input::write_conditions(headers)?;
        let upload = (&bucket, &key, self.query.text("uploadId"));
        let stored = self.buckets.complete_upload(self.account(), upload, &parts, &expected, &conditions).await?;
        let mut document = Document::new("CompleteMultipartUploadResult");
        document.text("Location", &format!("{}/{bucket}/{key}", self.context.endpoint));
        document.text("Bucket", bucket.as_str()).text("Key", key.as_str()).text("ETag", &quoted(&stored.etag));
        checksum_elements(&mut document, stored.checksum.as_ref());
        Ok(document.answer(StatusCode::OK))
    }

    pub(super) async fn abort_upload(&self) -> Result<Answer, Refusal> {
        let (bucket, key) = (self.bucket()?, self.key()?);
        self.require("AbortMultipartUpload", &bucket.object_arn(key.as_str())).await?;
        self.buckets.abort_upload(self.account(), (&bucket, &key, self.query.text("uploadId"))).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    }

    pub(super) async fn list_parts(&self) -> Result<Answer, Refusal> {
        let (bucket, key, id) = (self.bucket()?, self.key()?, self.query.text("uploadId"));
        self.require("ListMultipartUploadParts", &bucket.object_arn(key.as_str())).await?;
        let lines_max = self.query.lines("max-parts")?;
        let after: u32 = self.query.get("part-number-marker").map_or(Ok(0), str::parse).map_err(|_| {
            let text = self.query.text("part-number-marker");
            Refusal::invalid_argument("part-number-marker", text, "Provided part-number-marker not an integer")
        })?;
        let (upload, mut parts) = self.buckets.list_parts(self.account(), (&bucket, &key, id)).await?;
        parts.retain(|part| part.number > after);
        let more = parts.len() > lines_max;
        parts.truncate(lines_max);
        let mut document = Document::new("ListPartsResult");
        document.text("Bucket", bucket.as_str()).text("Key", key.as_str()).text("UploadId", id);
        let owner = owner_id(self.account());
        for role in ["Initiator", "Owner"] {
            document.begin(role).text("ID", &owner).end();
        }
        document.text("StorageClass", "STANDARD").text("PartNumberMarker", &after.to_string());
        document.text("NextPartNumberMarker", &parts.last().map_or(0, |part| part.number).to_string());
        document.text("MaxParts", &lines_max.to_string()).text("IsTruncated", if more { "true" } else { "false" });
        if let Some((algorithm, kind)) = upload.checksum {
            document.text("ChecksumAlgorithm", algorithm.name()).text("ChecksumType", kind.name());
        }
        for part in &parts {
            document.begin("Part").text("PartNumber", &part.number.to_string());
            document.text("LastModified", &iso(part.modified_ms)).text("ETag", &quoted(&part.etag));
            document.text("Size", &part.bytes().to_string());
            if let Some(Checksum { algorithm, value, .. }) = &part.checksum {
                document.text(super::output::checksum_element(*algorithm), value);
            }
            document.end();
        }
        Ok(document.answer(StatusCode::OK))
    }

    pub(super) async fn list_uploads(&self) -> Result<Answer, Refusal> {
        let bucket = self.bucket()?;
        self.require("ListBucketMultipartUploads", &bucket.arn()).await?;
        let query = self.query;
        if query.get("delimiter").is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(Refusal::not_implemented());
        }
        let (prefix, url_encoded, lines_max) =
            (query.text("prefix"), self.is_url_encoded()?, query.lines("max-uploads")?);
        let (key_marker, id_marker) = (query.text("key-marker"), query.text("upload-id-marker"));
        let mut uploads = self.buckets.list_uploads(self.account(), &bucket).await?;
        uploads.retain(|(_, upload)| upload.key.starts_with(prefix) && &upload.key[..] >= key_marker);
        // What lies at or before the marker is known already; with a marker of the key alone, the whole key is.
        let known = uploads
            .iter()
            .rposition(|(id, upload)| upload.key == key_marker && (id_marker.is_empty() || id == id_marker));
        uploads.drain(..known.map_or(0, |last| last + 1));
        let more = uploads.len() > lines_max;
        uploads.truncate(lines_max);
        let mut document = Document::new("ListMultipartUploadsResult");
        document.text("Bucket", bucket.as_str()).text("KeyMarker", &shown(key_marker, url_encoded));
        document.text("UploadIdMarker", id_marker);
        if let Some((id, upload)) = uploads.last().filter(|_| more) {
            document.text("NextKeyMarker", &shown(&upload.key, url_encoded)).text("NextUploadIdMarker", id);
        }
        document.text("Prefix", &shown(prefix, url_encoded)).text("MaxUploads", &lines_max.to_string());
        if url_encoded {
            document.text("EncodingType", "url");
        }
        document.text("IsTruncated", if more { "true" } else { "false" });
        let owner = owner_id(self.account());
        for (id, upload) in &uploads {
            document.begin("Upload").text("Key", &shown(&upload.key, url_encoded)).text("UploadId", id);
            for role in ["Initiator", "Owner"] {
                document.begin(role).text("ID", &owner).end();
            }
            document.text("StorageClass", "STANDARD").text("Initiated", &iso(upload.initiated_ms)).end();
        }
        Ok(document.answer(StatusCode::OK))
    }
}

fn read_part(element: &Element) -> Option<CompletedPart> {
    let mut checksum = None;
    for child in &element.children {
        let Some(name) = child.name.strip_prefix("Checksum") else { continue };
        let algorithm = millstream_destinations::s3::checksum::Algorithm::by_name(name)?;
        checksum = Some(Checksum::claimed(algorithm, &child.text)?);
    }
    let number = element.value("PartNumber")?.trim().parse().ok()?;
    Some(CompletedPart { number, etag: element.value("ETag")?.to_owned(), checksum })
}
