//! What every engine promises.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;

/// The version of one value: grows with every change of any key, also across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A value and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    pub revision: Revision,
    pub value: Bytes,
}

/// What must be true for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Revision(Revision),
}

/// A change did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The key is not in the expected state. Read it again and decide anew.
    #[error("the value has changed meanwhile")]
    Conflict,
    /// The disk is full; reads go on.
    #[error("the disk is full")]
    Full,
    /// The store does not work at the moment; for a change it is not known whether it happened.
    #[error("the catalog is not available: {0}")]
    Unavailable(String),
}

/// One page of a listing, in order of key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub items: Vec<(String, Versioned)>,
    /// There is more after the last item.
    pub more: bool,
}

/// Something under a watched prefix changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// `None` when the key was deleted.
    pub value: Option<Versioned>,
}

/// A bounded stream of changes under a prefix. A watcher that falls behind gets [`Watched::Lost`] and lists anew.
#[derive(Debug)]
pub struct Watch {
    pub(crate) prefix: String,
    pub(crate) changes: tokio::sync::broadcast::Receiver<Change>,
}

/// What a watcher gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    Change(Change),
    /// Changes were dropped: list the prefix again.
    Lost,
    /// The store is closed.
    Closed,
}

impl Watch {
    pub async fn next(&mut self) -> Watched {
        use tokio::sync::broadcast::error::RecvError;
        loop {
            match self.changes.recv().await {
                Ok(change) if change.key.starts_with(&self.prefix) => return Watched::Change(change),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Watched::Lost,
                Err(RecvError::Closed) => return Watched::Closed,
            }
        }
    }
}

/// Small values under text keys (at most 1 KiB each; values at most 1 MiB), linearizable. A change is durable when it
/// returns. Keys are ordered by their bytes.
pub trait MetaStore: Send + Sync + Debug {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>>;

    /// Writes when `expect` holds.
    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>>;

    /// Deletes when the key has this revision.
    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keys that begin with `prefix` and lie after `after`, at most `limit`.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Changes that happen from now on.
    fn watch(&self, prefix: &str) -> Watch;
}

/// A catalog by any engine.
pub type SharedStore = Arc<dyn MetaStore>;
