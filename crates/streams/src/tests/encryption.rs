//! Server-side encryption, as a client sees it and as it is stored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_env::{Disk, Random, RealDisk, ServiceClock};
use millstream_log::{Position, ReadFrom, ReadLimit, Record};
use millstream_wire::kinesis::error::*;
use millstream_wire::kinesis::*;

use super::durable::Machine;
use super::fixture::{Fixture, NAME, NOW, arn, data, entry, target};
use crate::MasterKeys;
use crate::model::Encryption;

const KEY: &str = "alias/aws/kinesis";
const OTHER: &str = "12345678-1234-1234-1234-1234567890ab";
const SHARD: &str = "shardId-000000000000";

impl Fixture {
    pub(super) async fn start_encryption(&self, key_id: &str) -> Result<(), StartStreamEncryptionError> {
        let input = StartStreamEncryptionInput {
            encryption_type: EncryptionType::Kms,
            key_id: key_id.to_owned(),
            stream_name: Some(NAME.to_owned()),
            stream_arn: None,
            stream_id: None,
        };
        self.streams.start_stream_encryption(&self.context, input).await
    }

    async fn stop_encryption(&self, key_id: &str) -> Result<(), StopStreamEncryptionError> {
        let input = StopStreamEncryptionInput {
            encryption_type: EncryptionType::Kms,
            key_id: key_id.to_owned(),
            stream_name: Some(NAME.to_owned()),
            stream_arn: None,
            stream_id: None,
        };
        self.streams.stop_stream_encryption(&self.context, input).await
    }

    async fn started(&self, key_id: &str) {
        self.start_encryption(key_id).await.unwrap();
        self.until(StreamStatus::Active).await;
    }

    async fn stopped(&self, key_id: &str) {
        self.stop_encryption(key_id).await.unwrap();
        self.until(StreamStatus::Active).await;
    }

    /// What describing the stream says of its encryption, in both ways.
    async fn encryption(&self) -> (EncryptionType, Option<String>) {
        let (full, summary) = (self.describe().await.unwrap(), self.summary().await);
        assert_eq!((full.encryption_type, &full.key_id), (summary.encryption_type, &summary.key_id));
        (full.encryption_type.unwrap(), full.key_id)
    }

    /// The type that a put answers.
    async fn put_answers(&self, text: &str) -> Option<EncryptionType> {
        let stored =
            self.streams.put_record(&self.context, target(), &entry("a", text.as_bytes()), None).await.unwrap();
        stored.encryption_type
    }

    /// The records of the first shard as they are stored.
    async fn stored(&self) -> Vec<Record> {
        let stream = self.streams.lookup(&arn()).await.unwrap().unwrap();
        let all = ReadLimit { records: 1000, bytes: 1 << 20 };
        self.log.read(stream.shards()[0].key(), ReadFrom::Position(Position(0)), all).await.unwrap().records
    }

    async fn read_first_shard(&self) -> Result<Vec<(String, bool)>, GetRecordsError> {
        let iterator = self.iterator_of(SHARD, ShardIteratorType::TrimHorizon, None, None).await.unwrap();
        let page = self.get(&iterator).await?;
        let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
        Ok(data(&page).into_iter().map(text).zip(page.records.iter().map(Record::is_encrypted)).collect())
    }
}

fn pairs(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
    expected.iter().map(|(text, encrypted)| ((*text).to_owned(), *encrypted)).collect()
}

#[tokio::test]
async fn a_stream_is_updating_then_encrypted() {
    let fixture = Fixture::with_stream(1).await;
    assert_eq!(fixture.encryption().await, (EncryptionType::None, None));
    fixture.start_encryption(KEY).await.unwrap();
    assert_eq!(fixture.describe().await.unwrap().stream_status, StreamStatus::Updating);
    let in_use = "Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING";
    let refused = fixture.start_encryption(OTHER).await;
    assert_eq!(refused, Err(StartStreamEncryptionError::ResourceInUse(in_use.to_owned())));
    let refused = fixture.stop_encryption(KEY).await;
    assert_eq!(refused, Err(StopStreamEncryptionError::ResourceInUse(in_use.to_owned())));
    assert_eq!(fixture.put_answers("at once").await, Some(EncryptionType::Kms), "a put after the answer is encrypted");
    fixture.until(StreamStatus::Active).await;
    assert_eq!(fixture.encryption().await, (EncryptionType::Kms, Some(KEY.to_owned())));
    fixture.stopped(KEY).await;
    assert_eq!(fixture.encryption().await, (EncryptionType::None, None));
    assert_eq!(fixture.put_answers("plain").await, None);
}

#[tokio::test]
async fn each_record_carries_its_own_type_across_changes_and_a_restart() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a", b"before").await;
    fixture.started(KEY).await;
    let reply =
        fixture.streams.put_records(&fixture.context, target(), &[entry("a", b"one"), entry("b", b"two")]).await;
    assert_eq!(reply.unwrap().encryption_type, Some(EncryptionType::Kms));
    fixture.started(OTHER).await;
    fixture.put("a", b"other").await;
    fixture.stopped(OTHER).await;
    let reply = fixture.streams.put_records(&fixture.context, target(), &[entry("a", b"off")]).await;
    assert_eq!(reply.unwrap().encryption_type, None);
    fixture.started(KEY).await;
    fixture.put("a", b"again").await;
    let expected =
        pairs(&[("before", false), ("one", true), ("two", true), ("other", true), ("off", false), ("again", true)]);
    assert_eq!(fixture.read_first_shard().await.unwrap(), expected);
    let keys: Vec<_> = fixture.stored().await.iter().filter(|r| r.is_encrypted()).map(|r| r.data[0]).collect();
    assert_eq!(keys, [1, 1, 2, 1], "a KeyId that is named again has its key again");
    let fixture = fixture.restarted().await;
    assert_eq!(fixture.read_first_shard().await.unwrap(), expected);
    assert_eq!(fixture.encryption().await, (EncryptionType::Kms, Some(KEY.to_owned())));
    assert_eq!(fixture.put_answers("after").await, Some(EncryptionType::Kms));
}

#[tokio::test]
async fn the_present_state_is_accepted_and_changes_nothing() {
    let fixture = Fixture::with_stream(1).await;
    fixture.stop_encryption(KEY).await.unwrap();
    assert_eq!(fixture.describe().await.unwrap().stream_status, StreamStatus::Active);
    fixture.started(KEY).await;
    fixture.start_encryption("arn:aws:kms:us-east-1:000000000000:alias/aws/kinesis").await.unwrap();
    assert_eq!(fixture.describe().await.unwrap().stream_status, StreamStatus::Active);
    assert_eq!(fixture.encryption().await.1.unwrap(), KEY);
    let refused = fixture.stop_encryption(OTHER).await;
    let text = format!("Stream orders under account 000000000000 is encrypted with KeyId {KEY}, not with {OTHER}.");
    assert_eq!(refused, Err(StopStreamEncryptionError::InvalidArgument(text)));
    assert_eq!(fixture.encryption().await.0, EncryptionType::Kms);
}

#[tokio::test]
async fn bad_arguments_change_nothing_and_make_no_key() {
    let fixture = Fixture::with_stream(1).await;
    for text in ["x", "alias/", "alias/a b", "arn:aws:kms:us-east-1:000000000000:alias/", "aws/kinesis"] {
        let expected = format!("KeyId {text} is not valid.");
        let refused = fixture.start_encryption(text).await;
        assert_eq!(refused, Err(StartStreamEncryptionError::InvalidArgument(expected.clone())));
        assert_eq!(fixture.stop_encryption(text).await, Err(StopStreamEncryptionError::InvalidArgument(expected)));
    }
    let refused = fixture.start_encryption("arn:aws:kms:eu-west-1:000000000000:alias/a").await;
    assert!(matches!(refused, Err(StartStreamEncryptionError::KMSNotFound(_))), "{refused:?}");
    let refused = fixture.start_encryption("arn:aws:kms:us-east-1:111111111111:alias/a").await;
    assert!(matches!(refused, Err(StartStreamEncryptionError::KMSAccessDenied(_))), "{refused:?}");
    let input = StartStreamEncryptionInput {
        encryption_type: EncryptionType::None,
        key_id: KEY.to_owned(),
        stream_name: Some(NAME.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    let refused = fixture.streams.start_stream_encryption(&fixture.context, input).await;
    let text = "EncryptionType NONE is not valid. The only valid value is KMS.";
    assert_eq!(refused, Err(StartStreamEncryptionError::InvalidArgument(text.to_owned())));
    assert_eq!(fixture.describe().await.unwrap().stream_status, StreamStatus::Active);
    fixture.delete().await.unwrap();
    fixture.until_gone().await;
    let refused = fixture.start_encryption(KEY).await;
    assert!(matches!(refused, Err(StartStreamEncryptionError::ResourceNotFound(_))), "{refused:?}");
    assert_eq!(format!("{:?}", fixture.keys), "MasterKeys(0 keys, 0 lost)");
}

#[tokio::test]
async fn keys_are_applied_25_times_a_day_and_encryption_stopped_as_often() {
    let fixture = Fixture::with_stream(1).await;
    for round in 0..25 {
        fixture.time.advance(Duration::from_mins(1));
        fixture.started(&format!("alias/key-{}", round % 3)).await;
        fixture.stopped(&format!("alias/key-{}", round % 3)).await;
    }
    let refused = fixture.start_encryption("alias/one-more").await;
    let text = "Server-side encryption can be enabled 25 times per rolling 24 hours for Stream orders under account \
                000000000000.";
    assert_eq!(refused, Err(StartStreamEncryptionError::LimitExceeded(text.to_owned())));
    assert_eq!(format!("{:?}", fixture.keys), "MasterKeys(3 keys, 0 lost)", "what is refused makes no key");
    fixture.time.advance(Duration::from_hours(24) - Duration::from_mins(24));
    fixture.started("alias/key-1").await;
    let refused = fixture.stop_encryption("alias/key-1").await;
    assert!(refused.is_ok(), "the first stop is a day old too: {refused:?}");
    fixture.until(StreamStatus::Active).await;
    assert!(matches!(fixture.start_encryption(KEY).await, Err(StartStreamEncryptionError::LimitExceeded(_))));
}

#[tokio::test]
async fn a_stream_that_has_had_all_the_keys_it_may_takes_no_other() {
    let fixture = Fixture::with_stream(1).await;
    for round in 0..Encryption::KEYS_MAX {
        fixture.time.advance(Duration::from_hours(1));
        fixture.started(&format!("alias/key-{round}")).await;
    }
    fixture.time.advance(Duration::from_hours(1));
    let refused = fixture.start_encryption("alias/one-more").await;
    assert!(matches!(refused, Err(StartStreamEncryptionError::LimitExceeded(_))), "{refused:?}");
    fixture.started("alias/key-7").await;
}

#[tokio::test]
async fn a_stream_that_is_created_again_begins_unencrypted() {
    let fixture = Fixture::with_stream(1).await;
    fixture.started(KEY).await;
    fixture.put("a", b"old").await;
    fixture.delete().await.unwrap();
    fixture.until_gone().await;
    fixture.create(1).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    assert_eq!(fixture.encryption().await, (EncryptionType::None, None));
    assert_eq!(fixture.put_answers("new").await, None);
    fixture.started(KEY).await;
    fixture.put("a", b"newer").await;
    assert_eq!(fixture.read_first_shard().await.unwrap(), pairs(&[("new", false), ("newer", true)]));
}

#[tokio::test]
async fn children_of_an_encrypted_shard_are_encrypted() {
    let fixture = Fixture::with_stream(1).await;
    fixture.started(KEY).await;
    let input = UpdateShardCountInput {
        scaling_type: ScalingType::UniformScaling,
        target_shard_count: 2,
        stream_name: Some(NAME.to_owned()),
        stream_arn: None,
        stream_id: None,
    };
    fixture.streams.update_shard_count(&fixture.context, input).await.unwrap();
    fixture.until(StreamStatus::Active).await;
    let (shard, _) = fixture.put("a", b"in a child").await;
    let iterator = fixture.iterator_of(&shard, ShardIteratorType::TrimHorizon, None, None).await.unwrap();
    let page = fixture.get(&iterator).await.unwrap();
    assert!(shard != SHARD && page.records[0].is_encrypted() && page.records[0].data == "in a child");
}

#[tokio::test]
async fn without_its_master_key_a_stream_is_refused_and_others_are_not() {
    let fixture = Fixture::with_stream(1).await;
    fixture.put("a", b"plain").await;
    fixture.started(KEY).await;
    fixture.put("a", b"secret").await;
    let Fixture { clock, time, log, store, keys, tasks, .. } = fixture;
    tasks.cancel();
    let none = MasterKeys::in_memory(Random::system());
    let locked = Fixture::over_with(clock.clone(), time.clone(), log.clone(), store.clone(), none).await;
    assert_eq!(locked.keys.lost().len(), 1);
    let text = format!(
        "Stream orders under account 000000000000 was encrypted with a master key that is not there: its file {} is missing, \
         damaged or another one.",
        locked.keys.lost()[0]
    );
    let refused = locked.streams.put_record(&locked.context, target(), &entry("a", b"x"), None).await;
    assert_eq!(refused, Err(PutRecordError::KMSNotFound(text.clone())));
    let refused = locked.streams.put_records(&locked.context, target(), &[entry("a", b"x")]).await;
    assert_eq!(refused.err(), Some(PutRecordsError::KMSNotFound(text.clone())));
    let iterator = locked.iterator(ShardIteratorType::TrimHorizon, None, None).await.unwrap();
    let page = locked.get(&iterator).await.unwrap();
    assert_eq!(data(&page), [b"plain"], "what is not encrypted is served");
    assert!(page.millis_behind_latest > 0);
    let refused = locked.get(&page.next_shard_iterator.unwrap()).await;
    assert_eq!(refused.err(), Some(GetRecordsError::KMSNotFound(text)));
    let refused = locked.start_encryption(KEY).await;
    assert!(matches!(refused, Err(StartStreamEncryptionError::KMSNotFound(_))), "also while it is on: {refused:?}");
    locked.stopped(KEY).await;
    assert_eq!(locked.put_answers("plain again").await, None);
    let refused = locked.start_encryption(KEY).await;
    assert!(
        matches!(refused, Err(StartStreamEncryptionError::KMSNotFound(_))),
        "no other key in its name: {refused:?}"
    );
    locked.started(OTHER).await;
    assert_eq!(locked.put_answers("with another").await, Some(EncryptionType::Kms));
    locked.tasks.cancel();
    let back = Fixture::over_with(clock, time, log, store, keys).await;
    let refused = back.read_first_shard().await.unwrap();
    assert_eq!(refused, pairs(&[("plain", false), ("secret", true), ("plain again", false)]));
    assert_eq!(back.keys.lost().len(), 1, "the other one's");
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for name in RealDisk.list(folder).unwrap() {
        let path = folder.join(name);
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Whether any file under a folder holds a text.
fn is_found(folder: &Path, text: &str) -> bool {
    let mut all = Vec::new();
    files(folder, &mut all);
    assert!(all.len() >= 4, "{all:?}");
    let holds = |path: &PathBuf| RealDisk.read(path).unwrap().windows(text.len()).any(|w| w == text.as_bytes());
    all.iter().any(holds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_encrypted_is_in_no_file_and_is_read_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, time) = ServiceClock::virtual_at(NOW);
    let machine = Machine::start(folder.path(), &clock, &time).await;
    machine.fixture.create(1).await.unwrap();
    machine.fixture.until(StreamStatus::Active).await;
    machine.fixture.put("the-partition-key", b"in the open for everybody").await;
    machine.fixture.started(KEY).await;
    machine.fixture.put("the-partition-key", b"for the eyes of its readers").await;
    machine.stop().await;
    assert!(is_found(folder.path(), "in the open for everybody"));
    assert!(!is_found(folder.path(), "for the eyes of"), "also not in the catalog");
    assert!(is_found(folder.path(), "the-partition-key"), "partition keys are not hidden");
    let expected = pairs(&[("in the open for everybody", false), ("for the eyes of its readers", true)]);

    let machine = Machine::start(folder.path(), &clock, &time).await;
    assert_eq!(machine.fixture.read_first_shard().await.unwrap(), expected);
    assert_eq!(machine.fixture.put_answers("more").await, Some(EncryptionType::Kms));
    machine.stop().await;

    // A copy without the keys tells nothing.
    let keys = folder.path().join("keys");
    let aside = folder.path().join("aside");
    RealDisk.rename(&keys, &aside).unwrap();
    let machine = Machine::start(folder.path(), &clock, &time).await;
    assert_eq!(machine.fixture.read_first_shard().await.unwrap(), expected[..1]);
    machine.stop().await;
    RealDisk.rename(&aside, &keys).unwrap();
    let machine = Machine::start(folder.path(), &clock, &time).await;
    assert_eq!(machine.fixture.read_first_shard().await.unwrap().len(), 3);
    machine.stop().await;
}

#[tokio::test]
async fn a_subscription_shows_encrypted_records_and_names_a_lost_key() {
    let fixture = Fixture::with_stream(1).await;
    fixture.started(KEY).await;
    let consumer_arn = fixture.consumer("c").await;
    fixture.put("a", b"secret").await;
    let input = |consumer_arn: &str| SubscribeToShardInput {
        consumer_arn: consumer_arn.to_owned(),
        shard_id: SHARD.to_owned(),
        starting_position: StartingPosition {
            r#type: ShardIteratorType::TrimHorizon,
            sequence_number: None,
            timestamp: None,
        },
        stream_id: None,
    };
    let mut subscription = fixture.streams.subscribe_to_shard(&fixture.context, input(&consumer_arn)).await.unwrap();
    let event = subscription.next().await.unwrap().unwrap();
    assert!(event.records[0].is_encrypted() && event.records[0].data == "secret");
    drop(subscription);
    let Fixture { clock, time, log, store, tasks, .. } = fixture;
    tasks.cancel();
    let locked = Fixture::over_with(clock, time, log, store, MasterKeys::in_memory(Random::system())).await;
    let mut subscription = locked.streams.subscribe_to_shard(&locked.context, input(&consumer_arn)).await.unwrap();
    let refused = subscription.next().await.unwrap().unwrap_err();
    assert!(matches!(refused, SubscribeToShardEventStreamError::KMSNotFound(_)), "{refused:?}");
}
