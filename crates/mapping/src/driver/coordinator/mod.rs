//! Carries one mapping from state to state, and has a worker for every shard that may be worked on.
//!
//! Everything it does follows from what the catalog says now, so it can be woken at any time, by anything, and can be
//! started anew after a crash in any state.
//!
//! - [`transitions`]: how a transition ends, and where a new mapping begins.
//! - [`rewind`]: other positions, by an operator.
//! - [`surroundings`]: whether stream, function and role let it run, and what the work is.
//! - [`crew`]: the workers: taking work up, starting, stopping.
//! - [`last_result`]: what `LastProcessingResult` says.
mod crew;
mod last_result;
mod rewind;
mod surroundings;
mod transitions;

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use millstream_env::activity::{Kind, Party, Standing, Subject, Unseen};
use millstream_env::{BoxFuture, Tasks};
use millstream_types::{Arn, ShardId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::positions::FLUSH_DELAY;
use super::signals::{Flags, Interests, Signals};
use super::worker::{Order, Report};
use crate::contract::{StreamChanges, Unavailable};
use crate::mappings::Shared;
use crate::record::{MappingKey, MappingRecord, MappingState};
use crate::result::ProcessingResult;
use crate::store;
use surroundings::Work;

/// Reports of workers that wait for the coordinator; further workers wait for their turn.
const REPORTS_MAX: usize = 64;
/// Wait before something that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a shutdown waits for running invocations. What is not finished then is delivered again.
const SHUTDOWN_MAX: Duration = Duration::from_secs(3);

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
    retry: Timer,
    result_write: Timer,
    /// At work from the start on, so that the service can rest once the coordinator is made.
    party: Option<Party>,
}

type Timer = Option<BoxFuture<'static, ()>>;

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
    #[error("the place to begin in shard {0} cannot be found: {1}")]
    Place(ShardId, millstream_log::ReadError),
    #[error("positions cannot be stored at the moment")]
    Flush,
}

impl Coordinator {
    pub(super) fn new(shared: Arc<Shared>, key: MappingKey, stream: Arn, signals: Arc<Signals>) -> Self {
        let uuid = Arc::from(key.uuid.as_str());
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
            flow = match party.park(self.standing(), Some(unseen), self.next_wake_up(&tasks)).await {
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

    /// What the coordinator waits for, as others see it. Its timers run on the host's clock.
    fn standing(&self) -> Standing {
        match self.signals.result() {
            _ if self.retry.is_some() => Standing::Busy("trying again what failed"),
            _ if self.result_write.is_some() => Standing::Busy("noting what happened last"),
            problem if problem.is_suspension() => Standing::Blocked(problem.text()),
            _ => Standing::Idle,
        }
    }

    /// Whether there is something that the coordinator will work on, once it runs.
    fn unseen(&self) -> Unseen {
        let (signals, reports, changes) = (Arc::clone(&self.signals), self.reports.0.clone(), self.changes.glimpse());
        Box::new(move || signals.is_raised() || reports.capacity() < reports.max_capacity() || changes())
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
                self.remove_shard(shard);
            }
            Report::Failed(shard) => {
                tracing::error!(mapping = %self.uuid, %shard, "the work on a shard broke down; it is begun again");
                self.remove_shard(shard);
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
            self.signals.set_seen(&record);
            self.signals.set_interests(interests(&self.key, &record));
            match record.state {
                MappingState::Enabled | MappingState::Disabled if record.rewind.is_some() => {
                    let rewind = record.rewind.as_ref().expect("just seen");
                    if !self.rewind(&record, rewind, tasks).await? {
                        return Ok(Flow::Continue);
                    }
                }
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
                    self.shared.failed.remove_all(&self.key.uuid).await?;
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

    fn forget(&mut self) {
        self.work = None;
        self.shared.directory.remove_all(&self.uuid);
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
