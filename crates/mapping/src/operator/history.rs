//! What happened to the last batches of a mapping.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use millstream_log::{Position, ReadFrom, ReadLimit};
use millstream_types::{Scope, ShardId};

use super::status::stream_of;
use super::{OperatorError, find, parse_shard};
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

/// The order of the list, and where a page ends: when a batch ended, its shard, and which of its entries it is.
type Place = (u64, u32, usize, u64, u64, u32, u64);

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
        let invalid = || OperatorError::Invalid("The NextToken is not one that an answer gave.".to_owned());
        let after = after.map(|text| parse(text).ok_or_else(invalid)).transpose()?;
        let history = self.shared.history.of(&key.uuid);
        let mut entries: Vec<(Place, ShardId, BatchEntry)> = history
            .into_iter()
            .filter(|(id, _)| shard.is_none_or(|shard| shard == *id))
            .flat_map(|(id, entries)| entries.into_iter().map(move |entry| (place_of(id, &entry), id, entry)))
            .filter(|(place, ..)| after.is_none_or(|after| *place < after))
            .collect();
        entries.sort_by_key(|(place, ..)| Reverse(*place));
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|(place, ..)| text(place));
        let infos = stream_of(&self.shared, &record).await?.unwrap_or_default();
        let numbers = sequence_numbers(&self.shared, &infos, &entries).await;
        let batches = entries.into_iter().map(|(_, shard, entry)| {
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

/// Sequence number and arrival of the records that `entries` name, as far as they are still there.
async fn sequence_numbers(
    shared: &Shared,
    infos: &[ShardInfo],
    entries: &[(Place, ShardId, BatchEntry)],
) -> BTreeMap<(ShardId, Position), (String, u64)> {
    let mut wanted = Vec::new();
    for (_, shard, entry) in entries {
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

fn place_of(shard: ShardId, entry: &BatchEntry) -> Place {
    let BatchEntry { lane, first, last, attempt, started, ended, .. } = entry;
    (ended.millis(), shard.0.get(), *lane, last.0, first.0, *attempt, started.millis())
}

fn text(place: &Place) -> String {
    let (ended, shard, lane, last, first, attempt, started) = place;
    format!("{ended}-{shard}-{lane}-{last}-{first}-{attempt}-{started}")
}

fn parse(text: &str) -> Option<Place> {
    let parts: Vec<&str> = text.split('-').collect();
    let [ended, shard, lane, last, first, attempt, started] = parts.as_slice() else { return None };
    Some((
        ended.parse().ok()?,
        shard.parse().ok()?,
        lane.parse().ok()?,
        last.parse().ok()?,
        first.parse().ok()?,
        attempt.parse().ok()?,
        started.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_page_is_found_again() {
        let place = (1_700_000_000_123, 4, 2, 99, 90, 3, 1_700_000_000_100);
        assert_eq!(parse(&text(&place)), Some(place));
        for wrong in ["", "1", "1-2-3-4-5-6", "1-2-3-4-5-6-7-8", "a-2-3-4-5-6-7"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
