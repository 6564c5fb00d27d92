//! The commit thread: everything that waits becomes one transaction, so that many callers share its syncs.

use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTable};
use tokio::sync::{mpsc, oneshot};

use super::file::{CatalogFile, LAST_REVISION, NUMBERS, VALUES, begin, decode, encode};
use crate::contract::{Change, Expect, Revision, StoreError, Versioned};
use crate::memory::check_expected;
use crate::watch::Watchers;

/// Changes in one transaction.
const GROUP_CHANGES_MAX: usize = 512;
/// A transaction takes no further change once it holds this many bytes of values.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) enum Command {
    Change(Request),
    /// Opens the file again if it has failed.
    Recover(oneshot::Sender<Result<(), StoreError>>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Request {
    pub(super) key: String,
    pub(super) expect: Expect,
    /// `None` deletes.
    pub(super) value: Option<Bytes>,
    pub(super) answer: oneshot::Sender<Result<Revision, StoreError>>,
}

pub(super) struct Committer {
    file: Arc<CatalogFile>,
    watchers: Arc<Watchers>,
    /// The last revision that may have been given out; never goes back, also not after a failed commit.
    last_revision: u64,
}

impl Committer {
    pub(super) fn new(file: Arc<CatalogFile>, watchers: Arc<Watchers>) -> Result<Self, StoreError> {
        let mut committer = Self { file, watchers, last_revision: 0 };
        committer.read_last_revision()?;
        Ok(committer)
    }

    /// Works until the store is closed or dropped.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = commands.blocking_recv() else { break };
            let gathered = gather(first, &mut commands);
            if !gathered.changes.is_empty() {
                self.commit(gathered.changes);
            }
            for waiting in gathered.recovering {
                // The reader may have gone.
                let _ = waiting.send(self.recover());
            }
            closing = gathered.closing;
        }
        commands.close();
        self.file.close();
        self.watchers.close();
        // With the last handle goes the file's lock, before anyone hears that it is free.
        drop((self, commands));
        if let Some(closed) = closing {
            // The closer may have stopped waiting.
            let _ = closed.send(());
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        match self.check_room().and_then(|()| self.recover()).and_then(|()| self.write(&group)) {
            Ok(results) => self.answer(group, results),
            Err(error) => {
                for request in group {
                    let _ = request.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Opens the file again if it has failed. It then either holds the failed transaction or does not.
    fn recover(&mut self) -> Result<(), StoreError> {
        if self.file.reopen_failed()? {
            self.read_last_revision()?;
            tracing::info!("the catalog works again");
        }
        Ok(())
    }

    /// Refuses early when the disk is nearly full.
    fn check_room(&self) -> Result<(), StoreError> {
        if self.file.is_full() { Err(StoreError::Full) } else { Ok(()) }
    }

    fn write(&mut self, group: &[Request]) -> Result<Vec<Result<Revision, StoreError>>, StoreError> {
        let mut last_revision = self.last_revision;
        let written = self.file.with(|database| {
            let transaction = begin(database)?;
            let mut results = Vec::with_capacity(group.len());
            {
                let mut values = transaction.open_table(VALUES)?;
                for request in group {
                    results.push(apply(&mut values, request, &mut last_revision)?);
                }
                transaction.open_table(NUMBERS)?.insert(LAST_REVISION, last_revision)?;
            }
            if results.iter().any(Result::is_ok) {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok(results)
        });
        // Numbers of a failed transaction are not used again: it may turn out to be in the file.
        self.last_revision = last_revision;
        written.inspect_err(|error| self.note_failure(error))
    }

    /// Opens the file again at once, for the readers. When that fails too, whatever comes next tries it again.
    fn note_failure(&mut self, error: &StoreError) {
        tracing::error!(%error, "the catalog could not store changes");
        if let Err(error) = self.recover() {
            tracing::error!(%error, "the catalog cannot be opened again at the moment");
        }
    }

    fn read_last_revision(&mut self) -> Result<(), StoreError> {
        let stored = self.file.with(|database| {
            let numbers = database.begin_read()?.open_table(NUMBERS)?;
            Ok(numbers.get(LAST_REVISION)?.map_or(0, |revision| revision.value()))
        })?;
        self.last_revision = self.last_revision.max(stored);
        Ok(())
    }

    fn answer(&self, group: Vec<Request>, results: Vec<Result<Revision, StoreError>>) {
        for (request, result) in group.into_iter().zip(results) {
            if let Ok(revision) = result {
                let value = request.value.map(|value| Versioned { revision, value });
                self.watchers.send(&Change { key: request.key, value });
            }
            // The caller may have gone; its change stands.
            let _ = request.answer.send(result);
        }
    }
}

/// What one round of the thread has to do.
#[derive(Default)]
struct Gathered {
    changes: Vec<Request>,
    recovering: Vec<oneshot::Sender<Result<(), StoreError>>>,
    closing: Option<oneshot::Sender<()>>,
}

/// Everything that waits, up to the bounds of a group or the wish to close.
fn gather(first: Command, commands: &mut mpsc::Receiver<Command>) -> Gathered {
    let mut gathered = Gathered::default();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(command) = next {
        match command {
            Command::Close(done) => {
                gathered.closing = Some(done);
                break;
            }
            Command::Recover(done) => gathered.recovering.push(done),
            Command::Change(request) => {
                bytes += request.value.as_ref().map_or(0, Bytes::len);
                gathered.changes.push(request);
            }
        }
        let count = gathered.changes.len() + gathered.recovering.len();
        let has_room = count < GROUP_CHANGES_MAX && bytes < GROUP_BYTES_MAX;
        next = if has_room { commands.try_recv().ok() } else { None };
    }
    gathered
}

fn apply(
    values: &mut redb::Table<'_, &str, &[u8]>,
    request: &Request,
    last_revision: &mut u64,
) -> Result<Result<Revision, StoreError>, redb::Error> {
    let key = request.key.as_str();
    let found = values.get(key)?.map(|stored| decode(stored.value())).transpose()?;
    if let Err(conflict) = check_expected(request.expect, found.map(|versioned| versioned.revision)) {
        return Ok(Err(conflict));
    }
    *last_revision += 1;
    let revision = Revision(*last_revision);
    match &request.value {
        Some(value) => _ = values.insert(key, encode(revision, value).as_slice())?,
        None => _ = values.remove(key)?,
    }
    Ok(Ok(revision))
}
