//! What a crash may leave: buckets marked for deletion, uploads marked complete, contents that nothing refers to.
//!
//! Marks are dealt with before calls are served. Contents are looked for while they are: only those count that were there
//! at the start, and a content that is stored later never has the digest of an older one, so that nothing new can go.

use std::collections::HashSet;

use millstream_blobs::Digest;
use millstream_catalog::{PAGE_ITEMS_MAX, StoreError, Versioned};
use millstream_env::Tasks;

use super::names::BucketName;
use super::record::{BucketRecord, OBJECTS, ObjectRecord, PARTS, PartRecord, Record, UPLOADS};
use super::{Buckets, Error};

impl Buckets {
    /// Finishes what a former process was doing.
    pub(super) async fn finish_interrupted(&self) -> Result<(), Error> {
        let mut marked = Vec::new();
        self.each_bucket(|name, record| {
            if record.deleting {
                marked.push(name.to_owned());
            }
        })
        .await?;
        for name in marked {
            let Ok(name) = name.parse::<BucketName>() else {
                tracing::error!(%name, "a bucket under a name that is none is left as it is");
                continue;
            };
            let Some((revision, record)) = self.find(&name).await? else { continue };
            match self.finish_deletion(&name, revision, record).await {
                Ok(()) | Err(Error::BucketNotEmpty(_)) => {}
                Err(error) => skip_damaged(error)?,
            }
        }
        self.finish_completions().await
    }

    /// Looks for contents without objects, in a task.
    pub(super) async fn sweep_later(&self, tasks: &Tasks) -> Result<(), Error> {
        let at_start: HashSet<Digest> = self.shared.contents.blobs.list().await?.into_iter().collect();
        if at_start.is_empty() {
            return Ok(());
        }
        let buckets = self.clone();
        tasks.spawn_dropped_on_cancel(async move {
            match buckets.sweep(at_start).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "contents that a crash left without an object were removed"),
                Err(error) => tracing::warn!(?error, "contents without an object are looked for at the next start"),
            }
        });
        Ok(())
    }

    /// Removes those of `unclaimed` that nothing refers to, and what belongs to buckets and uploads that are gone.
    ///
    /// Calls are served meanwhile. Parts are read before objects, so that what becomes an object is seen at least once. What
    /// seems to be left over is only removed if its bucket or upload is still not there afterwards.
    pub(super) async fn sweep(&self, mut unclaimed: HashSet<Digest>) -> Result<usize, Error> {
        let (buckets, uploads) = self.owners().await?;
        let mut seeming = Vec::new();
        self.each_page(PARTS, |key, found| {
            let upload = owner(key, PARTS);
            if !uploads.contains(upload) {
                seeming.push((upload.to_owned(), key.to_owned(), found.revision));
                return Ok(());
            }
            let part = PartRecord::decode(key, &found.value)?;
            for piece in part.replaced.iter().chain([&part.piece]) {
                unclaimed.remove(&piece.digest);
            }
            Ok(())
        })
        .await?;
        self.each_page(OBJECTS, |key, found| {
            let bucket = owner(key, OBJECTS);
            if !buckets.contains(bucket) {
                seeming.push((bucket.to_owned(), key.to_owned(), found.revision));
                return Ok(());
            }
            let object = ObjectRecord::decode(key, &found.value)?;
            for piece in &object.pieces {
                unclaimed.remove(&piece.digest);
            }
            Ok(())
        })
        .await?;
        let (buckets, uploads) = self.owners().await?;
        for (owner, key, revision) in seeming {
            if !buckets.contains(&owner) && !uploads.contains(&owner) {
                match self.shared.catalog.delete(&key, revision).await {
                    Ok(()) | Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let removed = unclaimed.len();
        for digest in unclaimed {
            self.shared.contents.blobs.delete(digest).await?;
        }
        Ok(removed)
    }

    /// The ids of all buckets, and of all uploads into them. Uploads into buckets that are gone are removed.
    async fn owners(&self) -> Result<(HashSet<String>, HashSet<String>), Error> {
        let (mut buckets, mut uploads, mut found_uploads) = (HashSet::new(), HashSet::new(), Vec::new());
        self.each_page(UPLOADS, |key, found| {
            found_uploads.push((key.to_owned(), found.revision));
            Ok(())
        })
        .await?;
        // After the uploads: the bucket of each was there before it.
        let visit = |_: &str, record: BucketRecord| {
            buckets.insert(record.id);
        };
        if !self.each_bucket(visit).await? {
            // What is in it would seem to be nobody's.
            return Err(Error::Internal("not all buckets can be read".to_owned()));
        }
        for (key, revision) in found_uploads {
            if buckets.contains(owner(&key, UPLOADS)) {
                uploads.insert(key.rsplit('/').next().unwrap_or_default().to_owned());
            } else {
                match self.shared.catalog.delete(&key, revision).await {
                    Ok(()) | Err(StoreError::Conflict) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok((buckets, uploads))
    }

    async fn each_page(
        &self,
        prefix: &str,
        mut visit: impl FnMut(&str, &Versioned) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.shared.catalog.list(prefix, after.as_deref(), PAGE_ITEMS_MAX).await?;
            for (key, found) in &page.items {
                visit(key, found)?;
            }
            if !page.more {
                return Ok(());
            }
            after = page.items.last().map(|(key, _)| key.clone());
        }
    }
}

/// Goes on without what is damaged: all else is served.
pub(super) fn skip_damaged(error: Error) -> Result<(), Error> {
    match error {
        Error::Internal(reason) => {
            tracing::error!(reason, "what a former process was doing cannot be finished, and stays as it is");
            Ok(())
        }
        other => Err(other),
    }
}

/// The id of the bucket or upload that a key is of.
fn owner<'a>(key: &'a str, place: &str) -> &'a str {
    key[place.len()..].split('/').next().unwrap_or_default()
}
