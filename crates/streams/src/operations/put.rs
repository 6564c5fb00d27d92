//! `PutRecord` and `PutRecords`.
//!
//! Entries are borrowed from the request; their data is decoded once, into the log's own memory.

use std::sync::Arc;
use std::time::Duration;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_log::{AppendError, Entry, Slot, Stored};
use millstream_types::{HashKey, SequenceNumber, ShardId};
use millstream_wire::direct::{PutEntry, PutResult};
use millstream_wire::kinesis::EncryptionType;
use millstream_wire::kinesis::error::{PutRecordError, PutRecordsError};

use crate::errors::{Internal, InvalidArgument, LookupError, ThroughputExceeded, Validation};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;
use crate::stream::{Shard, Stream};

/// Data and partition keys of one `PutRecords` call (Kinesis model).
const PUT_RECORDS_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Constraint violations that one error lists (recorded: kinesalite tests).
const VIOLATIONS_LISTED_MAX: usize = 10;
/// How often a record is routed again because its shard was closed under it.
const ROUTINGS_MAX: usize = 3;

/// One result for each entry, in order.
#[derive(Debug)]
pub struct PutRecordsReply {
    pub results: Vec<PutResult>,
    pub failed_record_count: usize,
    /// When all records that were stored are encrypted.
    pub encryption_type: Option<EncryptionType>,
}

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub shard_id: ShardId,
    pub sequence_number: SequenceNumber,
    /// `None` when the record is stored as it is.
    pub encryption_type: Option<EncryptionType>,
}

/// Longest wait of a put for the shards that replace a closed one.
const RESHARD_WAIT_MAX: Duration = Duration::from_secs(5);

type Outcome = Result<StoredRecord, (AppendError, ShardId)>;

impl Streams {
    /// Stores one record. When this returns it is durable.
    pub async fn put_record(
        &self,
        context: &RequestContext,
        target: StreamTarget<'_>,
        entry: &PutEntry<'_>,
        sequence_number_for_ordering: Option<&str>,
    ) -> Result<StoredRecord, PutRecordError> {
        let name = target.resolve(context, "PutRecord")?;
        let stream = self.writable(&name).await?;
        self.check_key_for_writing(&stream)?;
        let entries = std::slice::from_ref(entry);
        let shards = route(&stream, entries)?;
        if let Some(text) = sequence_number_for_ordering {
            check_ordering(&name, text, self.now())?;
        }
        check_record_sizes(&stream, entries, |_| "data".to_owned())?;
        let mut outcomes = self.append(&stream, entries, &shards).await;
        let outcome = outcomes.pop().expect("one outcome for one entry");
        outcome.map_err(|(error, shard)| match error {
            AppendError::Throttled => ThroughputExceeded(rate_exceeded(&name, shard)).into(),
            // The stream was deleted while the record was on its way.
            AppendError::Sealed => name.not_found().into(),
            error => PutRecordError::InternalFailure(internal_text(error).to_owned()),
        })
    }

    /// Stores records; those that are reported as stored are durable when this returns. An entry that fails does not
    /// stop the later ones; a bad argument fails them all before anything is stored.
    pub async fn put_records(
        &self,
        context: &RequestContext,
        target: StreamTarget<'_>,
        entries: &[PutEntry<'_>],
    ) -> Result<PutRecordsReply, PutRecordsError> {
        let name = target.resolve(context, "PutRecords")?;
        let stream = self.writable(&name).await?;
        self.check_key_for_writing(&stream)?;
        let shards = route(&stream, entries)?;
        check_record_sizes(&stream, entries, |i| format!("records.{}.member.data", i + 1))?;
        let bytes: usize = entries.iter().map(record_bytes).sum();
        if bytes > PUT_RECORDS_BYTES_MAX {
            return Err(InvalidArgument("Records size exceeds 10 MB limit".to_owned()).into());
        }
        let outcomes = self.append(&stream, entries, &shards).await;
        if outcomes.iter().all(|outcome| matches!(outcome, Err((AppendError::Sealed, _)))) {
            return Err(name.not_found().into());
        }
        let mut types = outcomes.iter().flatten().map(|stored| stored.encryption_type);
        let encryption_type = types.next().flatten().filter(|first| types.all(|other| other == Some(*first)));
        let failed_record_count = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        let results = outcomes.into_iter().map(|outcome| result_entry(&name, outcome)).collect();
        Ok(PutRecordsReply { results, failed_record_count, encryption_type })
    }

    /// The stream, when it takes records.
    async fn writable(&self, name: &StreamName) -> Result<Arc<Stream>, LookupError> {
        let stream = self.inner.registry.expect(name).await?;
        if stream.is_usable() { Ok(stream) } else { Err(name.not_found().into()) }
    }

    /// Stores those entries in the shards they are routed to that the per-shard limits admit. A record whose shard was closed meanwhile is routed anew; one
    /// that is still [`AppendError::Sealed`] in the end has no stream any more.
    async fn append(&self, stream: &Stream, entries: &[PutEntry<'_>], shards: &[&Shard]) -> Vec<Outcome> {
        if !self.inner.options.shard_limits {
            return self.append_all(stream, entries, shards).await;
        }
        let now = self.now();
        let within = |(entry, shard): (&PutEntry<'_>, &&Shard)| shard.traffic().admits_write(now, record_bytes(entry));
        let admitted: Vec<bool> = entries.iter().zip(shards).map(within).collect();
        let of_admitted = |i: &usize| admitted[*i];
        let places: Vec<usize> = (0..entries.len()).filter(of_admitted).collect();
        let some: Vec<PutEntry<'_>> = places.iter().map(|i| entries[*i].clone()).collect();
        let their_shards: Vec<&Shard> = places.iter().map(|i| shards[*i]).collect();
        let mut outcomes: Vec<Outcome> = shards.iter().map(|shard| Err((AppendError::Throttled, shard.id()))).collect();
        for (i, outcome) in places.into_iter().zip(self.append_all(stream, &some, &their_shards).await) {
            outcomes[i] = outcome;
        }
        outcomes
    }

    async fn append_all(&self, stream: &Stream, entries: &[PutEntry<'_>], shards: &[&Shard]) -> Vec<Outcome> {
        let mut outcomes = self.append_once(entries, shards).await;
        for _ in 1..ROUTINGS_MAX {
            let sealed: Vec<usize> =
                (0..entries.len()).filter(|i| matches!(outcomes[*i], Err((AppendError::Sealed, _)))).collect();
            if sealed.is_empty() {
                break;
            }
            let fresh = match self.rerouted(&stream.name).await {
                Ok(Some(fresh)) => fresh,
                Ok(None) => break,
                // The new shards are not there yet: a try again will find them.
                Err(Internal(_)) => {
                    for i in sealed {
                        outcomes[i] = outcomes[i].map_err(|(_, shard)| (AppendError::Unavailable, shard));
                    }
                    break;
                }
            };
            let again: Vec<PutEntry<'_>> = sealed.iter().map(|i| entries[*i].clone()).collect();
            let Ok(shards) = route(&fresh, &again) else { break };
            for (i, outcome) in sealed.into_iter().zip(self.append_once(&again, &shards).await) {
                outcomes[i] = outcome;
            }
        }
        outcomes
    }

    /// The stream after a shard of it turned out to be closed: as soon as what replaces the shard is there. `None` when
    /// the stream takes no records any more.
    async fn rerouted(&self, name: &StreamName) -> Result<Option<Arc<Stream>>, Internal> {
        let mut watch = self.inner.registry.subscribe(name);
        let deadline = self.inner.parts.host_clock.sleep(RESHARD_WAIT_MAX);
        tokio::pin!(deadline);
        self.inner.registry.forget(name);
        loop {
            let Some(stream) = self.inner.registry.get(name).await?.filter(|stream| stream.is_usable()) else {
                return Ok(None);
            };
            if stream.header.round().is_none() {
                return Ok(Some(stream));
            }
            tokio::select! {
                () = watch.changed() => {}
                () = &mut deadline => return Err(Internal("resharding takes too long".to_owned())),
            }
        }
    }

    async fn append_once(&self, entries: &[PutEntry<'_>], shards: &[&Shard]) -> Vec<Outcome> {
        let reserved: Vec<Entry<'_>> = entries
            .iter()
            .zip(shards)
            .map(|(entry, shard)| Entry {
                shard: shard.key(),
                partition_key: &entry.partition_key,
                payload_bytes: entry.data_length,
                tag: 0,
            })
            .collect();
        let mut reservation = self.inner.parts.log.reserve(&reserved).await;
        for (slot, entry) in reservation.slots.iter_mut().zip(entries) {
            if let Ok(slot) = slot {
                slot.fill(entry.data);
            }
        }
        // A reservation of one stream has one key for all of it.
        let is_encrypted = reservation.slots.iter().flatten().any(Slot::is_encrypted);
        let encryption_type = is_encrypted.then_some(EncryptionType::Kms);
        let stored = reservation.commit().await;
        let outcome = |((result, shard), entry): ((Result<Stored, AppendError>, &&Shard), &PutEntry<'_>)| match result {
            Ok(Stored { position, arrival }) => {
                shard.traffic().stored(record_bytes(entry));
                let sequence_number = shard.number_at(position, arrival);
                Ok(StoredRecord { shard_id: shard.id(), sequence_number, encryption_type })
            }
            Err(error) => Err((error, shard.id())),
        };
        stored.into_iter().zip(shards).zip(entries).map(outcome).collect()
    }
}

/// What a record counts in limits.
fn record_bytes(entry: &PutEntry<'_>) -> usize {
    entry.data_length + entry.partition_key.len()
}

fn route<'a>(stream: &'a Stream, entries: &[PutEntry<'_>]) -> Result<Vec<&'a Shard>, InvalidArgument> {
    let shard_of = |entry: &PutEntry<'_>| {
        let key = match entry.explicit_hash_key.as_deref() {
            None => HashKey::of_partition_key(&entry.partition_key),
            Some(text) => text.parse().map_err(|_| {
                InvalidArgument(format!(
                    "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {text}"
                ))
            })?,
        };
        Ok(stream.route(key).expect("the open shards of a usable stream cover the whole space"))
    };
    entries.iter().map(shard_of).collect()
}

/// A number of another shard is accepted, one from the future is not (recorded: kinesalite tests). That the new number
/// is greater needs nothing more: it is the newest of its shard.
fn check_ordering(name: &StreamName, text: &str, now: Timestamp) -> Result<(), InvalidArgument> {
    let decoded = text.parse().ok().and_then(SequenceNumber::decode);
    if decoded.is_some_and(|decoded| decoded.time_seconds.unwrap_or(0) <= now.seconds()) {
        return Ok(());
    }
    let (stream, account) = (&name.name, &name.scope.account);
    Err(InvalidArgument(format!(
        "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {stream} under account {account} is invalid."
    )))
}

/// The stream's own limit counts the data alone, as the recorded answers do.
fn check_record_sizes(
    stream: &Stream,
    entries: &[PutEntry<'_>],
    path: impl Fn(usize) -> String,
) -> Result<(), Validation> {
    let limit = stream.record_bytes_max();
    let violations: Vec<String> = (0..)
        .zip(entries)
        .filter(|(_, entry)| entry.data_length > limit)
        .map(|(i, _)| {
            let path = path(i);
            format!(
                "Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to {limit}"
            )
        })
        .collect();
    match violations.len() {
        0 => Ok(()),
        1 => Err(Validation(format!("1 validation error detected: {}.", violations[0]))),
        n => {
            let listed = violations[..n.min(VIOLATIONS_LISTED_MAX)].join("; ");
            Err(Validation(format!("{n} validation errors detected: {listed}")))
        }
    }
}

fn rate_exceeded(name: &StreamName, shard: ShardId) -> String {
    format!("Rate exceeded for shard {shard} in stream {} under account {}.", name.name, name.scope.account)
}

fn internal_text(error: AppendError) -> &'static str {
    match error {
        AppendError::Full => "Internal service failure: the disk of this server is full.",
        _ => "Internal service failure.",
    }
}

fn result_entry(name: &StreamName, outcome: Outcome) -> PutResult {
    match outcome {
        Ok(StoredRecord { shard_id, sequence_number, .. }) => PutResult::Stored { shard_id, sequence_number },
        Err((AppendError::Throttled, shard)) => PutResult::Failed {
            error_code: "ProvisionedThroughputExceededException",
            error_message: rate_exceeded(name, shard),
        },
        Err((error, _)) => {
            PutResult::Failed { error_code: "InternalFailure", error_message: internal_text(error).to_owned() }
        }
    }
}
