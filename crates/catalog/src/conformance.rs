//! What every form of the catalog must do. [`conformance_tests`](crate::conformance_tests) makes a test of each function.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::{Change, Expect, KEY_BYTES_MAX, MetaStore, PAGE_ITEMS_MAX, Revision, StoreError, VALUE_BYTES_MAX, Watched};

/// Makes one test of each requirement. `$make` is an expression for an `Arc` of a new, empty store.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests!(@each $make;
            changes_need_the_expected_state,
            revisions_grow_over_all_keys,
            pages_follow_the_order_of_bytes,
            long_pages_are_cut,
            one_of_many_writers_wins,
            watchers_see_their_prefix_in_order,
            sizes_are_bounded,
        );
    };
    (@each $make:expr; $($name:ident),+ $(,)?) => {
        mod conformance {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let store = $make;
                    $crate::conformance::$name(store).await;
                }
            )+
        }
    };
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Puts a value whatever was there before.
async fn set(store: &dyn MetaStore, key: &str, value: &str) -> Revision {
    let expect = match store.get(key).await.unwrap() {
        Some(found) => Expect::Revision(found.revision),
        None => Expect::Absent,
    };
    store.put(key, expect, bytes(value)).await.unwrap()
}

pub async fn changes_need_the_expected_state(store: Arc<dyn MetaStore>) {
    let unknown = Revision(u64::MAX);
    assert_eq!(store.get("a").await, Ok(None));
    assert_eq!(store.put("a", Expect::Revision(unknown), bytes("1")).await, Err(StoreError::Conflict));
    assert_eq!(store.delete("a", unknown).await, Err(StoreError::Conflict));

    let first = store.put("a", Expect::Absent, bytes("1")).await.unwrap();
    assert_eq!(store.put("a", Expect::Absent, bytes("2")).await, Err(StoreError::Conflict));
    let found = store.get("a").await.unwrap().unwrap();
    assert_eq!((found.revision, found.value), (first, bytes("1")));

    let second = store.put("a", Expect::Revision(first), bytes("")).await.unwrap();
    assert_eq!(store.put("a", Expect::Revision(first), bytes("3")).await, Err(StoreError::Conflict));
    assert_eq!(store.delete("a", first).await, Err(StoreError::Conflict));
    assert_eq!(store.get("a").await.unwrap().unwrap().value, bytes(""));

    store.delete("a", second).await.unwrap();
    assert_eq!(store.get("a").await, Ok(None));
    let third = store.put("a", Expect::Absent, bytes("4")).await.unwrap();
    assert!(third > second, "a key that was deleted does not get an old revision again");
}

pub async fn revisions_grow_over_all_keys(store: Arc<dyn MetaStore>) {
    let mut last = Revision(0);
    for n in 0..50 {
        let revision = set(&*store, &format!("key/{}", n % 7), "value").await;
        assert!(revision > last);
        last = revision;
    }
}

pub async fn pages_follow_the_order_of_bytes(store: Arc<dyn MetaStore>) {
    for key in ["b/2", "a/1", "b", "b/1", "b/10", "b/é", "c", "b0"] {
        set(&*store, key, key).await;
    }
    let keys = async |prefix: &str, after: Option<&str>, limit: usize| {
        let page = store.list(prefix, after, limit).await.unwrap();
        (page.items.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), page.more)
    };
    let all = ["b/1", "b/10", "b/2", "b/é"].map(str::to_owned).to_vec();
    assert_eq!(keys("b/", None, 10).await, (all.clone(), false));
    assert_eq!(keys("b/", None, 4).await, (all.clone(), false));
    assert_eq!(keys("b/", None, 3).await, (all[..3].to_vec(), true));
    assert_eq!(keys("b/", Some("b/10"), 10).await, (all[2..].to_vec(), false));
    assert_eq!(keys("b/", Some("b/11"), 1).await, (all[2..3].to_vec(), true));
    assert_eq!(keys("b/", Some("a"), 10).await, (all, false));
    assert_eq!(keys("b/", Some("b/é"), 10).await, (vec![], false));
    assert_eq!(keys("b/", Some("c"), 10).await, (vec![], false));
    assert_eq!(keys("", None, 100).await.0.len(), 8);
}

pub async fn long_pages_are_cut(store: Arc<dyn MetaStore>) {
    let count = PAGE_ITEMS_MAX + 3;
    let names: Vec<String> = (0..count).map(|n| format!("item/{n:05}")).collect();
    let puts = join_all(names.iter().map(|name| store.put(name, Expect::Absent, bytes("v")))).await;
    assert!(puts.iter().all(Result::is_ok));
    let first = store.list("item/", None, usize::MAX).await.unwrap();
    assert_eq!((first.items.len(), first.more), (PAGE_ITEMS_MAX, true));
    let last_key = &first.items.last().unwrap().0;
    let second = store.list("item/", Some(last_key), usize::MAX).await.unwrap();
    assert_eq!((second.items.len(), second.more), (3, false));

    let large = Bytes::from(vec![7; VALUE_BYTES_MAX]);
    for n in 0..9 {
        store.put(&format!("large/{n}"), Expect::Absent, large.clone()).await.unwrap();
    }
    let page = store.list("large/", None, 100).await.unwrap();
    assert_eq!((page.items.len(), page.more), (8, true));
}

pub async fn one_of_many_writers_wins(store: Arc<dyn MetaStore>) {
    let revision = set(&*store, "contended", "start").await;
    let texts: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let puts = texts.iter().map(|text| store.put("contended", Expect::Revision(revision), bytes(text)));
    let results = join_all(puts).await;
    let winners: Vec<usize> = (0..results.len()).filter(|&n| results[n].is_ok()).collect();
    assert_eq!(winners.len(), 1);
    let found = store.get("contended").await.unwrap().unwrap();
    assert_eq!(found.value, bytes(&texts[winners[0]]));
    assert_eq!(Ok(found.revision), results[winners[0]]);
}

pub async fn watchers_see_their_prefix_in_order(store: Arc<dyn MetaStore>) {
    set(&*store, "w/1", "before").await;
    let mut watch = store.watch("w/");
    set(&*store, "w/1", "one").await;
    set(&*store, "other", "not seen").await;
    let revision = set(&*store, "w/2", "two").await;
    store.delete("w/2", revision).await.unwrap();
    assert_eq!(store.put("w/2", Expect::Revision(revision), bytes("x")).await, Err(StoreError::Conflict));

    let mut seen = Vec::new();
    for _ in 0..3 {
        let Watched::Change(Change { key, value }) = watch.next().await else { panic!("a change was lost") };
        seen.push((key, value.map(|versioned| versioned.value)));
    }
    let expected =
        [("w/1", Some(bytes("one"))), ("w/2", Some(bytes("two"))), ("w/2", None)].map(|(k, v)| (k.to_owned(), v));
    assert_eq!(seen, expected);
    assert!(futures_util::poll!(Box::pin(watch.next())).is_pending());
}

pub async fn sizes_are_bounded(store: Arc<dyn MetaStore>) {
    let long = "k".repeat(KEY_BYTES_MAX);
    let full = Bytes::from(vec![1; VALUE_BYTES_MAX]);
    store.put(&long, Expect::Absent, full.clone()).await.unwrap();
    assert_eq!(store.get(&long).await.unwrap().unwrap().value, full);
    let over = Bytes::from(vec![1; VALUE_BYTES_MAX + 1]);
    assert_eq!(store.put("b", Expect::Absent, over).await, Err(StoreError::TooLarge));
    assert_eq!(store.put("", Expect::Absent, bytes("v")).await, Err(StoreError::TooLarge));
    assert_eq!(store.put(&format!("{long}k"), Expect::Absent, bytes("v")).await, Err(StoreError::TooLarge));
}
