//! Thousands of seeded schedules: appends, partial progress of the pipeline, faults, power cuts, recovery.
//!
//! The real engine runs on the simulated disk, without threads: the schedule takes the engine's work and carries it out
//! piece by piece, in any order that two committers could. `MILLSTREAM_CRASH_SEEDS` sets how many schedules run,
//! `MILLSTREAM_CRASH_FIRST_SEED` where they begin.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use millstream_env::{BoxFuture, Random, ServiceClock, Timestamp, VirtualTime};
use millstream_testkit::SimDisk;
use millstream_types::Payload;

use super::model::{RETENTION, ShardModel};
use super::{environment, small};
use crate::conformance::support::START;
use crate::contract::{
    AppendError, Entry, Position, ReadError, ReadFrom, ReadLimit, Record, ShardConfig, ShardKey, Stored,
};
use crate::disk::engine::{Engine, Work};
use crate::disk::pipeline::Event;
use crate::disk::{Options, open_engine, settled};

const SCHEDULES: u64 = 3_000;
const INCARNATIONS: u32 = 4;
const STEPS: u32 = 120;
const SHARDS: u32 = 5;
const FOLDER: &str = "/data";

#[test]
fn acknowledged_records_survive_any_crash() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("MILLSTREAM_CRASH_FIRST_SEED", 0);
    for seed in first..first + number("MILLSTREAM_CRASH_SEEDS", SCHEDULES) {
        run(seed);
    }
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in [3, 77, 1234] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

/// Runs a schedule; returns a sum of everything that happened on the disk.
fn run(seed: u64) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let mut world = World::new(seed);
    for incarnation in 0..INCARNATIONS {
        world.incarnation(incarnation);
    }
    world.disk.trace()
}

type Commit = BoxFuture<'static, Vec<Result<Stored, AppendError>>>;

/// A commit under way: where its records are, and which were filled.
struct Pending {
    commit: Commit,
    places: Vec<(ShardKey, Position, bool)>,
}

/// A change of a shard under way.
enum Change {
    Create,
    Seal,
    Delete,
}

struct PendingChange {
    shard: ShardKey,
    change: Change,
    done: BoxFuture<'static, Result<(), crate::contract::ShardError>>,
}

struct World {
    seed: u64,
    random: Random,
    disk: SimDisk,
    clock: ServiceClock,
    time: VirtualTime,
    now: Timestamp,
    options: Options,
    shards: BTreeMap<ShardKey, ShardModel>,
    /// Changes whose outcome is not known: the shard may be there or not, sealed or not.
    unsure: Vec<ShardKey>,
    next_stream: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let (clock, time) = ServiceClock::virtual_at(START);
        let mut options = small(FOLDER);
        if random.below(2) == 0 {
            options.block_bytes = 16 << 10;
            options.segment_bytes_min = 32 << 10;
            options.segment_bytes_max = 64 << 10;
        }
        options.tail_cache_bytes_max = [0, 64 << 10, 1 << 20][random.below(3) as usize];
        options.direct = random.below(2) == 0;
        let disk = SimDisk::new(seed ^ 0x5eed);
        disk.refuse_direct(random.below(4) == 0);
        let shards = BTreeMap::new();
        Self { seed, random, disk, clock, time, now: START, options, shards, unsure: Vec::new(), next_stream: 1 }
    }

    fn incarnation(&mut self, number: u32) {
        let context = format!("seed {}, incarnation {number}", self.seed);
        if self.random.below(3) > 0 {
            self.disk.power_off_after(u64::from(self.random.below(150)));
        }
        let opened =
            open_engine(self.options.clone(), environment(Arc::new(self.disk.clone()), self.clock.clone()), None);
        let engine = match opened {
            Ok((engine, report)) => {
                assert!(report.damaged.is_empty(), "{context}: nothing was damaged, but {report:?}");
                assert_eq!(report.orphaned_records, 0, "{context}: {report:?}");
                engine
            }
            Err(error) => {
                assert!(self.disk.is_off(), "{context}: {error}");
                self.disk.restart();
                return;
            }
        };
        self.check_recovered(&engine, &context);
        let mut life = Life { engine, in_hand: Vec::new(), commits: Vec::new(), changes: Vec::new() };
        for step in 0..STEPS {
            if self.disk.is_off() {
                break;
            }
            self.step(&mut life, &format!("{context}, step {step}"));
        }
        self.end(life);
    }

    fn step(&mut self, life: &mut Life, context: &str) {
        match self.random.below(24) {
            0..=6 => self.append(life, context),
            7..=13 => life.work(&self.random),
            14 => life.chore(),
            15 => {
                self.now = self.now.plus(Duration::from_millis(u64::from(self.random.below(2_000))));
                self.time.set(self.now);
                life.engine.tick();
            }
            16 => self.change(life),
            17 if self.random.below(6) == 0 => self.fault(),
            18 if self.random.below(20) == 0 => {
                self.now = self.now.plus(Duration::from_hours(u64::from(self.random.below(30))));
                self.time.set(self.now);
            }
            18 if self.random.below(10) == 0 => self.time.set(self.now.minus(Duration::from_secs(5))),
            19..=20 => self.read_one(life, context),
            21 if self.random.below(5) == 0 => life.engine.tell(Event::Roll),
            _ => {}
        }
        self.poll(life);
    }

    fn fault(&mut self) {
        match self.random.below(5) {
            0 => self.disk.fail_write_after(u64::from(self.random.below(4))),
            1 => self.disk.fail_sync_after(u64::from(self.random.below(4))),
            2 => self.disk.set_capacity(u64::from(self.random.below(600)) << 10),
            _ => self.disk.set_capacity(u64::MAX),
        }
    }

    fn any_shard(&self) -> Option<ShardKey> {
        let count = u32::try_from(self.shards.len()).expect("few shards");
        if count == 0 { None } else { self.shards.keys().nth(self.random.below(count) as usize).copied() }
    }

    fn append(&mut self, life: &mut Life, context: &str) {
        let wanted: Vec<(ShardKey, Vec<u8>)> = (0..=self.random.below(8))
            .filter_map(|_| {
                let largest = if self.random.below(40) == 0 { 40_000 } else { 1_500 };
                let mut data = vec![0; self.random.below(largest) as usize];
                self.random.fill(&mut data);
                Some((self.any_shard()?, data))
            })
            .collect();
        let entries: Vec<_> = wanted
            .iter()
            .map(|(shard, data)| Entry { shard: *shard, partition_key: "key", payload_bytes: data.len(), tag: 0 })
            .collect();
        let Some(Ok(admitted)) = life.engine.admission.admit(&entries).now_or_never() else { return };
        let mut reservation = life.engine.reserve(&entries, admitted);
        let mut places = Vec::new();
        for (slot, (shard, data)) in reservation.slots.iter_mut().zip(wanted) {
            let filled = self.random.below(12) > 0;
            let place = match slot {
                Ok(slot) => {
                    if filled {
                        slot.fill(Payload::Raw(&data));
                    }
                    let stored = slot.stored();
                    self.shards.get_mut(&shard).expect("a known shard").reserved(stored, data, context);
                    stored.position
                }
                Err(_) => Position(u64::MAX),
            };
            places.push((shard, place, filled));
        }
        if self.random.below(15) == 0 {
            drop(reservation);
            for (shard, position, _) in places {
                self.decide(shard, position, Err(AppendError::Unavailable), false);
            }
            return;
        }
        life.commits.push(Pending { commit: reservation.commit(), places });
    }

    fn decide(&mut self, shard: ShardKey, position: Position, result: Result<Stored, AppendError>, filled: bool) {
        if let Some(model) = self.shards.get_mut(&shard) {
            model.decided(position, result, filled);
        }
    }

    fn change(&mut self, life: &mut Life) {
        let create = self.shards.len() < SHARDS as usize && self.random.below(3) > 0;
        if create || self.shards.is_empty() {
            let shard = ShardKey { stream: self.next_stream, shard: 0 };
            self.next_stream += 1;
            let done = Box::pin(settled(life.engine.create(shard, ShardConfig { retention: RETENTION })));
            life.changes.push(PendingChange { shard, change: Change::Create, done });
            return;
        }
        let Some(shard) = self.any_shard() else { return };
        let busy = life.changes.iter().any(|pending| pending.shard == shard) || self.unsure.contains(&shard);
        if busy {
            return;
        }
        match self.random.below(6) {
            0 => {
                let done = Box::pin(settled(life.engine.delete(shard)));
                life.changes.push(PendingChange { shard, change: Change::Delete, done });
            }
            1 => {
                if let Ok((sealed, waiting)) = life.engine.seal(shard) {
                    self.shards.get_mut(&shard).expect("a known shard").sealed.get_or_insert(sealed);
                    let done = Box::pin(settled(Ok(waiting)));
                    life.changes.push(PendingChange { shard, change: Change::Seal, done });
                }
            }
            _ => {
                let _never_waited_for = life.engine.configure(shard, ShardConfig { retention: RETENTION });
            }
        }
    }

    fn poll(&mut self, life: &mut Life) {
        let mut context = Context::from_waker(Waker::noop());
        for pending in std::mem::take(&mut life.commits) {
            let Pending { mut commit, places } = pending;
            match Pin::new(&mut commit).poll(&mut context) {
                Poll::Pending => life.commits.push(Pending { commit, places }),
                Poll::Ready(results) => {
                    for ((shard, position, filled), result) in places.into_iter().zip(results) {
                        self.decide(shard, position, result, filled);
                    }
                }
            }
        }
        for mut pending in std::mem::take(&mut life.changes) {
            match pending.done.as_mut().poll(&mut context) {
                Poll::Pending => life.changes.push(pending),
                Poll::Ready(result) => self.changed(pending.shard, &pending.change, result.is_ok()),
            }
        }
    }

    fn changed(&mut self, shard: ShardKey, change: &Change, done: bool) {
        match (change, done) {
            (Change::Create, true) => _ = self.shards.entry(shard).or_default(),
            (Change::Delete, true) => _ = self.shards.remove(&shard),
            (Change::Seal, true) | (Change::Create, false) => {}
            (Change::Seal | Change::Delete, false) => self.unsure.push(shard),
        }
    }

    fn read_one(&mut self, life: &Life, context: &str) {
        let Some(shard) = self.any_shard() else { return };
        if let Some(found) = self.read(&life.engine, shard, context) {
            self.shards[&shard].check(&found, (self.clock.now(), self.now), false, context);
        }
    }

    /// All records of a shard; `None` when the disk is off or the shard is being deleted.
    fn read(&self, engine: &Arc<Engine>, shard: ShardKey, context: &str) -> Option<Vec<Record>> {
        let (mut all, mut next) = (Vec::new(), Position(0));
        loop {
            let limit = ReadLimit { records: 1 + self.random.below(40) as usize, bytes: 30_000 };
            match engine.read(shard, ReadFrom::Position(next), limit, true).expect("a read that may wait answers") {
                Ok(batch) => {
                    all.extend(batch.records);
                    if batch.behind.is_none() {
                        return Some(all);
                    }
                    assert!(batch.next > next, "{context}: a read that is behind moves on");
                    next = batch.next;
                }
                Err(ReadError::NoShard(_)) if self.unsure.contains(&shard) => return None,
                Err(error) => {
                    assert!(self.disk.is_off(), "{context}: {error}");
                    return None;
                }
            }
        }
    }

    fn check_recovered(&mut self, engine: &Arc<Engine>, context: &str) {
        let now = (self.clock.now(), self.now);
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            let unsure = self.unsure.contains(&shard);
            let state = engine.lock().shard(shard).map(|(_, found)| found.bounds());
            let Ok(bounds) = state else {
                assert!(unsure, "{context}: {shard:?} is lost");
                self.shards.remove(&shard);
                continue;
            };
            let model = &self.shards[&shard];
            if !unsure {
                assert_eq!(bounds.sealed, model.sealed, "{context}: {shard:?}");
            }
            let Some(found) = self.read(engine, shard, context) else { return };
            model.check(&found, now, true, context);
            let last = found.last().map_or(0, |record| record.position.0 + 1);
            assert!(bounds.next.0 >= last, "{context}: {bounds:?} {last}");
            let model = self.shards.get_mut(&shard).expect("as above");
            model.settle(&found);
            model.sealed = bounds.sealed;
        }
        self.unsure.clear();
    }

    /// Ends an incarnation in one of the ways a process ends.
    fn end(&mut self, mut life: Life) {
        let how = if self.disk.is_off() { 0 } else { self.random.below(3) };
        if how == 2 {
            life.finish();
        }
        self.poll(&mut life);
        let undecided = life.changes.iter().filter(|pending| !matches!(pending.change, Change::Create));
        self.unsure.extend(undecided.map(|pending| pending.shard));
        self.disk.set_capacity(u64::MAX);
        // Everything the process held goes with it, in any order.
        drop(life);
        match how {
            0 => self.disk.restart(),
            _ => self.disk.kill_process(),
        }
        self.disk.clear_faults();
    }
}

/// What one process holds.
struct Life {
    engine: Arc<Engine>,
    /// Work taken and not done: as many pieces as there are committers.
    in_hand: Vec<Work>,
    commits: Vec<Pending>,
    changes: Vec<PendingChange>,
}

impl Life {
    fn work(&mut self, random: &Random) {
        if self.in_hand.len() < 2 {
            self.in_hand.extend(self.engine.take_work());
        }
        let count = u32::try_from(self.in_hand.len()).expect("two at most");
        if count > 0 && random.below(4) > 0 {
            let work = self.in_hand.swap_remove(random.below(count) as usize);
            self.engine.perform(work);
        }
    }

    fn chore(&self) {
        if let Some(chore) = self.engine.take_chore() {
            self.engine.perform_chore(&chore);
        }
    }

    /// Closes as a process does that ends in order, as far as the disk allows.
    fn finish(&mut self) {
        for _ in 0..1_000 {
            match self.in_hand.pop().or_else(|| self.engine.take_work()) {
                Some(work) => self.engine.perform(work),
                None => break,
            }
        }
        self.engine.finish(Duration::ZERO);
        while let Some(chore) = self.engine.take_chore() {
            self.engine.perform_chore(&chore);
        }
    }
}
