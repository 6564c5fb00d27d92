//! The machine of one shard between log, function and clock. It waits for whatever comes first and never polls.

use std::future::pending;
use std::sync::Arc;

use millstream_env::BoxFuture;
use millstream_env::activity::{Kind, Party, Standing, Subject, Unseen};
use millstream_functions::{Invocation, InvokeReport};
use millstream_log::{ReadBatch, ReadError, ReadFrom, ReadLimit, Tail};
use millstream_types::{Scope, ShardId};
use tokio::sync::{mpsc, watch};

use super::positions::Positions;
use super::signals::Signals;
use crate::machine::{Batch, Command, Event, ShardMachine};
use crate::mappings::Shared;
use crate::names::FunctionReference;
use crate::result::ProcessingResult;
use crate::topology::ShardInfo;

/// What the coordinator wants of all workers of its mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    /// Begin nothing new.
    Suspend,
    /// Finish what runs and end.
    Stop,
}

/// What a worker tells its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The shard has ended and is done with: the worker ends, its children may begin.
    Drained(ShardId),
    /// The answer to [`Order::Stop`]: the worker ends.
    Stopped(ShardId),
    /// The worker broke down.
    Failed(ShardId),
}

/// Whose shard it is and where its batches go.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) uuid: Arc<str>,
    pub(super) scope: Scope,
    pub(super) function: FunctionReference,
    pub(super) signals: Arc<Signals>,
}

/// One shard of one mapping.
pub(super) struct Worker {
    shared: Arc<Shared>,
    assignment: Arc<Assignment>,
    shard: ShardInfo,
    machine: ShardMachine,
    orders: watch::Receiver<Order>,
    reports: mpsc::Sender<Report>,
    /// `None` when the shard is not there; the reads say so.
    tail: Option<Tail>,
    read: Option<BoxFuture<'static, Result<ReadBatch, ReadError>>>,
    invocation: Option<BoxFuture<'static, InvokeReport>>,
    /// At work from the start on, so that the coordinator can rest once the worker is made.
    party: Option<Party>,
}

/// Whether a worker goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

/// What a worker was woken by.
enum WakeUp {
    Orders,
    /// There is no coordinator any more.
    Abandoned,
    Invoked(InvokeReport),
    Read(Result<ReadBatch, ReadError>),
    Tail,
    Time,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        assignment: Arc<Assignment>,
        shard: ShardInfo,
        machine: ShardMachine,
        orders: watch::Receiver<Order>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        // Before the first read, so that nothing stored after it is missed.
        let tail = shared.log.tail(shard.key);
        let subject =
            Subject { kind: Kind::Mapping, id: Arc::clone(&assignment.uuid), part: Some(shard.id.to_string()) };
        let party = Some(shared.clock.activity().register(subject));
        Self { shared, assignment, shard, machine, orders, reports, tail, read: None, invocation: None, party }
    }

    /// Runs until the shard is drained or the coordinator says stop.
    pub(super) async fn run(mut self) {
        // Kept to the end of this task: the last report has then been given.
        let party = self.party.take().expect("a worker runs once");
        let mut flow = self.obey().await;
        if flow == Flow::Continue {
            flow = self.step(Event::Start).await;
        }
        while flow == Flow::Continue {
            let (standing, unseen) = (self.standing(), self.unseen());
            let wake_up = party.park(standing, Some(unseen), self.next_wake_up()).await;
            flow = match wake_up {
                WakeUp::Orders => self.obey().await,
                WakeUp::Abandoned => Flow::End,
                WakeUp::Invoked(report) => self.step(Event::Invoked(report)).await,
                WakeUp::Read(result) => self.on_read(result).await,
                WakeUp::Tail => self.step(Event::Tail).await,
                WakeUp::Time => self.on_time().await,
            };
        }
    }

    /// Waits for whatever comes first, and does nothing about it.
    async fn next_wake_up(&mut self) -> WakeUp {
        let wants_tail = self.machine.wants_tail();
        let deadline = self.machine.deadline();
        let clock = &self.shared.clock;
        tokio::select! {
            // Orders first: a stopped mapping begins nothing more.
            biased;
            changed = self.orders.changed() => if changed.is_ok() { WakeUp::Orders } else { WakeUp::Abandoned },
            report = ready(&mut self.invocation) => {
                self.invocation = None;
                WakeUp::Invoked(report)
            }
            result = ready(&mut self.read) => {
                self.read = None;
                WakeUp::Read(result)
            }
            () = tail_moved(&mut self.tail), if wants_tail => WakeUp::Tail,
            () = async { clock.sleep_until(deadline.expect("checked")).await }, if deadline.is_some() => WakeUp::Time,
        }
    }

    /// What the worker waits for, as others see it.
    fn standing(&self) -> Standing {
        if self.invocation.is_some() {
            return Standing::Busy("invoking");
        }
        if self.read.is_some() {
            return Standing::Busy("reading");
        }
        match self.machine.deadline() {
            Some(until) => Standing::Waiting { until, why: self.machine.deadline_reason() },
            None => Standing::Idle,
        }
    }

    /// Whether there is something that this worker will work on, once it runs.
    fn unseen(&self) -> Unseen {
        let orders = self.orders.clone();
        let tail = self.tail.as_ref().filter(|_| self.machine.wants_tail()).map(Tail::glimpse);
        Box::new(move || orders.has_changed().unwrap_or(false) || tail.as_ref().is_some_and(Tail::has_changed))
    }

    async fn obey(&mut self) -> Flow {
        let order = *self.orders.borrow_and_update();
        self.step(match order {
            Order::Run => Event::Resume,
            Order::Suspend => Event::Suspend,
            Order::Stop => Event::Stop,
        })
        .await
    }

    async fn on_read(&mut self, result: Result<ReadBatch, ReadError>) -> Flow {
        let event = match result {
            Ok(batch) => Event::Read(batch),
            Err(error) => {
                let problem = match error {
                    ReadError::NoShard(_) | ReadError::Unavailable(_) => ProcessingResult::ReadFailed,
                    ReadError::Damaged { .. } => ProcessingResult::Damaged,
                };
                tracing::warn!(mapping = %self.assignment.uuid, shard = %self.shard.id, %error, "a shard cannot be read");
                Event::ReadFailed(problem)
            }
        };
        self.step(event).await
    }

    async fn on_time(&mut self) -> Flow {
        // A shard that is gone has no horizon; its next read says so.
        let horizon =
            self.shared.log.bounds(self.shard.key).map_or(millstream_log::Position(0), |bounds| bounds.horizon);
        self.step(Event::Time { horizon }).await
    }

    async fn step(&mut self, event: Event) -> Flow {
        let commands = self.machine.step(self.shared.clock.now(), event);
        let mut flow = Flow::Continue;
        for command in commands {
            if self.carry_out(command).await == Flow::End {
                flow = Flow::End;
            }
        }
        flow
    }

    async fn carry_out(&mut self, command: Command) -> Flow {
        let Assignment { uuid, signals, .. } = &*self.assignment;
        let (positions, stream, shard): (&Positions, _, _) =
            (&self.shared.positions, self.shard.key.stream, self.shard.id);
        match command {
            Command::Read { from, limit } => self.read = Some(self.begin_read(from, limit)),
            Command::Invoke(batch) => self.invocation = Some(self.begin_invocation(&batch)),
            Command::Checkpoint(next) => positions.advance(uuid, stream, shard, next.0),
            Command::Result(result) => signals.set_result(result),
            Command::History(entry) => {
                positions.set_last(uuid, stream, shard, &entry);
                self.shared.history.add(uuid, shard, entry);
            }
            Command::Drained => {
                positions.set_drained(uuid, stream, shard);
                return self.report(Report::Drained(shard)).await;
            }
            Command::Stopped => return self.report(Report::Stopped(shard)).await,
        }
        Flow::Continue
    }

    /// Both reports are a worker's last word.
    async fn report(&mut self, report: Report) -> Flow {
        // Without a coordinator nobody is left to be told.
        let _ = self.reports.send(report).await;
        Flow::End
    }

    fn begin_read(&self, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'static, Result<ReadBatch, ReadError>> {
        let (log, key) = (Arc::clone(&self.shared.log), self.shard.key);
        Box::pin(async move { log.read(key, from, limit).await })
    }

    fn begin_invocation(&self, batch: &Batch) -> BoxFuture<'static, InvokeReport> {
        let invoke = Arc::clone(&self.shared.invoke);
        let invocation = Invocation {
            scope: self.assignment.scope.clone(),
            function_name: self.assignment.function.name.clone(),
            qualifier: self.assignment.function.qualifier.clone(),
            payload: batch.event().clone(),
            client_context: None,
        };
        Box::pin(async move { invoke.invoke(invocation).await })
    }
}

async fn ready<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn tail_moved(tail: &mut Option<Tail>) {
    match tail {
        Some(tail) => tail.changed().await,
        None => pending().await,
    }
}
