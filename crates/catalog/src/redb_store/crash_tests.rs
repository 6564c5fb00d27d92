//! Power cuts, failing and full disks, simulated: what was acknowledged is there afterwards, nothing else appears, and
//! revisions go on growing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use millstream_env::{Disk, Random};
use millstream_testkit::SimDisk;

use super::*;

const SEEDS: u64 = 60;
const LIVES: usize = 5;
const KEYS: u32 = 12;

/// What a key may hold: the last acknowledged value, or one whose change failed without telling whether it happened.
#[derive(Debug, Default)]
struct Model {
    possible: BTreeMap<String, Vec<Option<Bytes>>>,
    last_revision: u64,
}

impl Model {
    fn attempted(&mut self, key: &str, value: Option<Bytes>, result: &Result<Revision, StoreError>) {
        let possible = self.possible.entry(key.to_owned()).or_insert_with(|| vec![None]);
        match result {
            Ok(revision) => {
                *possible = vec![value];
                self.last_revision = self.last_revision.max(revision.0);
            }
            Err(StoreError::Unavailable(_)) => possible.push(value),
            // These say that nothing happened.
            Err(_) => {}
        }
    }

    /// Checks what the store holds, and from then on expects exactly that.
    async fn check(&mut self, store: &RedbStore, seed: u64) {
        for (key, possible) in &mut self.possible {
            let found = store.get(key).await.unwrap().map(|versioned| versioned.value);
            assert!(possible.contains(&found), "seed {seed}: {key} holds {found:?}, expected one of {possible:?}");
            *possible = vec![found];
        }
        let revision = set(store, "probe", Bytes::from_static(b"p")).await.unwrap();
        assert!(revision.0 > self.last_revision, "seed {seed}: revisions went back to {revision:?}");
        self.last_revision = revision.0;
    }
}

fn open(disk: &SimDisk, free_bytes_min: u64) -> Result<RedbStore, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    // A tiny cache makes redb read its pages back.
    RedbStore::open(Path::new("/data/catalog.redb"), &disk, RedbOptions { cache_bytes: 64 * 1024, free_bytes_min })
}

async fn set(store: &RedbStore, key: &str, value: Bytes) -> Result<Revision, StoreError> {
    let found = store.get(key).await?;
    let expect = found.map_or(Expect::Absent, |found| Expect::Revision(found.revision));
    store.put(key, expect, value).await
}

/// One change of a random key: mostly a new value of some size, sometimes a deletion.
async fn change(
    store: &RedbStore,
    key: String,
    value: Option<Bytes>,
) -> (String, Option<Bytes>, Result<Revision, StoreError>) {
    let result = match (&value, store.get(&key).await) {
        // Failing before the change was handed over, it did not happen.
        (_, Err(_)) | (None, Ok(None)) => Err(StoreError::Conflict),
        (None, Ok(Some(found))) => store.delete(&key, found.revision).await.map(|()| Revision(0)),
        (Some(value), Ok(found)) => {
            let expect = found.map_or(Expect::Absent, |found| Expect::Revision(found.revision));
            store.put(&key, expect, value.clone()).await
        }
    };
    (key, value, result)
}

/// Groups of changes until `stop` says so.
async fn work(store: &RedbStore, random: &Random, model: &mut Model, groups: u32, stop: impl Fn() -> bool) {
    for _ in 0..groups {
        let mut keys: Vec<u32> = (0..KEYS).filter(|_| random.below(3) == 0).collect();
        keys.truncate(5);
        let changes = keys.into_iter().map(|key| {
            let value = (random.below(6) > 0).then(|| {
                let length = [10, 300, 5_000, 40_000][random.below(4) as usize];
                Bytes::from(random.u64().to_le_bytes().repeat(length / 8 + 1))
            });
            change(store, format!("key/{key}"), value)
        });
        for (key, value, result) in join_all(changes).await {
            model.attempted(&key, value, &result);
        }
        if stop() {
            return;
        }
    }
}

#[tokio::test]
async fn acknowledged_changes_survive_power_cuts() {
    for seed in 0..SEEDS {
        let (disk, random) = (SimDisk::new(seed), Random::seeded(seed));
        disk.create_dir_all(Path::new("/data")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let mut model = Model::default();
        for _ in 0..LIVES {
            disk.power_off_after(u64::from(random.below(400)));
            // The cut may come while the catalog is being opened.
            if let Ok(store) = open(&disk, 0) {
                work(&store, &random, &mut model, 60, || disk.is_off()).await;
                store.close().await;
            }
            disk.restart();
            let store = open(&disk, 0).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            model.check(&store, seed).await;
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_failing_disk_loses_nothing_and_recovers() {
    for seed in 0..SEEDS {
        let (disk, random) = (SimDisk::new(seed), Random::seeded(seed));
        disk.create_dir_all(Path::new("/data")).unwrap();
        let store = open(&disk, 0).unwrap();
        let mut model = Model::default();
        for _ in 0..LIVES {
            match random.below(3) {
                0 => disk.fail_write_after(u64::from(random.below(60))),
                1 => disk.fail_sync_after(u64::from(random.below(10))),
                _ => disk.fail_all_writes(true),
            }
            work(&store, &random, &mut model, 8, || false).await;
            disk.fail_all_writes(false);
            // The first change after a failure may still meet what is left of it; then everything works.
            let _ = set(&store, "probe", Bytes::new()).await;
            model.check(&store, seed).await;
        }
        store.close().await;
        drop(store);
        let store = open(&disk, 0).unwrap();
        model.check(&store, seed).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_recovers_when_there_is_room() {
    for (seed, free_bytes_min) in (0..SEEDS / 4).flat_map(|seed| [(seed, 0), (seed, 1024 * 1024)]) {
        let (disk, random) = (SimDisk::new(seed), Random::seeded(seed));
        disk.create_dir_all(Path::new("/data")).unwrap();
        let store = open(&disk, free_bytes_min).unwrap();
        let mut model = Model::default();
        work(&store, &random, &mut model, 10, || false).await;
        let used = u64::MAX - disk.free_bytes(Path::new("/data")).unwrap();
        disk.set_capacity(used + free_bytes_min + u64::from(random.below(200_000)));
        let mut refused = false;
        for n in 0..200 {
            let large = Bytes::from(random.u64().to_le_bytes().repeat(20_000));
            let result = set(&store, &format!("large/{n}"), large.clone()).await;
            model.attempted(&format!("large/{n}"), Some(large), &result);
            refused |= matches!(result, Err(StoreError::Full));
            if result.is_err() && n > 100 {
                break;
            }
        }
        assert!(refused, "seed {seed}");
        for (key, possible) in &model.possible {
            let found = store.get(key).await.unwrap_or_else(|error| panic!("seed {seed}: cannot read: {error}"));
            assert!(possible.contains(&found.map(|versioned| versioned.value)), "seed {seed}: {key}");
        }
        disk.set_capacity(u64::MAX);
        model.check(&store, seed).await;
        store.close().await;
    }
}
