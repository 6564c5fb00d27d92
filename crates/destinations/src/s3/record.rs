//! What is kept in the catalog. Keys of objects are kept as they are: text in order of its bytes is S3's own order.
//!
//! | key | value |
//! |---|---|
//! | `s3/bucket/NAME` | [`BucketRecord`] |
//! | `s3/object/ID/KEY` | [`ObjectRecord`]; the id is the bucket's, so that a bucket made anew begins empty |
//! | `s3/upload/ID/UPLOAD` | [`UploadRecord`] |
//! | `s3/part/UPLOAD/NNNNN` | [`PartRecord`] |

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_blobs::Digest;
use millstream_types::AccountId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Error;
use super::checksum::{Algorithm, Checksum, Kind};
use super::names::{BucketName, ObjectKey};

/// The version of the layouts. Persisted: never change what a number means.
const LAYOUT: u32 = 1;

pub(super) const BUCKETS: &str = "s3/bucket/";
pub(super) const OBJECTS: &str = "s3/object/";
pub(super) const UPLOADS: &str = "s3/upload/";
pub(super) const PARTS: &str = "s3/part/";

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    pub(super) v: u32,
    /// 16 hexadecimal digits, new for each bucket of the same name.
    pub(super) id: String,
    pub(super) owner: String,
    pub region: String,
    pub created_ms: u64,
    /// It is being looked whether it is empty: nothing may be put meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) deleting: bool,
}

impl BucketRecord {
    pub(super) fn new(id: String, owner: &AccountId, region: &str, created_ms: u64) -> Self {
        Self { v: LAYOUT, id, owner: owner.to_string(), region: region.to_owned(), created_ms, deleting: false }
    }

    pub(super) fn key(name: &BucketName) -> String {
        format!("{BUCKETS}{name}")
    }

    /// What the keys of this bucket's objects begin with.
    pub(super) fn objects(&self) -> String {
        format!("{OBJECTS}{}/", self.id)
    }

    pub(super) fn object(&self, key: &ObjectKey) -> String {
        format!("{OBJECTS}{}/{key}", self.id)
    }

    pub(super) fn uploads(&self) -> String {
        format!("{UPLOADS}{}/", self.id)
    }
}

/// Headers of an object that are given back as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// By lower-case header name: `content-type`, `cache-control` and the like.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub system: BTreeMap<String, String>,
    /// By name without `x-amz-meta-`, in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

/// A part of an object's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) digest: Digest,
    /// Of the content; the blob is longer.
    pub(super) bytes: u64,
}

/// `[digest, bytes]`: an object may have ten thousand of them.
impl Serialize for Piece {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.digest.to_string(), self.bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (digest, bytes) = <(String, u64)>::deserialize(deserializer)?;
        Ok(Self { digest: digest.parse().map_err(serde::de::Error::custom)?, bytes })
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    pub(super) v: u32,
    pub bytes: u64,
    /// Without quotation marks.
    pub etag: String,
    pub modified_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    #[serde(default)]
    pub metadata: Metadata,
    /// The content, in order.
    pub(super) pieces: Vec<Piece>,
}

impl ObjectRecord {
    pub(super) fn new(pieces: Vec<Piece>, etag: String, checksum: Option<Checksum>, metadata: Metadata) -> Self {
        let bytes = pieces.iter().map(|piece| piece.bytes).sum();
        Self { v: LAYOUT, bytes, etag, modified_ms: 0, checksum, metadata, pieces }
    }
}

/// An upload in parts that is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    pub(super) v: u32,
    pub key: String,
    pub initiated_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<(Algorithm, Kind)>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    /// Its object is being made: parts and end of the upload stand still.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) completing: bool,
}

impl UploadRecord {
    pub(super) fn new(
        key: &ObjectKey,
        initiated_ms: u64,
        checksum: Option<(Algorithm, Kind)>,
        metadata: Metadata,
    ) -> Self {
        Self { v: LAYOUT, key: key.to_string(), initiated_ms, checksum, metadata, completing: false }
    }

    /// What the keys of an upload's parts begin with.
    pub(super) fn parts(upload_id: &str) -> String {
        format!("{PARTS}{upload_id}/")
    }

    pub(super) fn part(upload_id: &str, number: u32) -> String {
        format!("{PARTS}{upload_id}/{number:05}")
    }
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    pub(super) v: u32,
    pub number: u32,
    pub etag: String,
    pub modified_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    pub(super) piece: Piece,
    /// Contents that were sent for this number before. They are removed with the upload: an object that is made of the
    /// parts at the same moment may be about to refer to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaced: Vec<Piece>,
}

impl PartRecord {
    pub(super) fn new(number: u32, etag: String, modified_ms: u64, checksum: Option<Checksum>, piece: Piece) -> Self {
        Self { v: LAYOUT, number, etag, modified_ms, checksum, piece, replaced: Vec::new() }
    }

    /// All contents that were sent for this number.
    pub(super) fn contents(self) -> Vec<Piece> {
        let mut contents = self.replaced;
        contents.push(self.piece);
        contents
    }

    /// Bytes of the content.
    pub fn bytes(&self) -> u64 {
        self.piece.bytes
    }
}

/// Kept forms with a version.
pub(super) trait Record: Serialize + DeserializeOwned {
    fn version(&self) -> u32;

    fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("records are plain texts and numbers").into()
    }

    /// The record under `key`.
    fn decode(key: &str, value: &[u8]) -> Result<Self, Error> {
        let record = serde_json::from_slice(value).ok().filter(|record: &Self| record.version() == LAYOUT);
        record.ok_or_else(|| Error::Internal(format!("{key} is damaged in the catalog, or of a later version")))
    }
}

macro_rules! records {
    ($($record:ty),*) => {
        $(impl Record for $record {
            fn version(&self) -> u32 {
                self.v
            }
        })*
    };
}

records!(BucketRecord, ObjectRecord, UploadRecord, PartRecord);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keeps_loading<R: Record + PartialEq + std::fmt::Debug>(sample: &str) {
        let record = R::decode("sample", sample.trim_end().as_bytes()).unwrap();
        assert_eq!(record.encode(), sample.trim_end().as_bytes());
        assert!(R::decode("sample", sample.replace("\"v\":1", "\"v\":2").as_bytes()).is_err());
    }

    #[test]
    fn records_of_version_one_keep_loading() {
        keeps_loading::<BucketRecord>(include_str!("../../samples/s3-bucket-v1.json"));
        keeps_loading::<ObjectRecord>(include_str!("../../samples/s3-object-v1.json"));
        keeps_loading::<UploadRecord>(include_str!("../../samples/s3-upload-v1.json"));
        keeps_loading::<PartRecord>(include_str!("../../samples/s3-part-v1.json"));
    }

    #[test]
    fn the_largest_object_and_key_fit_into_the_catalog() {
        let piece = Piece { digest: Digest::of(b""), bytes: u64::MAX / 20_000 };
        let text = "x".repeat(super::super::limits::METADATA_BYTES_MAX);
        let metadata = Metadata {
            user: BTreeMap::from([("k".to_owned(), text.clone())]),
            system: BTreeMap::from([("k".to_owned(), text)]),
        };
        let record =
            ObjectRecord::new(vec![piece; super::super::limits::PARTS_MAX as usize], "e".repeat(40), None, metadata);
        assert!(record.encode().len() < millstream_catalog::VALUE_BYTES_MAX, "{}", record.encode().len());
        let bucket = BucketRecord::new("0".repeat(16), &AccountId::default_account(), "us-east-1", 0);
        let key: ObjectKey = "k".repeat(1024).parse().unwrap();
        assert!(bucket.object(&key).len() <= millstream_catalog::KEY_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn catalog_order_is_the_order_of_utf_8_bytes(a in "\\PC{1,20}|[\0-\u{10ffff}]{1,8}", b in "\\PC{1,20}|[\0-\u{10ffff}]{1,8}") {
            let bucket = BucketRecord::new("0".repeat(16), &AccountId::default_account(), "us-east-1", 0);
            let (first, second): (ObjectKey, ObjectKey) = (a.parse().unwrap(), b.parse().unwrap());
            prop_assert_eq!(bucket.object(&first).cmp(&bucket.object(&second)), a.as_bytes().cmp(b.as_bytes()));
            let place = bucket.object(&first);
            prop_assert_eq!(place.strip_prefix(&bucket.objects()), Some(&a[..]));
        }
    }
}
