//! Pause, resume, step, skip, rewind.

use millstream_env::Timestamp;
use millstream_log::Position;
use millstream_types::{Scope, ShardId};
use tokio::sync::oneshot;

use super::status::{RecordPlace, place, record_at, stream_of};
use super::{OperatorError, find, parse_shard};
use crate::driver::worker::Request;
use crate::event::ShardIdentity;
use crate::mappings::Mappings;
use crate::record::{MappingKey, MappingRecord, MappingState, Rewind, RewindTo};
use crate::topology::ShardInfo;

/// Where a rewound shard goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewindTarget {
    TrimHorizon,
    /// The end of the shard: what is there is passed over.
    Latest,
    AtTimestamp(Timestamp),
    /// From the record with this sequence number on. Needs exactly one shard.
    SequenceNumber(String),
}

impl Mappings {
    /// Begins nothing new until [`Self::resume_mapping`]; what runs goes on to its end. Survives a restart. The state that
    /// AWS shows stays.
    pub async fn pause_mapping(&self, scope: &Scope, uuid: &str) -> Result<(), OperatorError> {
        self.set_paused(scope, uuid, true).await
    }

    /// Goes on after [`Self::pause_mapping`].
    pub async fn resume_mapping(&self, scope: &Scope, uuid: &str) -> Result<(), OperatorError> {
        self.set_paused(scope, uuid, false).await
    }

    /// Lets each lane of a paused mapping, or of one of its shards, begin one more invocation: the next batch or the next
    /// try, without waiting for a window or a back-off. Returns the number of shards that were told.
    pub async fn step_mapping(&self, scope: &Scope, uuid: &str, shard: Option<&str>) -> Result<usize, OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        if !record.paused {
            return Err(OperatorError::Conflict(format!(
                "The event source mapping {uuid} is not paused. Pause it first: millstream mappings pause {uuid}"
            )));
        }
        let lines = self.lines(&key, shard)?;
        let count = lines.len();
        for (_, line) in lines {
            // A worker that has just ended has nothing to step.
            let _ = line.send(Request::Step).await;
        }
        tracing::info!(mapping = %key.uuid, shards = count, "an operator has asked for one step");
        Ok(count)
    }

    /// Gives up the batches that wait to be tried again, of one shard or of all: they are kept as failed, not sent to the
    /// destination, and passed over. Returns the first and the last record of each; the last invocation of a tumbling
    /// window, which is passed over as well, has none.
    pub async fn skip_batches(
        &self,
        scope: &Scope,
        uuid: &str,
        shard: Option<&str>,
    ) -> Result<Vec<(ShardId, RecordPlace, RecordPlace)>, OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        let infos = stream_of(&self.shared, &record).await?.unwrap_or_default();
        let mut skipped = Vec::new();
        let mut waiting = 0;
        for (shard, line) in self.lines(&key, shard)? {
            let Some(info) = infos.iter().find(|info| info.id == shard) else { continue };
            let identity = ShardIdentity { id: shard, created_seconds: info.created_seconds };
            let (answer, answered) = oneshot::channel();
            if line.send(Request::Skip(answer)).await.is_err() {
                continue;
            }
            let Ok(lanes) = answered.await else { continue };
            for lane in &lanes {
                waiting += 1;
                if let Some((first, last)) = &lane.batch {
                    skipped.push((shard, place(identity, first), place(identity, last)));
                }
            }
        }
        if waiting == 0 {
            return Err(OperatorError::Conflict(
                "No batch waits to be tried again, so there is nothing to skip. `millstream mappings show` tells what \
                 each shard is doing."
                    .to_owned(),
            ));
        }
        tracing::warn!(mapping = %key.uuid, batches = waiting, "an operator has skipped failing batches");
        Ok(skipped)
    }

    /// Sets the positions of some shards, or of all (`shards` empty), and goes on from there; the mapping keeps its id. It
    /// is done when [`super::MappingStatus::rewinding`] has become false.
    pub async fn rewind_mapping(
        &self,
        scope: &Scope,
        uuid: &str,
        shards: &[String],
        target: RewindTarget,
    ) -> Result<(), OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        let infos = stream_of(&self.shared, &record).await?.ok_or_else(|| {
            OperatorError::Conflict("The stream of the mapping does not exist: it has no positions.".to_owned())
        })?;
        if infos.iter().any(|info| Some(info.key.stream) != record.stream_incarnation) {
            return Err(OperatorError::Conflict(
                "The mapping has not begun to read this stream, so it has no positions there. To begin at another place, \
                 pause it, enable it, rewind it and resume it."
                    .to_owned(),
            ));
        }
        let mut named = Vec::new();
        for text in shards {
            let shard = parse_shard(text)?;
            let info = infos.iter().find(|info| info.id == shard);
            named.push(info.ok_or_else(|| OperatorError::NotFound(format!("The stream has no shard {shard}.")))?);
        }
        let to = match target {
            RewindTarget::TrimHorizon => RewindTo::TrimHorizon,
            RewindTarget::Latest => RewindTo::Latest,
            RewindTarget::AtTimestamp(moment) => RewindTo::AtTimestamp { ms: moment.millis() },
            RewindTarget::SequenceNumber(number) => {
                let [info] = named.as_slice() else {
                    return Err(OperatorError::Invalid(
                        "A sequence number lies in one shard: name exactly that shard.".to_owned(),
                    ));
                };
                let position = self.position_in(info, &number).await?;
                RewindTo::Position { position: position.0 }
            }
        };
        let rewind = Rewind { shards: named.iter().map(|info| info.id.to_string()).collect(), to };
        self.change(&key, |record| {
            if record.rewind.is_some() {
                return Err(OperatorError::Conflict("A rewind of this mapping is under way; wait for it.".to_owned()));
            }
            record.rewind = Some(rewind.clone());
            Ok(())
        })
        .await?;
        tracing::info!(mapping = %key.uuid, ?rewind, "an operator rewinds a mapping");
        Ok(())
    }

    /// Where the record with this sequence number is, or was. A number that the shard never gave is refused: whatever is
    /// stored below it later would never be delivered.
    async fn position_in(&self, shard: &ShardInfo, number: &str) -> Result<Position, OperatorError> {
        let identity = ShardIdentity { id: shard.id, created_seconds: shard.created_seconds };
        let invalid = || OperatorError::Invalid(format!("{number} is no sequence number of {}.", shard.id));
        let position = identity.position_of(number).ok_or_else(invalid)?;
        let bounds = self.shared.log.bounds(shard.key);
        let bounds = bounds.map_err(|error| OperatorError::Unavailable(error.to_string()))?;
        let found = record_at(&self.shared, shard, position).await.filter(|record| record.position == position);
        let is_others = found.is_some_and(|record| identity.sequence_number(&record).to_string() != number);
        if position > bounds.next || is_others { Err(invalid()) } else { Ok(position) }
    }

    async fn set_paused(&self, scope: &Scope, uuid: &str, paused: bool) -> Result<(), OperatorError> {
        let (key, _) = find(&self.shared, scope, uuid).await?;
        self.change(&key, |record| {
            record.paused = paused;
            Ok(())
        })
        .await?;
        tracing::info!(mapping = %key.uuid, paused, "an operator has paused or resumed a mapping");
        Ok(())
    }

    async fn change(
        &self,
        key: &MappingKey,
        mut change: impl FnMut(&mut MappingRecord) -> Result<(), OperatorError> + Send,
    ) -> Result<(), OperatorError> {
        let changed = self.shared.records.change::<OperatorError>(key, |record| {
            if record.state == MappingState::Deleting {
                return Err(OperatorError::Conflict("The mapping is being deleted.".to_owned()));
            }
            change(record)
        });
        match changed.await? {
            Some(_) => Ok(()),
            None => Err(OperatorError::NotFound(format!("There is no event source mapping {}.", key.uuid))),
        }
    }

    /// The lines to the workers of one shard, or of all.
    fn lines(
        &self,
        key: &MappingKey,
        shard: Option<&str>,
    ) -> Result<Vec<(ShardId, tokio::sync::mpsc::Sender<Request>)>, OperatorError> {
        let mut lines = self.shared.directory.of(&key.uuid);
        let Some(text) = shard else { return Ok(lines.into_iter().collect()) };
        let shard = parse_shard(text)?;
        let line = lines.remove(&shard).ok_or_else(|| {
            OperatorError::Conflict(format!(
                "Nobody works on {shard} at the moment: it is done with, waits for its parents, or the mapping does \
                 not run."
            ))
        })?;
        Ok(vec![(shard, line)])
    }
}
