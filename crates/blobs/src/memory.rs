//! Blobs in memory.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use millstream_env::BoxFuture;

use crate::contract::{BlobError, BlobStore, check_size};
use crate::digest::Digest;

/// A store that is gone when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryBlobs(Mutex<HashMap<Digest, Bytes>>);

impl MemoryBlobs {
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Bytes>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}

impl BlobStore for MemoryBlobs {
    fn put(&self, bytes: Bytes) -> BoxFuture<'_, Result<Digest, BlobError>> {
        Box::pin(async move {
            check_size(&bytes)?;
            let digest = Digest::of(&bytes);
            self.lock().entry(digest).or_insert(bytes);
            Ok(digest)
        })
    }

    fn get(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>, BlobError>> {
        Box::pin(ready(Ok(self.lock().get(&digest).cloned())))
    }

    fn delete(&self, digest: Digest) -> BoxFuture<'_, Result<(), BlobError>> {
        self.lock().remove(&digest);
        Box::pin(ready(Ok(())))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Digest>, BlobError>> {
        Box::pin(ready(Ok(self.lock().keys().copied().collect())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    crate::conformance_tests!((Arc::new(MemoryBlobs::new()), ()));
}
