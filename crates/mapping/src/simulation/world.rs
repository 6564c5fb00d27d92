//! The world of one seed: scheduler, stream, function, mapping and the checks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_env::{Random, Timestamp};
use millstream_functions::{FunctionErrorKind, InvokeReport, Outcome};
use millstream_log::{Position, ReadBatch, ReadFrom, ReadLimit};
use millstream_types::ShardId;

use super::stream::Shard;
use crate::event::{EventFormat, ShardIdentity};
use crate::machine::{Batch, Command, Event, Settings, ShardMachine};
use crate::result::ProcessingResult;
use crate::topology::{self, ShardInfo};

/// How long things go wrong; afterwards the world is calm and everything must settle.
const CHAOS_MS: u64 = 120_000;
/// Bound on the calm: the longest wait is a slow invocation and the longest back-off.
const CALM_MS: u64 = 400_000;
/// Poisoned shards settle by expiry only.
const RETENTION_POISONED: Duration = Duration::from_secs(200);
pub(super) const RETENTION_LONG: Duration = Duration::from_hours(24);
const SHARDS_MAX: usize = 12;
/// Bound on the events of one seed: a machine that spins is found by it.
const STEPS_MAX: usize = 200_000;

/// What happens at some moment. `life` ties it to the machines of one start.
#[derive(Clone, Debug)]
enum Action {
    Put,
    Reshard,
    ReadDone { life: u32, shard: u32, result: Result<ReadBatch, ProcessingResult> },
    InvokeDone { life: u32, shard: u32, batch: Arc<Batch>, outcome: Outcome },
    Timer { life: u32, shard: u32, at: u64 },
    Flush,
    Crash,
    Start,
    Disable,
    Suspend,
    Resume,
}

#[derive(Debug)]
struct Worker {
    machine: ShardMachine,
    seen_version: u64,
    timer: Option<u64>,
}

/// What the catalog keeps for a shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    pub(super) next: u64,
    drained: bool,
}

pub(super) struct World {
    pub(super) seed: u64,
    random: Random,
    now: u64,
    scheduled: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    actions: BTreeMap<u64, Action>,
    pub(super) shards: Vec<Shard>,
    workers: BTreeMap<u32, Worker>,
    kept: BTreeMap<u32, Kept>,
    unflushed: BTreeMap<u32, Kept>,
    stopping: BTreeSet<u32>,
    life: u32,
    suspended: bool,
    pub(super) settings: Settings,
    pub(super) retention: Duration,
    trace: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let has_poison = random.below(3) == 0;
        let shards = (0..=random.below(4)).map(|i| Shard::new(i, &[], has_poison && i == 0)).collect();
        let settings = Settings {
            batch_size: [1, 2, 3, 10, 100][random.below(5) as usize],
            batching_window: Duration::from_secs([0, 0, 1, 5][random.below(4) as usize]),
        };
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
            life: 0,
            suspended: false,
            settings,
            retention: if has_poison { RETENTION_POISONED } else { RETENTION_LONG },
            trace: Vec::new(),
        }
    }

    /// Lives through chaos and calm; panics when a promise is broken. Returns what happened.
    pub(super) fn run(mut self) -> Vec<String> {
        let started = self.now;
        self.schedule(0, Action::Start);
        self.schedule(1, Action::Put);
        self.schedule_disturbances();
        self.live_until(started + CHAOS_MS);
        self.calm();
        self.live_until(started + CHAOS_MS + CALM_MS);
        self.check_end();
        self.trace
    }

    fn schedule_disturbances(&mut self) {
        for _ in 0..self.below(4) {
            let after = self.below(CHAOS_MS);
            let action = match self.below(6) {
                0 | 1 => Action::Crash,
                2 => Action::Disable,
                3 => Action::Suspend,
                _ => Action::Reshard,
            };
            self.schedule(after, action);
        }
    }

    /// Ends the faults: whatever is down comes back, and every open shard gets one more record.
    fn calm(&mut self) {
        let waiting = std::mem::take(&mut self.actions);
        let goes_on =
            |action: &Action| !matches!(action, Action::Crash | Action::Disable | Action::Suspend | Action::Put);
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
            Action::InvokeDone { life, shard, batch, outcome } => self.invoke_done(life, shard, &batch, outcome),
            Action::Timer { life, shard, at } if life == self.life => {
                if self.workers.get(&shard).is_some_and(|worker| worker.timer == Some(at)) {
                    self.worker(shard).timer = None;
                    let horizon = self.shards[shard as usize].horizon(self.time(), self.retention);
                    self.step(shard, Event::Time { horizon });
                }
            }
            Action::Flush => self.kept.append(&mut self.unflushed),
            Action::Crash => self.crash(),
            Action::Start if self.workers.is_empty() => self.start(),
            // Meant for machines that are gone, or for a mapping that runs already.
            Action::ReadDone { .. } | Action::Timer { .. } | Action::Start => {}
            Action::Disable => self.disable(),
            Action::Suspend => self.tell_all(true),
            Action::Resume => self.tell_all(false),
        }
    }

    fn put_into(&mut self, index: usize) {
        let gap = [0, 0, 0, 2][self.index(4)];
        // Now and then records so large that the event's limit cuts the batch.
        let data_bytes = if self.index(400) == 0 { 2_000_000 } else { self.index(50) };
        let now = self.time();
        self.shards[index].put(now, gap, data_bytes);
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
        self.forget_workers();
        // What was not flushed is lost.
        self.unflushed.clear();
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
        let start = Position(self.position(info.key.shard).next);
        let identity = ShardIdentity { id: info.id, created_seconds: info.created_seconds };
        let format =
            EventFormat::new(identity, "arn:aws:kinesis:r:000000000000:stream/s", "r", "arn:aws:iam::0:role/r");
        let machine = ShardMachine::new(self.settings, format, ReadFrom::Position(start), Some(start), self.time());
        let seen_version = self.shards[info.key.shard as usize].version;
        self.workers.insert(info.key.shard, Worker { machine, seen_version, timer: None });
        if self.suspended {
            self.step(info.key.shard, Event::Suspend);
        }
        self.step(info.key.shard, Event::Start);
    }

    pub(super) fn position(&self, shard: u32) -> Kept {
        self.unflushed.get(&shard).or_else(|| self.kept.get(&shard)).copied().unwrap_or_default()
    }

    fn disable(&mut self) {
        if !self.stopping.is_empty() {
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
            let after = self.below(5000);
            self.schedule(after, Action::Start);
        }
    }

    fn tell_all(&mut self, suspended: bool) {
        self.suspended = suspended;
        self.trace(&format!("suspended {suspended}"));
        for shard in self.workers.keys().copied().collect::<Vec<_>>() {
            self.step(shard, if suspended { Event::Suspend } else { Event::Resume });
        }
        if suspended {
            let after = self.below(20_000);
            self.schedule(after, Action::Resume);
        }
    }

    /// One step of a shard's machine, its commands, and what its driver watches afterwards.
    fn step(&mut self, shard: u32, event: Event) {
        let now = self.time();
        let Some(worker) = self.workers.get_mut(&shard) else { return };
        let commands = worker.machine.step(now, event);
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
            Command::Invoke(batch) => format!("{shard}: invoke {:?}..={:?}", batch.first(), batch.last()),
            other => format!("{shard}: {other:?}"),
        });
        match command {
            Command::Read { from, limit } => self.read(shard, from, limit),
            Command::Invoke(batch) => self.invoke(shard, batch),
            Command::Checkpoint(next) => {
                self.check_checkpoint(shard, next);
                self.keep(shard, Kept { next: next.0, drained: false });
            }
            Command::Drained => {
                let next = self.position(shard).next;
                self.check_drained(shard);
                self.keep(shard, Kept { next, drained: true });
                self.start_ready();
            }
            Command::Stopped => self.stopped(shard),
            Command::Result(_) | Command::History(_) => {}
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

    fn invoke(&mut self, shard: u32, batch: Arc<Batch>) {
        self.check_delivery(shard, &batch);
        let poison = self.shards[shard as usize].poisoned && batch.records().iter().any(|r| r.position.0 % 16 == 11);
        let (after, outcome) = self.script(poison);
        let life = self.life;
        self.schedule(after, Action::InvokeDone { life, shard, batch, outcome });
    }

    /// What the function does with this invocation, and how long it takes.
    fn script(&mut self, poison: bool) -> (u64, Outcome) {
        let failure = |kind| Outcome::FunctionError { kind, payload: Bytes::new() };
        let ok = Outcome::Ok(Bytes::new());
        if poison {
            return (5, failure(FunctionErrorKind::Handler));
        }
        if !self.is_chaos() {
            return (5, ok);
        }
        match self.below(100) {
            0..70 => (self.below(200), ok),
            70..80 => (self.below(100), failure(FunctionErrorKind::Handler)),
            80..84 => (1000 + self.below(59_000), ok),
            84..86 => (3000, failure(FunctionErrorKind::TimedOut)),
            86..88 => (self.below(100), failure(FunctionErrorKind::Exited)),
            88..92 => (0, Outcome::Throttled { reason: "ReservedFunctionConcurrentInvocationLimitExceeded" }),
            92..95 => (0, Outcome::NotReady("pending".to_owned())),
            95..97 => (0, Outcome::NotFound("arn".to_owned())),
            97..98 => (0, Outcome::NotPermitted("role".to_owned())),
            _ => (10, Outcome::ServiceError("injected".to_owned())),
        }
    }

    fn invoke_done(&mut self, life: u32, shard: u32, batch: &Batch, outcome: Outcome) {
        if matches!(outcome, Outcome::Ok(_)) {
            // The function has done its work, whether or not the server that asked for it still lives.
            for stored in &mut self.shards[shard as usize].records {
                if (batch.first()..=batch.last()).contains(&stored.record.position) {
                    stored.processed = true;
                }
            }
        }
        if life == self.life {
            let report =
                InvokeReport { request_id: String::new(), executed_version: None, outcome, log_tail: Bytes::new() };
            self.step(shard, Event::Invoked(report));
        }
    }

    fn is_chaos(&self) -> bool {
        self.now < 1_700_000_000_000 + CHAOS_MS
    }

    fn worker(&mut self, shard: u32) -> &mut Worker {
        self.workers.get_mut(&shard).expect("the caller found it")
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

    fn trace(&mut self, line: &str) {
        self.trace.push(format!("{} {line}", self.now));
    }
}
