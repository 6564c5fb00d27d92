//! What every engine promises.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use millstream_env::BoxFuture;

use crate::Watch;

/// Longest key: that of an S3 object has 1024 bytes itself.
pub const KEY_BYTES_MAX: usize = 1280;
/// Largest value.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// A page of a listing holds no more items than this, whatever its caller asks for.
pub const PAGE_ITEMS_MAX: usize = 1000;
/// A page of a listing ends after the item that reaches this many bytes of keys and values.
pub const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

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
    /// A key or value beyond [`KEY_BYTES_MAX`] or [`VALUE_BYTES_MAX`]; nothing happened.
    #[error("a key or value is larger than the catalog takes")]
    TooLarge,
    /// The disk is full; reads go on, and the change did not happen.
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

/// What a watcher gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    Change(Change),
    /// Changes were dropped: list the prefix again.
    Lost,
    /// The store is closed.
    Closed,
}

/// Small values under text keys (1 to [`KEY_BYTES_MAX`] bytes; values up to [`VALUE_BYTES_MAX`]), linearizable. A change
/// is durable when it returns, and only a durable change is read or watched. Keys are ordered by their bytes.
///
/// Dropping the future of a change does not take the change back: it may still happen.
pub trait MetaStore: Send + Sync + Debug {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>>;

    /// Writes when `expect` holds.
    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>>;

    /// Deletes when the key has this revision.
    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Keys that begin with `prefix` and lie after `after`, at most `limit`. A page may hold fewer (see
    /// [`PAGE_ITEMS_MAX`] and [`PAGE_BYTES_MAX`]): only [`Page::more`] says whether the listing is complete. When it
    /// is set, the page holds at least one item.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Changes that happen from now on, per key in their order. Watch first and list then to miss nothing.
    fn watch(&self, prefix: &str) -> Watch;
}

/// A catalog by any engine.
pub type SharedStore = Arc<dyn MetaStore>;
