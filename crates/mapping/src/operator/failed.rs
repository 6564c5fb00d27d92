//! The batches that were given up: looking at them, and sending them again.

use std::sync::Arc;

use bytes::Bytes;
use millstream_functions::{Invocation, InvokeReport};
use millstream_log::{Position, ReadFrom, ReadLimit, Record};
use millstream_types::{Scope, ShardId};

use super::status::stream_of;
use super::{OperatorError, find};
use crate::event::{EVENT_BYTES_MAX, EventFormat, EventSize, ShardIdentity};
use crate::machine::take_apart;
use crate::mappings::{Mappings, Shared};
use crate::names::{EventSource, FunctionReference};
use crate::record::{FailedRecord, MappingKey, MappingRecord, failed_of, mappings_of, shard_of_failed};
use crate::topology::ShardInfo;

/// Bytes of one read while a failed batch is read again.
const READ_BYTES: usize = 4 * 1024 * 1024;
/// Mappings that one page of the failed batches of all of them looks at.
const MAPPINGS_PER_PAGE: usize = 200;
/// Records of one read.
const READ_RECORDS: usize = 10_000;

/// A failed batch with its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedBatchInfo {
    /// Names it within its mapping.
    pub id: String,
    pub shard: ShardId,
    pub batch: FailedRecord,
}

/// A part of the list of failed batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPage {
    pub batches: Vec<FailedBatchInfo>,
    /// Pass it as `after` for the next ones.
    pub next: Option<String>,
}

/// A part of the list of failed batches of all mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPageOfAll {
    /// Each with its mapping's UUID.
    pub batches: Vec<(String, FailedBatchInfo)>,
    /// Pass it as `after` for the next ones.
    pub next: Option<String>,
}

/// One event of a failed batch that was sent again.
#[derive(Clone, Debug)]
pub struct RedriveReport {
    pub report: InvokeReport,
    /// The function succeeded with all records of it.
    pub is_success: bool,
}

/// What sending a failed batch again gave.
#[derive(Clone, Debug)]
pub struct Redriven {
    /// Records that were sent; fewer than the batch had when some have left the stream.
    pub records: usize,
    /// One for each event: a batch that does not fit into one is sent in several.
    pub reports: Vec<RedriveReport>,
    /// The batch was taken off the list: the function succeeded with all of it.
    pub is_done: bool,
}

impl Mappings {
    /// The failed batches of a mapping in the order in which they were given up, those after the id `after`.
    pub async fn failed_batches(
        &self,
        scope: &Scope,
        uuid: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FailedPage, OperatorError> {
        let (key, _) = find(&self.shared, scope, uuid).await?;
        let prefix = failed_of(&key.uuid);
        let after = after.map(|id| format!("{prefix}{id}"));
        let (records, more) = self.shared.failed.list(&key.uuid, after.as_deref(), limit).await?;
        let infos = records.into_iter().filter_map(|(key, batch)| info(&prefix, &key, batch));
        let batches: Vec<FailedBatchInfo> = infos.collect();
        let next = batches.last().filter(|_| more).map(|last| last.id.clone());
        Ok(FailedPage { batches, next })
    }

    /// The failed batches of all mappings of an account and region, mapping by mapping. `after` is the `next` of an
    /// earlier page. A page may hold fewer than `limit`, even none, and still have a `next`: at most
    /// [`MAPPINGS_PER_PAGE`] mappings are looked at.
    pub async fn failed_batches_of_all(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FailedPageOfAll, OperatorError> {
        let invalid = || OperatorError::Invalid("The NextToken is not one that an answer gave.".to_owned());
        let prefix = mappings_of(scope);
        let mut batches = Vec::new();
        // A mapping that is half listed, or one that is done with.
        let (mut done, half) = match after.map(|after| after.split_once('/').ok_or_else(invalid)).transpose()? {
            None => (None, None),
            Some((uuid, "")) => (Some(uuid.to_owned()), None),
            Some((uuid, id)) => (Some(uuid.to_owned()), Some((uuid.to_owned(), id.to_owned()))),
        };
        if let Some((uuid, id)) = half {
            match self.failed_batches(scope, &uuid, Some(&id), limit).await {
                Ok(page) => {
                    batches.extend(page.batches.into_iter().map(|batch| (uuid.clone(), batch)));
                    if let Some(id) = page.next {
                        return Ok(FailedPageOfAll { batches, next: Some(format!("{uuid}/{id}")) });
                    }
                }
                // It was deleted since.
                Err(OperatorError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let last = done.as_ref().map(|uuid| format!("{prefix}{uuid}"));
        let (mappings, next) = self.shared.records.list(&prefix, last.as_deref()).await?;
        let more = next.is_some() || mappings.len() > MAPPINGS_PER_PAGE;
        for (key, _) in mappings.into_iter().take(MAPPINGS_PER_PAGE) {
            if batches.len() >= limit {
                return Ok(FailedPageOfAll { batches, next: done.map(|uuid| format!("{uuid}/")) });
            }
            let (records, cut) = self.shared.failed.list(&key.uuid, None, limit - batches.len()).await?;
            let prefix = failed_of(&key.uuid);
            let infos = records.into_iter().filter_map(|(key, batch)| info(&prefix, &key, batch));
            batches.extend(infos.map(|info| (key.uuid.clone(), info)));
            if let Some((_, last)) = batches.last().filter(|_| cut) {
                let next = Some(format!("{}/{}", key.uuid, last.id));
                return Ok(FailedPageOfAll { batches, next });
            }
            done = Some(key.uuid);
        }
        Ok(FailedPageOfAll { batches, next: done.filter(|_| more).map(|uuid| format!("{uuid}/")) })
    }

    /// One failed batch, and those of its records that are still in the stream.
    pub async fn failed_batch(
        &self,
        scope: &Scope,
        uuid: &str,
        id: &str,
    ) -> Result<(FailedBatchInfo, Vec<(String, Record)>), OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        let info = self.find_failed(&key, id).await?;
        let Some(shard) = shard_of(&self.shared, &record, info.shard).await? else { return Ok((info, Vec::new())) };
        let identity = ShardIdentity { id: shard.id, created_seconds: shard.created_seconds };
        let records = read_again(&self.shared, &shard, &info.batch).await?;
        let numbered = records.into_iter().map(|record| (identity.sequence_number(&record).to_string(), record));
        Ok((info, numbered.collect()))
    }

    /// Takes a failed batch off the list.
    pub async fn forget_failed_batch(&self, scope: &Scope, uuid: &str, id: &str) -> Result<(), OperatorError> {
        let (key, _) = find(&self.shared, scope, uuid).await?;
        let info = self.find_failed(&key, id).await?;
        self.shared.failed.remove(&format!("{}{}", failed_of(&key.uuid), info.id)).await?;
        tracing::info!(mapping = %key.uuid, id, "an operator has taken a failed batch off the list");
        Ok(())
    }

    /// Reads the records of a failed batch again and invokes the mapping's function with them. When it succeeds with all
    /// of them, the batch leaves the list. The order with other batches of the shard is not kept.
    pub async fn redrive_failed_batch(&self, scope: &Scope, uuid: &str, id: &str) -> Result<Redriven, OperatorError> {
        let (key, record) = find(&self.shared, scope, uuid).await?;
        let info = self.find_failed(&key, id).await?;
        if record.settings.tumbling_window_in_seconds > 0 {
            return Err(OperatorError::Conflict(
                "The mapping has a tumbling window, and the state that the function needs with these records is gone. \
                 `millstream failed show --records` shows them; `millstream failed forget` takes the batch off the list."
                    .to_owned(),
            ));
        }
        let gone = || {
            OperatorError::Conflict(
                "None of its records is in the stream any more: they have passed the retention period. `millstream \
                 failed forget` takes the batch off the list."
                    .to_owned(),
            )
        };
        let shard = shard_of(&self.shared, &record, info.shard).await?.ok_or_else(gone)?;
        let records = read_again(&self.shared, &shard, &info.batch).await?;
        if records.is_empty() {
            return Err(gone());
        }
        let FunctionReference { name, qualifier } = &record.function;
        let role = self.shared.targets.execution_role(&key.scope, name, qualifier.as_deref()).await?;
        let role = role.ok_or_else(|| OperatorError::Conflict("The function does not exist.".to_owned()))?;
        let is_consumer = matches!(EventSource::parse(&record.event_source_arn), EventSource::Consumer(_));
        let apart = is_consumer.then_some(shard.hash_key_range);
        let records = take_apart(records, apart);
        let identity = ShardIdentity { id: shard.id, created_seconds: shard.created_seconds };
        let region = key.scope.region.to_string();
        let format = EventFormat::new(identity, &record.event_source_arn, &region, &role);
        tracing::info!(mapping = %key.uuid, id, records = records.len(), "an operator sends a failed batch again");
        let mut sent = Vec::new();
        for event in events(&format, &records)? {
            let invocation = Invocation {
                scope: key.scope.clone(),
                function_name: name.clone(),
                qualifier: qualifier.clone(),
                payload: event,
                client_context: None,
            };
            let report = self.shared.invoke.invoke(invocation).await;
            let is_partial = record.settings.report_batch_item_failures;
            let is_success = crate::machine::is_success(&report.outcome, &records, is_partial, &format);
            sent.push(RedriveReport { report, is_success });
        }
        let is_done = sent.iter().all(|event| event.is_success);
        if is_done {
            self.shared.failed.remove(&format!("{}{}", failed_of(&key.uuid), info.id)).await?;
        }
        Ok(Redriven { records: records.len(), reports: sent, is_done })
    }

    async fn find_failed(&self, key: &MappingKey, id: &str) -> Result<FailedBatchInfo, OperatorError> {
        let prefix = failed_of(&key.uuid);
        let full = format!("{prefix}{id}");
        let found = if id.contains('/') { None } else { self.shared.failed.get(&full).await? };
        found.and_then(|batch| info(&prefix, &full, batch)).ok_or_else(|| {
            OperatorError::NotFound(format!(
                "There is no failed batch {id}. `millstream failed list {}` lists them.",
                key.uuid
            ))
        })
    }
}

fn info(prefix: &str, key: &str, batch: FailedRecord) -> Option<FailedBatchInfo> {
    let id = key.strip_prefix(prefix)?;
    Some(FailedBatchInfo { id: id.to_owned(), shard: shard_of_failed(id)?, batch })
}

async fn shard_of(shared: &Shared, record: &MappingRecord, shard: ShardId) -> Result<Option<ShardInfo>, OperatorError> {
    let shards = stream_of(shared, record).await?.unwrap_or_default();
    Ok(shards.into_iter().find(|info| info.id == shard))
}

/// The records of a failed batch that are still there.
async fn read_again(shared: &Shared, shard: &ShardInfo, batch: &FailedRecord) -> Result<Vec<Record>, OperatorError> {
    let mut records = Vec::with_capacity(batch.records);
    let mut cursor = Position(batch.first);
    let last = Position(batch.last);
    let mut is_behind = false;
    while cursor <= last && !is_behind {
        let limit = ReadLimit { records: READ_RECORDS, bytes: READ_BYTES };
        let read = Arc::clone(&shared.log).read(shard.key, ReadFrom::Position(cursor), limit).await;
        let read = read.map_err(|error| OperatorError::Unavailable(error.to_string()))?;
        let stands_still = read.records.is_empty() && read.next <= cursor;
        is_behind = stands_still || read.records.last().is_some_and(|record| record.position >= last);
        records.extend(read.records.into_iter().filter(|record| batch.holds(record.position)));
        cursor = read.next;
    }
    // The same positions of a stream that was created anew hold other records.
    let arrivals = batch.first_arrival_ms..=batch.last_arrival_ms;
    records.retain(|record| arrivals.contains(&record.arrival.millis()));
    Ok(records)
}

/// As few events as hold all of `records`.
fn events(format: &EventFormat, records: &[Record]) -> Result<Vec<Bytes>, OperatorError> {
    let mut events = Vec::new();
    let mut begin = 0;
    let mut size = EventSize::default();
    for (index, record) in records.iter().enumerate() {
        let larger = size.with(format.record_bytes(record));
        if larger.fits() {
            size = larger;
            continue;
        }
        if index > begin {
            events.push(format.build(&records[begin..index], None));
        }
        (begin, size) = (index, EventSize::default().with(format.record_bytes(record)));
        if !size.fits() {
            return Err(OperatorError::Conflict(format!(
                "The record {} is larger than an event of {EVENT_BYTES_MAX} bytes can carry.",
                format.shard().sequence_number(record)
            )));
        }
    }
    events.push(format.build(&records[begin..], None));
    Ok(events)
}
