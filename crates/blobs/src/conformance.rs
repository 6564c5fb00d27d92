//! What every form of the store must do. [`conformance_tests`](crate::conformance_tests) makes a test of each function.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::{BLOB_BYTES_MAX, BlobError, BlobStore, Digest};

/// Makes one test of each requirement. `$make` is an expression for an `Arc` of a
/// new, empty store and something to keep until the test ends (a folder).
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests!(@each $make;
            blobs_come_back_under_their_digest,
            putting_twice_changes_nothing,
            deleting_is_final_and_repeatable,
            many_at_once_do_not_disturb_each_other,
            sizes_are_bounded,
        );
    };
    (@each $make:expr; $($name:ident),+ $(,)?) => {
        mod conformance {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let (store, _kept) = $make;
                    $crate::conformance::$name(store).await;
                }
            )+
        }
    };
}

pub async fn blobs_come_back_under_their_digest(store: Arc<dyn BlobStore>) {
    for length in [0, 1, 4096, 70_001, 3_000_000] {
        let bytes: Bytes = (0..=250).cycle().take(length).collect::<Vec<u8>>().into();
        let digest = store.put(bytes.clone()).await.unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        assert_eq!(store.get(digest).await.unwrap().unwrap(), bytes);
    }
    assert_eq!(store.get(Digest::of(b"never put")).await, Ok(None));
}

pub async fn putting_twice_changes_nothing(store: Arc<dyn BlobStore>) {
    let first = store.put(Bytes::from_static(b"same")).await.unwrap();
    let second = store.put(Bytes::from_static(b"same")).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(store.list().await.unwrap(), [first]);
}

pub async fn deleting_is_final_and_repeatable(store: Arc<dyn BlobStore>) {
    let kept = store.put(Bytes::from_static(b"kept")).await.unwrap();
    let gone = store.put(Bytes::from_static(b"gone")).await.unwrap();
    store.delete(gone).await.unwrap();
    store.delete(gone).await.unwrap();
    assert_eq!(store.get(gone).await, Ok(None));
    assert_eq!(store.list().await.unwrap(), [kept]);
}

pub async fn many_at_once_do_not_disturb_each_other(store: Arc<dyn BlobStore>) {
    let bodies: Vec<Bytes> = (0..60).map(|n| format!("body {}", n % 20).into()).collect();
    let digests = join_all(bodies.iter().map(|body| store.put(body.clone()))).await;
    for (body, digest) in bodies.iter().zip(digests) {
        assert_eq!(&store.get(digest.unwrap()).await.unwrap().unwrap(), body);
    }
    assert_eq!(store.list().await.unwrap().len(), 20);
}

pub async fn sizes_are_bounded(store: Arc<dyn BlobStore>) {
    let bytes = BLOB_BYTES_MAX + 1;
    assert_eq!(store.put(Bytes::from(vec![0; bytes])).await, Err(BlobError::TooLarge { bytes }));
    assert_eq!(store.list().await, Ok(vec![]));
}
