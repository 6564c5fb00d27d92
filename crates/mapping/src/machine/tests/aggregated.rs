use millstream_types::HashKeyRange;
use millstream_types::aggregation::{SubRecord, encode};

use super::*;

fn aggregate(position: u64, keys: &[&str]) -> Record {
    let sub = |key: &&str| SubRecord {
        partition_key: (*key).to_owned(),
        explicit_hash_key: None,
        data: format!("data of {key}").into_bytes(),
    };
    let inside: Vec<SubRecord> = keys.iter().map(sub).collect();
    Record { data: encode(&inside).into(), ..record(position) }
}

fn keys(whole: Record, shard: Option<HashKeyRange>) -> Vec<String> {
    let inside = take_apart(vec![whole], shard).into_iter();
    inside.map(|record| String::from_utf8(record.partition_key.to_vec()).unwrap()).collect()
}

#[test]
fn a_consumer_gets_what_is_inside_and_a_stream_the_record_itself() {
    let whole = aggregate(7, &["a", "b", "c"]);
    assert_eq!(keys(whole.clone(), Some(HashKeyRange::whole())), ["a", "b", "c"]);
    assert!(take_apart(vec![whole.clone()], Some(HashKeyRange::whole())).iter().all(|inside| inside.position.0 == 7));
    assert_eq!(take_apart(vec![whole.clone()], None), [whole]);
    let plain = record(3);
    assert_eq!(take_apart(vec![plain.clone()], Some(HashKeyRange::whole())), [plain]);
}

#[test]
fn what_does_not_belong_into_the_shard_is_dropped() {
    let names: Vec<String> = (0..20).map(|number| format!("key-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let halves: Vec<HashKeyRange> = HashKeyRange::uniform(2).collect();
    let [low, high] = [halves[0], halves[1]].map(|half| keys(aggregate(1, &names), Some(half)));
    assert!(!low.is_empty() && !high.is_empty());
    assert_eq!(low.len() + high.len(), 20);
    assert!(low.iter().all(|key| !high.contains(key)));
}

#[test]
fn a_batch_may_end_within_an_aggregated_record_and_its_position_stays_until_all_of_it_is_done() {
    let settings = Settings { taken_apart: Some(HashKeyRange::whole()), ..settings(2) };
    let mut bench = Bench::new(settings);
    bench.go(1, read(vec![aggregate(0, &["a", "b", "c"]), aggregate(1, &["d"])], 2));
    bench.go(2, ok());
    assert_eq!(bench.progress, None, "a part of it is open");
    bench.go(3, ok());
    assert_eq!(bench.progress.as_ref().map(Progress::floor), Some(Position(2)));
    let sent: Vec<Vec<&[u8]>> = bench
        .sent
        .iter()
        .map(|batch| batch.records().iter().map(|record| &record.partition_key[..]).collect())
        .collect();
    assert_eq!(sent, [[b"a", b"b"], [b"c", b"d"]]);
}

#[test]
fn the_parts_of_a_record_that_are_given_up_in_one_moment_have_keys_of_their_own() {
    let settings = Settings { taken_apart: Some(HashKeyRange::whole()), retries_max: Some(0), ..settings(1) };
    let mut bench = Bench::new(settings);
    bench.go(1, read(vec![aggregate(0, &["a", "b", "c"])], 1));
    for _ in 0..3 {
        bench.go(1, failed());
        bench.go(1, delivered());
    }
    let keys = bench.failed.iter().map(|failed| crate::record::failed_key("u", format().shard().id, failed));
    assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 3);
}
