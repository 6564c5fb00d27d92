//! Other positions, by an operator: all workers end, the positions are set, and the work goes on from there.

use std::collections::BTreeSet;

use millstream_env::{Tasks, Timestamp};
use millstream_log::{Position, ReadFrom};

use super::transitions::places;
use super::{Coordinator, Error};
use crate::contract::StreamInfo;
use crate::record::{MappingRecord, Rewind, RewindTo};
use crate::store;
use crate::topology::ShardInfo;

impl Coordinator {
    /// Does the rewind that the record asks for. Interrupted, it is done again from its beginning. `false` when it
    /// cannot be done yet.
    pub(super) async fn rewind(
        &mut self,
        record: &MappingRecord,
        rewind: &Rewind,
        tasks: &Tasks,
    ) -> Result<bool, Error> {
        self.stop_workers(tasks).await;
        if tasks.is_cancelled() {
            return Ok(false);
        }
        match self.shared.source.stream(&self.stream).await? {
            Some(stream) if !stream.active => return Ok(false),
            Some(stream) if record.stream_incarnation == Some(stream.incarnation) => {
                self.set_positions(rewind, &stream).await?;
            }
            // It was created anew since, or is gone: another stream begins at its horizon anyway. (A mapping that has not
            // begun to read any is not rewound.)
            Some(_) | None => {}
        }
        let done = |record: &mut MappingRecord| {
            record.rewind = None;
            Ok::<(), store::Error>(())
        };
        self.shared.records.change(&self.key, done).await?;
        Ok(true)
    }

    async fn set_positions(&mut self, rewind: &Rewind, stream: &StreamInfo) -> Result<(), Error> {
        // What the workers did last counts for the shards that are not rewound.
        if !self.shared.positions.flush(&self.uuid, None).await {
            return Err(Error::Flush);
        }
        let kept = self.shared.records.positions(&self.key.uuid).await?;
        self.shared.positions.load(&self.uuid, stream.incarnation, &self.signals, &kept);
        let named: BTreeSet<&str> = rewind.shards.iter().map(String::as_str).collect();
        let is_meant = |shard: &&ShardInfo| named.is_empty() || named.contains(shard.id.to_string().as_str());
        let shards: Vec<ShardInfo> = stream.shards.iter().filter(is_meant).cloned().collect();
        let from = match rewind.to {
            RewindTo::TrimHorizon => ReadFrom::Position(Position(0)),
            RewindTo::Latest => ReadFrom::Tip,
            RewindTo::AtTimestamp { ms } => ReadFrom::Time(Timestamp::from_millis(ms)),
            RewindTo::Position { position } => ReadFrom::Position(Position(position)),
        };
        let places = places(&self.shared.log, &shards, from).await?;
        for (shard, next) in &places {
            tracing::info!(mapping = %self.uuid, %shard, position = next.0, "an operator has rewound a shard");
            self.shared.positions.rewind(&self.uuid, stream.incarnation, *shard, *next);
        }
        if self.shared.positions.flush(&self.uuid, None).await { Ok(()) } else { Err(Error::Flush) }
    }
}
