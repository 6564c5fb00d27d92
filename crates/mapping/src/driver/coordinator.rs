//! Carries one mapping from state to state, and has a worker for every shard that may be worked on.
//!
//! Everything it does follows from what the catalog says now, so it can be woken at any time, by anything, and can be
//! started anew after a crash in any state.

use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use millstream_env::activity::{Kind, Party, Standing, Subject, Unseen};
use millstream_env::{BoxFuture, Tasks, Timestamp};
use millstream_log::{Position, ReadFrom, ReadLimit};
use millstream_types::{Arn, ShardId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::positions::FLUSH_DELAY;
use super::signals::{Flags, Interests, Signals};
use super::worker::{Assignment, Order, Report, Worker};
use crate::contract::{Access, StreamChanges, StreamInfo, Unavailable, access};
use crate::event::{EventFormat, ShardIdentity};
use crate::machine::{self, ShardMachine};
use crate::mappings::Shared;
use crate::names::FunctionReference;
use crate::record::{MappingKey, MappingRecord, MappingState, Settings, StartingPosition};
use crate::result::ProcessingResult;
use crate::store;
use crate::topology::{self, ShardInfo};

/// Reports of workers that wait for the coordinator; further workers wait for their turn.
const REPORTS_MAX: usize = 64;
/// Wait before something that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a shutdown waits for running invocations. What is not finished then is delivered again.
const SHUTDOWN_MAX: Duration = Duration::from_secs(3);
/// Tips of shards that are looked up at once.
const TIP_READS_MAX: usize = 64;

/// The coordinator of one mapping.
pub(super) struct Coordinator {
    shared: Arc<Shared>,
    key: MappingKey,
    uuid: Arc<str>,
    stream: Arn,
    changes: Box<dyn StreamChanges>,
    signals: Arc<Signals>,
    orders: watch::Sender<Order>,
    reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
    workers: HashMap<ShardId, JoinHandle<()>>,
    /// What the workers were started with.
    work: Option<Work>,
    /// The result to show once a problem that suspended the mapping is over.
    result_before: ProcessingResult,
    retry: Timer,
    result_write: Timer,
    /// At work from the start on, so that the service can rest once the coordinator is made.
    party: Option<Party>,
}

type Timer = Option<BoxFuture<'static, ()>>;

/// What all workers of a mapping have in common. When it changes, they are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Work {
    stream: Arn,
    incarnation: u64,
    function: FunctionReference,
    role_arn: String,
    settings: Settings,
    starting_position: StartingPosition,
}

/// Whether the coordinator goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Continue,
    End,
}

/// What a coordinator was woken by.
enum WakeUp {
    Shutdown,
    ResultWrite,
    Signals(Flags),
    Report(Report),
    Look,
}

/// Something failed that may work later.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the tip of shard {0} cannot be found: {1}")]
    Tip(ShardId, millstream_log::ReadError),
    #[error("positions cannot be stored at the moment")]
    Flush,
}

/// What the mapping's surroundings say about running it.
enum Surroundings {
    Ready(Box<(StreamInfo, Work)>),
    /// It cannot run now; it is looked at again when something changes.
    Blocked(Option<ProcessingResult>),
}

impl Coordinator {
    pub(super) fn new(shared: Arc<Shared>, key: MappingKey, stream: Arn, signals: Arc<Signals>) -> Self {
        let uuid = Arc::from(key.uuid.as_str());
        let result_before = signals.result();
        // Before the first look, so that no change is missed.
        let changes = shared.source.watch(&stream);
        let subject = Subject { kind: Kind::Mapping, id: Arc::clone(&uuid), part: None };
        let party = shared.clock.activity().register(subject);
        Self {
            shared,
            key,
            stream,
            changes,
            uuid,
            signals,
            orders: watch::Sender::new(Order::Run),
            reports: mpsc::channel(REPORTS_MAX),
            workers: HashMap::new(),
            work: None,
            result_before,
            retry: None,
            result_write: None,
            party: Some(party),
        }
    }

    /// Runs until the mapping is deleted or `tasks` is cancelled.
    pub(super) async fn run(mut self, tasks: Tasks) {
        let party = self.party.take().expect("a coordinator runs once");
        let mut flow = Flow::Continue;
        while flow == Flow::Continue {
            let unseen = self.unseen();
            flow = match party.park(Standing::Idle, Some(unseen), self.next_wake_up(&tasks)).await {
                WakeUp::Shutdown => break,
                WakeUp::ResultWrite => self.write_result().await,
                WakeUp::Signals(flags) => self.on_signals(flags, &tasks).await,
                WakeUp::Report(report) => self.on_report(report, &tasks).await,
                WakeUp::Look => self.look(&tasks).await,
            };
        }
        if flow == Flow::Continue {
            self.shut_down().await;
        }
    }

    /// Waits for whatever comes first, and does nothing about it.
    async fn next_wake_up(&mut self, tasks: &Tasks) -> WakeUp {
        tokio::select! {
            biased;
            () = tasks.cancelled() => WakeUp::Shutdown,
            () = elapsed(&mut self.result_write) => WakeUp::ResultWrite,
            flags = self.signals.raised() => WakeUp::Signals(flags),
            Some(report) = self.reports.1.recv() => WakeUp::Report(report),
            () = self.changes.changed() => WakeUp::Look,
            () = elapsed(&mut self.retry) => WakeUp::Look,
        }
    }

    /// Whether there is something that the coordinator will work on, once it runs.
    fn unseen(&self) -> Unseen {
        let (signals, reports) = (Arc::clone(&self.signals), self.reports.0.clone());
        Box::new(move || signals.is_raised() || reports.capacity() < reports.max_capacity())
    }

    async fn on_signals(&mut self, flags: Flags, tasks: &Tasks) -> Flow {
        if flags.contains(Flags::RESULT) && self.result_write.is_none() {
            self.result_write = Some(self.timer(FLUSH_DELAY));
        }
        if flags.contains(Flags::FENCED) {
            self.abort_workers().await;
            self.work = None;
        }
        if flags.contains(Flags::EVERYTHING) || flags.contains(Flags::FENCED) {
            return self.look(tasks).await;
        }
        Flow::Continue
    }

    async fn on_report(&mut self, report: Report, tasks: &Tasks) -> Flow {
        match report {
            Report::Drained(shard) | Report::Stopped(shard) => {
                self.workers.remove(&shard);
            }
            Report::Failed(shard) => {
                tracing::error!(mapping = %self.uuid, %shard, "the work on a shard broke down; it is begun again");
                self.workers.remove(&shard);
                self.signals.set_result(ProcessingResult::ServiceError);
                self.retry = Some(self.timer(RETRY_DELAY));
                return Flow::Continue;
            }
        }
        self.look(tasks).await
    }

    /// Looks at the mapping and does what its state asks for.
    async fn look(&mut self, tasks: &Tasks) -> Flow {
        self.retry = None;
        match self.reconcile(tasks).await {
            Ok(flow) => flow,
            Err(error) => {
                tracing::warn!(mapping = %self.uuid, %error, "a mapping cannot go on; trying again");
                self.retry = Some(self.timer(RETRY_DELAY));
                Flow::Continue
            }
        }
    }

    async fn reconcile(&mut self, tasks: &Tasks) -> Result<Flow, Error> {
        while !tasks.is_cancelled() {
            let Some((_, record)) = self.shared.records.get(&self.key).await? else {
                self.abort_workers().await;
                self.forget();
                return Ok(Flow::End);
            };
            self.signals.set_interests(interests(&self.key, &record));
            match record.state {
                MappingState::Enabled => {
                    self.follow(&record, tasks).await?;
                    return Ok(Flow::Continue);
                }
                MappingState::Disabled => {
                    self.stop_workers(tasks).await;
                    return Ok(Flow::Continue);
                }
                MappingState::Deleting => {
                    self.abort_workers().await;
                    self.forget();
                    self.shared.records.delete(&self.key, &record).await?;
                    return Ok(Flow::End);
                }
                MappingState::Creating | MappingState::Enabling | MappingState::Disabling | MappingState::Updating => {
                    if !self.settle(&record, tasks).await? {
                        return Ok(Flow::Continue);
                    }
                }
            }
        }
        Ok(Flow::Continue)
    }

    /// Ends a transition. `false` when it cannot end yet.
    async fn settle(&mut self, record: &MappingRecord, tasks: &Tasks) -> Result<bool, Error> {
        let changes =
            record.pending.as_ref().is_some_and(|p| p.function != record.function || p.settings != record.settings);
        if !record.enabled || changes {
            self.stop_workers(tasks).await;
            if tasks.is_cancelled() {
                // Invocations may still be running: the next start ends the transition.
                return Ok(false);
            }
            if !self.shared.positions.flush().await {
                return Err(Error::Flush);
            }
        }
        let mut incarnation = record.stream_incarnation;
        if record.enabled && incarnation.is_none() {
            match self.shared.source.stream(&self.stream).await? {
                Some(stream) if !stream.active => return Ok(false),
                Some(stream) => {
                    self.place_start(record, &stream).await?;
                    incarnation = Some(stream.incarnation);
                }
                // It was deleted meanwhile: the mapping stays and says so.
                None => {}
            }
        }
        self.finish_transition(record, incarnation).await?;
        Ok(true)
    }

    async fn finish_transition(&mut self, seen: &MappingRecord, incarnation: Option<u64>) -> Result<(), Error> {
        let now = self.shared.clock.now().millis();
        let finished = self.shared.records.change::<store::Error>(&self.key, |record| {
            if record.state == seen.state {
                if let Some(pending) = record.pending.take() {
                    (record.function, record.settings) = (pending.function, pending.settings);
                }
                record.stream_incarnation = incarnation;
                record.state = if record.enabled { MappingState::Enabled } else { MappingState::Disabled };
                record.last_modified_ms = now;
            }
            Ok(())
        });
        let finished = finished.await?;
        if finished.is_some_and(|record| record.function != seen.function) {
            self.shared.records.release(&self.key, &seen.function, &seen.event_source_arn).await?;
        }
        Ok(())
    }

    /// With LATEST, notes the tip of every shard, durably: records put after `Enabled` is shown are not missed.
    async fn place_start(&mut self, record: &MappingRecord, stream: &StreamInfo) -> Result<(), Error> {
        let kept = self.shared.records.positions(&self.key.uuid).await?;
        self.shared.positions.load(&self.uuid, stream.incarnation, &self.signals, &kept);
        if record.starting_position != StartingPosition::Latest {
            return Ok(());
        }
        let limit = ReadLimit { records: 1, bytes: 1 };
        let shards: Vec<_> = stream.shards.iter().map(|shard| (shard.id, shard.key)).collect();
        let log = Arc::clone(&self.shared.log);
        let tips = futures_util::stream::iter(shards).map(move |(id, key)| {
            let log = Arc::clone(&log);
            async move {
                let read = log.read(key, ReadFrom::Tip, limit).await;
                read.map(|batch| (id, batch.next)).map_err(|error| Error::Tip(id, error))
            }
        });
        let tips: Vec<_> = tips.buffer_unordered(TIP_READS_MAX).collect().await;
        for tip in tips {
            let (shard, next) = tip?;
            // What an interrupted start has noted already may only move on.
            let next = next.0.max(self.shared.positions.next(&self.uuid, shard).unwrap_or(0));
            self.shared.positions.advance(&self.uuid, stream.incarnation, shard, next);
        }
        if self.shared.positions.flush().await { Ok(()) } else { Err(Error::Flush) }
    }

    /// An enabled mapping: a worker for every shard that may be worked on, unless something is in the way.
    async fn follow(&mut self, record: &MappingRecord, tasks: &Tasks) -> Result<(), Error> {
        let (stream, work) = match self.surroundings(record).await? {
            Surroundings::Ready(ready) => *ready,
            Surroundings::Blocked(problem) => {
                self.orders.send_replace(Order::Suspend);
                if let Some(problem) = problem {
                    self.block(problem);
                }
                return Ok(());
            }
        };
        if self.work.as_ref() != Some(&work) {
            self.take_up(record, work, tasks).await?;
            if tasks.is_cancelled() {
                return Ok(());
            }
        }
        self.orders.send_if_modified(|order| std::mem::replace(order, Order::Run) != Order::Run);
        self.unblock();
        self.forget_gone_shards(&stream).await?;
        self.start_ready_shards(&stream, tasks);
        Ok(())
    }

    async fn surroundings(&mut self, record: &MappingRecord) -> Result<Surroundings, Error> {
        let stream = match self.shared.source.stream(&self.stream).await? {
            None => return Ok(Surroundings::Blocked(Some(ProcessingResult::NoStream))),
            Some(stream) if !stream.active => return Ok(Surroundings::Blocked(None)),
            Some(stream) => stream,
        };
        let FunctionReference { name, qualifier } = &record.function;
        let role = self.shared.targets.execution_role(&self.key.scope, name, qualifier.as_deref()).await?;
        let Some(role_arn) = role else {
            return Ok(Surroundings::Blocked(Some(ProcessingResult::NoFunction)));
        };
        match access(&self.shared.permissions, &role_arn, &record.event_source_arn).await? {
            Access::Granted => {}
            Access::CannotBeAssumed => return Ok(Surroundings::Blocked(Some(ProcessingResult::NoRole))),
            Access::Refused => return Ok(Surroundings::Blocked(Some(ProcessingResult::NoAccess))),
        }
        let work = Work {
            stream: self.stream.clone(),
            incarnation: stream.incarnation,
            function: record.function.clone(),
            role_arn,
            settings: record.settings,
            starting_position: record.starting_position,
        };
        Ok(Surroundings::Ready(Box::new((stream, work))))
    }

    /// Replaces the workers by such that do `work`, from the kept positions on.
    async fn take_up(&mut self, record: &MappingRecord, work: Work, tasks: &Tasks) -> Result<(), Error> {
        let is_other_stream = self.work.as_ref().is_some_and(|old| old.incarnation != work.incarnation);
        if is_other_stream {
            // Invocations of records that no longer exist need not be awaited.
            self.abort_workers().await;
        }
        self.stop_workers(tasks).await;
        self.shared.positions.flush().await;
        if record.stream_incarnation != Some(work.incarnation) {
            if record.stream_incarnation.is_some() {
                tracing::info!(mapping = %self.uuid, "the stream was created anew; starting at its beginning");
            }
            self.shared.positions.forget(&self.uuid);
            self.shared.records.delete_positions(&self.key.uuid).await?;
            let set = |record: &mut MappingRecord| {
                record.stream_incarnation = Some(work.incarnation);
                Ok::<(), store::Error>(())
            };
            self.shared.records.change(&self.key, set).await?;
        }
        let kept = self.shared.records.positions(&self.key.uuid).await?;
        self.shared.positions.load(&self.uuid, work.incarnation, &self.signals, &kept);
        for (shard, entry) in self.shared.positions.last_batches(&self.uuid) {
            self.shared.history.recall(&self.uuid, shard, entry);
        }
        self.work = Some(work);
        Ok(())
    }

    fn start_ready_shards(&mut self, stream: &StreamInfo, tasks: &Tasks) {
        let Some(work) = self.work.clone() else { return };
        let drained = self.shared.positions.drained(&self.uuid);
        let assignment = Arc::new(Assignment {
            uuid: Arc::clone(&self.uuid),
            scope: self.key.scope.clone(),
            function: work.function.clone(),
            signals: Arc::clone(&self.signals),
        });
        for shard in topology::ready(&stream.shards, &drained) {
            if self.workers.contains_key(&shard.id) {
                continue;
            }
            let machine = self.machine(&work, shard);
            let worker = Worker::new(
                Arc::clone(&self.shared),
                Arc::clone(&assignment),
                shard.clone(),
                machine,
                self.orders.subscribe(),
                self.reports.0.clone(),
            );
            let (id, reports) = (shard.id, self.reports.0.clone());
            let task = tasks.spawn(async move {
                if AssertUnwindSafe(worker.run()).catch_unwind().await.is_err() {
                    // Without a coordinator nobody is left to be told.
                    let _ = reports.send(Report::Failed(id)).await;
                }
            });
            self.workers.insert(shard.id, task);
        }
    }

    fn machine(&self, work: &Work, shard: &ShardInfo) -> ShardMachine {
        let kept = self.shared.positions.next(&self.uuid, shard.id);
        let start = match (kept, work.starting_position) {
            (Some(next), _) => ReadFrom::Position(Position(next)),
            (None, StartingPosition::AtTimestamp { ms }) => ReadFrom::Time(Timestamp::from_millis(ms)),
            // With LATEST the shards of the start have a kept position; one without came later, by a split or merge.
            (None, StartingPosition::TrimHorizon | StartingPosition::Latest) => ReadFrom::Position(Position(0)),
        };
        let kept = match start {
            ReadFrom::Position(position) => Some(position),
            ReadFrom::Time(_) | ReadFrom::Tip => None,
        };
        let identity = ShardIdentity { id: shard.id, created_seconds: shard.created_seconds };
        let format = EventFormat::new(identity, &work.stream.to_string(), &work.stream.region, &work.role_arn);
        let settings = machine::Settings {
            batch_size: usize::try_from(work.settings.batch_size).expect("at most 10,000"),
            batching_window: Duration::from_secs(u64::from(work.settings.maximum_batching_window_in_seconds)),
        };
        ShardMachine::new(settings, format, start, kept, self.shared.clock.now())
    }

    /// Positions of shards whose records have all expired, and which the stream therefore forgot, are forgotten too.
    async fn forget_gone_shards(&mut self, stream: &StreamInfo) -> Result<(), Error> {
        let listed: BTreeSet<ShardId> = stream.shards.iter().map(|shard| shard.id).collect();
        for shard in self.shared.positions.shards(&self.uuid) {
            if !listed.contains(&shard) {
                if let Some(worker) = self.workers.remove(&shard) {
                    worker.abort();
                    let _ = worker.await;
                }
                self.shared.positions.forget_shard(&self.uuid, shard);
                self.shared.records.delete_position(&self.key.uuid, shard).await?;
            }
        }
        Ok(())
    }

    fn block(&mut self, problem: ProcessingResult) {
        let last = self.signals.result();
        if !last.is_suspension() {
            self.result_before = last;
        }
        if last != problem {
            tracing::warn!(mapping = %self.uuid, problem = problem.text(), "a mapping is suspended");
        }
        self.signals.set_result(problem);
    }

    fn unblock(&mut self) {
        if self.signals.result().is_suspension() {
            tracing::info!(mapping = %self.uuid, "a suspended mapping goes on");
            let before =
                if self.result_before.is_suspension() { ProcessingResult::NothingYet } else { self.result_before };
            self.signals.set_result(before);
        }
    }

    /// Lets running invocations end, unless the tree is cancelled meanwhile.
    async fn stop_workers(&mut self, tasks: &Tasks) {
        self.orders.send_replace(Order::Stop);
        while !self.workers.is_empty() {
            tokio::select! {
                () = tasks.cancelled() => break,
                Some(report) = self.reports.1.recv() => self.remove_worker(report),
            }
        }
        self.work = None;
    }

    fn remove_worker(&mut self, report: Report) {
        let (Report::Drained(shard) | Report::Stopped(shard) | Report::Failed(shard)) = report;
        self.workers.remove(&shard);
    }

    async fn abort_workers(&mut self) {
        for (_, worker) in self.workers.drain() {
            worker.abort();
            // An aborted worker answers with an error, which says nothing.
            let _ = worker.await;
        }
        // Reports of the aborted must not be taken for their successors'.
        self.reports = mpsc::channel(REPORTS_MAX);
    }

    async fn shut_down(&mut self) {
        self.orders.send_replace(Order::Stop);
        let clock = self.shared.host_clock.clone();
        let stopping = async {
            while !self.workers.is_empty()
                && let Some(report) = self.reports.1.recv().await
            {
                self.remove_worker(report);
            }
        };
        if clock.timeout(SHUTDOWN_MAX, stopping).await.is_none() {
            tracing::info!(mapping = %self.uuid, "batches in flight are delivered again after the next start");
        }
        self.abort_workers().await;
        self.write_result().await;
    }

    async fn write_result(&mut self) -> Flow {
        self.result_write = None;
        let text = self.signals.result().text();
        let set = |record: &mut MappingRecord| {
            if record.last_processing_result != text {
                text.clone_into(&mut record.last_processing_result);
            }
            Ok::<(), store::Error>(())
        };
        if let Err(error) = self.shared.records.change(&self.key, set).await {
            tracing::warn!(mapping = %self.uuid, %error, "the last processing result cannot be stored at the moment");
            self.result_write = Some(self.timer(RETRY_DELAY));
        }
        Flow::Continue
    }

    fn forget(&mut self) {
        self.work = None;
        self.shared.positions.forget(&self.uuid);
        self.shared.history.forget(&self.uuid);
    }

    fn timer(&self, delay: Duration) -> BoxFuture<'static, ()> {
        let clock = self.shared.host_clock.clone();
        Box::pin(async move { clock.sleep(delay).await })
    }
}

async fn elapsed(timer: &mut Timer) {
    match timer {
        Some(timer) => timer.await,
        None => pending().await,
    }
}

/// What a mapping depends on: by this the service knows whom to wake.
pub(super) fn interests(key: &MappingKey, record: &MappingRecord) -> Interests {
    Interests { scope: key.scope.clone(), function_name: record.function.name.clone() }
}
