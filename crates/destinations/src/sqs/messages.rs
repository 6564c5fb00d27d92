//! Messages in the catalog and their long contents in blobs.

use millstream_blobs::{Digest, SharedBlobs};
use millstream_catalog::{Expect, Revision, SharedStore, StoreError};

use super::failure::Failure;
use super::index::Sequence;
use super::record::{Contents, INLINE_BYTES_MAX, MessageRecord, Place, decode, encode, message_key};

/// How often a change is tried again when others change the same message.
const ATTEMPTS_MAX: usize = 16;

/// The messages of all queues.
#[derive(Clone, Debug)]
pub(crate) struct Messages {
    pub(crate) catalog: SharedStore,
    pub(crate) blobs: SharedBlobs,
}

impl Messages {
    /// Where contents are kept: a blob is stored here, so that it is durable before its message is.
    pub(crate) async fn place(&self, contents: Contents) -> Result<Place, Failure> {
        let text = encode(&contents);
        if text.len() <= INLINE_BYTES_MAX {
            return Ok(Place::Inline(contents));
        }
        Ok(Place::Blob(self.blobs.put(text).await?.to_string()))
    }

    /// Stores a new message; durable when it returns.
    pub(crate) async fn create(
        &self,
        queue_id: &str,
        sequence: Sequence,
        record: &MessageRecord,
    ) -> Result<(), Failure> {
        let stored = self.catalog.put(&message_key(queue_id, sequence), Expect::Absent, encode(record)).await;
        // What is unavailable may have stored it all the same: then the message needs its contents.
        if matches!(stored, Err(StoreError::Conflict | StoreError::TooLarge | StoreError::Full)) {
            self.drop_blob(record.contents.digest()).await;
        }
        Ok(stored.map(drop)?)
    }

    /// Changes a message. `change` may run several times; `None` when the message is gone.
    pub(crate) async fn change(
        &self,
        queue_id: &str,
        sequence: Sequence,
        change: impl Fn(&mut MessageRecord) + Send,
    ) -> Result<Option<MessageRecord>, Failure> {
        let key = message_key(queue_id, sequence);
        for _ in 0..ATTEMPTS_MAX {
            let Some((revision, mut record)) = self.read(&key).await? else { return Ok(None) };
            change(&mut record);
            match self.catalog.put(&key, Expect::Revision(revision), encode(&record)).await {
                Ok(_) => return Ok(Some(record)),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// What a message holds; `None` when it was deleted meanwhile.
    pub(crate) async fn contents(&self, record: &MessageRecord) -> Result<Option<Contents>, Failure> {
        let text = match &record.contents {
            Place::Inline(contents) => return Ok(Some(contents.clone())),
            Place::Blob(text) => text,
        };
        let digest: Digest = text.parse().map_err(|_| damaged(text, "not a digest"))?;
        let Some(blob) = self.blobs.get(digest).await? else { return Ok(None) };
        serde_json::from_slice(&blob).map(Some).map_err(|error| damaged(text, &error.to_string()))
    }

    /// Deletes a message; durable when it returns, and no error when it is gone.
    pub(crate) async fn delete(&self, queue_id: &str, sequence: Sequence) -> Result<(), Failure> {
        let key = message_key(queue_id, sequence);
        for _ in 0..ATTEMPTS_MAX {
            let Some((revision, record)) = self.read(&key).await? else { return Ok(()) };
            match self.catalog.delete(&key, revision).await {
                Ok(()) => {
                    self.drop_blob(record.contents.digest()).await;
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn read(&self, key: &str) -> Result<Option<(Revision, MessageRecord)>, Failure> {
        let Some(found) = self.catalog.get(key).await? else { return Ok(None) };
        let record = decode(key, &found.value).map_err(|error| damaged(key, &error.to_string()))?;
        Ok(Some((found.revision, record)))
    }

    /// Best effort: a blob that no message refers to costs only space, and the next start removes it.
    async fn drop_blob(&self, digest: Option<Digest>) {
        if let Some(digest) = digest
            && let Err(error) = self.blobs.delete(digest).await
        {
            tracing::debug!(%digest, %error, "the contents of a deleted message stay until the next start");
        }
    }
}

fn damaged(what: &str, reason: &str) -> Failure {
    Failure::Common(millstream_wire::CommonError::InternalFailure(format!("message {what} is damaged: {reason}")))
}
