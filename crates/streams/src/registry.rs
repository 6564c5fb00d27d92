//! Streams in memory: a put or a describe reads no catalog.
//!
//! The catalog is the truth. What this process changes is forgotten here at once, what others change when the catalog's
//! watch says so. Whoever waits for a change of a stream subscribes here, so that one watch of the catalog serves all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use millstream_catalog::{Expect, MetaStore, Revision, SharedStore, StoreError, Versioned, Watched};
use tokio::sync::watch;

use crate::errors::{Internal, LookupError};
use crate::keys::KeyRing;
use crate::lifecycle::StepError;
use crate::model::{self, Header, Mode, Page, Status};
use crate::names::StreamName;
use crate::reshard;
use crate::stream::Stream;
use crate::traffic::TrafficTable;

/// Streams kept in memory at most; beyond it all are forgotten and read again when needed.
const STREAMS_CACHED_MAX: usize = 4096;
/// Pages read from the catalog at once: pages of a stream number at most a few hundred.
const PAGES_PER_READ: usize = 64;
/// How often a change of a header is tried again after others changed it meanwhile.
const CHANGE_TRIES_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Registry {
    store: SharedStore,
    state: Mutex<State>,
    pub(crate) traffic: TrafficTable,
    /// Knows the keys of every header that was read or written here.
    pub(crate) keys: Arc<KeyRing>,
    /// Moves with every change of any stream.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    streams: HashMap<StreamName, Arc<Stream>>,
    /// Moves with every forgetting, so that what was read before it is not kept after it.
    generation: u64,
    watchers: HashMap<StreamName, watch::Sender<u64>>,
}

/// A subscription to one stream by name.
#[derive(Clone, Debug)]
pub struct StreamWatch(watch::Receiver<u64>);

impl StreamWatch {
    /// Completes after the stream was created, changed or deleted since the subscription was made or since this last
    /// completed. May complete without cause.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The service is gone: nothing will ever change, and there must be no busy loop.
            std::future::pending::<()>().await;
        }
    }

    /// Whether [`StreamWatch::changed`] would complete at once.
    pub fn has_changed(&self) -> bool {
        self.0.has_changed().unwrap_or(false)
    }

    /// The same; if so, that change is seen now.
    pub(crate) fn take_change(&mut self) -> bool {
        let changed = self.has_changed();
        self.0.mark_unchanged();
        changed
    }
}

/// A header and the revision under which it can be changed.
pub(crate) struct Stored {
    pub(crate) revision: Revision,
    pub(crate) header: Header,
}

/// A page and the revision under which it can be changed; none for a page that is not there yet.
#[derive(Debug)]
pub(crate) struct KeptPage {
    number: u32,
    revision: Option<Revision>,
    pub(crate) page: Page,
    /// Differs from what the catalog holds.
    pub(crate) changed: bool,
}

impl KeptPage {
    pub(crate) fn new(number: u32) -> Self {
        Self { number, revision: None, page: Page::new(Vec::new()), changed: false }
    }
}

/// Every stream of a catalog with the number under which the log knows it: for commands that work without a server.
pub async fn stream_numbers(store: &dyn MetaStore) -> Result<Vec<(StreamName, u64)>, StoreError> {
    let mut numbers = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list(model::headers_prefix(), after.as_deref(), PAGES_PER_READ).await?;
        for (key, kept) in &page.items {
            // A header that cannot be read has no number that could be shown.
            if let (Some(name), Ok(header)) =
                (model::name_of_header_key(key), model::decode::<Header>(key, &kept.value))
            {
                numbers.push((name, header.id));
            }
        }
        after = page.items.last().map(|(key, _)| key.clone());
        if !page.more {
            return Ok(numbers);
        }
    }
}

impl Registry {
    pub(crate) fn new(store: SharedStore, keys: Arc<KeyRing>) -> Self {
        let traffic = TrafficTable::default();
        Self { store, state: Mutex::default(), traffic, keys, changes: watch::Sender::new(0) }
    }

    pub(crate) fn store(&self) -> &dyn MetaStore {
        &*self.store
    }

    /// The stream as it is now, whatever its state; `None` when there is none.
    pub(crate) async fn get(&self, name: &StreamName) -> Result<Option<Arc<Stream>>, Internal> {
        let generation = {
            let state = self.lock();
            if let Some(stream) = state.streams.get(name) {
                return Ok(Some(Arc::clone(stream)));
            }
            state.generation
        };
        let Some(stream) = self.read(name).await? else { return Ok(None) };
        let stream = Arc::new(stream);
        let mut state = self.lock();
        if state.generation == generation {
            if state.streams.len() >= STREAMS_CACHED_MAX {
                state.streams.clear();
            }
            state.streams.insert(name.clone(), Arc::clone(&stream));
        }
        Ok(Some(stream))
    }

    #[cfg(test)]
    pub(crate) fn is_cached(&self, name: &StreamName) -> bool {
        self.lock().streams.contains_key(name)
    }

    /// The stream as it is now, or AWS's text that there is none.
    pub(crate) async fn expect(&self, name: &StreamName) -> Result<Arc<Stream>, LookupError> {
        Ok(self.get(name).await?.ok_or_else(|| name.not_found())?)
    }

    pub(crate) async fn header(&self, name: &StreamName) -> Result<Option<Stored>, Internal> {
        let key = model::header_key(name);
        let Some(versioned) = self.store.get(&key).await? else { return Ok(None) };
        let header: Header = model::decode(&key, &versioned.value).map_err(|e| Internal(e.to_string()))?;
        self.keys.learn(versioned.revision, &header);
        Ok(Some(Stored { revision: versioned.revision, header }))
    }

    /// Writes a header where `expect` holds, and lets everybody see it.
    pub(crate) async fn put(&self, name: &StreamName, expect: Expect, header: &Header) -> Result<Revision, StoreError> {
        let result = self.store.put(&model::header_key(name), expect, model::encode(header)).await;
        if let Ok(revision) = result {
            self.keys.learn(revision, header);
        }
        self.forget(name);
        result
    }

    /// Changes an existing header as `change` says, which may be called several times. Gives the header as written;
    /// `change` returning `false` leaves it as it is.
    pub(crate) async fn change<E>(
        &self,
        name: &StreamName,
        mut change: impl FnMut(&mut Header) -> Result<bool, E>,
    ) -> Result<Header, E>
    where
        E: From<LookupError>,
    {
        for _ in 0..CHANGE_TRIES_MAX {
            let Some(Stored { revision, mut header }) = self.header(name).await.map_err(LookupError::from)? else {
                return Err(LookupError::from(name.not_found()).into());
            };
            if !change(&mut header)? {
                return Ok(header);
            }
            match self.put(name, Expect::Revision(revision), &header).await {
                Ok(_) => return Ok(header),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(LookupError::from(error).into()),
            }
        }
        Err(LookupError::from(Internal(format!("{name} is changed by others all the time"))).into())
    }

    pub(crate) async fn delete(&self, name: &StreamName, revision: Revision) -> Result<(), StoreError> {
        let result = self.store.delete(&model::header_key(name), revision).await;
        self.forget(name);
        result
    }

    /// Writes a value that is the same whoever writes it, as the steps of an intent do.
    pub(crate) async fn put_once(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        match self.store.put(key, Expect::Absent, value.clone()).await {
            Err(StoreError::Conflict) => {}
            result => return result.map(drop),
        }
        let there = self.store.get(key).await?;
        if there.is_some_and(|there| there.value == value) { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// All keys under a prefix, with their values.
    pub(crate) async fn list_all(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StoreError> {
        let mut items: Vec<(String, Versioned)> = Vec::new();
        loop {
            let after = items.last().map(|(key, _)| key.clone());
            let page = self.store.list(prefix, after.as_deref(), PAGES_PER_READ).await?;
            items.extend(page.items);
            if !page.more {
                return Ok(items);
            }
        }
    }

    pub(crate) fn subscribe(&self, name: &StreamName) -> StreamWatch {
        let mut state = self.lock();
        state.watchers.retain(|_, sender| sender.receiver_count() > 0);
        let sender = state.watchers.entry(name.clone()).or_insert_with(|| watch::Sender::new(0));
        StreamWatch(sender.subscribe())
    }

    /// Moves with every change of any stream.
    pub(crate) fn all_changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Follows the catalog for ever, so that changes made elsewhere are seen here.
    pub(crate) async fn follow_catalog(&self) {
        let mut watch = self.store.watch(model::headers_prefix());
        loop {
            match watch.next().await {
                Watched::Change(change) => {
                    if let Some(name) = model::name_of_header_key(&change.key) {
                        self.forget(&name);
                    }
                }
                Watched::Lost => self.forget_all(),
                Watched::Closed => return,
            }
        }
    }

    /// All pages of an incarnation, by number.
    pub(crate) async fn pages(&self, name: &StreamName, id: u64) -> Result<HashMap<u32, KeptPage>, StepError> {
        let mut pages = HashMap::new();
        for (key, kept) in self.list_all(&model::pages_prefix(name, id)).await? {
            let number = model::page_of_key(&key).ok_or(StepError::Inconsistent)?;
            let page = model::decode(&key, &kept.value)?;
            pages.insert(number, KeptPage { number, revision: Some(kept.revision), page, changed: false });
        }
        Ok(pages)
    }

    /// Writes a page where nobody changed it since it was read.
    pub(crate) async fn put_page(&self, name: &StreamName, id: u64, kept: &KeptPage) -> Result<(), StoreError> {
        let expect = kept.revision.map_or(Expect::Absent, Expect::Revision);
        self.store.put(&model::page_key(name, id, kept.number), expect, model::encode(&kept.page)).await?;
        Ok(())
    }

    /// The header and its pages belong together only when the header is still the same after the pages were read.
    async fn read(&self, name: &StreamName) -> Result<Option<Stream>, Internal> {
        for _ in 0..CHANGE_TRIES_MAX {
            let Some(Stored { header, revision }) = self.header(name).await? else { return Ok(None) };
            let mut shards = Vec::new();
            if matches!(header.status, Status::Active | Status::Updating) {
                for (key, kept) in self.list_all(&model::pages_prefix(name, header.id)).await? {
                    let page: Page = model::decode(&key, &kept.value).map_err(|e| Internal(e.to_string()))?;
                    shards.extend(page.shards);
                }
            }
            if self.header(name).await?.is_some_and(|now| now.revision == revision) {
                let shards = reshard::shown(&header, shards);
                let traffic = self.traffic.of_stream(
                    header.id,
                    name,
                    header.mode == Mode::OnDemand,
                    shards.iter().map(|shard| shard.index),
                );
                return Ok(Some(Stream::new(name.clone(), header, shards, traffic)));
            }
        }
        Err(Internal(format!("{name} is changed by others all the time")))
    }

    pub(crate) fn forget(&self, name: &StreamName) {
        let mut state = self.lock();
        state.generation += 1;
        state.streams.remove(name);
        if let Some(sender) = state.watchers.get(name) {
            sender.send_modify(|count| *count += 1);
        }
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    fn forget_all(&self) {
        let mut state = self.lock();
        state.generation += 1;
        state.streams.clear();
        for sender in state.watchers.values() {
            sender.send_modify(|count| *count += 1);
        }
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}
