//! A catalog in memory that fails as it is told.

use std::sync::Mutex;

use bytes::Bytes;
use millstream_catalog::{Expect, MemoryStore, MetaStore, Page, Revision, StoreError, Versioned, Watch};
use millstream_env::BoxFuture;

#[derive(Debug, Default)]
pub(crate) struct TestCatalog {
    store: MemoryStore,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    /// Writes under this prefix fail and change nothing.
    refused: Option<String>,
    /// The next write under this prefix is made, but nobody can tell.
    lost: Option<String>,
    /// Reads of this key fail, so many times.
    unreadable: Option<(String, u32)>,
    /// Happens before the next write under a prefix.
    before: Option<(String, BoxFuture<'static, ()>)>,
}

impl std::fmt::Debug for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}

impl TestCatalog {
    pub(crate) fn refuse(&self, prefix: Option<&str>) {
        self.faults.lock().unwrap().refused = prefix.map(str::to_owned);
    }

    pub(crate) fn lose_answer(&self, prefix: &str) {
        self.faults.lock().unwrap().lost = Some(prefix.to_owned());
    }

    /// Lets `happen` before the next write under `prefix`.
    pub(crate) fn before_write(&self, prefix: &str, happen: BoxFuture<'static, ()>) {
        self.faults.lock().unwrap().before = Some((prefix.to_owned(), happen));
    }

    fn unavailable<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable("injected".to_owned()))
    }

    /// Whether reads of `key` fail this time.
    fn is_unreadable(&self, key: &str) -> bool {
        let mut faults = self.faults.lock().unwrap();
        let Some((unreadable, left)) = &mut faults.unreadable else { return false };
        let fails = unreadable == key && *left > 0;
        *left -= u32::from(fails);
        fails
    }
}

/// Takes what is meant for the prefix of `key`.
fn take<T>(slot: &mut Option<T>, key: &str, prefix: impl Fn(&T) -> &str) -> Option<T> {
    slot.take_if(|value| key.starts_with(prefix(value)))
}

impl MetaStore for TestCatalog {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        if self.is_unreadable(key) {
            return Box::pin(async { Self::unavailable() });
        }
        self.store.get(key)
    }

    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            let before = take(&mut self.faults.lock().unwrap().before, key, |(prefix, _)| prefix);
            if let Some((_, happen)) = before {
                happen.await;
            }
            if self.faults.lock().unwrap().refused.as_ref().is_some_and(|prefix| key.starts_with(prefix)) {
                return Self::unavailable();
            }
            let revision = self.store.put(key, expect, value).await?;
            let mut faults = self.faults.lock().unwrap();
            if take(&mut faults.lost, key, String::as_str).is_some() {
                // The read that looks what became of it fails too.
                faults.unreadable = Some((key.to_owned(), 1));
                return Self::unavailable();
            }
            Ok(revision)
        })
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.delete(key, revision)
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.store.list(prefix, after, limit)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.store.watch(prefix)
    }
}
