//! The built-in S3: buckets and objects, small but honest. It knows no HTTP; the gateway speaks that.
//!
//! - [`Buckets`]: the handle. Its operations: `buckets` (make, delete, list), `objects` (put, read, delete, copy),
//!   `listing`, `uploads` (objects in parts). Failed batches arrive by `built_in` of this crate.
//! - `record`: what is kept in the catalog, and under which keys. `content`: what is kept as blobs.
//! - [`conditions`], [`checksum`], [`names`], [`limits`]: rules without I/O.
//! - `sweep`: what a crash left, looked for once at the start.
//!
//! **How it stays right.** An object is one key of the catalog; its content is one blob, or one for each part, that no other
//! object refers to, because each blob ends in random bytes of its own. Content is durable before the record that refers to
//! it, and removed after the record that referred to it; a reader who finds it gone reads the record again. A bucket is
//! marked while it is looked whether it is empty, and whoever puts an object looks at the bucket once more afterwards: so
//! no acknowledged object goes with its bucket.
//!
//! Not there: versions, access control lists, bucket policies, tags, encryption, lifecycles, notifications, other storage
//! classes. A bucket serves requests signed for any region.

mod buckets;
pub mod checksum;
pub mod conditions;
mod content;
mod error;
pub mod limits;
mod listing;
pub mod names;
mod objects;
mod record;
mod sweep;
#[cfg(test)]
mod tests;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use millstream_blobs::SharedBlobs;
use millstream_catalog::{Expect, Revision, SharedStore, StoreError};
use millstream_env::{HostClock, Random, ServiceClock, Tasks};

pub use buckets::ListedBucket;
pub use content::Content;
pub use error::Error;
pub use listing::{ListQuery, ListedObject, Listing};
pub use names::{BucketName, ObjectKey};
pub use objects::{Found, Put, Stored};
pub use record::{BucketRecord, Metadata, ObjectRecord, PartRecord, UploadRecord};
pub use uploads::{CompletedPart, Expected, NewUpload};

use crate::finish::finish;
use content::Contents;
use limits::UNMARK_INTERVAL;

/// What buckets are kept in and with.
#[derive(Debug)]
pub struct Parts {
    pub catalog: SharedStore,
    /// A store of its own: blobs that nothing here refers to are removed.
    pub blobs: SharedBlobs,
    pub clock: ServiceClock,
    pub host_clock: HostClock,
    pub random: Random,
    /// What is begun is finished in it, also when the caller goes away.
    pub tasks: Tasks,
}

/// All buckets of a server. Clones are the same.
#[derive(Clone, Debug)]
pub struct Buckets {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    catalog: SharedStore,
    contents: Contents,
    clock: ServiceClock,
    host_clock: HostClock,
    random: Random,
    tasks: Tasks,
}

impl Buckets {
    /// The buckets that are kept there. What a crash left behind is removed while calls are served already.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let Parts { catalog, blobs, clock, host_clock, random, tasks } = parts;
        let contents = Contents::new(blobs, host_clock.clone(), random.clone(), tasks.clone());
        let buckets =
            Self { shared: Arc::new(Shared { catalog, contents, clock, host_clock, random, tasks: tasks.clone() }) };
        buckets.finish_interrupted().await?;
        buckets.sweep_later(&tasks).await?;
        Ok(buckets)
    }

    /// Runs work to its end even when the caller goes away: marks must not stay, nor contents without a record.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        finish(&self.shared.tasks, self.shared.clock.activity(), work).await
    }

    /// Takes a mark off again. While that fails, as on a full disk, it is tried again in the background.
    async fn unmark(&self, key: String, revision: Revision, record: Bytes) {
        // A conflict means that the change happened after all, whatever its answer was.
        let is_done = |put: &Result<Revision, StoreError>| matches!(put, Ok(_) | Err(StoreError::Conflict));
        if is_done(&self.shared.catalog.put(&key, Expect::Revision(revision), record.clone()).await) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn_dropped_on_cancel(async move {
            loop {
                shared.host_clock.sleep(UNMARK_INTERVAL).await;
                let put = shared.catalog.put(&key, Expect::Revision(revision), record.clone()).await;
                if is_done(&put) {
                    return;
                }
                tracing::warn!(key, ?put, "what is marked cannot be changed until its mark is taken off");
            }
        });
    }

    /// Runs work that takes long off the asynchronous threads.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        self.shared.tasks.blocking(work).await.map_err(|error| Error::Internal(error.to_string()))
    }

    fn now_ms(&self) -> u64 {
        self.shared.clock.now().millis()
    }

    /// `length` random hexadecimal digits, at most 64.
    fn random_id(&self, length: usize) -> String {
        let mut id = millstream_client::sigv4::hex(&self.shared.random.bytes::<32>());
        id.truncate(length);
        id
    }
}
