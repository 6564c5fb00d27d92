//! Buckets over memory, with races forced by many tasks at once.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use millstream_blobs::{BlobStore as _, MemoryBlobs};
use millstream_catalog::{Expect, MetaStore as _, StoreError};
use millstream_types::AccountId;
use proptest::prelude::*;

use super::checksum::{Algorithm, Checksum, Kind};
use super::conditions::{ReadConditions, WriteConditions};
use super::limits::PUT_BYTES_MAX;
use super::*;
use crate::testing::TestCatalog;

struct Fixture {
    buckets: Buckets,
    blobs: Arc<MemoryBlobs>,
    catalog: Arc<TestCatalog>,
    account: AccountId,
    mill: BucketName,
}

impl Fixture {
    async fn new() -> Self {
        let (blobs, catalog) = (Arc::new(MemoryBlobs::new()), Arc::new(TestCatalog::default()));
        let buckets = open(&blobs, &catalog).await;
        let (account, mill): (AccountId, BucketName) = ("123456789012".parse().unwrap(), "mill".parse().unwrap());
        buckets.create_bucket(&account, &mill, &"us-west-2".parse().unwrap()).await.unwrap();
        Self { buckets, blobs, catalog, account, mill }
    }

    /// The same after a crash.
    async fn again(self) -> Self {
        let buckets = open(&self.blobs, &self.catalog).await;
        Self { buckets, ..self }
    }

    async fn put(&self, key: &str, content: &str) -> Result<Stored, Error> {
        let put = Put { content: Bytes::copy_from_slice(content.as_bytes()), ..Put::default() };
        self.buckets.put_object(&self.account, &self.mill, &key.parse()?, put).await
    }

    async fn get(&self, key: &str) -> Result<Bytes, Error> {
        let (key, conditions) = (key.parse()?, ReadConditions::default());
        let found = self.buckets.get_object(&self.account, &self.mill, &key, &conditions, None).await?;
        found.content.whole().await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        self.buckets.delete_object(&self.account, &self.mill, &key.parse()?, &WriteConditions::default()).await
    }

    /// Begins an upload of one part to the key `k`: its id, and what completes it.
    async fn upload(&self) -> (String, CompletedPart) {
        let key: ObjectKey = "k".parse().unwrap();
        let id = self.buckets.create_upload(&self.account, &self.mill, &key, NewUpload::default()).await.unwrap();
        let (upload, content) = ((&self.mill, &key, &id[..]), Bytes::from_static(b"part"));
        let stored = self.buckets.upload_part(&self.account, upload, 1, content, None, None).await.unwrap();
        (id, CompletedPart { number: 1, etag: stored.etag, checksum: None })
    }

    async fn complete(&self, id: &str, part: &CompletedPart) -> Result<Stored, Error> {
        let upload = (&self.mill, &"k".parse()?, id);
        let (parts, conditions) = (std::slice::from_ref(part), WriteConditions::default());
        self.buckets.complete_upload(&self.account, upload, parts, &Expected::default(), &conditions).await
    }

    async fn blob_count(&self) -> usize {
        self.blobs.list().await.unwrap().len()
    }

    async fn list(&self, query: &ListQuery) -> Listing {
        self.buckets.list_objects(&self.account, &self.mill, query).await.unwrap()
    }
}

async fn open(blobs: &Arc<MemoryBlobs>, catalog: &Arc<TestCatalog>) -> Buckets {
    let parts = Parts {
        catalog: Arc::clone(catalog) as SharedStore,
        blobs: Arc::clone(blobs) as SharedBlobs,
        clock: ServiceClock::real(),
        host_clock: HostClock::real(),
        random: Random::system(),
        tasks: Tasks::new(),
    };
    Buckets::open(parts).await.unwrap()
}

#[tokio::test]
async fn equal_contents_are_kept_and_removed_one_by_one() {
    let fixture = Fixture::new().await;
    for key in ["a", "b"] {
        fixture.put(key, "same").await.unwrap();
    }
    fixture.delete("a").await.unwrap();
    assert_eq!(fixture.get("b").await.unwrap(), "same");
    fixture.put("b", "other").await.unwrap();
    assert_eq!((fixture.get("b").await.unwrap(), fixture.blob_count().await), ("other".into(), 1));
    assert_eq!(fixture.get("a").await, Err(Error::NoSuchKey("a".to_owned())));
    fixture.put("b", "").await.unwrap();
    assert_eq!((fixture.get("b").await.unwrap(), fixture.blob_count().await), (Bytes::new(), 0));
}

#[tokio::test]
async fn refused_puts_leave_nothing() {
    let fixture = Fixture::new().await;
    let key: ObjectKey = "k".parse().unwrap();
    let put = |put: Put| fixture.buckets.put_object(&fixture.account, &fixture.mill, &key, put);
    let content = Bytes::from_static(b"grain");
    let wrong = Some(Checksum::of(Algorithm::Sha1, b"other"));
    let result = put(Put { content: content.clone(), checksum: wrong, ..Put::default() }).await;
    assert_eq!(result, Err(Error::BadChecksum(Algorithm::Sha1)));
    let result = put(Put { content: content.clone(), md5: Some([0; 16]), ..Put::default() }).await;
    assert_eq!(result, Err(Error::BadContentMd5));
    let conditions = WriteConditions { if_match: Some("x".to_owned()), if_none_match: false };
    let result = put(Put { content, conditions, ..Put::default() }).await;
    assert_eq!(result, Err(Error::NoSuchKey("k".to_owned())));
    let bytes = PUT_BYTES_MAX + 1;
    let content = Bytes::from(vec![0; usize::try_from(bytes).unwrap()]);
    let result = put(Put { content, ..Put::default() }).await;
    assert_eq!(result, Err(Error::EntityTooLarge { bytes, bytes_max: PUT_BYTES_MAX }));
    assert_eq!(fixture.blob_count().await, 0);
    assert_eq!(fixture.get("k").await, Err(Error::NoSuchKey("k".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_one_key_leave_one_content_and_readers_see_whole_ones() {
    let fixture = Arc::new(Fixture::new().await);
    fixture.put("k", "0").await.unwrap();
    let tasks = Tasks::new();
    let work: Vec<_> = (0..24)
        .map(|n| {
            let fixture = Arc::clone(&fixture);
            tasks.spawn(async move {
                if n % 2 == 0 {
                    match fixture.put("k", &"x".repeat(n)).await {
                        Ok(_) | Err(Error::SlowDown) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                } else {
                    let content = fixture.get("k").await.unwrap();
                    assert!(content == "0" || content.iter().all(|byte| *byte == b'x'));
                }
            })
        })
        .collect();
    for done in join_all(work).await {
        done.unwrap();
    }
    assert_eq!(fixture.blob_count().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_object_goes_with_its_bucket() {
    for _ in 0..200 {
        let fixture = Arc::new(Fixture::new().await);
        let tasks = Tasks::new();
        let (writer, deleter) = (Arc::clone(&fixture), Arc::clone(&fixture));
        let put = tasks.spawn(async move { writer.put("k", "grain").await });
        let deleted = tasks.spawn(async move { deleter.buckets.delete_bucket(&deleter.account, &deleter.mill).await });
        match (put.await.unwrap(), deleted.await.unwrap()) {
            (Ok(_), Err(Error::BucketNotEmpty(_))) => assert_eq!(fixture.get("k").await.unwrap(), "grain"),
            (Err(Error::NoSuchBucket(_) | Error::OperationAborted), Ok(()) | Err(Error::BucketNotEmpty(_))) => {
                assert_eq!(fixture.blob_count().await, 0);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_object_goes_with_its_bucket_when_two_write_it() {
    for _ in 0..300 {
        let fixture = Arc::new(Fixture::new().await);
        let tasks = Tasks::new();
        let writers = ["grain", "flour"].map(|content| {
            let fixture = Arc::clone(&fixture);
            tasks.spawn(async move { fixture.put("k", content).await })
        });
        let deleter = Arc::clone(&fixture);
        let deleted = tasks.spawn(async move { deleter.buckets.delete_bucket(&deleter.account, &deleter.mill).await });
        if join_all(writers).await.into_iter().any(|put| put.unwrap().is_ok()) {
            assert!(matches!(deleted.await.unwrap(), Err(Error::BucketNotEmpty(_))));
            fixture.get("k").await.unwrap();
        }
    }
}

/// Polls work a few times, and then goes away.
async fn abandon<T>(work: impl Future<Output = T>) {
    let mut work = std::pin::pin!(work);
    for _ in 0..2 {
        if futures_util::poll!(&mut work).is_ready() {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_begun_is_finished_when_the_client_goes_away() {
    let fixture = Fixture::new().await;
    abandon(fixture.put("other", "grain")).await;
    let (id, part) = fixture.upload().await;
    abandon(fixture.complete(&id, &part)).await;
    while fixture.get("k").await.is_err() {
        tokio::task::yield_now().await;
    }
    let is_open = || fixture.buckets.list_uploads(&fixture.account, &fixture.mill);
    while !is_open().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!((fixture.get("other").await.unwrap(), fixture.blob_count().await), ("grain".into(), 2));
    for key in ["k", "other"] {
        fixture.delete(key).await.unwrap();
    }
    abandon(fixture.buckets.delete_bucket(&fixture.account, &fixture.mill)).await;
    while fixture.buckets.find(&fixture.mill).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_a_full_disk_refused_leaves_nothing_and_what_is_unknown_keeps_its_content() {
    let fixture = Fixture::new().await;
    for error in [StoreError::Full, StoreError::TooLarge] {
        fixture.catalog.fail_once(record::OBJECTS, error);
        assert!(matches!(fixture.put("k", "grain").await, Err(Error::Unavailable(_))));
        assert_eq!(fixture.blob_count().await, 0);
    }
    fixture.catalog.fail_once(record::OBJECTS, StoreError::Unavailable("disk".to_owned()));
    assert!(matches!(fixture.put("k", "grain").await, Err(Error::OutcomeUnknown(_))));
    assert_eq!(fixture.get("k").await.unwrap(), "grain");
}

#[tokio::test]
async fn a_completion_that_a_full_disk_refused_can_be_tried_again() {
    let fixture = Fixture::new().await;
    let (id, part) = fixture.upload().await;
    fixture.catalog.fail_once(record::OBJECTS, StoreError::Full);
    assert!(matches!(fixture.complete(&id, &part).await, Err(Error::Unavailable(_))));
    fixture.catalog.fail_once(record::PARTS, StoreError::Full);
    let (key, content) = ("k".parse().unwrap(), Bytes::from_static(b"second"));
    let upload = (&fixture.mill, &key, &id[..]);
    let refused = fixture.buckets.upload_part(&fixture.account, upload, 2, content, None, None).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))));
    assert_eq!(fixture.blob_count().await, 1);
    // Not even the mark can be taken off at once.
    for prefix in [record::OBJECTS, record::UPLOADS] {
        fixture.catalog.fail_once(prefix, StoreError::Full);
    }
    assert!(matches!(fixture.complete(&id, &part).await, Err(Error::Unavailable(_))));
    assert_eq!(fixture.complete(&id, &part).await, Err(Error::OperationAborted));
    HostClock::real().sleep(limits::UNMARK_INTERVAL * 2).await;
    fixture.complete(&id, &part).await.unwrap();
    assert_eq!(fixture.get("k").await.unwrap(), "part");
}

#[tokio::test]
async fn a_damaged_bucket_does_not_keep_the_others_from_being_served() {
    let fixture = Fixture::new().await;
    fixture.put("k", "grain").await.unwrap();
    let other: BucketName = "other".parse().unwrap();
    fixture.buckets.create_bucket(&fixture.account, &other, &"us-west-2".parse().unwrap()).await.unwrap();
    let key = record::BucketRecord::key(&other);
    let found = fixture.catalog.get(&key).await.unwrap().unwrap();
    fixture.catalog.put(&key, Expect::Revision(found.revision), "{".into()).await.unwrap();
    let orphan = fixture.blobs.put(Bytes::from_static(b"perhaps the other's")).await.unwrap();
    let fixture = fixture.again().await;
    assert_eq!(fixture.get("k").await.unwrap(), "grain");
    assert_eq!(fixture.buckets.list_buckets(&fixture.account).await.unwrap().len(), 1);
    let refused = fixture.buckets.sweep(HashSet::from([orphan])).await;
    assert!(matches!(refused, Err(Error::Internal(_))));
    assert_eq!(fixture.blob_count().await, 2);
}

#[tokio::test]
async fn slow_readers_hold_room_only_for_what_is_loaded() {
    let fixture = Fixture::new().await;
    fixture.put("k", "grain of corn").await.unwrap();
    let (key, conditions) = ("k".parse().unwrap(), ReadConditions::default());
    let all = limits::DOWNLOAD_BYTES_MAX;
    let free = || fixture.buckets.shared.contents.downloads.available_permits();
    let found = |range| fixture.buckets.get_object(&fixture.account, &fixture.mill, &key, &conditions, range);
    let small = found(Some("bytes=0-1")).await.unwrap();
    assert_eq!(free(), all - 2);
    drop(small);
    let room = fixture.buckets.shared.contents.share(all as u64).await.unwrap();
    let waiting = found(None);
    let (read, ()) = futures_util::future::join(waiting, async { drop(room) }).await;
    assert_eq!(read.unwrap().content.whole().await.unwrap(), "grain of corn");
    assert_eq!(free(), all);
    let _room = fixture.buckets.shared.contents.share(all as u64).await.unwrap();
    assert!(matches!(found(None).await, Err(Error::SlowDown)));
    let source = (&fixture.mill, &key, &conditions);
    let target = "copy".parse().unwrap();
    let copy = fixture.buckets.copy_object(&fixture.account, source, (&fixture.mill, &target), None, None).await;
    assert_eq!(copy, Err(Error::SlowDown));
}

#[tokio::test]
async fn an_object_of_parts_is_what_its_client_expects_or_is_not_made() {
    let fixture = Fixture::new().await;
    let (id, part) = fixture.upload().await;
    let (key, conditions) = ("k".parse().unwrap(), WriteConditions::default());
    let parts = [part];
    let complete = async |expected: Expected| {
        let upload = (&fixture.mill, &key, &id[..]);
        fixture.buckets.complete_upload(&fixture.account, upload, &parts, &expected, &conditions).await
    };
    let made = Checksum::of(Algorithm::Crc64Nvme, b"part");
    let checksum = |algorithm, value: &str| Some((algorithm, value.to_owned()));
    for expected in [
        Expected { bytes: Some(5), ..Expected::default() },
        Expected { kind: Some("COMPOSITE".to_owned()), ..Expected::default() },
        Expected { checksum: checksum(Algorithm::Sha1, &made.value), ..Expected::default() },
    ] {
        assert!(matches!(complete(expected).await, Err(Error::InvalidRequest(_))));
    }
    let wrong = Expected { checksum: checksum(Algorithm::Crc64Nvme, "AAAAAAAAAAA="), ..Expected::default() };
    assert_eq!(complete(wrong).await, Err(Error::BadChecksum(Algorithm::Crc64Nvme)));
    let kind = Some("FULL_OBJECT".to_owned());
    let right = Expected { bytes: Some(4), kind, checksum: checksum(Algorithm::Crc64Nvme, &made.value) };
    complete(right).await.unwrap();
}

#[tokio::test]
async fn a_bucket_made_anew_is_empty() {
    let fixture = Fixture::new().await;
    fixture.put("k", "grain").await.unwrap();
    let refused = fixture.buckets.delete_bucket(&fixture.account, &fixture.mill).await;
    assert_eq!(refused, Err(Error::BucketNotEmpty("mill".to_owned())));
    fixture.delete("k").await.unwrap();
    fixture.buckets.delete_bucket(&fixture.account, &fixture.mill).await.unwrap();
    assert_eq!(fixture.put("k", "x").await, Err(Error::NoSuchBucket("mill".to_owned())));
    fixture.buckets.create_bucket(&fixture.account, &fixture.mill, &"us-west-2".parse().unwrap()).await.unwrap();
    assert_eq!(fixture.list(&ListQuery { lines_max: 10, ..ListQuery::default() }).await, Listing::default());
}

#[tokio::test]
async fn what_a_crash_left_is_finished() {
    use super::record::{BucketRecord, Record as _};
    let fixture = Fixture::new().await;
    fixture.put("k", "grain").await.unwrap();
    let key = BucketRecord::key(&fixture.mill);
    for is_empty in [false, true] {
        // Marked for deletion, and then the process ended.
        let (revision, record) = fixture.buckets.find(&fixture.mill).await.unwrap().unwrap();
        let marked = BucketRecord { deleting: true, ..record };
        fixture.catalog.put(&key, Expect::Revision(revision), marked.encode()).await.unwrap();
        assert_eq!(fixture.put("other", "x").await, Err(Error::OperationAborted));
        fixture.buckets.finish_interrupted().await.unwrap();
        if is_empty {
            assert_eq!(fixture.buckets.find(&fixture.mill).await, Ok(None));
        } else {
            assert_eq!(fixture.get("k").await.unwrap(), "grain");
            fixture.delete("k").await.unwrap();
        }
    }
    assert_eq!(fixture.blob_count().await, 0);
}

#[tokio::test]
async fn only_what_nothing_refers_to_is_swept() {
    let fixture = Fixture::new().await;
    fixture.put("k", "grain").await.unwrap();
    let (key, content) = ("parts".parse::<ObjectKey>().unwrap(), Bytes::from_static(b"part"));
    let id = fixture.buckets.create_upload(&fixture.account, &fixture.mill, &key, NewUpload::default()).await.unwrap();
    let upload = (&fixture.mill, &key, &id[..]);
    fixture.buckets.upload_part(&fixture.account, upload, 1, content, None, None).await.unwrap();
    let orphan = fixture.blobs.put(Bytes::from_static(b"nobody's")).await.unwrap();
    let fixture = fixture.again().await;
    let at_start: HashSet<_> = fixture.blobs.list().await.unwrap().into_iter().collect();
    // May find nothing any more: the same is done by a task of its own.
    fixture.buckets.sweep(at_start).await.unwrap();
    let left = fixture.blobs.list().await.unwrap();
    assert!(left.len() == 2 && !left.contains(&orphan));
    assert_eq!(fixture.get("k").await.unwrap(), "grain");
}

#[tokio::test]
async fn parts_become_an_object_once() {
    let fixture = Fixture::new().await;
    let key: ObjectKey = "k".parse().unwrap();
    for (algorithm, kind) in [(Algorithm::Crc32, Kind::Composite), (Algorithm::Crc64Nvme, Kind::FullObject)] {
        let new = NewUpload { checksum: Some((algorithm, kind)), ..NewUpload::default() };
        let id = fixture.buckets.create_upload(&fixture.account, &fixture.mill, &key, new).await.unwrap();
        let upload = (&fixture.mill, &key, &id[..]);
        let contents = [vec![1; 5 * 1024 * 1024], vec![2; 10]];
        let mut parts = Vec::new();
        for (number, content) in (1..).zip(&contents) {
            let content = Bytes::copy_from_slice(content);
            for content in [Bytes::from_static(b"replaced"), content] {
                let stored =
                    fixture.buckets.upload_part(&fixture.account, upload, number, content, None, None).await.unwrap();
                parts.push(CompletedPart { number, etag: stored.etag, checksum: stored.checksum });
            }
        }
        let parts = [parts[1].clone(), parts[3].clone()];
        let complete = || {
            let conditions = WriteConditions::default();
            let buckets = fixture.buckets.clone();
            let (account, parts) = (&fixture.account, &parts);
            async move { buckets.complete_upload(account, upload, parts, &Expected::default(), &conditions).await }
        };
        let stored = complete().await.unwrap();
        let whole = contents.concat();
        let expected = match kind {
            Kind::FullObject => Checksum::of(algorithm, &whole).value,
            Kind::Composite => {
                let sums: Vec<u8> = contents.iter().flat_map(|content| algorithm.of(content)).collect();
                format!("{}-2", Checksum::of(algorithm, &sums).value)
            }
        };
        assert_eq!(stored.checksum.unwrap().value, expected);
        assert_eq!(fixture.get("k").await.unwrap(), whole);
        assert!(matches!(complete().await, Err(Error::NoSuchUpload(_))));
        assert_eq!(fixture.blob_count().await, 2, "replaced parts and the former object are gone");
    }
}

#[tokio::test]
async fn a_completion_that_a_crash_interrupted_is_found_out() {
    use super::record::{Record as _, UploadRecord};
    let fixture = Fixture::new().await;
    let key: ObjectKey = "k".parse().unwrap();
    let id = fixture.buckets.create_upload(&fixture.account, &fixture.mill, &key, NewUpload::default()).await.unwrap();
    let upload = (&fixture.mill, &key, &id[..]);
    let part = Bytes::from_static(b"part");
    let stored = fixture.buckets.upload_part(&fixture.account, upload, 1, part, None, None).await.unwrap();
    let (_, bucket) = fixture.buckets.find(&fixture.mill).await.unwrap().unwrap();
    let place = format!("{}{id}", bucket.uploads());
    let found = fixture.catalog.get(&place).await.unwrap().unwrap();
    let record = UploadRecord::decode(&place, &found.value).unwrap();
    let marked = UploadRecord { completing: true, ..record };
    fixture.catalog.put(&place, Expect::Revision(found.revision), marked.encode()).await.unwrap();
    let aborted = fixture.buckets.abort_upload(&fixture.account, upload).await;
    assert_eq!(aborted, Err(Error::OperationAborted));
    let fixture = fixture.again().await;
    // The object was not made: the upload goes on.
    let parts = [CompletedPart { number: 1, etag: stored.etag, checksum: None }];
    let conditions = WriteConditions::default();
    let upload = (&fixture.mill, &key, &id[..]);
    fixture.buckets.complete_upload(&fixture.account, upload, &parts, &Expected::default(), &conditions).await.unwrap();
    assert_eq!(fixture.get("k").await.unwrap(), "part");
}

/// What a list must be, made the plain way.
fn expected(keys: &[String], query: &ListQuery) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(&query.prefix)) {
        let rest = &key[query.prefix.len()..];
        let line = match rest.find(&query.delimiter[..]).filter(|_| !query.delimiter.is_empty()) {
            Some(found) => key[..query.prefix.len() + found + query.delimiter.len()].to_owned(),
            None => key.clone(),
        };
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn pages_together_are_the_whole_list(
        keys in prop::collection::btree_set("[ab/é\u{10ffff}]{1,5}", 0..40),
        prefix in "[ab/]{0,2}",
        delimiter in "(/|ab|é|)",
        lines_max in 1_usize..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            for key in &keys {
                fixture.put(key, "").await.unwrap();
            }
            let keys: Vec<String> = keys.into_iter().collect();
            let mut query = ListQuery { prefix, delimiter, after: String::new(), lines_max };
            let mut lines = Vec::new();
            loop {
                let listing = fixture.list(&query).await;
                let mut page: Vec<String> = listing.objects.into_iter().map(|listed| listed.key).collect();
                page.extend(listing.common_prefixes);
                page.sort();
                prop_assert!(page.len() <= lines_max);
                lines.extend(page);
                match listing.next {
                    Some(next) => query.after = next,
                    None => break,
                }
            }
            prop_assert_eq!(lines, expected(&keys, &query));
            Ok(())
        })?;
    }
}
