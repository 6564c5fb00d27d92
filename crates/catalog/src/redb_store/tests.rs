//! The redb form: the conformance suite, opening again, sharing of transactions, full and failing disks.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use millstream_env::{Disk, RealDisk};
use tempfile::TempDir;

use super::*;

fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

fn open(folder: &TempDir) -> RedbStore {
    RedbStore::open(&folder.path().join("catalog.redb"), &real(), RedbOptions::default()).unwrap()
}

/// A store whose folder is removed with the test process's temporary folder.
fn fresh() -> Arc<RedbStore> {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    // The file stays usable without its name.
    drop(folder);
    Arc::new(store)
}

crate::conformance_tests!(fresh());

#[tokio::test]
async fn values_and_revisions_survive_closing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = store.put("a", Expect::Absent, Bytes::from_static(b"1")).await.unwrap();
    let gone = store.put("b", Expect::Absent, Bytes::from_static(b"2")).await.unwrap();
    store.delete("b", gone).await.unwrap();
    store.close().await;
    assert!(matches!(store.get("a").await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.put("c", Expect::Absent, Bytes::new()).await, Err(StoreError::Unavailable(_))));
    drop(store);

    let store = open(&folder);
    let found = store.get("a").await.unwrap().unwrap();
    assert_eq!((found.revision, &found.value[..]), (first, &b"1"[..]));
    assert_eq!(store.get("b").await, Ok(None));
    let next = store.put("c", Expect::Absent, Bytes::new()).await.unwrap();
    assert!(next.0 > gone.0 + 1, "the deletion had a revision too");
}

#[tokio::test]
async fn a_second_opener_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder);
    let path = folder.path().join("catalog.redb");
    let second = RedbStore::open(&path, &real(), RedbOptions::default());
    assert!(matches!(second, Err(OpenError::InUse(_))));
    first.close().await;
    drop(first);
    open(&folder);
}

#[tokio::test]
async fn closing_commits_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let keys: Vec<String> = (0..100).map(|n| format!("k/{n}")).collect();
    let puts = join_all(keys.iter().map(|key| store.put(key, Expect::Absent, Bytes::from_static(b"v"))));
    let (results, ()) = futures_util::join!(puts, store.close());
    let stored = results.iter().filter(|result| result.is_ok()).count();
    drop(store);
    let store = open(&folder);
    assert_eq!(store.list("k/", None, 1000).await.unwrap().items.len(), stored);
    assert_eq!(stored, 100);
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_changes_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.put("a", Expect::Absent, Bytes::from_static(b"1")).await.unwrap();
    store.close().await;
    drop(store);
    let options = RedbOptions { free_bytes_min: u64::MAX, ..RedbOptions::default() };
    let store = RedbStore::open(&folder.path().join("catalog.redb"), &real(), options).unwrap();
    assert_eq!(store.put("b", Expect::Absent, Bytes::new()).await, Err(StoreError::Full));
    assert_eq!(store.get("a").await.unwrap().unwrap().value, Bytes::from_static(b"1"));
}
