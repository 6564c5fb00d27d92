//! Values written by older versions must keep loading, and what is written today must be what the samples say.

use std::collections::BTreeMap;

use millstream_env::{Random, Timestamp};
use millstream_log::encryption::Key;
use millstream_types::{HashKey, HashKeyRange};

use super::*;
use crate::keys::{MasterId, Owner, WrappedKey};
use crate::names::StreamName;

fn check<T: DeserializeOwned + Serialize>(sample: &str) -> T {
    let value: T = decode("sample", sample.as_bytes()).unwrap();
    assert_eq!(std::str::from_utf8(&encode(&value)).unwrap(), sample.trim_end());
    value
}

#[test]
fn header_samples_load() {
    let header: Header = check(include_str!("samples/header-1.json"));
    assert_eq!((header.id, header.status, header.mode), (0x1234, Status::Updating, Mode::OnDemand));
    assert_eq!(header.created(), Timestamp::from_millis(1_700_000_000_123));
    assert_eq!((header.retention_hours, header.record_kib_max), (48, 2048));
    assert_eq!((header.shards_made, header.shards_open, header.intent), (6, 4, Some(Intent::Configure)));
    assert_eq!(header.tags["team"], "mill");

    let header: Header = check(include_str!("samples/header-1-minimal.json"));
    assert_eq!((header.id, header.intent), (u64::MAX, None));
}

#[test]
fn a_header_with_a_round_under_way_loads() {
    let header: Header = check(include_str!("samples/header-1-reshard.json"));
    let round = header.round().unwrap();
    assert_eq!((round.first_child, round.children(), round.target), (4, 3, Some(8)));
    assert_eq!(round.steps[0], Step::Split { shard: 0, at: 1 << 125 });
    assert_eq!(round.parents().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(
        (&header.scaled_ms[..], &header.mode_changes_ms[..]),
        (&[1_700_000_000_500][..], &[1_700_000_000_600][..])
    );
    assert_eq!((header.warm_mibps, header.monitoring.len()), (Some(7), 1));
}

#[test]
fn an_encrypted_header_loads() {
    let header: Header = check(include_str!("samples/header-1-encryption.json"));
    let encryption = header.encryption;
    assert_eq!(header.intent, Some(Intent::Encrypt));
    assert_eq!(encryption.on, Some(On { key_id: "alias/b".to_owned(), number: 2 }));
    assert_eq!((encryption.master(), encryption.next_number()), (Some(&MasterId::of("b")), 3));
    assert_eq!((encryption.started_ms.len(), encryption.stopped_ms.len()), (2, 1));
    let master = Key::new(&[7; Key::BYTES]);
    let owner = Owner { stream: header.id, number: 1, master: &MasterId::of("a") };
    let key = encryption.keys[0].wrapped.open(&master, owner).unwrap();
    let mut text = *b"text";
    let tag = Key::new(&[9; Key::BYTES]).seal(&[0; 24], b"", &mut text);
    assert!(key.open(&[0; 24], b"", &mut text, &tag).is_ok(), "the key that was wrapped");
}

#[test]
fn consumers_in_a_header_load() {
    let header: Header = check(include_str!("samples/header-1-consumers.json"));
    let consumers = header.consumers;
    let states: Vec<_> = consumers.iter().map(|(name, consumer)| (name, consumer.state, consumer.created)).collect();
    let expected = [
        ("first", ConsumerState::Active, 1_700_000_100),
        ("second", ConsumerState::Creating, 1_700_000_200),
        ("third", ConsumerState::Deleting, 1_700_000_050),
    ];
    assert_eq!(states, expected);
    assert_eq!(consumers.get("first").unwrap().tags["team"], "mill");
    assert!(!consumers.are_settled());
}

#[test]
fn a_name_that_is_registered_again_gets_another_second() {
    let now = Timestamp::from_seconds(1000);
    let mut consumers = Consumers::default();
    assert!(consumers.register("a", BTreeMap::new(), now) && consumers.settle() && !consumers.settle());
    assert!(consumers.begin_deletion("a") && !consumers.begin_deletion("a") && consumers.settle());
    assert!(consumers.get("a").is_none() && !consumers.is_empty());
    for created in 1001..1004 {
        assert!(consumers.register("a", BTreeMap::new(), now));
        assert_eq!(consumers.get("a").unwrap().created, created);
        assert!(consumers.begin_deletion("a") && consumers.settle());
    }
    assert!(consumers.register("a", BTreeMap::new(), Timestamp::from_seconds(2000)));
    assert_eq!(consumers.get("a").unwrap().created, 2000);
}

#[test]
fn a_header_with_all_tags_that_are_taken_fits_the_catalog() {
    let mut consumers = Consumers::default();
    let long = |letter: char, count: usize| std::iter::repeat_n(letter, count).collect::<String>();
    let tags: BTreeMap<String, String> =
        (0..50).map(|i| (format!("{i:02}{}", long('𝒜', 126)), long('𝒜', 256))).collect();
    let taken = (0..20).filter(|i| consumers.register(&format!("{i:0128}"), tags.clone(), Timestamp::EPOCH)).count();
    assert!((5..20).contains(&taken));
    let mut header = Header::new(1, Mode::Provisioned, 1, Timestamp::EPOCH);
    (header.tags, header.consumers) = (tags, consumers);
    header.policy = Some("\"".repeat(20 * 1024));
    let master = MasterId::of("m");
    let owner = Owner { stream: 1, number: u32::MAX, master: &master };
    let wrapped = WrappedKey::make(&Key::new(&[0; Key::BYTES]), owner, &Random::seeded(1));
    let key = StoredKey { number: u32::MAX, master, wrapped };
    header.encryption.keys = vec![key; Encryption::KEYS_MAX];
    header.encryption.on = Some(On { key_id: "k".repeat(2048), number: u32::MAX });
    (header.encryption.started_ms, header.encryption.stopped_ms) = (vec![1 << 43; 25], vec![1 << 43; 25]);
    assert!(encode(&header).len() < millstream_catalog::VALUE_BYTES_MAX);
}

#[test]
fn page_samples_load() {
    let page: Page = check(include_str!("samples/page-1.json"));
    let [parent, child] = page.shards[..] else { panic!("two shards") };
    assert_eq!(parent.closed_at(), Some(Timestamp::from_millis(1_700_000_100_500)));
    assert_eq!(child.range(), HashKeyRange { start: HashKey(0), end: HashKey(u128::MAX >> 1) });
    assert_eq!((child.parent, child.adjacent_parent, child.created), (Some(0), None, 1_700_000_101));
}

#[test]
fn account_samples_load() {
    let account: Account = check(include_str!("samples/account-1.json"));
    let (started, end) = (Timestamp::from_seconds(1_700_000_000), Timestamp::from_seconds(1_700_086_400));
    assert_eq!(account.commitment(started), Commitment::Ending { started, at: end });
    assert_eq!(account.commitment(end), Commitment::Disabled { started_and_ended: Some((started, end)) });
}

#[test]
fn a_newer_format_and_damage_are_named() {
    let newer = decode::<Header>("stream/a/r/n", br#"{"v":2}"#).unwrap_err();
    assert_eq!(newer.to_string(), "the value under stream/a/r/n cannot be read: format 2 is not known to this version");
    for bytes in [&b""[..], b"{", b"{}", br#"{"v":1}"#, b"\xff"] {
        assert!(decode::<Header>("key", bytes).is_err());
        assert!(decode::<Page>("key", bytes).is_err());
    }
}

#[test]
fn header_keys_name_their_stream() {
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders".parse().unwrap();
    let name = StreamName::from_arn(&arn).unwrap();
    assert_eq!(header_key(&name), "stream/000000000000/us-east-1/orders");
    assert_eq!(name_of_header_key(&header_key(&name)), Some(name.clone()));
    assert_eq!(page_key(&name, 255, 3), "stream-page/000000000000/us-east-1/orders/00000000000000ff/00000003");
    for key in ["stream/", "stream/1/r/n", "stream/000000000000/us-east-1", "stream/000000000000/us-east-1/a/b"] {
        assert_eq!(name_of_header_key(key), None, "{key}");
    }
}
