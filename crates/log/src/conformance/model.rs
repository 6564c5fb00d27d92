//! Random operations against a model of one page.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream_env::{Random, Timestamp};
use millstream_types::Payload;

use crate::contract::{Entry, Position, ReadFrom, ReadLimit, ShardConfig, ShardKey};

use super::support::{Fixture, START, Settings};

const SEEDS: u64 = 12;
const OPERATIONS: usize = 300;

/// Position, arrival, data.
type Item = (u64, Timestamp, Vec<u8>);

/// What a shard must hold: its places in order, `None` where void.
struct Model {
    places: Vec<(Timestamp, Option<Vec<u8>>)>,
    retention: Duration,
    /// Nothing that arrived before this comes back.
    hidden_before: Timestamp,
    sealed: bool,
}

impl Model {
    fn visible(&self, now: Timestamp) -> Vec<Item> {
        let cutoff = self.hidden_before.max(now.minus(self.retention));
        (0..)
            .zip(&self.places)
            .filter(|(_, (arrival, _))| *arrival >= cutoff)
            .filter_map(|(position, (arrival, data))| Some((position, *arrival, data.clone()?)))
            .collect()
    }
}

pub async fn random_operations_match_the_model<F: Future<Output = Fixture>>(make: impl Fn(Settings) -> F) {
    for seed in 0..SEEDS {
        run(make(Settings::default()).await, seed).await;
    }
}

async fn run(fixture: Fixture, seed: u64) {
    let random = Random::seeded(seed);
    let mut now = START;
    let mut models: BTreeMap<ShardKey, Model> = BTreeMap::new();
    for step in 0..OPERATIONS {
        let shard = ShardKey { stream: 1, shard: random.below(4) };
        match random.below(20) {
            0 => create(&fixture, &mut models, shard).await,
            1 => configure(&fixture, &mut models, shard, now, &random).await,
            2 if random.below(8) == 0 => seal(&fixture, &mut models, shard).await,
            3..=4 => {
                now = now.plus(Duration::from_secs(u64::from(random.below(7_200))));
                fixture.time.set(now);
            }
            5..=11 => append(&fixture, &mut models, shard, now, &random).await,
            _ => read(&fixture, &models, shard, now, &random, &format!("seed {seed}, step {step}")).await,
        }
    }
}

async fn create(fixture: &Fixture, models: &mut BTreeMap<ShardKey, Model>, shard: ShardKey) {
    let retention = Duration::from_hours(24);
    fixture.log.create(shard, ShardConfig { retention }).await.expect("the log takes shards");
    let new = || Model { places: Vec::new(), retention, hidden_before: Timestamp::EPOCH, sealed: false };
    models.entry(shard).or_insert_with(new);
}

async fn configure(
    fixture: &Fixture,
    models: &mut BTreeMap<ShardKey, Model>,
    shard: ShardKey,
    now: Timestamp,
    random: &Random,
) {
    let retention = Duration::from_secs(3600 * u64::from(1 + random.below(48)));
    let result = fixture.log.configure(shard, ShardConfig { retention }).await;
    assert_eq!(result.is_ok(), models.contains_key(&shard));
    if let Some(model) = models.get_mut(&shard) {
        model.hidden_before = model.hidden_before.max(now.minus(model.retention));
        model.retention = retention;
    }
}

async fn seal(fixture: &Fixture, models: &mut BTreeMap<ShardKey, Model>, shard: ShardKey) {
    let result = fixture.log.seal(shard).await;
    let last = models.get(&shard).map(|model| (model.places.len() as u64).checked_sub(1).map(Position));
    assert_eq!(result.ok().map(|sealed| sealed.last), last);
    if let Some(model) = models.get_mut(&shard) {
        model.sealed = true;
    }
}

async fn append(
    fixture: &Fixture,
    models: &mut BTreeMap<ShardKey, Model>,
    shard: ShardKey,
    now: Timestamp,
    random: &Random,
) {
    let payloads: Vec<Vec<u8>> = (0..=random.below(6))
        .map(|_| {
            let mut data = vec![0; random.below(3_000) as usize];
            random.fill(&mut data);
            data
        })
        .collect();
    let entries: Vec<_> =
        payloads.iter().map(|data| Entry { shard, partition_key: "k", payload_bytes: data.len(), tag: 0 }).collect();
    let mut reservation = fixture.log.reserve(&entries).await;
    let filled: Vec<bool> = payloads.iter().map(|_| random.below(8) != 0).collect();
    for (slot, (data, filled)) in reservation.slots.iter_mut().zip(payloads.iter().zip(&filled)) {
        if let (Ok(slot), true) = (slot, *filled) {
            slot.fill(Payload::Raw(data));
        }
    }
    let results = reservation.commit().await;
    let Some(model) = models.get_mut(&shard).filter(|model| !model.sealed) else {
        assert!(results.iter().all(Result::is_err));
        return;
    };
    let arrival = model.places.last().map_or(now, |(last, _)| now.max(*last));
    for ((result, data), filled) in results.into_iter().zip(payloads).zip(filled) {
        assert_eq!(result.is_ok(), filled);
        if let Ok(stored) = result {
            assert_eq!((stored.position.0, stored.arrival), (model.places.len() as u64, arrival));
        }
        model.places.push((arrival, filled.then_some(data)));
    }
}

async fn read(
    fixture: &Fixture,
    models: &BTreeMap<ShardKey, Model>,
    shard: ShardKey,
    now: Timestamp,
    random: &Random,
    at: &str,
) {
    let limit = ReadLimit { records: 1 + random.below(20) as usize, bytes: random.below(20_000) as usize };
    let time = START.plus(Duration::from_secs(u64::from(random.below(200_000))));
    let Some(model) = models.get(&shard) else {
        assert!(fixture.log.read(shard, ReadFrom::Tip, limit).await.is_err(), "{at}");
        return;
    };
    let place = u64::from(random.below(u32::try_from(model.places.len() + 2).expect("few records")));
    let from = if random.below(3) == 0 { ReadFrom::Time(time) } else { ReadFrom::Position(Position(place)) };
    let starts = |(position, arrival, _): &Item| match from {
        ReadFrom::Time(_) => *arrival >= time,
        _ => *position >= place,
    };
    let mut bytes = 0;
    let mut expected = Vec::new();
    for item in model.visible(now).into_iter().filter(|item| starts(item)) {
        bytes += item.2.len() + 1;
        if !expected.is_empty() && (expected.len() >= limit.records || bytes > limit.bytes) {
            break;
        }
        expected.push(item);
    }
    let batch = fixture.log.read(shard, from, limit).await.expect("the shard exists");
    let found: Vec<_> = batch.records.iter().map(|r| (r.position.0, r.arrival, r.data.to_vec())).collect();
    assert_eq!(found, expected, "{at}: {from:?} {limit:?}");
    if let Some((last, ..)) = expected.last() {
        assert!(batch.next.0 > *last, "{at}");
    }
    assert_eq!(batch.ended, model.sealed && batch.next.0 >= model.places.len() as u64, "{at}");
}
