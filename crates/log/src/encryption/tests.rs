use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use millstream_env::{HostClock, ServiceClock};
use millstream_types::Payload;
use proptest::prelude::*;

use super::*;
use crate::conformance::support::{ALL, DAY, OTHER, SHARD, START, append, positions, put, read, read_all};
use crate::conformance::{Fixture, Settings};
use crate::contract::{Position, Record};
use crate::{MemoryLog, memory};

fn key(seed: u8) -> Arc<Key> {
    Arc::new(Key::new(&[seed; Key::BYTES]))
}

/// Keys that a test changes; streams that it does not name have the first.
#[derive(Debug)]
pub(crate) struct Keys(Mutex<HashMap<u64, Option<Arc<StreamKeys>>>>);

impl Keys {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    fn set(&self, stream: u64, writing: Option<u32>, numbers: &[u8]) {
        let keys = numbers.iter().map(|number| (u32::from(*number), key(*number))).collect();
        self.0.lock().unwrap().insert(stream, Some(Arc::new(StreamKeys::new(writing, keys))));
    }

    fn forget(&self, stream: u64) {
        self.0.lock().unwrap().insert(stream, None);
    }
}

impl DataKeys for Keys {
    fn of(&self, stream: u64) -> Option<Arc<StreamKeys>> {
        let first = || Some(Arc::new(StreamKeys::new(Some(1), BTreeMap::from([(1, key(1))]))));
        self.0.lock().unwrap().get(&stream).cloned().unwrap_or_else(first)
    }
}

pub(crate) fn around(inner: SharedLog, keys: Arc<Keys>) -> SharedLog {
    Arc::new(EncryptedLog::new(inner, keys, Random::seeded(3)))
}

fn memory_log(settings: Settings) -> (SharedLog, millstream_env::VirtualTime) {
    let (clock, time) = ServiceClock::virtual_at(START);
    let options = memory::Options {
        admitted_bytes_max: settings.admitted_bytes_max,
        admission_wait_max: settings.admission_wait_max,
        ..memory::Options::default()
    };
    (Arc::new(MemoryLog::new(options, clock, HostClock::real())), time)
}

/// An encrypted log with two shards, the log below it, and its keys.
async fn logs() -> (SharedLog, SharedLog, Arc<Keys>) {
    let (inner, _) = memory_log(Settings::default());
    let keys = Keys::new();
    let log = around(Arc::clone(&inner), Arc::clone(&keys));
    for shard in [SHARD, OTHER] {
        log.create(shard, DAY).await.unwrap();
    }
    (log, inner, keys)
}

mod over_memory {
    use super::*;

    async fn fixture(settings: Settings) -> Fixture {
        let (inner, time) = memory_log(settings);
        Fixture { log: around(inner, Keys::new()), time, keep: Box::new(()) }
    }

    crate::conformance_suite!(fixture, without_tags);
}

mod over_disk {
    use millstream_testkit::SimDisk;

    use super::*;
    use crate::disk::tests::{environment, small};

    async fn fixture(settings: Settings) -> Fixture {
        let (clock, time) = ServiceClock::virtual_at(START);
        let options = crate::disk::Options {
            tail_cache_bytes_max: 0,
            admitted_bytes_max: settings.admitted_bytes_max,
            admission_wait_max: settings.admission_wait_max,
            ..small("/data")
        };
        let (inner, _) = crate::DiskLog::open(options, environment(Arc::new(SimDisk::new(1)), clock)).unwrap();
        Fixture { log: around(Arc::new(inner), Keys::new()), time, keep: Box::new(()) }
    }

    crate::conformance_suite!(fixture, without_tags);
}

/// Streams that were never encrypted.
mod unencrypted {
    use super::*;

    #[derive(Debug)]
    struct NoKeys;

    impl DataKeys for NoKeys {
        fn of(&self, _: u64) -> Option<Arc<StreamKeys>> {
            None
        }
    }

    async fn fixture(settings: Settings) -> Fixture {
        let (inner, time) = memory_log(settings);
        let log = Arc::new(EncryptedLog::new(inner, Arc::new(NoKeys), Random::seeded(1)));
        Fixture { log, time, keep: Box::new(()) }
    }

    crate::conformance_suite!(fixture, without_tags);
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn what_is_stored_is_not_what_was_put() {
    let (log, inner, _) = logs().await;
    let secret = b"a secret that is long enough to be found";
    for _ in 0..2 {
        put(&log, SHARD, secret).await;
    }
    let stored = read_all(&inner, SHARD).await;
    assert!(stored.iter().all(|record| record.tag == TAG && !contains(&record.data, &secret[..8])));
    assert_eq!(stored[0].data.len(), secret.len() + payload::OVERHEAD_BYTES);
    assert_ne!(stored[0].data[4..28], stored[1].data[4..28], "no nonce is used twice");
    assert_ne!(stored[0].data[28..], stored[1].data[28..]);
    let found = read_all(&log, SHARD).await;
    assert!(found.iter().all(|record| record.data == secret[..] && record.is_encrypted()));
}

#[tokio::test]
async fn nonces_within_a_reservation_differ() {
    let (log, inner, _) = logs().await;
    append(&log, SHARD, &[&b"same"[..]; 300]).await;
    let stored = read_all(&inner, SHARD).await;
    let nonces: std::collections::HashSet<_> = stored.iter().map(|record| record.data[4..28].to_vec()).collect();
    assert_eq!(nonces.len(), 300);
}

#[tokio::test]
async fn encryption_comes_and_goes_and_old_records_stay_readable() {
    let (log, inner, keys) = logs().await;
    for (writing, data) in [(None, b"plain"), (Some(1), b"first"), (Some(2), b"other"), (None, b"again")] {
        keys.set(SHARD.stream, writing, &[1, 2]);
        put(&log, SHARD, data).await;
    }
    let found = read_all(&log, SHARD).await;
    let seen: Vec<_> = found.iter().map(|record| (&record.data[..], record.is_encrypted())).collect();
    assert_eq!(seen, [(&b"plain"[..], false), (b"first", true), (b"other", true), (b"again", false)]);
    let stored = read_all(&inner, SHARD).await;
    assert_eq!((&stored[1].data[..4], &stored[2].data[..4]), (&[1, 0, 0, 0][..], &[2, 0, 0, 0][..]));
}

#[tokio::test]
async fn while_the_key_is_missing_nothing_is_stored() {
    let (log, inner, keys) = logs().await;
    keys.set(SHARD.stream, Some(2), &[1]);
    assert_eq!(append(&log, SHARD, &[b"a", b"b"]).await, [Err(AppendError::Unavailable); 2]);
    assert_eq!(inner.bounds(SHARD).unwrap().next, Position(0));
}

#[tokio::test]
async fn records_without_their_key_are_damaged_and_nothing_else_is() {
    let (log, _, keys) = logs().await;
    for number in [1, 2, 2, 1] {
        keys.set(SHARD.stream, Some(number), &[1, 2]);
        put(&log, SHARD, b"data").await;
    }
    keys.set(SHARD.stream, None, &[1]);
    let first = read(&log, SHARD, ReadFrom::Position(Position(0)), ALL).await;
    assert_eq!((positions(&first.records), first.next, first.ended), (vec![0], Position(1), false));
    assert!(first.behind.is_some(), "there is more, and it is not passed over");
    let error = log.read(SHARD, ReadFrom::Position(first.next), ALL).await.unwrap_err();
    assert_eq!(error, ReadError::Damaged { shard: SHARD, first: Position(1), last: Position(2) });
    assert_eq!(positions(&read(&log, SHARD, ReadFrom::Position(Position(3)), ALL).await.records), [3]);
    keys.forget(SHARD.stream);
    let error = log.read(SHARD, ReadFrom::Position(Position(0)), ALL).await.unwrap_err();
    assert_eq!(error, ReadError::Damaged { shard: SHARD, first: Position(0), last: Position(3) });
    keys.set(SHARD.stream, None, &[1, 2]);
    assert_eq!(read_all(&log, SHARD).await.len(), 4, "the keys are back");
}

/// Puts `records` into the plain log below an encrypted one as they are, and reads them through it.
async fn read_planted(records: Vec<(ShardKey, String, Bytes, u8)>) -> Result<ReadBatch, ReadError> {
    let (log, inner, _) = logs().await;
    for (shard, partition_key, data, tag) in records {
        let entry = [Entry { shard, partition_key: &partition_key, payload_bytes: data.len(), tag }];
        let mut reservation = inner.reserve(&entry).await;
        reservation.slots[0].as_mut().unwrap().fill(Payload::Raw(&data));
        reservation.commit().await[0].unwrap();
    }
    log.read(OTHER, ReadFrom::Position(Position(0)), ALL).await
}

/// A record of shard `OTHER`, position 0, as it is stored.
async fn stored(data: &[u8]) -> Record {
    let (log, inner, _) = logs().await;
    put(&log, OTHER, data).await;
    read_all(&inner, OTHER).await.remove(0)
}

fn damaged_at(result: &Result<ReadBatch, ReadError>) -> Option<u64> {
    match result {
        Err(ReadError::Damaged { first, .. }) => Some(first.0),
        _ => None,
    }
}

#[tokio::test]
async fn a_record_cannot_be_moved() {
    let record = stored(b"pay 5 to alice").await;
    let plant = |shard, key: &str, tag| (shard, key.to_owned(), record.data.clone(), tag);
    let whole = read_planted(vec![plant(OTHER, "k", TAG)]).await.unwrap();
    assert_eq!(whole.records[0].data, "pay 5 to alice");
    assert_eq!(damaged_at(&read_planted(vec![plant(OTHER, "other", TAG)]).await), Some(0), "another partition key");
    assert_eq!(damaged_at(&read_planted(vec![plant(OTHER, "k", TAG + 1)]).await), Some(0), "an unknown tag");
    let second = vec![plant(OTHER, "k", TAG), plant(OTHER, "k", TAG)];
    assert_eq!(positions(&read_planted(second).await.unwrap().records), [0], "another position");
    let (log, inner, _) = logs().await;
    put(&log, SHARD, b"pay 5 to alice").await;
    let moved = read_all(&inner, SHARD).await.remove(0);
    let elsewhere = vec![(OTHER, "k".to_owned(), moved.data, TAG)];
    assert_eq!(damaged_at(&read_planted(elsewhere).await), Some(0), "another shard");
}

#[tokio::test]
async fn the_limit_counts_what_the_reader_gets() {
    let (log, _, keys) = logs().await;
    append(&log, SHARD, &[&[7; 99][..]; 10]).await;
    let limit = |records, bytes| ReadLimit { records, bytes };
    for (limit, expected) in [(limit(10, 300), 3), (limit(10, 299), 2), (limit(4, 5_000), 4), (limit(10, 0), 1)] {
        let batch = read(&log, SHARD, ReadFrom::Position(Position(0)), limit).await;
        assert_eq!((batch.records.len(), batch.next.0), (expected, expected as u64), "{limit:?}");
        assert_eq!(batch.behind, Some(START), "{limit:?}");
    }
    keys.set(SHARD.stream, None, &[1]);
    append(&log, OTHER, &[&[7; 99][..]; 10]).await;
    let batch = read(&log, OTHER, ReadFrom::Position(Position(0)), limit(10, 300)).await;
    assert_eq!(batch.records.len(), 3, "also of records that are not encrypted");
}

#[tokio::test]
async fn a_large_read_lets_others_have_their_turn() {
    let (log, _, _) = logs().await;
    append(&log, SHARD, &[&vec![1; 200_000][..]; 40]).await;
    let mut reading = Box::pin(log.read(SHARD, ReadFrom::Position(Position(0)), ALL));
    let mut turns = 0;
    loop {
        turns += 1;
        if let std::task::Poll::Ready(batch) = futures_util::poll!(&mut reading) {
            assert_eq!(batch.unwrap().records.len(), 40);
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(turns >= 20, "{turns}");
}

#[test]
fn keys_are_not_printed() {
    let keys = StreamKeys::new(Some(1), BTreeMap::from([(1, key(0xab))]));
    let shown = format!("{:?} {keys:?}", key(0xab));
    assert_eq!(shown, "Key StreamKeys(writing Some(1), 1 keys)");
}

#[test]
fn a_stored_payload_is_laid_out_as_documented() {
    // Made once, and never to change: what is on disks must stay readable.
    let nonce = payload::nonce([2; 16], 1);
    let sealing = Sealing::new(ShardKey { stream: 7, shard: 3 }, 5, Arc::new(key(9).subkey(&nonce)), nonce);
    let mut place = vec![0; 5 + payload::OVERHEAD_BYTES];
    sealing.fill(Position(11), b"key", Payload::Base64(b"aGVsbG8="), &mut place);
    assert_eq!(place[..4], [5, 0, 0, 0]);
    assert_eq!(place[4..28], [&[2; 16][..], &[1, 0, 0, 0, 0, 0, 0, 0]].concat());
    // The same bytes as from another program.
    assert_eq!(place[28..33], [0x29, 0x9d, 0x9d, 0x2e, 0xb9]);
    assert_eq!(place[33..], 0x5b74_7df6_bcd3_665c_40d1_6dd4_a095_d00c_u128.to_be_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn records_round_trip_and_notice_every_flipped_bit(
        data in proptest::collection::vec(any::<u8>(), 0..40), partition_key in "\\PC{1,20}",
        stream: u64, shard: u32, position in 0..u64::MAX / 2, number: u32, seed: u8, random: [u8; 16],
    ) {
        let shard = ShardKey { stream, shard };
        let position = Position(position);
        let nonce = payload::nonce(random, 3);
        let sealing = Sealing::new(shard, number, Arc::new(key(seed).subkey(&nonce)), nonce);
        let mut place = vec![0xee; data.len() + payload::OVERHEAD_BYTES];
        sealing.fill(position, partition_key.as_bytes(), Payload::Raw(&data), &mut place);
        let open = |bytes: &[u8]| {
            let stored = payload::Stored::parse(bytes)?;
            let mut out = b"before".to_vec();
            stored.open(&key(seed).subkey(stored.nonce), (shard, position), partition_key.as_bytes(), &mut out).ok()?;
            Some(out.split_off(6))
        };
        prop_assert_eq!(open(&place), Some(data));
        for bit in 0..place.len() * 8 {
            place[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&place), None);
            place[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..place.len() {
            prop_assert_eq!(open(&place[..length]), None);
        }
    }
}
