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

use super::model::{RETENTIONS, ShardModel};
use super::{environment, small};
use crate::conformance::support::START;
use crate::contract::{
    AppendError, Entry, Position, ReadError, ReadFrom, ReadLimit, Record, Sealed, ShardConfig, ShardError, ShardKey,
    Stored,
};
use crate::disk::class::RetentionClass;
use crate::disk::classes::{Accepted, Classes};
use crate::disk::engine::{Engine, Work};
use crate::disk::pipeline::Event;
use crate::disk::{Options, settled};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Create(Duration),
    Configure(Duration),
    Seal,
    Delete,
}

struct PendingChange {
    shard: ShardKey,
    change: Change,
    done: BoxFuture<'static, Result<Option<Sealed>, ShardError>>,
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
    unsure: Vec<(ShardKey, Change)>,
    next_stream: u64,
    /// Something of the disk was made to fail, beside the power.
    faulty: bool,
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
        options.write_ahead_bytes = [0, 12 << 10, 64 << 10][random.below(3) as usize];
        options.lone_writer_after = [0, 2, u32::MAX][random.below(3) as usize];
        options.durable_write_bytes_max = [0, 4 << 10, 64 << 10][random.below(3) as usize];
        let disk = SimDisk::new(seed ^ 0x5eed);
        disk.refuse_direct(random.below(4) == 0);
        let shards = BTreeMap::new();
        let unsure = Vec::new();
        Self { seed, random, disk, clock, time, now: START, options, shards, unsure, next_stream: 1, faulty: false }
    }

    fn incarnation(&mut self, number: u32) {
        let context = format!("seed {}, incarnation {number}", self.seed);
        if self.random.below(3) > 0 {
            self.disk.power_off_after(u64::from(self.random.below(150)));
        }
        let environment = environment(Arc::new(self.disk.clone()), self.clock.clone());
        let log = match Classes::open(self.options.clone(), environment, false, &Accepted::new()) {
            Ok((log, report)) => {
                assert!(report.damaged.is_empty(), "{context}: nothing was damaged, but {report:?}");
                assert_eq!(report.orphaned_records, 0, "{context}: {report:?}");
                log
            }
            Err(error) => {
                assert!(self.disk.is_off(), "{context}: {error}");
                self.disk.restart();
                return;
            }
        };
        self.check_recovered(&log, &context);
        let mut life = Life { log, in_hand: Vec::new(), commits: Vec::new(), changes: Vec::new() };
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
                life.log.engines().for_each(|engine| engine.tick());
            }
            16 => self.change(life),
            17 if self.random.below(6) == 0 => self.fault(),
            18 if self.random.below(20) == 0 => {
                self.now = self.now.plus(Duration::from_hours(u64::from(self.random.below(30))));
                self.time.set(self.now);
            }
            18 if self.random.below(10) == 0 => _ = self.time.set(self.now.minus(Duration::from_secs(5))),
            19..=20 => self.read_one(life, context),
            21 if self.random.below(5) == 0 => life.engine(&self.random).tell(Event::Roll),
            22 | 23 => _ = life.engine(&self.random).rewrite_deadest(self.clock.now()),
            _ => {}
        }
        self.poll(life);
    }

    fn fault(&mut self) {
        self.faulty = true;
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
        // Not admitted, or one of the shards moves: then the caller gives up.
        let Some(mut reservation) = life.log.reserve(&entries).now_or_never() else { return };
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
            let retention = RETENTIONS[self.random.below(3) as usize];
            if self.has_class(life, retention) {
                let created = life.log.create(shard, ShardConfig { retention });
                life.change(shard, Change::Create(retention), async move { settled(created).await.map(|()| None) });
            }
            return;
        }
        let Some(shard) = self.any_shard() else { return };
        let busy = life.changes.iter().any(|pending| pending.shard == shard) || self.is_unsure(shard);
        if busy {
            return;
        }
        let log = Arc::clone(&life.log);
        match self.random.below(6) {
            0 => life.change(shard, Change::Delete, async move { log.delete(shard).await.map(|()| None) }),
            1 => life.change(shard, Change::Seal, async move { log.seal(shard).await.map(Some) }),
            _ => {
                let retention = RETENTIONS[self.random.below(3) as usize];
                if self.has_class(life, retention) {
                    self.shards.get_mut(&shard).expect("a known shard").configure(retention);
                    let config = ShardConfig { retention };
                    let change = Change::Configure(retention);
                    life.change(shard, change, async move { log.configure(shard, config).await.map(|()| None) });
                    // A move takes the work of two logs, one after the other.
                    for _ in 0..self.random.below(40) {
                        life.work(&self.random);
                        self.poll(life);
                    }
                    if self.random.below(4) == 0 {
                        // The caller goes away, at some point of it.
                        life.changes.retain(|pending| pending.shard != shard);
                    }
                }
            }
        }
    }

    /// Opens the class of a retention, as the log does before it is asked for it.
    fn has_class(&self, life: &Life, retention: Duration) -> bool {
        let opened = life.log.open_class(RetentionClass::of(retention));
        assert!(opened.is_ok() || self.faulty || self.disk.is_off(), "seed {}: {opened:?}", self.seed);
        opened.is_ok()
    }

    fn is_unsure(&self, shard: ShardKey) -> bool {
        self.unsure.iter().any(|(unsure, _)| *unsure == shard)
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
                Poll::Ready(result) => self.changed(pending.shard, pending.change, result),
            }
        }
    }

    fn changed(&mut self, shard: ShardKey, change: Change, result: Result<Option<Sealed>, ShardError>) {
        match (change, result) {
            (Change::Create(retention), Ok(_)) => {
                self.shards.entry(shard).or_insert_with(|| ShardModel::new(retention));
            }
            (Change::Delete, Ok(_)) => _ = self.shards.remove(&shard),
            (Change::Seal, Ok(sealed)) => self.shards.get_mut(&shard).expect("a known shard").sealed = sealed,
            (Change::Configure(retention), Ok(_)) => {
                self.shards.get_mut(&shard).expect("a known shard").configured(retention);
            }
            (Change::Create(_) | Change::Configure(_), Err(_)) => {}
            (Change::Seal | Change::Delete, Err(_)) => self.unsure.push((shard, change)),
        }
    }

    fn read_one(&mut self, life: &Life, context: &str) {
        let Some(shard) = self.any_shard() else { return };
        let deleting = |(of, change): (ShardKey, Change)| of == shard && change == Change::Delete;
        let pending = life.changes.iter().map(|pending| (pending.shard, pending.change));
        if pending.chain(self.unsure.iter().copied()).any(deleting) {
            // Some of it may be gone already.
            return;
        }
        if let Some(found) = self.read(&life.log, shard, context) {
            self.shards[&shard].check(&found, (self.clock.now(), self.now), false, context);
        }
    }

    /// All records of a shard; `None` when the disk is off or the shard is being deleted.
    fn read(&self, log: &Classes, shard: ShardKey, context: &str) -> Option<Vec<Record>> {
        let (mut all, mut next) = (Vec::new(), Position(0));
        loop {
            let limit = ReadLimit { records: 1 + self.random.below(40) as usize, bytes: 30_000 };
            let read = log.read(None, shard, ReadFrom::Position(next), limit).now_or_never();
            match read.expect("a read that waits here answers at once") {
                Ok(batch) => {
                    all.extend(batch.records);
                    if batch.behind.is_none() {
                        return Some(all);
                    }
                    assert!(batch.next > next, "{context}: a read that is behind moves on");
                    next = batch.next;
                }
                Err(ReadError::NoShard(_)) if self.is_unsure(shard) => return None,
                Err(error) => {
                    assert!(self.disk.is_off(), "{context}: {error}");
                    return None;
                }
            }
        }
    }

    fn check_recovered(&mut self, log: &Classes, context: &str) {
        let now = (self.clock.now(), self.now);
        for (shard, change) in self.unsure.clone() {
            if change == Change::Delete && log.is_open(RetentionClass::Week) | log.is_open(RetentionClass::Year) {
                // What one class held may be gone, and what another holds there. It is to be deleted again.
                self.shards.remove(&shard);
            }
        }
        for shard in self.shards.keys().copied().collect::<Vec<_>>() {
            let unsure = self.is_unsure(shard);
            let Ok(bounds) = log.bounds(shard) else {
                assert!(unsure, "{context}: {shard:?} is lost");
                self.shards.remove(&shard);
                continue;
            };
            let model = &self.shards[&shard];
            if !unsure {
                assert_eq!(bounds.sealed, model.sealed, "{context}: {shard:?}");
            }
            let Some(found) = self.read(log, shard, context) else { return };
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
        let undecided = life.changes.iter().filter(|pending| matches!(pending.change, Change::Seal | Change::Delete));
        self.unsure.extend(undecided.map(|pending| (pending.shard, pending.change)));
        self.disk.set_capacity(u64::MAX);
        // Everything the process held goes with it, in any order.
        drop(life);
        match how {
            0 => self.disk.restart(),
            _ => self.disk.kill_process(),
        }
        self.disk.clear_faults();
        self.faulty = false;
    }
}

/// What one process holds.
struct Life {
    log: Arc<Classes>,
    /// Work taken and not done: as many pieces as there are committers in one class.
    in_hand: Vec<(Arc<Engine>, Work)>,
    commits: Vec<Pending>,
    changes: Vec<PendingChange>,
}

impl Life {
    /// Any of the logs.
    fn engine(&self, random: &Random) -> Arc<Engine> {
        let count = u32::try_from(self.log.engines().count()).expect("three at most");
        Arc::clone(self.log.engines().nth(random.below(count) as usize).expect("below the count"))
    }

    fn change(
        &mut self,
        shard: ShardKey,
        change: Change,
        done: impl Future<Output = Result<Option<Sealed>, ShardError>> + Send + 'static,
    ) {
        self.changes.push(PendingChange { shard, change, done: Box::pin(done) });
    }

    fn work(&mut self, random: &Random) {
        if self.in_hand.len() < 2 {
            let engine = self.engine(random);
            self.in_hand.extend(engine.take_work().map(|work| (engine, work)));
        }
        let count = u32::try_from(self.in_hand.len()).expect("two at most");
        if count > 0 && random.below(4) > 0 {
            let (engine, work) = self.in_hand.swap_remove(random.below(count) as usize);
            engine.perform(work);
        }
    }

    fn chore(&self) {
        for engine in self.log.engines() {
            if let Some(chore) = engine.take_chore() {
                engine.perform_chore(&chore);
            }
        }
    }

    /// Closes as a process does that ends in order, as far as the disk allows.
    fn finish(&mut self) {
        for (engine, work) in self.in_hand.drain(..) {
            engine.perform(work);
        }
        for engine in self.log.engines() {
            for _ in 0..1_000 {
                match engine.take_work() {
                    Some(work) => engine.perform(work),
                    None => break,
                }
            }
            engine.finish(Duration::ZERO);
            while let Some(chore) = engine.take_chore() {
                engine.perform_chore(&chore);
            }
        }
    }
}
