//! The catalog in memory.

use std::collections::BTreeMap;
use std::future::ready;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use millstream_env::BoxFuture;

use crate::contract::{
    Change, Expect, KEY_BYTES_MAX, MetaStore, PAGE_BYTES_MAX, PAGE_ITEMS_MAX, Page, Revision, StoreError,
    VALUE_BYTES_MAX, Versioned,
};
use crate::watch::{Watch, Watchers};

/// A catalog that is gone when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    watchers: Watchers,
}

#[derive(Debug, Default)]
struct State {
    last_revision: u64,
    values: BTreeMap<String, Versioned>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    fn put_now(&self, key: &str, expect: Expect, value: Bytes) -> Result<Revision, StoreError> {
        check_sizes(key, &value)?;
        let mut state = self.lock();
        check_expected(expect, state.values.get(key).map(|versioned| versioned.revision))?;
        state.last_revision += 1;
        let versioned = Versioned { revision: Revision(state.last_revision), value };
        state.values.insert(key.to_owned(), versioned.clone());
        let revision = versioned.revision;
        self.watchers.send(&Change { key: key.to_owned(), value: Some(versioned) });
        Ok(revision)
    }

    fn delete_now(&self, key: &str, revision: Revision) -> Result<(), StoreError> {
        let mut state = self.lock();
        check_expected(Expect::Revision(revision), state.values.get(key).map(|versioned| versioned.revision))?;
        state.last_revision += 1;
        state.values.remove(key);
        self.watchers.send(&Change { key: key.to_owned(), value: None });
        Ok(())
    }

    fn list_now(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page {
        let state = self.lock();
        let start = first_key(prefix, after);
        let items = state.values.range::<str, _>((start, Bound::Unbounded));
        fill_page(limit, items.take_while(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while holding this lock")
    }
}

impl MetaStore for MemoryStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(ready(Ok(self.lock().values.get(key).cloned())))
    }

    fn put<'a>(&'a self, key: &'a str, expect: Expect, value: Bytes) -> BoxFuture<'a, Result<Revision, StoreError>> {
        Box::pin(async move { self.put_now(key, expect, value) })
    }

    fn delete<'a>(&'a self, key: &'a str, revision: Revision) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.delete_now(key, revision) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(ready(Ok(self.list_now(prefix, after, limit))))
    }

    fn watch(&self, prefix: &str) -> Watch {
        self.watchers.watch(prefix)
    }
}

pub(crate) fn check_sizes(key: &str, value: &[u8]) -> Result<(), StoreError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || value.len() > VALUE_BYTES_MAX {
        return Err(StoreError::TooLarge);
    }
    Ok(())
}

pub(crate) fn check_expected(expect: Expect, found: Option<Revision>) -> Result<(), StoreError> {
    let holds = match expect {
        Expect::Absent => found.is_none(),
        Expect::Revision(revision) => found == Some(revision),
    };
    if holds { Ok(()) } else { Err(StoreError::Conflict) }
}

/// Where a listing starts: after `after`, but never before the prefix.
pub(crate) fn first_key<'a>(prefix: &'a str, after: Option<&'a str>) -> Bound<&'a str> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}

/// Takes items up to the bounds of a page and notes whether there are more.
pub(crate) fn fill_page(limit: usize, mut items: impl Iterator<Item = (String, Versioned)>) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    while page.items.len() < limit.min(PAGE_ITEMS_MAX) && bytes < PAGE_BYTES_MAX {
        let Some((key, versioned)) = items.next() else { return page };
        bytes += key.len() + versioned.value.len();
        page.items.push((key, versioned));
    }
    page.more = items.next().is_some();
    page
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    crate::conformance_tests!(Arc::new(MemoryStore::new()));
}
