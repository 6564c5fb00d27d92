//! The way in for the output of functions: bounded, and never waited for.
//!
//! Groups and streams are made on demand, as far as the function's role may do that; what it may not is dropped, with one
//! warning in the server's log, as AWS drops it without a word to the function.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{Expect, StoreError};
use millstream_env::{BoxFuture, Timestamp};
use millstream_types::{Arn, Scope};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::content::{AppendError, NewEvent};
use super::errors::Internal;
use super::model::{self, Group, Stream};
use super::names::GroupName;
use super::service::Logs;

/// Events that wait to be stored.
const EVENTS_WAITING_MAX: usize = 16 * 1024;
/// Bytes of messages that wait to be stored.
const BYTES_WAITING_MAX: usize = 32 * 1024 * 1024;
/// Events stored in one go.
const EVENTS_AT_ONCE: usize = 1024;
/// Targets remembered; beyond it all are looked up again.
const TARGETS_MAX: usize = 10_000;
/// How long an answer about a role's permissions is believed.
const DECISION_LIFE: Duration = Duration::from_secs(5);

/// Where the output of one execution environment goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogTarget {
    pub scope: Scope,
    pub group: String,
    /// `YYYY/MM/DD/[<version>]<32 hex>`.
    pub stream: String,
    /// The role whose `logs:*` permissions decide whether lines are kept.
    pub role_arn: String,
}

/// Says what a role may do.
pub trait LogPermissions: Send + Sync + Debug {
    /// Whether the role may do `action` (such as `logs:PutLogEvents`) on `resource`.
    fn allows<'a>(&'a self, role_arn: &'a str, action: &'static str, resource: &'a Arn) -> BoxFuture<'a, bool>;
}

/// Takes events of functions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogWriter {
    queue: mpsc::Sender<Item>,
    bytes: Arc<Semaphore>,
}

#[derive(Debug)]
enum Item {
    Event {
        target: Arc<LogTarget>,
        event: NewEvent,
        /// Given back when the event is stored or dropped.
        room: OwnedSemaphorePermit,
    },
    Flush(oneshot::Sender<()>),
}

impl Logs {
    /// Starts a writer. When the task tree is told to stop, it stores what is waiting.
    pub fn writer(&self, permissions: Arc<dyn LogPermissions>) -> LogWriter {
        let (queue, items) = mpsc::channel(EVENTS_WAITING_MAX);
        let worker = Worker { logs: self.clone(), permissions, targets: HashMap::new() };
        self.inner.tasks.spawn(worker.run(items));
        LogWriter { queue, bytes: Arc::new(Semaphore::new(BYTES_WAITING_MAX)) }
    }
}

impl LogWriter {
    /// Takes one event, without waiting. `false` when the bounded queue is full: the event is dropped, and the caller
    /// says so later.
    pub fn write(&self, target: &Arc<LogTarget>, timestamp: Timestamp, message: Bytes) -> bool {
        let Ok(permits) = u32::try_from(message.len().max(1)) else { return false };
        let Ok(room) = Arc::clone(&self.bytes).try_acquire_many_owned(permits) else { return false };
        let event = NewEvent { timestamp: timestamp.millis(), message };
        self.queue.try_send(Item::Event { target: Arc::clone(target), event, room }).is_ok()
    }

    /// Completes when everything written before is stored or dropped.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            // The worker has ended: nothing is waiting any more.
            let _ = flushed.await;
        }
    }
}

#[derive(Debug)]
struct Worker {
    logs: Logs,
    permissions: Arc<dyn LogPermissions>,
    targets: HashMap<Arc<LogTarget>, Known>,
}

/// What is known of a target.
#[derive(Clone, Debug)]
struct Known {
    decision: Decision,
    /// On the host clock.
    until: Duration,
    /// The dropping of its events has been reported.
    warned: bool,
}

#[derive(Clone, Debug)]
enum Decision {
    Store { group: u64, stream: u64 },
    Denied { action: &'static str },
    Failed,
}

impl Worker {
    async fn run(mut self, mut items: mpsc::Receiver<Item>) {
        let tasks = self.logs.inner.tasks.clone();
        let mut batch = Vec::with_capacity(EVENTS_AT_ONCE);
        loop {
            tokio::select! {
                biased;
                count = items.recv_many(&mut batch, EVENTS_AT_ONCE) => if count == 0 { return },
                () = tasks.cancelled() => {
                    // What is waiting is stored; what comes now is refused.
                    items.close();
                    if items.is_empty() {
                        return;
                    }
                    continue;
                }
            }
            self.store_batch(&mut batch).await;
        }
    }

    async fn store_batch(&mut self, batch: &mut Vec<Item>) {
        let mut by_target: HashMap<Arc<LogTarget>, Vec<NewEvent>> = HashMap::new();
        let mut rooms = Vec::with_capacity(batch.len());
        let mut flushes = Vec::new();
        for item in batch.drain(..) {
            match item {
                Item::Event { target, event, room } => {
                    by_target.entry(target).or_default().push(event);
                    rooms.push(room);
                }
                Item::Flush(done) => flushes.push(done),
            }
        }
        for (target, events) in by_target {
            self.store(&target, events).await;
        }
        drop(rooms);
        for done in flushes {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }

    async fn store(&mut self, target: &Arc<LogTarget>, events: Vec<NewEvent>) {
        for _ in 0..2 {
            let Decision::Store { group, stream } = self.decide(target).await else { return };
            let ingestion = self.logs.now_millis();
            match self.logs.inner.content.append(group, stream, ingestion, events.clone()).await {
                Ok(()) => return,
                // The group was deleted since it was looked up: it is made anew, as at AWS.
                Err(AppendError::Deleted) => {
                    self.targets.remove(target);
                }
                Err(AppendError::Storage(error)) => {
                    let known = self.targets.get_mut(target).expect("decide has just remembered it");
                    if !std::mem::replace(&mut known.warned, true) {
                        tracing::warn!(group = target.group, %error, "log events are dropped: they cannot be stored");
                    }
                    return;
                }
            }
        }
    }

    async fn decide(&mut self, target: &Arc<LogTarget>) -> Decision {
        let now = self.logs.inner.host_clock.monotonic();
        let before = self.targets.get(target);
        if let Some(known) = before.filter(|known| now < known.until) {
            return known.decision.clone();
        }
        let warned_before = before.is_some_and(|known| known.warned);
        let (decision, warned) = match self.resolve(target).await {
            Ok(decision) => {
                let denied = matches!(decision, Decision::Denied { .. });
                if let Decision::Denied { action } = decision
                    && !warned_before
                {
                    tracing::warn!(
                        role = target.role_arn,
                        action,
                        group = target.group,
                        "the output of a function is dropped: its role may not write to CloudWatch Logs",
                    );
                }
                (decision, denied)
            }
            Err(Internal(reason)) => {
                if !warned_before {
                    tracing::warn!(
                        group = target.group,
                        reason,
                        "log events are dropped: their group cannot be opened"
                    );
                }
                (Decision::Failed, true)
            }
        };
        if self.targets.len() >= TARGETS_MAX {
            self.targets.clear();
        }
        let known = Known { decision: decision.clone(), until: now + DECISION_LIFE, warned };
        self.targets.insert(Arc::clone(target), known);
        decision
    }

    async fn resolve(&self, target: &LogTarget) -> Result<Decision, Internal> {
        let name = GroupName::new(&target.scope, &target.group);
        let stream_arn = name.stream_arn(&target.stream);
        if !self.allows(target, "logs:PutLogEvents", &stream_arn).await {
            return Ok(Decision::Denied { action: "logs:PutLogEvents" });
        }
        let Some(group) = self.group(target, &name).await? else {
            return Ok(Decision::Denied { action: "logs:CreateLogGroup" });
        };
        let Some(stream) = self.stream(target, &group, &stream_arn).await? else {
            return Ok(Decision::Denied { action: "logs:CreateLogStream" });
        };
        Ok(Decision::Store { group: group.id, stream: stream.id })
    }

    async fn group(&self, target: &LogTarget, name: &GroupName) -> Result<Option<Group>, Internal> {
        if let Some(stored) = self.logs.find_group(name).await? {
            return Ok(Some(stored.group));
        }
        if !self.allows(target, "logs:CreateLogGroup", &name.arn()).await {
            return Ok(None);
        }
        let inner = &self.logs.inner;
        let group = Group::new(inner.random.u64(), self.logs.now_millis(), std::collections::BTreeMap::new());
        match inner.store.put(&model::group_key(name), Expect::Absent, model::encode(&group)).await {
            Ok(_) => Ok(Some(group)),
            Err(StoreError::Conflict) => Ok(self.logs.find_group(name).await?.map(|stored| stored.group)),
            Err(error) => Err(error.into()),
        }
    }

    async fn stream(&self, target: &LogTarget, group: &Group, arn: &Arn) -> Result<Option<Stream>, Internal> {
        if let Some(stream) = self.logs.find_stream(group, &target.stream).await? {
            return Ok(Some(stream));
        }
        if !self.allows(target, "logs:CreateLogStream", arn).await {
            return Ok(None);
        }
        match self.logs.make_stream(group, &target.stream).await? {
            Some(stream) => Ok(Some(stream)),
            None => self.logs.find_stream(group, &target.stream).await,
        }
    }

    async fn allows(&self, target: &LogTarget, action: &'static str, resource: &Arn) -> bool {
        self.permissions.allows(&target.role_arn, action, resource).await
    }
}
