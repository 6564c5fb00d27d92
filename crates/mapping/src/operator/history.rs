//! What happened to the last batches of a mapping.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use millstream_log::{Position, ReadFrom, ReadLimit};
use millstream_types::{Scope, ShardId};

use super::status::stream_of;
use super::{OperatorError, find, parse_shard};
use crate::driver::history::Line;
use crate::event::ShardIdentity;
use crate::machine::BatchEntry;
use crate::mappings::{Mappings, Shared};
use crate::topology::ShardInfo;

/// Records that one page reads to tell sequence numbers; further batches have positions only.
const RECORDS_READ_MAX: usize = 400;
/// Records that are read at once.
const READ_AT_ONCE: usize = 16;

/// A batch of the history with its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBatch {
    pub shard: ShardId,
    pub entry: BatchEntry,
    /// Of the first record; `None` when it has left the stream.
    pub first_sequence_number: Option<String>,
    /// Of the last record, likewise.
    pub last_sequence_number: Option<String>,
}

/// A part of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPage {
    /// Newest first.
    pub batches: Vec<ListedBatch>,
    /// Pass it as `after` for the next ones.
    pub next: Option<String>,
}

impl Mappings {
    /// The last batches of a mapping, or of one of its shards, newest first, those after the `next` of an earlier page.
    pub async fn listed_batches(
        &self,
        scope: &Scope,
        uuid: &str,
        shard: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BatchPage, OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        let shard = shard.map(parse_shard).transpose()?;
        let invalid = |_| OperatorError::Invalid("The NextToken is not one that an answer gave.".to_owned());
        let before = after.map(str::parse).transpose().map_err(invalid)?;
        let mut lines = self.shared.history.newest(&key.uuid, shard, before, limit.saturating_add(1));
        let more = lines.len() > limit;
        lines.truncate(limit);
        let next = lines.last().filter(|_| more).map(|line| line.number.to_string());
        let infos = stream_of(&self.shared, &record).await?.unwrap_or_default();
        let numbers = sequence_numbers(&self.shared, &infos, &lines).await;
        let batches = lines.into_iter().map(|Line { shard, entry, .. }| {
            let number = |position: Position| {
                let (number, arrival) = numbers.get(&(shard, position))?;
                // The same position of a stream that was created anew holds another record.
                (*arrival <= entry.ended.millis()).then(|| number.clone())
            };
            let (first_sequence_number, last_sequence_number) = (number(entry.first), number(entry.last));
            ListedBatch { shard, entry, first_sequence_number, last_sequence_number }
        });
        Ok(BatchPage { batches: batches.collect(), next })
    }
}

/// Sequence number and arrival of the records that `lines` name, as far as they are still there.
async fn sequence_numbers(
    shared: &Shared,
    infos: &[ShardInfo],
    lines: &[Line],
) -> BTreeMap<(ShardId, Position), (String, u64)> {
    let mut wanted = Vec::new();
    for Line { shard, entry, .. } in lines {
        for position in [entry.first, entry.last] {
            if wanted.len() < RECORDS_READ_MAX && !wanted.contains(&(*shard, position)) {
                wanted.push((*shard, position));
            }
        }
    }
    let reads = futures_util::stream::iter(wanted).map(async |(shard, position)| {
        let info = infos.iter().find(|info| info.id == shard)?;
        let limit = ReadLimit { records: 1, bytes: 1 };
        let read = Arc::clone(&shared.log).read(info.key, ReadFrom::Position(position), limit).await.ok()?;
        let record = read.records.into_iter().next().filter(|record| record.position == position)?;
        let identity = ShardIdentity { id: shard, created_seconds: info.created_seconds };
        Some(((shard, position), (identity.sequence_number(&record).to_string(), record.arrival.millis())))
    });
    reads.buffer_unordered(READ_AT_ONCE).filter_map(std::future::ready).collect().await
}
