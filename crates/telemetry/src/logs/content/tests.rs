//! Pages against a plain model: sort everything, cut it into pages.

use std::collections::HashSet;
use std::sync::Arc;

use millstream_env::{Disk, RealDisk, Tasks};
use proptest::prelude::*;

use super::*;

const GROUP: u64 = 1;

fn store(storage: Storage) -> ContentStore {
    ContentStore::open(storage, u64::MAX, &HashSet::from([GROUP]), Tasks::new()).unwrap()
}

fn query(direction: Direction, events_max: usize) -> Query {
    Query {
        start: 0,
        end: u64::MAX,
        streams: None,
        after: None,
        before: None,
        direction,
        events_max,
        bytes_max: 1000,
        matches: Box::new(|_| true),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn append(store: &ContentStore, stream: u64, timestamps: &[u64], message: &str) {
    let event = |timestamp: &u64| NewEvent { timestamp: *timestamp, message: message.to_owned().into() };
    store.append(GROUP, stream, 5, timestamps.iter().map(event).collect()).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_forward_and_backward_give_every_event_once_in_order(
        batches in prop::collection::vec((0_u64..3, prop::collection::vec(0_u64..20, 1..8), 0_usize..600), 0..20),
        events_max in 1_usize..7, wanted in prop::option::of(0_u64..3), range in (0_u64..20, 0_u64..22),
    ) {
        runtime().block_on(async {
            let store = store(Storage::Memory);
            let mut model = Vec::new();
            let mut number = 0;
            for (stream, timestamps, length) in &batches {
                append(&store, *stream, timestamps, &"x".repeat(*length)).await;
                for timestamp in timestamps {
                    number += 1;
                    model.push((*timestamp, number, *stream));
                }
            }
            model.sort_unstable();
            model.retain(|(t, _, s)| (range.0..range.1).contains(t) && wanted.is_none_or(|wanted| wanted == *s));
            let model: Vec<u64> = model.into_iter().map(|(_, number, _)| number).collect();
            let base = |direction| {
                let mut query = query(direction, events_max);
                (query.start, query.end, query.streams) = (range.0, range.1, wanted.map(|stream| HashSet::from([stream])));
                query
            };

            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let found = store.query(GROUP, Query { after, ..base(Direction::Forward) }).await.unwrap();
                prop_assert!(found.events.len() <= events_max);
                seen.extend(found.events.iter().map(|event| event.key.number));
                let Some(more) = found.more_after else { break };
                after = Some(more);
            }
            prop_assert_eq!(&seen, &model);

            let (mut seen, mut before) = (Vec::new(), None);
            loop {
                let found = store.query(GROUP, Query { before, ..base(Direction::Backward) }).await.unwrap();
                let Some(first) = found.events.first() else { break };
                before = Some(first.key);
                seen.splice(0..0, found.events.iter().map(|event| event.key.number));
            }
            prop_assert_eq!(&seen, &model);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn files_are_read_back_and_a_torn_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let storage = || Storage::Disk { disk: Arc::new(RealDisk), folder: folder.path().join("logs") };
    let all = || query(Direction::Forward, 100);
    let first = store(storage());
    append(&first, 1, &[10, 11], "kept").await;
    first.sync().await.unwrap();
    let before = first.query(GROUP, all()).await.unwrap();
    drop(first);

    let path = folder.path().join("logs/0000000000000001/0000000000000000.log");
    let mut bytes = RealDisk.read(&path).unwrap();
    bytes.extend([40, 0, 0, 0, 1, 2, 3]);
    RealDisk.write_atomically(&path, &bytes).unwrap();
    let second = store(storage());
    assert_eq!(second.query(GROUP, all()).await.unwrap(), before);
    append(&second, 1, &[12], "new").await;
    drop(second);
    let third = store(storage());
    let found = third.query(GROUP, all()).await.unwrap();
    let messages: Vec<_> = found.events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["kept", "kept", "new"]);
    let ids: HashSet<_> = found.events.iter().map(|event| event.key.to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn folders_of_unknown_groups_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let storage = || Storage::Disk { disk: Arc::new(RealDisk), folder: folder.path().to_owned() };
    append(&store(storage()), 1, &[10], "gone").await;
    let store = ContentStore::open(storage(), u64::MAX, &HashSet::new(), Tasks::new()).unwrap();
    assert_eq!(RealDisk.list(folder.path()).unwrap(), Vec::<String>::new());
    drop(store);
}

#[tokio::test]
async fn the_cap_removes_the_oldest_segments_and_retention_the_expired() {
    let store = ContentStore::open(Storage::Memory, 6 * 1024 * 1024, &HashSet::new(), Tasks::new()).unwrap();
    let megabyte = "x".repeat(1024 * 1024);
    for timestamp in 0..12 {
        append(&store, 1, &[timestamp], &megabyte).await;
    }
    assert!(store.is_over_cap());
    store.enforce_cap(vec![GROUP]).await.unwrap();
    assert!(!store.is_over_cap());
    let found = store.query(GROUP, Query { bytes_max: usize::MAX, ..query(Direction::Forward, 100) }).await.unwrap();
    assert_eq!(found.events.last().unwrap().key.timestamp, 11);
    assert!(found.events[0].key.timestamp >= 4);

    store.expire(GROUP, 100).await.unwrap();
    assert_eq!(store.stored_bytes(GROUP).await.unwrap(), 0);
    append(&store, 1, &[200], "after").await;
    assert_eq!(store.query(GROUP, query(Direction::Forward, 100)).await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_deleted_group_takes_no_events() {
    let store = store(Storage::Memory);
    append(&store, 1, &[1], "x").await;
    store.delete(GROUP).await.unwrap();
    let event = NewEvent { timestamp: 1, message: "late".into() };
    assert!(matches!(store.append(GROUP, 1, 1, vec![event]).await, Err(AppendError::Deleted)));
    assert_eq!(store.query(GROUP, query(Direction::Forward, 9)).await.unwrap().events, []);
}
