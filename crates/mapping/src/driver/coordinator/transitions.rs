//! How a transition ends, and where a new mapping begins.

use std::sync::Arc;

use futures_util::StreamExt;
use millstream_env::Tasks;
use millstream_log::{Position, ReadFrom, ReadLimit, SharedLog};
use millstream_types::ShardId;

use super::{Coordinator, Error};
use crate::contract::StreamInfo;
use crate::machine::Progress;
use crate::record::{MappingRecord, MappingState, StartingPosition};
use crate::store;
use crate::topology::ShardInfo;

/// Shards whose place is looked up at once.
const PLACE_READS_MAX: usize = 64;

impl Coordinator {
    /// Ends a transition. `false` when it cannot end yet.
    pub(super) async fn settle(&mut self, record: &MappingRecord, tasks: &Tasks) -> Result<bool, Error> {
        let changes =
            record.pending.as_ref().is_some_and(|p| p.function != record.function || p.settings != record.settings);
        if !record.enabled || changes {
            self.stop_workers(tasks).await;
            if tasks.is_cancelled() {
                // Invocations may still be running: the next start ends the transition.
                return Ok(false);
            }
            if !self.shared.positions.flush(&self.uuid, None).await {
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
        for (shard, next) in places(&self.shared.log, &stream.shards, ReadFrom::Tip).await? {
            // What an interrupted start has noted already may only move on.
            let noted = self.shared.positions.progress(&self.uuid, shard).map_or(Position(0), |kept| kept.floor());
            let progress = Progress::at(next.max(noted));
            self.shared.positions.advance(&self.uuid, stream.incarnation, shard, &progress);
        }
        if self.shared.positions.flush(&self.uuid, None).await { Ok(()) } else { Err(Error::Flush) }
    }
}

/// The positions that `from` means in each of `shards`.
pub(super) async fn places(
    log: &SharedLog,
    shards: &[ShardInfo],
    from: ReadFrom,
) -> Result<Vec<(ShardId, Position)>, Error> {
    let limit = ReadLimit { records: 1, bytes: 1 };
    let shards: Vec<_> = shards.iter().map(|shard| (shard.id, shard.key)).collect();
    let log = Arc::clone(log);
    let places = futures_util::stream::iter(shards).map(move |(id, key)| {
        let log = Arc::clone(&log);
        async move {
            let batch = log.read(key, from, limit).await.map_err(|error| Error::Place(id, error))?;
            Ok((id, batch.records.first().map_or(batch.next, |record| record.position)))
        }
    });
    places.buffer_unordered(PLACE_READS_MAX).collect::<Vec<_>>().await.into_iter().collect()
}
