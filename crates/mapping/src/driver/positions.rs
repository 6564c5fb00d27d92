//! The kept positions of all mappings: changed in memory at once, written to the catalog together.
//!
//! One task does all the writing. It begins [`FLUSH_DELAY`] after the first change, or when somebody asks, and writes
//! what has changed since, so a busy shard costs one small write per delay however many batches it finishes. A crash
//! redelivers at most what was finished within that delay.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use millstream_catalog::{Expect, Revision, SharedStore, StoreError};
use millstream_env::{HostClock, Tasks};
use millstream_log::Position;
use millstream_types::ShardId;
use tokio::sync::{Notify, mpsc, oneshot};

use super::signals::{Flags, Signals};
use crate::machine::{BatchEntry, Progress};
use crate::record::{FORMAT, LastBatch, PositionRecord, decode, encode, position_key};
use crate::store;

/// How late a checkpoint may be (design, section 5).
pub(crate) const FLUSH_DELAY: Duration = Duration::from_millis(100);
/// Wait before a failed write is repeated.
pub(super) const FLUSH_RETRY: Duration = Duration::from_secs(1);
/// Writes under way at once. The catalog groups them into few transactions.
const WRITES_MAX: usize = 256;
/// Tries of one write, for as long as the value there is one that we wrote ourselves.
const WRITE_ATTEMPTS_MAX: usize = 3;
/// Requests to flush that wait at once; further ones wait for their turn.
const REQUESTS_MAX: usize = 64;

/// The table of positions. Cheap to share.
#[derive(Debug)]
pub(crate) struct Positions {
    /// This process, as the owner of the shards it works on.
    owner: String,
    catalog: SharedStore,
    tables: Mutex<Tables>,
    dirty: Notify,
    requests: mpsc::Sender<Request>,
}

#[derive(Debug, Default)]
struct Tables {
    mappings: HashMap<Arc<str>, Table>,
    dirty: BTreeSet<(Arc<str>, ShardId)>,
    /// Changed in what need not be written by itself.
    noted: BTreeSet<(Arc<str>, ShardId)>,
}

#[derive(Debug)]
struct Table {
    signals: Arc<Signals>,
    shards: BTreeMap<ShardId, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// `None` until it was written for the first time.
    revision: Option<Revision>,
    record: PositionRecord,
}

/// Writes the positions. Run it once.
#[derive(Debug)]
pub(crate) struct Flusher {
    positions: Arc<Positions>,
    host_clock: HostClock,
    requests: mpsc::Receiver<Request>,
}

/// Somebody waits until everything changed before is written.
#[derive(Debug)]
struct Request {
    uuid: Arc<str>,
    /// `None` for all of the mapping.
    shard: Option<ShardId>,
    done: oneshot::Sender<bool>,
}

impl Request {
    /// Answers, when these could not be written. Whoever asked may have gone.
    fn answer(self, failed: &Failed) {
        let is_its = |(uuid, shard): &(Arc<str>, ShardId)| *uuid == self.uuid && self.shard.is_none_or(|s| s == *shard);
        let _ = self.done.send(!failed.iter().any(is_its));
    }
}

/// Shards of mappings whose change stays to be written.
type Failed = BTreeSet<(Arc<str>, ShardId)>;

/// A change that is being written.
struct Write {
    uuid: Arc<str>,
    shard: ShardId,
    entry: Entry,
}

enum Written {
    Stored(Revision),
    /// Somebody else has the shard now.
    Fenced,
    /// Try again later.
    Failed,
}

impl Positions {
    pub(crate) fn new(owner: String, catalog: SharedStore, host_clock: HostClock) -> (Arc<Self>, Flusher) {
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let positions = Arc::new(Self { owner, catalog, tables: Mutex::default(), dirty: Notify::new(), requests });
        let flusher = Flusher { positions: Arc::clone(&positions), host_clock, requests: receiver };
        (positions, flusher)
    }

    /// Takes over the positions of a mapping as the catalog has them. What a shard had for another incarnation of the
    /// stream counts for nothing.
    pub(super) fn load(&self, uuid: &Arc<str>, stream: u64, signals: &Arc<Signals>, kept: &store::Positions) {
        let mut shards = BTreeMap::new();
        for (key, revision, record) in kept {
            let Some(shard) = key.rsplit('/').next().and_then(|text| text.parse::<ShardId>().ok()) else { continue };
            let mut record = PositionRecord { owner: self.owner.clone(), epoch: record.epoch + 1, ..record.clone() };
            if record.stream != stream {
                record = PositionRecord { epoch: record.epoch, ..self.beginning(stream) };
            }
            shards.insert(shard, Entry { revision: Some(*revision), record });
        }
        let table = Table { signals: Arc::clone(signals), shards };
        self.lock().mappings.insert(Arc::clone(uuid), table);
    }

    /// Where a shard goes on: `None` when nothing is kept for it.
    pub(crate) fn progress(&self, uuid: &str, shard: ShardId) -> Option<Progress> {
        self.lock().mappings.get(uuid)?.shards.get(&shard).map(|entry| entry.record.progress())
    }

    pub(super) fn drained(&self, uuid: &str) -> BTreeSet<ShardId> {
        let tables = self.lock();
        let Some(table) = tables.mappings.get(uuid) else { return BTreeSet::new() };
        table.shards.iter().filter(|(_, entry)| entry.record.drained).map(|(shard, _)| *shard).collect()
    }

    /// The last batch that the catalog kept for each shard.
    pub(super) fn last_batches(&self, uuid: &str) -> Vec<(ShardId, BatchEntry)> {
        let tables = self.lock();
        let Some(table) = tables.mappings.get(uuid) else { return Vec::new() };
        let last = |(shard, entry): (&ShardId, &Entry)| Some((*shard, entry.record.last.as_ref()?.into()));
        table.shards.iter().filter_map(last).collect()
    }

    /// A shard has come further.
    pub(super) fn advance(&self, uuid: &Arc<str>, stream: u64, shard: ShardId, progress: &Progress) {
        self.change(uuid, stream, shard, |record| {
            assert!(record.next() <= progress.floor().0, "a checkpoint never goes back");
            record.set_progress(progress);
        });
    }

    /// An operator sets a shard to another place. Nobody may be working on it.
    pub(super) fn rewind(&self, uuid: &Arc<str>, stream: u64, shard: ShardId, next: Position) {
        self.change(uuid, stream, shard, |record| {
            record.set_progress(&Progress::at(next));
            record.drained = false;
        });
    }

    pub(super) fn set_drained(&self, uuid: &Arc<str>, stream: u64, shard: ShardId) {
        self.change(uuid, stream, shard, |record| record.drained = true);
    }

    /// Remembers the last batch; written with the next change of the position, or at the end.
    pub(super) fn set_last(&self, uuid: &Arc<str>, stream: u64, shard: ShardId, batch: &BatchEntry) {
        let mut tables = self.lock();
        if self.edit(&mut tables, uuid, stream, shard, |record| record.last = Some(LastBatch::from(batch))) {
            tables.noted.insert((Arc::clone(uuid), shard));
        }
    }

    /// Forgets a shard that has left the stream. Its value in the catalog is the caller's.
    pub(super) fn forget_shard(&self, uuid: &str, shard: ShardId) {
        let mut tables = self.lock();
        if let Some(table) = tables.mappings.get_mut(uuid) {
            table.shards.remove(&shard);
        }
        tables.noted.retain(|(noted, of)| **noted != *uuid || *of != shard);
    }

    /// The shards that have a position.
    pub(super) fn shards(&self, uuid: &str) -> Vec<ShardId> {
        let tables = self.lock();
        tables.mappings.get(uuid).map(|table| table.shards.keys().copied().collect()).unwrap_or_default()
    }

    /// Forgets a mapping: nothing more is written for it once a running flush has ended.
    pub(super) fn forget(&self, uuid: &str) {
        let mut tables = self.lock();
        tables.mappings.remove(uuid);
        tables.noted.retain(|(noted, _)| **noted != *uuid);
    }

    /// Writes everything that was changed of a mapping, or of one of its shards, before the call. `false` when some of it
    /// could not be written and is tried again later.
    pub(super) async fn flush(&self, uuid: &Arc<str>, shard: Option<ShardId>) -> bool {
        let (done, flushed) = oneshot::channel();
        let request = Request { uuid: Arc::clone(uuid), shard, done };
        self.requests.send(request).await.is_ok() && flushed.await.unwrap_or(false)
    }

    fn change(&self, uuid: &Arc<str>, stream: u64, shard: ShardId, change: impl FnOnce(&mut PositionRecord)) {
        let mut tables = self.lock();
        if self.edit(&mut tables, uuid, stream, shard, change) {
            if tables.dirty.is_empty() {
                self.dirty.notify_one();
            }
            tables.dirty.insert((Arc::clone(uuid), shard));
        }
    }

    /// `false` for a mapping that was forgotten meanwhile: it has nothing to keep.
    fn edit(
        &self,
        tables: &mut Tables,
        uuid: &Arc<str>,
        stream: u64,
        shard: ShardId,
        change: impl FnOnce(&mut PositionRecord),
    ) -> bool {
        let Some(table) = tables.mappings.get_mut(uuid) else { return false };
        let entry =
            table.shards.entry(shard).or_insert_with(|| Entry { revision: None, record: self.beginning(stream) });
        change(&mut entry.record);
        true
    }

    fn write_all_that_is_noted(&self) {
        let tables = &mut *self.lock();
        tables.dirty.append(&mut tables.noted);
    }

    fn beginning(&self, stream: u64) -> PositionRecord {
        PositionRecord {
            v: FORMAT,
            owner: self.owner.clone(),
            epoch: 1,
            stream,
            factor: 1,
            lanes: vec![0],
            failed: Vec::new(),
            window: None,
            drained: false,
            last: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("only broken invariants panic while holding this lock")
    }
}

impl Flusher {
    /// Flushes until `tasks` is cancelled, and once more then.
    pub(super) async fn run(mut self, tasks: Tasks) {
        let mut asked: Vec<Request> = Vec::new();
        while !tasks.is_cancelled() {
            tokio::select! {
                () = tasks.cancelled() => {}
                request = self.requests.recv() => asked.extend(request),
                () = self.positions.dirty.notified() => asked.extend(self.wait(FLUSH_DELAY).await),
            }
            while let Ok(request) = self.requests.try_recv() {
                asked.push(request);
            }
            let failed = self.write_changes().await;
            asked.drain(..).for_each(|request| request.answer(&failed));
            if !failed.is_empty() && !tasks.is_cancelled() {
                asked.extend(self.wait(FLUSH_RETRY).await);
                self.positions.dirty.notify_one();
            }
        }
        self.requests.close();
        self.positions.write_all_that_is_noted();
        self.write_changes().await;
    }

    /// Waits, but not longer than until somebody asks for a flush.
    async fn wait(&mut self, delay: Duration) -> Option<Request> {
        let request = self.requests.recv();
        self.host_clock.timeout(delay, request).await.flatten()
    }

    /// Writes what has changed. Returns what could not be written.
    async fn write_changes(&self) -> Failed {
        let writes = self.take_changes();
        let written: Vec<(Write, Written)> = futures_util::stream::iter(writes)
            .map(|write| async {
                let written = self.write(&write).await;
                (write, written)
            })
            .buffer_unordered(WRITES_MAX)
            .collect()
            .await;
        self.note(written)
    }

    fn take_changes(&self) -> Vec<Write> {
        let mut tables = self.positions.lock();
        let dirty = std::mem::take(&mut tables.dirty);
        tables.noted.retain(|shard| !dirty.contains(shard));
        let find = |(uuid, shard): (Arc<str>, ShardId)| {
            let entry = tables.mappings.get(&uuid)?.shards.get(&shard)?.clone();
            Some(Write { uuid, shard, entry })
        };
        dirty.into_iter().filter_map(find).collect()
    }

    async fn write(&self, write: &Write) -> Written {
        let key = position_key(&write.uuid, write.shard);
        let mut revision = write.entry.revision;
        let catalog = &self.positions.catalog;
        for _ in 0..WRITE_ATTEMPTS_MAX {
            let expect = revision.map_or(Expect::Absent, Expect::Revision);
            match catalog.put(&key, expect, encode(&write.entry.record)).await {
                Ok(revision) => return Written::Stored(revision),
                Err(StoreError::Full | StoreError::TooLarge) => return Written::Failed,
                // After a failure it is not known what happened: look who has the shard.
                Err(StoreError::Conflict | StoreError::Unavailable(_)) => {}
            }
            match catalog.get(&key).await {
                Ok(Some(found)) => match decode::<PositionRecord>(&key, &found.value) {
                    Ok(stored) if stored == write.entry.record => return Written::Stored(found.revision),
                    Ok(_) if Some(found.revision) == revision => return Written::Failed,
                    // An earlier write of ours, of which nobody could say that it happened.
                    Ok(stored) if self.is_ours(&stored, &write.entry.record) => revision = Some(found.revision),
                    Ok(_) | Err(_) => return Written::Fenced,
                },
                Ok(None) if revision.is_some() => return Written::Fenced,
                Ok(None) | Err(_) => return Written::Failed,
            }
        }
        Written::Failed
    }

    fn is_ours(&self, stored: &PositionRecord, record: &PositionRecord) -> bool {
        stored.owner == self.positions.owner && stored.epoch <= record.epoch
    }

    fn note(&self, written: Vec<(Write, Written)>) -> Failed {
        let mut tables = self.positions.lock();
        let mut failed = Failed::new();
        for (Write { uuid, shard, .. }, written) in written {
            let Some(table) = tables.mappings.get_mut(&uuid) else { continue };
            let Some(entry) = table.shards.get_mut(&shard) else { continue };
            match written {
                Written::Stored(revision) => entry.revision = Some(revision),
                Written::Failed => {
                    tracing::warn!(mapping = %uuid, %shard, "a checkpoint cannot be stored at the moment");
                    failed.insert((Arc::clone(&uuid), shard));
                    tables.dirty.insert((uuid, shard));
                }
                Written::Fenced => {
                    tracing::error!(mapping = %uuid, %shard, "another process works on this shard: giving it up");
                    table.signals.raise(Flags::FENCED);
                }
            }
        }
        failed
    }
}
