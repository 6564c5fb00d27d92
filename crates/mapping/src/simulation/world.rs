//! The world of one seed: scheduler, stream, function, mapping and the checks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::{Random, Timestamp};
use millstream_functions::InvokeReport;
use millstream_log::{Position, ReadBatch, ReadFrom, ReadLimit};
use millstream_types::ShardId;

use super::handler::{self, Behaviour};
use super::ledger::{Failure, Ledger};
use super::options;
use super::stream::Shard;
use crate::event::{EventFormat, ShardIdentity};
use crate::machine::table::{Cause, LaneState};
use crate::machine::{
    Batch, Command, DeliveryProblem, Event, FailedBatch, Progress, Settings, ShardMachine, Start, lane_of,
};
use crate::result::ProcessingResult;
use crate::topology::{self, ShardInfo};

/// How long things go wrong; afterwards the world is calm and everything must settle.
const CHAOS_MS: u64 = 120_000;
/// Bound on the calm: the longest wait is a slow invocation and the longest back-off.
const CALM_MS: u64 = 600_000;
/// Poisoned shards settle by expiry only, if nothing else gives their records up.
const RETENTION_POISONED: Duration = Duration::from_secs(200);
pub(super) const RETENTION_LONG: Duration = Duration::from_hours(24);
const SHARDS_MAX: usize = 12;
/// Bound on the events of one seed: a machine that spins is found by it.
const STEPS_MAX: usize = 400_000;

/// What happens at some moment. `life` ties it to the machines of one start.
#[derive(Clone, Debug)]
enum Action {
    Put,
    Reshard,
    ReadDone {
        life: u32,
        shard: u32,
        result: Result<ReadBatch, ProcessingResult>,
    },
    InvokeDone {
        life: u32,
        shard: u32,
        lane: usize,
        batch: Arc<Batch>,
        behaviour: Box<Behaviour>,
    },
    Discarded {
        life: u32,
        shard: u32,
        lane: usize,
        failed: Arc<FailedBatch>,
        delivered: Result<(), DeliveryProblem>,
    },
    Kept {
        life: u32,
        shard: u32,
        ticket: u64,
    },
    Timer {
        life: u32,
        shard: u32,
        at: u64,
    },
    Flush,
    Crash,
    Start,
    Disable,
    /// Disable, and come back with other settings.
    Update,
    Suspend,
    Resume,
    Step,
    Skip,
}

#[derive(Debug)]
struct Worker {
    machine: ShardMachine,
    seen_version: u64,
    timer: Option<u64>,
}

/// What the catalog keeps for a shard.
#[derive(Clone, Debug, Default)]
struct Kept {
    progress: Option<Progress>,
    drained: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "each remembers another thing that happened")]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) random: Random,
    now: u64,
    scheduled: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    actions: BTreeMap<u64, Action>,
    pub(super) shards: Vec<Shard>,
    workers: BTreeMap<u32, Worker>,
    kept: BTreeMap<u32, Kept>,
    unflushed: BTreeMap<u32, Kept>,
    stopping: BTreeSet<u32>,
    updating: bool,
    life: u32,
    suspended: bool,
    pub(super) settings: Settings,
    /// The largest batch size there was: a batch that failed keeps its records.
    pub(super) batch_size_max: usize,
    pub(super) retention: Duration,
    pub(super) ledger: Ledger,
    discarding: BTreeMap<(u32, usize), Arc<FailedBatch>>,
    pub(super) crashes: u32,
    pub(super) lanes_changed: bool,
    pub(super) filters_changed: bool,
    pub(super) skipped: bool,
    pub(super) transitions: BTreeSet<(LaneState, Cause, LaneState)>,
    trace: Vec<String>,
    prints: bool,
}

/// What a seed gave.
pub(super) struct Life {
    pub(super) trace: Vec<String>,
    pub(super) transitions: BTreeSet<(LaneState, Cause, LaneState)>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let has_poison = random.below(3) == 0;
        let shards = (0..=random.below(4)).map(|i| Shard::new(i, &[], has_poison && i == 0)).collect();
        let settings = options::random(&random);
        Self {
            seed,
            random,
            now: 1_700_000_000_000,
            scheduled: 0,
            queue: BinaryHeap::new(),
            actions: BTreeMap::new(),
            shards,
            workers: BTreeMap::new(),
            kept: BTreeMap::new(),
            unflushed: BTreeMap::new(),
            stopping: BTreeSet::new(),
            updating: false,
            life: 0,
            suspended: false,
            batch_size_max: settings.batch_size,
            settings,
            retention: if has_poison { RETENTION_POISONED } else { RETENTION_LONG },
            ledger: Ledger::default(),
            discarding: BTreeMap::new(),
            crashes: 0,
            lanes_changed: false,
            filters_changed: false,
            skipped: false,
            transitions: BTreeSet::new(),
            trace: Vec::new(),
            prints: false,
        }
    }

    /// Lives through chaos and calm; panics when a promise is broken. Returns what happened.
    pub(super) fn run(mut self) -> Life {
        let started = self.now;
        self.trace(&format!("{:?}", Settings { filters: Arc::default(), ..self.settings.clone() }));
        self.schedule(0, Action::Start);
        self.schedule(1, Action::Put);
        self.schedule_disturbances();
        self.live_until(started + CHAOS_MS);
        self.calm();
        self.live_until(started + CHAOS_MS + CALM_MS);
        self.check_end();
        Life { trace: self.trace, transitions: self.transitions }
    }

    fn schedule_disturbances(&mut self) {
        for _ in 0..self.below(5) {
            let after = self.below(CHAOS_MS);
            let action = match self.below(10) {
                0 | 1 => Action::Crash,
                2 => Action::Disable,
                3 | 4 => Action::Update,
                5 => Action::Suspend,
                6 if self.below(3) == 0 => Action::Skip,
                _ => Action::Reshard,
            };
            self.schedule(after, action);
        }
    }

    /// Ends the faults: whatever is down comes back, and every open shard gets one more record.
    fn calm(&mut self) {
        let waiting = std::mem::take(&mut self.actions);
        let goes_on = |action: &Action| {
            !matches!(
                action,
                Action::Crash | Action::Disable | Action::Update | Action::Suspend | Action::Skip | Action::Put
            )
        };
        self.actions = waiting.into_iter().filter(|(_, action)| goes_on(action)).collect();
        self.schedule(0, Action::Resume);
        if self.workers.is_empty() && self.stopping.is_empty() {
            self.schedule(0, Action::Start);
        }
        for index in 0..self.shards.len() {
            if !self.shards[index].sealed {
                self.put_into(index);
            }
        }
    }

    fn live_until(&mut self, end: u64) {
        let mut steps = 0;
        while let Some(Reverse((at, number))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            let Some(action) = self.actions.remove(&number) else { continue };
            self.now = self.now.max(at);
            steps += 1;
            assert!(steps < STEPS_MAX, "seed {}: the world spins, last {action:?}", self.seed);
            self.act(action);
        }
        self.now = end;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Put => {
                let index = self.index(self.shards.len());
                if !self.shards[index].sealed {
                    self.put_into(index);
                }
                let after = [1, 10, 300, 3000][self.index(4)];
                self.schedule(after, Action::Put);
            }
            Action::Reshard => self.reshard(),
            Action::ReadDone { life, shard, result } if life == self.life => {
                let event = match result {
                    Ok(batch) => Event::Read(batch),
                    Err(problem) => Event::ReadFailed(problem),
                };
                self.step(shard, event);
            }
            Action::InvokeDone { life, shard, lane, batch, behaviour } => {
                self.invoke_done(life, shard, lane, &batch, *behaviour);
            }
            Action::Discarded { life, shard, lane, failed, delivered } => {
                self.discard_done(life, shard, lane, &failed, delivered);
            }
            Action::Kept { life, shard, ticket } if life == self.life => {
                self.act(Action::Flush);
                self.step(shard, Event::Kept(ticket));
            }
            Action::Timer { life, shard, at } if life == self.life => {
                if self.workers.get(&shard).is_some_and(|worker| worker.timer == Some(at)) {
                    self.workers.get_mut(&shard).expect("just seen").timer = None;
                    let horizon = self.shards[shard as usize].horizon(self.time(), self.retention);
                    self.step(shard, Event::Time { horizon });
                }
            }
            Action::Flush => self.kept.append(&mut self.unflushed),
            Action::Crash => self.crash(),
            Action::Start if self.workers.is_empty() => self.start(),
            // Meant for machines that are gone, or for a mapping that runs already.
            Action::ReadDone { .. } | Action::Kept { .. } | Action::Timer { .. } | Action::Start => {}
            Action::Disable => self.disable(),
            Action::Update => {
                self.updating = true;
                self.disable();
            }
            Action::Suspend => self.tell_all(true),
            Action::Resume => self.tell_all(false),
            Action::Step => self.each(&Event::Step),
            Action::Skip => {
                self.skipped = true;
                self.each(&Event::Skip);
            }
        }
    }

    fn put_into(&mut self, index: usize) {
        let gap = [0, 0, 0, 2][self.index(4)];
        let key = options::KEYS[self.index(options::KEYS.len())];
        let number = self.below(50);
        // Now and then records so large that the event's limit cuts the batch, or that no event can carry.
        let padding = match self.below(800) {
            0 => 2_000_000,
            1 => 5_000_000,
            _ => 0,
        };
        let data = match self.below(20) {
            0 => Bytes::from_static(b"no JSON"),
            _ => Bytes::from(format!(r#"{{"n":{number},"p":"{}"}}"#, "x".repeat(padding))),
        };
        let now = self.time();
        self.shards[index].put(now, gap, key, data, true);
        let stored = self.shards[index].records.last_mut().expect("just put");
        stored.passes = options::passes(&self.settings, &stored.record);
        self.wake(u32::try_from(index).expect("few shards"));
    }

    /// Splits a shard, or merges two.
    fn reshard(&mut self) {
        let open: Vec<u32> = self.shards.iter().filter(|s| !s.sealed).map(|s| s.info.key.shard).collect();
        if self.shards.len() + 2 > SHARDS_MAX {
            return;
        }
        let first = open[self.index(open.len())];
        let other = open.iter().copied().find(|index| *index != first).filter(|_| self.below(2) == 0);
        let parents: Vec<u32> = [Some(first), other].into_iter().flatten().collect();
        for parent in &parents {
            self.shards[*parent as usize].seal();
        }
        for _ in 0..if parents.len() == 1 { 2 } else { 1 } {
            let index = u32::try_from(self.shards.len()).expect("few shards");
            self.shards.push(Shard::new(index, &parents, false));
        }
        self.trace(&format!("reshard {parents:?}"));
        for parent in parents {
            self.wake(parent);
        }
        self.start_ready();
    }

    fn crash(&mut self) {
        self.trace("crash");
        self.crashes += 1;
        self.forget_workers();
        self.updating = false;
        // What was not flushed is lost.
        self.unflushed.clear();
        for (index, shard) in (0..).zip(&mut self.shards) {
            let kept =
                self.kept.get(&index).and_then(|kept| kept.progress.as_ref()).map_or(Position(0), Progress::floor);
            for stored in &mut shard.records {
                stored.in_flight = 0;
                stored.known &= stored.record.position < kept;
            }
        }
        let after = self.below(5000);
        self.schedule(after, Action::Start);
    }

    fn forget_workers(&mut self) {
        self.life += 1;
        self.workers.clear();
        self.stopping.clear();
    }

    fn start(&mut self) {
        self.trace("start");
        self.life += 1;
        self.start_ready();
    }

    /// The coordinator: begins every shard whose parents are drained.
    fn start_ready(&mut self) {
        if !self.stopping.is_empty() {
            return;
        }
        let shards: Vec<ShardInfo> = self.shards.iter().map(|shard| shard.info.clone()).collect();
        let drained: BTreeSet<ShardId> =
            shards.iter().filter(|shard| self.position(shard.key.shard).drained).map(|shard| shard.id).collect();
        for info in topology::ready(&shards, &drained) {
            if !self.workers.contains_key(&info.key.shard) && self.life > 0 {
                self.start_worker(info);
            }
        }
    }

    fn start_worker(&mut self, info: &ShardInfo) {
        let progress = self.position(info.key.shard).progress.unwrap_or_else(|| Progress::at(Position(0)));
        let identity = ShardIdentity { id: info.id, created_seconds: info.created_seconds };
        let format =
            EventFormat::new(identity, "arn:aws:kinesis:r:000000000000:stream/s", "r", "arn:aws:iam::0:role/r");
        let machine = ShardMachine::new(self.settings.clone(), format, Start::Kept(progress), self.time());
        let seen_version = self.shards[info.key.shard as usize].version;
        self.workers.insert(info.key.shard, Worker { machine, seen_version, timer: None });
        if self.suspended {
            self.step(info.key.shard, Event::Suspend);
        }
        self.step(info.key.shard, Event::Start);
    }

    fn position(&self, shard: u32) -> Kept {
        self.unflushed.get(&shard).or_else(|| self.kept.get(&shard)).cloned().unwrap_or_default()
    }

    fn disable(&mut self) {
        if !self.stopping.is_empty() || self.workers.is_empty() {
            return;
        }
        self.trace("disable");
        self.stopping = self.workers.keys().copied().collect();
        for shard in self.stopping.clone() {
            self.step(shard, Event::Stop);
        }
    }

    fn stopped(&mut self, shard: u32) {
        self.stopping.remove(&shard);
        if self.stopping.is_empty() {
            self.act(Action::Flush);
            self.forget_workers();
            if std::mem::take(&mut self.updating) {
                self.update();
            }
            let after = self.below(5000);
            self.schedule(after, Action::Start);
        }
    }

    /// Other settings for the next start; a window stays, its state has to come to an end.
    fn update(&mut self) {
        let tumbling_window = self.settings.tumbling_window;
        let new = options::random(&self.random);
        let lanes = if tumbling_window.is_some() { 1 } else { new.lanes };
        let other_lanes = lanes != self.settings.lanes;
        self.lanes_changed |= other_lanes;
        let filters = if self.below(3) == 0 { new.filters } else { Arc::clone(&self.settings.filters) };
        self.filters_changed |= !Arc::ptr_eq(&filters, &self.settings.filters);
        self.settings = Settings { lanes, tumbling_window, filters, ..new };
        self.batch_size_max = self.batch_size_max.max(self.settings.batch_size);
        self.ledger.changed(self.settings.retries_max, other_lanes);
        for index in 0..self.shards.len() {
            let kept = self.position(u32::try_from(index).expect("few shards")).progress.unwrap_or_default();
            for stored in &mut self.shards[index].records {
                let lane = lane_of(&stored.record.partition_key, kept.lanes.len().max(1));
                let is_past = kept.lanes.get(lane).is_some_and(|lane| stored.record.position < lane.next);
                stored.dropped |= !stored.passes && is_past;
                stored.passes = options::passes(&self.settings, &stored.record);
            }
        }
        self.trace(&format!("update {:?}", Settings { filters: Arc::default(), ..self.settings.clone() }));
    }

    fn tell_all(&mut self, suspended: bool) {
        self.suspended = suspended;
        self.trace(&format!("suspended {suspended}"));
        self.each(&if suspended { Event::Suspend } else { Event::Resume });
        if suspended {
            let after = self.below(20_000);
            self.schedule(after, Action::Resume);
            let after = self.below(20_000);
            self.schedule(after, Action::Step);
        }
    }

    fn each(&mut self, event: &Event) {
        for shard in self.workers.keys().copied().collect::<Vec<_>>() {
            self.step(shard, event.clone());
        }
    }

    /// One step of a shard's machine, its commands, and what its driver watches afterwards.
    fn step(&mut self, shard: u32, event: Event) {
        let now = self.time();
        let Some(worker) = self.workers.get_mut(&shard) else { return };
        let commands = worker.machine.step(now, event);
        self.transitions.extend(worker.machine.transitions());
        let life = self.life;
        for command in commands {
            self.carry_out(shard, command);
        }
        if life == self.life {
            self.set_timer(shard);
            self.wake(shard);
        }
    }

    fn set_timer(&mut self, shard: u32) {
        let life = self.life;
        let Some(worker) = self.workers.get_mut(&shard) else { return };
        let deadline = worker.machine.deadline().map(Timestamp::millis);
        if worker.timer == deadline {
            return;
        }
        worker.timer = deadline;
        if let Some(at) = deadline {
            let after = at.saturating_sub(self.now);
            self.schedule(after, Action::Timer { life, shard, at });
        }
    }

    /// The tail: wakes the machine when it wants to be woken and something changed.
    fn wake(&mut self, shard: u32) {
        let version = self.shards[shard as usize].version;
        let Some(worker) = self.workers.get_mut(&shard) else { return };
        if worker.machine.wants_tail() && worker.seen_version != version {
            worker.seen_version = version;
            self.step(shard, Event::Tail);
        }
    }

    fn carry_out(&mut self, shard: u32, command: Command) {
        self.trace(&match &command {
            Command::Invoke { lane, batch } => {
                format!("{shard}.{lane}: invoke {:?}..={:?} ({})", batch.first(), batch.last(), batch.records().len())
            }
            Command::Discard { lane, failed } => {
                let (first, last) = (failed.first().position, failed.last().position);
                format!("{shard}.{lane}: discard {first:?}..={last:?} {:?}", failed.reason)
            }
            other => format!("{shard}: {other:?}"),
        });
        match command {
            Command::Read { from, limit } => self.read(shard, from, limit),
            Command::Invoke { lane, batch } => self.invoke(shard, lane, batch),
            Command::Discard { lane, failed } => self.discard(shard, lane, failed),
            Command::Keep { progress, ticket } => {
                let before = self.position(shard).progress.unwrap_or_default();
                self.check_progress(shard, &before, &progress);
                self.keep(shard, Kept { progress: Some(progress), drained: false });
                if let Some(ticket) = ticket {
                    let (life, after) = (self.life, self.below(20));
                    self.schedule(after, Action::Kept { life, shard, ticket });
                }
            }
            Command::Drained => {
                self.check_drained(shard);
                let progress = self.position(shard).progress;
                self.keep(shard, Kept { progress, drained: true });
                self.workers.remove(&shard);
                self.start_ready();
                if self.stopping.contains(&shard) {
                    self.stopped(shard);
                }
            }
            Command::Stopped => self.stopped(shard),
            Command::Discarded { lane, is_delivered, .. } => {
                let failed = self.discarding.remove(&(shard, lane)).expect("a discard ends that was begun");
                if !is_delivered {
                    self.given_up(shard, &failed, true);
                }
            }
            Command::Result(_) | Command::History(_) | Command::Polled { .. } => {}
        }
    }

    fn keep(&mut self, shard: u32, kept: Kept) {
        if self.unflushed.is_empty() {
            self.schedule(100, Action::Flush);
        }
        self.unflushed.insert(shard, kept);
    }

    fn read(&mut self, shard: u32, from: ReadFrom, limit: ReadLimit) {
        let fails = self.is_chaos() && self.below(100) == 0;
        let batch = self.shards[shard as usize].read(self.time(), self.retention, from, limit);
        let result = if fails { Err(ProcessingResult::ReadFailed) } else { Ok(batch) };
        let life = self.life;
        let after = self.below(3);
        self.schedule(after, Action::ReadDone { life, shard, result });
    }

    fn invoke(&mut self, shard: u32, lane: usize, batch: Arc<Batch>) {
        self.check_delivery(shard, &batch);
        let chaos = self.is_chaos();
        let stream_shard = &mut self.shards[shard as usize];
        let info = &stream_shard.info;
        let identity = ShardIdentity { id: info.id, created_seconds: info.created_seconds };
        let poison: Vec<Position> =
            batch.records().iter().filter(|r| stream_shard.is_poison(r)).map(|r| r.position).collect();
        for record in batch.records() {
            stream_shard.stored(record.position).in_flight += 1;
        }
        let behaviour = Box::new(handler::behave(&self.random, &self.settings, identity, &batch, &poison, chaos));
        let (life, after) = (self.life, behaviour.after_ms);
        self.schedule(after, Action::InvokeDone { life, shard, lane, batch, behaviour });
    }

    fn invoke_done(&mut self, life: u32, shard: u32, lane: usize, batch: &Batch, behaviour: Behaviour) {
        let positions: Vec<Position> = batch.records().iter().map(|record| record.position).collect();
        let is_known = life == self.life;
        // The function has done its work, whether or not the server that asked for it still lives.
        let processed: Vec<Position> = match behaviour.meaning {
            Some(Ok(())) => positions.clone(),
            Some(Err(Failure::From(failed))) => positions.iter().copied().filter(|p| *p < failed).collect(),
            _ => Vec::new(),
        };
        for position in &positions {
            let stored = self.shards[shard as usize].stored(*position);
            stored.in_flight = stored.in_flight.saturating_sub(u32::from(is_known));
            stored.failures += u32::from(matches!(behaviour.meaning, Some(Err(_))));
        }
        // What nobody hears of counts as done for the order, not for the account.
        for position in processed {
            self.shards[shard as usize].stored(position).processed += 1;
            if is_known {
                self.shards[shard as usize].stored(position).known = true;
                self.check_once(shard, position);
            }
        }
        if !is_known {
            return;
        }
        match behaviour.meaning {
            Some(Ok(())) => self.ledger.close(shard, &positions),
            Some(Err(failure)) if !positions.is_empty() => {
                self.ledger.failed(shard, &positions, failure, self.settings.bisect);
            }
            _ => {}
        }
        let report = InvokeReport {
            request_id: String::new(),
            executed_version: None,
            outcome: behaviour.outcome,
            log_tail: Bytes::new(),
        };
        self.step(shard, Event::Invoked { lane, report });
    }

    fn discard(&mut self, shard: u32, lane: usize, failed: Arc<FailedBatch>) {
        self.check_discard(shard, &failed);
        self.discarding.insert((shard, lane), Arc::clone(&failed));
        let delivered = match self.below(10) {
            // A destination that is gone.
            _ if failed.first().position.0 % 13 == 5 => Err(DeliveryProblem::NotDelivered),
            0 if self.is_chaos() => Err(DeliveryProblem::NotKept),
            1 if self.is_chaos() => Err(DeliveryProblem::NotDelivered),
            _ => Ok(()),
        };
        let (life, after) = (self.life, self.below(30));
        self.schedule(after, Action::Discarded { life, shard, lane, failed, delivered });
    }

    fn discard_done(
        &mut self,
        life: u32,
        shard: u32,
        lane: usize,
        failed: &FailedBatch,
        delivered: Result<(), DeliveryProblem>,
    ) {
        let is_known = life == self.life;
        if delivered.is_ok() {
            // It is at the destination, whether or not the server still lives.
            self.given_up(shard, failed, is_known);
        }
        if is_known {
            self.step(shard, Event::Discarded { lane, delivered });
        }
    }

    fn given_up(&mut self, shard: u32, failed: &FailedBatch, is_known: bool) {
        let positions: Vec<Position> = failed.records.iter().map(|record| record.position).collect();
        for position in &positions {
            self.shards[shard as usize].stored(*position).discarded += 1;
            if is_known {
                self.check_once(shard, *position);
            }
        }
        self.ledger.close(shard, &positions);
    }

    fn is_chaos(&self) -> bool {
        self.now < 1_700_000_000_000 + CHAOS_MS
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn below(&self, bound: u64) -> u64 {
        u64::from(self.random.below(u32::try_from(bound).expect("small bounds")))
    }

    fn index(&self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).expect("small bounds")
    }

    fn schedule(&mut self, after: u64, action: Action) {
        self.scheduled += 1;
        self.actions.insert(self.scheduled, action);
        self.queue.push(Reverse((self.now + after, self.scheduled)));
    }

    /// The trace is also printed as it grows.
    pub(super) fn printing(self) -> Self {
        Self { prints: true, ..self }
    }

    fn trace(&mut self, line: &str) {
        if self.prints {
            super::print(&format!("{} {line}", self.now));
        }
        self.trace.push(format!("{} {line}", self.now));
    }
}
