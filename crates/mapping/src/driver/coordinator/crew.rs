//! The workers of a mapping: taking work up, starting and stopping.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use millstream_env::{Tasks, Timestamp};
use millstream_log::{Position, ReadFrom};
use millstream_types::{Arn, ShardId};
use tokio::sync::mpsc;

use super::surroundings::{Surroundings, Work};
use super::{Coordinator, Error, REPORTS_MAX, SHUTDOWN_MAX};
use crate::contract::StreamInfo;
use crate::driver::meters::Meters;
use crate::driver::worker::{Assignment, Lines, Order, REQUESTS_MAX, Report, Worker};
use crate::event::{EventFormat, ShardIdentity};
use crate::machine::{self, Progress, ShardMachine, Start};
use crate::names::EventSource;
use crate::record::{MappingRecord, StartingPosition};
use crate::store;
use crate::topology::{self, ShardInfo};

impl Coordinator {
    /// An enabled mapping: a worker for every shard that may be worked on, unless something is in the way.
    pub(super) async fn follow(&mut self, record: &MappingRecord, tasks: &Tasks) -> Result<(), Error> {
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
        let order = if record.paused { Order::Suspend } else { Order::Run };
        self.orders.send_if_modified(|before| std::mem::replace(before, order) != order);
        self.unblock();
        self.forget_gone_shards(&stream).await?;
        self.start_ready_shards(&stream, tasks);
        Ok(())
    }

    /// Replaces the workers by such that do `work`, from the kept positions on.
    async fn take_up(&mut self, record: &MappingRecord, work: Work, tasks: &Tasks) -> Result<(), Error> {
        let is_other_stream = self.work.as_ref().is_some_and(|old| old.incarnation != work.incarnation);
        if is_other_stream {
            // Invocations of records that no longer exist need not be awaited.
            self.abort_workers().await;
        }
        self.stop_workers(tasks).await;
        // What is read again below must be all that was done; of another stream nothing counts.
        let is_kept = self.shared.positions.flush(&self.uuid, None).await;
        if !is_kept && record.stream_incarnation == Some(work.incarnation) {
            return Err(Error::Flush);
        }
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
        self.shared.history.recall(&self.uuid, self.shared.positions.last_batches(&self.uuid));
        self.work = Some(work);
        Ok(())
    }

    fn start_ready_shards(&mut self, stream: &StreamInfo, tasks: &Tasks) {
        let Some(work) = self.work.clone() else { return };
        let drained = self.shared.positions.drained(&self.uuid);
        let ready: Vec<&ShardInfo> = topology::ready(&stream.shards, &drained)
            .into_iter()
            .filter(|shard| !self.workers.contains_key(&shard.id))
            .collect();
        if ready.is_empty() {
            return;
        }
        let settings = work.machine_settings();
        let assignment = Arc::new(Assignment {
            uuid: Arc::clone(&self.uuid),
            scope: self.key.scope.clone(),
            stream: work.stream.clone(),
            function: work.function.clone(),
            role_arn: work.role_arn.clone(),
            destination: work.settings.on_failure.as_ref().and_then(|arn| arn.parse::<Arn>().ok()),
            signals: Arc::clone(&self.signals),
            meters: Meters::new(
                &self.shared.metrics,
                &self.key.scope,
                &self.uuid,
                &work.function,
                work.settings.event_count_metrics == Some(true),
            ),
        });
        for shard in ready {
            let is_consumer = matches!(EventSource::parse(&work.event_source_arn), EventSource::Consumer(_));
            let taken_apart = is_consumer.then_some(shard.hash_key_range);
            let machine = self.machine(&work, machine::Settings { taken_apart, ..settings.clone() }, shard);
            self.start_worker(machine, &assignment, shard, tasks);
        }
    }

    fn start_worker(&mut self, machine: ShardMachine, assignment: &Arc<Assignment>, shard: &ShardInfo, tasks: &Tasks) {
        let (line, requests) = mpsc::channel(REQUESTS_MAX);
        let lines = Lines {
            orders: self.orders.subscribe(),
            requests,
            line: line.downgrade(),
            reports: self.reports.0.clone(),
        };
        let worker = Worker::new(Arc::clone(&self.shared), Arc::clone(assignment), shard.clone(), machine, lines);
        let (id, reports) = (shard.id, self.reports.0.clone());
        let task = tasks.spawn(async move {
            if AssertUnwindSafe(worker.run()).catch_unwind().await.is_err() {
                // Without a coordinator nobody is left to be told.
                let _ = reports.send(Report::Failed(id)).await;
            }
        });
        self.shared.directory.add(&self.uuid, id, line);
        self.workers.insert(id, task);
    }

    fn machine(&self, work: &Work, settings: machine::Settings, shard: &ShardInfo) -> ShardMachine {
        let kept = self.shared.positions.progress(&self.uuid, shard.id);
        let start = match (kept, work.starting_position) {
            (Some(progress), _) => Start::Kept(progress),
            (None, StartingPosition::AtTimestamp { ms }) => Start::At(ReadFrom::Time(Timestamp::from_millis(ms))),
            // With LATEST the shards of the start have a kept position; one without came later, by a split or merge.
            (None, StartingPosition::TrimHorizon | StartingPosition::Latest) => Start::Kept(Progress::at(Position(0))),
        };
        let identity = ShardIdentity { id: shard.id, created_seconds: shard.created_seconds };
        let format = EventFormat::new(identity, &work.event_source_arn, &work.stream.region, &work.role_arn);
        ShardMachine::new(settings, format, start, self.shared.clock.now())
    }

    /// Positions of shards whose records have all expired, and which the stream therefore forgot, are forgotten too.
    async fn forget_gone_shards(&mut self, stream: &StreamInfo) -> Result<(), Error> {
        let listed: BTreeSet<ShardId> = stream.shards.iter().map(|shard| shard.id).collect();
        for shard in self.shared.positions.shards(&self.uuid) {
            if !listed.contains(&shard) {
                if let Some(worker) = self.workers.remove(&shard) {
                    worker.abort();
                    let _ = worker.await;
                    self.shared.directory.remove(&self.uuid, shard);
                }
                self.shared.positions.forget_shard(&self.uuid, shard);
                self.shared.history.forget_shard(&self.uuid, shard);
                self.shared.records.delete_position(&self.key.uuid, shard).await?;
            }
        }
        Ok(())
    }

    /// Lets running invocations end, unless the tree is cancelled meanwhile.
    pub(super) async fn stop_workers(&mut self, tasks: &Tasks) {
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
        self.remove_shard(shard);
    }

    pub(super) fn remove_shard(&mut self, shard: ShardId) {
        self.workers.remove(&shard);
        self.shared.directory.remove(&self.uuid, shard);
    }

    pub(super) async fn abort_workers(&mut self) {
        for (_, worker) in self.workers.drain() {
            worker.abort();
            // An aborted worker answers with an error, which says nothing.
            let _ = worker.await;
        }
        self.shared.directory.remove_all(&self.uuid);
        // Reports of the aborted must not be taken for their successors'.
        self.reports = mpsc::channel(REPORTS_MAX);
    }

    pub(super) async fn shut_down(&mut self) {
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
}
