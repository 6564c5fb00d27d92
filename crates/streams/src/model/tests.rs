//! Values written by older versions must keep loading, and what is written today must be what the samples say.

use millstream_env::Timestamp;
use millstream_types::{HashKey, HashKeyRange};

use super::*;
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
