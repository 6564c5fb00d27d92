//! The steps that span several keys and shards.
//!
//! A header's intent says what has been promised. Finishing it is a row of steps that may each be repeated; the last one
//! takes the intent away. One task at a time works on a stream, so that a deletion that overtakes a creation finds
//! everything that the creation has made.
//!
//! ```text
//!   Create:    log shards -> pages -> header ACTIVE
//!   Configure: log shards -> header ACTIVE
//!   Reshard:   see `reshard`
//!   Encrypt:   header ACTIVE
//!   Delete:    log shards -> pages -> header gone
//! ```

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use millstream_catalog::{Expect, StoreError};
use millstream_log::{ShardConfig, ShardKey};
use millstream_types::HashKeyRange;

use crate::errors::Internal;
use crate::model::{self, Header, Intent, Page, SHARDS_PER_PAGE, Status, StoredShard};
use crate::names::StreamName;
use crate::registry::Stored;
use crate::service::{OpenError, Streams};

/// Shards of the log that are worked on at once: enough that they share a sync, few enough that others get their turn.
pub(crate) const SHARDS_AT_ONCE: usize = 64;
/// Waits between failed tries: doubled from the first to the last.
const RETRY_WAIT: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

/// The streams that a task works on; `true` when the task must look at its stream once more.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<HashMap<StreamName, bool>>);

impl Running {
    /// `true` when the caller is to start the task.
    fn begin(&self, name: &StreamName) -> bool {
        let mut running = self.lock();
        if let Some(again) = running.get_mut(name) {
            *again = true;
            return false;
        }
        running.insert(name.clone(), false);
        true
    }

    /// `true` when the task may end; `false` when it must look again.
    fn end(&self, name: &StreamName) -> bool {
        let mut running = self.lock();
        match running.get_mut(name) {
            Some(again) if *again => {
                *again = false;
                false
            }
            _ => {
                running.remove(name);
                true
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamName, bool>> {
        self.0.lock().expect("no code panics while holding this lock")
    }
}

impl Streams {
    /// Begins to finish every intent that stands in the catalog.
    pub(crate) async fn finish_interrupted(&self) -> Result<(), OpenError> {
        for (key, kept) in self.inner.registry.list_all(model::headers_prefix()).await? {
            let header: Header = model::decode(&key, &kept.value)?;
            self.inner.registry.keys.learn(kept.revision, &header);
            if let (Some(intent), Some(name)) = (header.intent, model::name_of_header_key(&key)) {
                tracing::info!(stream = %name.arn(), ?intent, "finishing what was interrupted");
                self.finish_in_background(&name);
            } else if !header.consumers.are_settled()
                && let Some(name) = model::name_of_header_key(&key)
            {
                self.finish_in_background(&name);
            }
        }
        Ok(())
    }

    /// Finishes a stream's intent, if it has one, without being waited for.
    pub(crate) fn finish_in_background(&self, name: &StreamName) {
        if !self.inner.running.begin(name) {
            return;
        }
        let (streams, name) = (self.clone(), name.clone());
        self.inner.parts.tasks.spawn_dropped_on_cancel(async move { streams.finish_with_retries(&name).await });
    }

    async fn finish_with_retries(&self, name: &StreamName) {
        let mut wait = RETRY_WAIT;
        loop {
            match self.finish_step(name).await {
                Ok(true) => wait = RETRY_WAIT,
                Ok(false) => {
                    if self.inner.running.end(name) {
                        return;
                    }
                }
                Err(Internal(reason)) => {
                    tracing::warn!(stream = %name.arn(), reason, "a change of the stream is stuck; trying again");
                    self.inner.parts.host_clock.sleep(wait).await;
                    wait = (wait * 2).min(RETRY_WAIT_MAX);
                }
            }
        }
    }

    /// Does all the steps of the present intent. `false` when there is none.
    async fn finish_step(&self, name: &StreamName) -> Result<bool, Internal> {
        let Some(stored) = self.inner.registry.header(name).await? else { return Ok(false) };
        let done = match stored.header.intent.clone() {
            None => return self.settle_consumers(name, stored).await,
            Some(Intent::Create) => self.finish_create(name, stored).await,
            Some(Intent::Configure) => self.finish_configure(name, stored).await,
            Some(Intent::Reshard(round)) => self.finish_reshard(name, stored, &round).await,
            Some(Intent::Encrypt) => self.finish_encrypt(name, stored).await,
            Some(Intent::Delete) => self.finish_delete(name, stored).await,
        };
        match done {
            // Somebody changed the header meanwhile, to delete the stream for instance: look again.
            Ok(()) | Err(StepError::Store(StoreError::Conflict)) => Ok(true),
            Err(error) => Err(Internal(error.to_string())),
        }
    }

    async fn finish_create(&self, name: &StreamName, stored: Stored) -> Result<(), StepError> {
        let Stored { revision, mut header } = stored;
        let config = ShardConfig { retention: header.retention() };
        let all = (0..header.shards_made).collect();
        self.for_each_shard(header.id, all, |key| self.inner.parts.log.create(key, config)).await?;
        for (page, content) in (0..).zip(initial_pages(&header)) {
            let key = model::page_key(name, header.id, page);
            self.inner.registry.put_once(&key, model::encode(&content)).await?;
        }
        header.status = Status::Active;
        header.intent = None;
        self.inner.registry.put(name, Expect::Revision(revision), &header).await?;
        Ok(())
    }

    async fn finish_configure(&self, name: &StreamName, stored: Stored) -> Result<(), StepError> {
        let Stored { revision, mut header } = stored;
        let config = ShardConfig { retention: header.retention() };
        let pages = self.inner.registry.pages(name, header.id).await?;
        let present = pages.values().flat_map(|page| &page.page.shards).map(|shard| shard.index).collect();
        self.for_each_shard(header.id, present, |key| self.inner.parts.log.configure(key, config)).await?;
        header.status = Status::Active;
        header.intent = None;
        self.inner.registry.put(name, Expect::Revision(revision), &header).await?;
        Ok(())
    }

    async fn finish_encrypt(&self, name: &StreamName, stored: Stored) -> Result<(), StepError> {
        let Stored { revision, mut header } = stored;
        header.status = Status::Active;
        header.intent = None;
        self.inner.registry.put(name, Expect::Revision(revision), &header).await?;
        Ok(())
    }

    async fn finish_delete(&self, name: &StreamName, stored: Stored) -> Result<(), StepError> {
        let Stored { revision, header } = stored;
        let all = (0..header.shards_made).collect();
        self.for_each_shard(header.id, all, |key| self.inner.parts.log.delete(key)).await?;
        for (key, kept) in self.inner.registry.list_all(&model::pages_prefix(name, header.id)).await? {
            self.inner.registry.store().delete(&key, kept.revision).await?;
        }
        self.inner.registry.delete(name, revision).await?;
        self.inner.registry.traffic.forget(header.id);
        self.inner.registry.keys.forget(header.id);
        Ok(())
    }

    pub(crate) async fn for_each_shard<'a, F>(
        &'a self,
        stream: u64,
        shards: Vec<u32>,
        work: impl Fn(ShardKey) -> F,
    ) -> Result<(), StepError>
    where
        F: Future<Output = Result<(), millstream_log::ShardError>> + Send + 'a,
    {
        let keys = shards.into_iter().map(|shard| ShardKey { stream, shard });
        stream::iter(keys.map(work).collect::<Vec<_>>()).buffer_unordered(SHARDS_AT_ONCE).try_collect::<()>().await?;
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("catalog: {0}")]
    Store(#[from] StoreError),
    #[error("log: {0}")]
    Shard(#[from] millstream_log::ShardError),
    #[error("catalog: {0}")]
    Unreadable(#[from] model::Unreadable),
    #[error("the stream's pages lack a shard that its header names")]
    Inconsistent,
}

/// The pages of a stream that was never resharded: a function of its header, so that every try writes the same.
fn initial_pages(header: &Header) -> Vec<Page> {
    let created_seconds = header.created().seconds();
    let shards: Vec<StoredShard> = (0..)
        .zip(HashKeyRange::uniform(header.shards_made))
        .map(|(index, range)| StoredShard::initial(index, range, created_seconds))
        .collect();
    shards.chunks(SHARDS_PER_PAGE as usize).map(|page| Page::new(page.to_vec())).collect()
}
