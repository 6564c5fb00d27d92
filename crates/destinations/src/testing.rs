//! A catalog for tests that takes its time and fails when it is told to.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use millstream_catalog::{Expect, MemoryStore, MetaStore, Page, Revision, StoreError, Versioned, Watch};
use millstream_env::BoxFuture;

/// A catalog in memory, every change of which is waited for once.
#[derive(Debug, Default)]
pub(crate) struct TestCatalog {
    inner: MemoryStore,
    failing: Mutex<VecDeque<(String, StoreError)>>,
}

impl TestCatalog {
    /// The next change of a key that begins with `prefix` fails, and that once, after those that were to fail before. An
    /// unavailable catalog makes it all the same.
    pub(crate) fn fail_once(&self, prefix: &str, error: StoreError) {
        self.failing.lock().unwrap().push_back((prefix.to_owned(), error));
    }

    fn failure(&self, key: &str) -> Option<StoreError> {
        let mut failing = self.failing.lock().unwrap();
        let is_meant = failing.front().is_some_and(|(prefix, _)| key.starts_with(prefix.as_str()));
        if is_meant { failing.pop_front().map(|(_, error)| error) } else { None }
    }
}

impl MetaStore for TestCatalog {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        self.inner.get(key)
    }

    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match self.failure(key) {
                None => self.inner.put(key, expect, value).await,
                Some(error) => {
                    if matches!(error, StoreError::Unavailable(_)) {
                        self.inner.put(key, expect, value).await?;
                    }
                    Err(error)
                }
            }
        })
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            match self.failure(key) {
                None => self.inner.delete(key, revision).await,
                Some(error) => Err(error),
            }
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        self.inner.list(prefix, after, limit)
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.inner.watch(prefix)
    }
}
