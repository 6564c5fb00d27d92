//! What every form of the store promises.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;

use crate::Digest;

/// Largest blob: it stands in memory as a whole while it is put or read.
pub const BLOB_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A blob could not be stored or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    #[error("a blob of {bytes} bytes is larger than {BLOB_BYTES_MAX}")]
    TooLarge { bytes: usize },
    /// The disk is full; reads go on.
    #[error("the disk is full")]
    Full,
    /// What is stored is not what was put.
    #[error("blob {0} is damaged on disk")]
    Damaged(Digest),
    #[error("blobs are not available: {0}")]
    Unavailable(String),
}

/// Bytes under their SHA-256.
pub trait BlobStore: Send + Sync + Debug {
    /// Stores a blob; durable when it returns. Storing what is there already changes nothing.
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>>;

    /// The blob, checked against its digest; `None` when there is none.
    fn get(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, BlobError>>;

    /// Removes a blob; no error when there is none.
    fn delete(&self, digest: Digest) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Every blob there is, in no particular order: for owners that remove what they no longer refer to.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>>;
}

/// A store by any engine.
pub type SharedBlobs = Arc<dyn BlobStore>;

pub(crate) fn check_size(bytes: &[u8]) -> Result<(), BlobError> {
    if bytes.len() > BLOB_BYTES_MAX { Err(BlobError::TooLarge { bytes: bytes.len() }) } else { Ok(()) }
}
