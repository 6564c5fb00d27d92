//! The machine of one shard between log, function and clock. It waits for whatever comes first and never polls.

use std::future::pending;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use millstream_env::BoxFuture;
use millstream_env::activity::{Kind, Party, Standing, Subject, Unseen};
use millstream_functions::{Invocation, InvokeReport};
use millstream_log::{Position, ReadBatch, ReadError, ReadFrom, ReadLimit, Tail};
use millstream_types::{Arn, Scope, ShardId};
use tokio::sync::{mpsc, oneshot, watch};

use super::failures;
use super::positions::FLUSH_RETRY;
use super::signals::Signals;
use crate::event::EventFormat;
use crate::machine::{
    Batch, Command, DeliveryProblem, DiscardReason, Event, FailedBatch, LaneStatus, ShardMachine, ShardStatus,
};
use crate::mappings::Shared;
use crate::names::FunctionReference;
use crate::result::ProcessingResult;
use crate::topology::ShardInfo;

/// Requests of operators that wait for a worker; further ones wait for their turn.
pub(super) const REQUESTS_MAX: usize = 8;

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

/// What an operator asks of one shard.
#[derive(Debug)]
pub(crate) enum Request {
    Status(oneshot::Sender<ShardStatus>),
    /// One more invocation in each lane of a paused mapping.
    Step,
    /// Pass over the batches that wait to be tried again. Answers with the lanes that did.
    Skip(oneshot::Sender<Vec<LaneStatus>>),
}

/// Whose shard it is and where its batches go.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) uuid: Arc<str>,
    pub(super) scope: Scope,
    pub(super) stream: Arn,
    pub(super) function: FunctionReference,
    pub(super) role_arn: String,
    /// Where failed batches go.
    pub(super) destination: Option<Arn>,
    pub(super) signals: Arc<Signals>,
    pub(super) meters: super::meters::Meters,
}

/// One shard of one mapping.
pub(super) struct Worker {
    shared: Arc<Shared>,
    assignment: Arc<Assignment>,
    shard: ShardInfo,
    machine: ShardMachine,
    format: Arc<EventFormat>,
    orders: watch::Receiver<Order>,
    requests: mpsc::Receiver<Request>,
    line: mpsc::WeakSender<Request>,
    reports: mpsc::Sender<Report>,
    /// `None` when the shard is not there; the reads say so.
    tail: Option<Tail>,
    /// What the machine asked for: a read, and for each lane an invocation, a discard or a flush.
    running: FuturesUnordered<BoxFuture<'static, Happened>>,
    /// At work from the start on, so that the coordinator can rest once the worker is made.
    party: Option<Party>,
}

/// What a worker was woken by.
enum WakeUp {
    Orders,
    /// There is no coordinator any more.
    Abandoned,
    Happened(Happened),
    Request(Request),
    Tail,
    Time,
}

/// The end of something that the machine asked for.
enum Happened {
    Read(Result<ReadBatch, ReadError>),
    Invoked { lane: usize, report: InvokeReport },
    Discarded { lane: usize, delivered: Result<(), DeliveryProblem> },
    Kept(u64),
}

/// Whether a worker goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

/// A worker's ways to its coordinator and to operators.
pub(super) struct Lines {
    pub(super) orders: watch::Receiver<Order>,
    pub(super) requests: mpsc::Receiver<Request>,
    /// The other end of `requests`: tells from outside whether something waits there.
    pub(super) line: mpsc::WeakSender<Request>,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        assignment: Arc<Assignment>,
        shard: ShardInfo,
        machine: ShardMachine,
        lines: Lines,
    ) -> Self {
        // Before the first read, so that nothing stored after it is missed.
        let tail = shared.log.tail(shard.key);
        let format = Arc::new(machine.format().clone());
        let Lines { orders, requests, line, reports } = lines;
        let running = FuturesUnordered::new();
        let subject =
            Subject { kind: Kind::Mapping, id: Arc::clone(&assignment.uuid), part: Some(shard.id.to_string()) };
        let party = Some(shared.clock.activity().register(subject));
        Self { shared, assignment, shard, machine, format, orders, requests, line, reports, tail, running, party }
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
            flow = match party.park(standing, Some(unseen), self.next_wake_up()).await {
                WakeUp::Orders => self.obey().await,
                WakeUp::Abandoned => Flow::End,
                WakeUp::Happened(happened) => self.take(happened).await,
                WakeUp::Request(request) => self.answer(request).await,
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
            Some(happened) = self.running.next() => WakeUp::Happened(happened),
            Some(request) = self.requests.recv() => WakeUp::Request(request),
            () = tail_moved(&mut self.tail), if wants_tail => WakeUp::Tail,
            () = async { clock.sleep_until(deadline.expect("checked")).await }, if deadline.is_some() => WakeUp::Time,
        }
    }

    /// What the worker waits for, as others see it.
    fn standing(&self) -> Standing {
        if !self.running.is_empty() {
            return Standing::Busy(self.machine.busy_with());
        }
        match self.machine.deadline() {
            None if self.machine.is_suspended() => Standing::Blocked("the mapping is paused or suspended"),
            Some(until) => Standing::Waiting { until, why: self.machine.deadline_reason() },
            None => Standing::Idle,
        }
    }

    /// Whether there is something that this worker will work on, once it runs.
    fn unseen(&self) -> Unseen {
        let (orders, line) = (self.orders.clone(), self.line.clone());
        let tail = self.tail.as_ref().filter(|_| self.machine.wants_tail()).map(Tail::glimpse);
        let is_asked = move || line.upgrade().is_some_and(|requests| requests.capacity() < requests.max_capacity());
        Box::new(move || {
            orders.has_changed().unwrap_or(false) || is_asked() || tail.as_ref().is_some_and(Tail::has_changed)
        })
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

    async fn take(&mut self, happened: Happened) -> Flow {
        let event = match happened {
            Happened::Read(Ok(batch)) => Event::Read(batch),
            Happened::Read(Err(error)) => self.read_failed(&error),
            Happened::Invoked { lane, report } => Event::Invoked { lane, report },
            Happened::Discarded { lane, delivered } => Event::Discarded { lane, delivered },
            Happened::Kept(ticket) => Event::Kept(ticket),
        };
        self.step(event).await
    }

    fn read_failed(&self, error: &ReadError) -> Event {
        let problem = match error {
            ReadError::NoShard(_) | ReadError::Unavailable(_) => ProcessingResult::ReadFailed,
            ReadError::Damaged { .. } => ProcessingResult::Damaged,
        };
        tracing::warn!(mapping = %self.assignment.uuid, shard = %self.shard.id, %error, "a shard cannot be read");
        Event::ReadFailed(problem)
    }

    async fn answer(&mut self, request: Request) -> Flow {
        // Whoever asked may have gone.
        match request {
            Request::Status(answer) => {
                let _ = answer.send(self.machine.status());
                Flow::Continue
            }
            Request::Step => self.step(Event::Step).await,
            Request::Skip(answer) => {
                let _ = answer.send(self.machine.skippable());
                self.step(Event::Skip).await
            }
        }
    }

    async fn on_time(&mut self) -> Flow {
        // A shard that is gone has no horizon; its next read says so.
        let horizon = self.shared.log.bounds(self.shard.key).map_or(Position(0), |bounds| bounds.horizon);
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
        let Assignment { uuid, signals, meters, .. } = &*self.assignment;
        let (positions, stream, shard) = (&self.shared.positions, self.shard.key.stream, self.shard.id);
        match command {
            Command::Read { from, limit } => self.running.push(self.begin_read(from, limit)),
            Command::Invoke { lane, batch } => self.running.push(self.begin_invocation(lane, &batch)),
            Command::Discard { lane, failed } => self.running.push(self.begin_discard(lane, failed)),
            Command::Keep { progress, ticket } => {
                positions.advance(uuid, stream, shard, &progress);
                if let Some(ticket) = ticket {
                    self.running.push(self.begin_flush(ticket));
                }
            }
            Command::Polled { records, filtered_out } => {
                meters.polled(self.shared.clock.now(), records, filtered_out);
            }
            Command::Discarded { records, reason, is_delivered, .. } => {
                let now = self.shared.clock.now();
                let is_meant_for_it = self.assignment.destination.is_some() && reason != DiscardReason::Skipped;
                meters.discarded(now, records, is_meant_for_it && is_delivered);
                if !is_delivered {
                    meters.delivery_failed(now);
                }
            }
            Command::Result(result) => signals.set_result(result),
            Command::History(entry) => {
                meters.ended(&entry);
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

    fn begin_read(&self, from: ReadFrom, limit: ReadLimit) -> BoxFuture<'static, Happened> {
        let (log, key) = (Arc::clone(&self.shared.log), self.shard.key);
        Box::pin(async move { Happened::Read(log.read(key, from, limit).await) })
    }

    fn begin_invocation(&self, lane: usize, batch: &Batch) -> BoxFuture<'static, Happened> {
        self.assignment.meters.invoked(self.shared.clock.now(), batch);
        let invoke = Arc::clone(&self.shared.invoke);
        let invocation = Invocation {
            scope: self.assignment.scope.clone(),
            function_name: self.assignment.function.name.clone(),
            qualifier: self.assignment.function.qualifier.clone(),
            payload: batch.event().clone(),
            client_context: None,
        };
        Box::pin(async move { Happened::Invoked { lane, report: invoke.invoke(invocation).await } })
    }

    fn begin_discard(&self, lane: usize, failed: Arc<FailedBatch>) -> BoxFuture<'static, Happened> {
        let (shared, assignment, format) =
            (Arc::clone(&self.shared), Arc::clone(&self.assignment), Arc::clone(&self.format));
        Box::pin(async move {
            let delivered = failures::discard(&shared, &assignment, &format, &failed).await;
            Happened::Discarded { lane, delivered }
        })
    }

    /// Until it works: nothing follows from what is not durable.
    fn begin_flush(&self, ticket: u64) -> BoxFuture<'static, Happened> {
        let (shared, assignment, shard) = (Arc::clone(&self.shared), Arc::clone(&self.assignment), self.shard.id);
        Box::pin(async move {
            while !shared.positions.flush(&assignment.uuid, Some(shard)).await {
                shared.host_clock.sleep(FLUSH_RETRY).await;
            }
            Happened::Kept(ticket)
        })
    }
}

async fn tail_moved(tail: &mut Option<Tail>) {
    match tail {
        Some(tail) => tail.changed().await,
        None => pending().await,
    }
}
