//! `GetRecords`.

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_log::{ReadBatch, ReadError, ReadLimit, Record};
use millstream_types::Arn;
use millstream_types::limits::{GET_RECORDS_BYTES_MAX, GET_RECORDS_COUNT_MAX};
use millstream_wire::CommonError;
use millstream_wire::kinesis::error::GetRecordsError;
use millstream_wire::kinesis::{ChildShard, GetRecordsInput};
use time::OffsetDateTime;
use time::macros::format_description;

use super::{limit, read_rate_exceeded, wire_children};
use crate::errors::{ExpiredIterator, Internal, InvalidArgument};
use crate::iterator::ShardIterator;
use crate::service::Streams;
use crate::stream::Shard;

/// How long an iterator can be used (Kinesis model).
const ITERATOR_LIFE: Duration = Duration::from_mins(5);

/// What `GetRecords` answers, with the log's own records, so that they are encoded without another copy.
#[derive(Debug)]
pub struct RecordsPage {
    pub records: Vec<Record>,
    /// The shard they were read from.
    pub shard: Shard,
    /// Absent exactly when `child_shards` is there: at the end of a closed shard.
    pub next_shard_iterator: Option<String>,
    /// 0 when nothing lies further on.
    pub millis_behind_latest: u64,
    /// Empty except at the end of a closed shard.
    pub child_shards: Vec<ChildShard>,
}

impl Streams {
    pub async fn get_records(
        &self,
        context: &RequestContext,
        input: GetRecordsInput,
    ) -> Result<RecordsPage, GetRecordsError> {
        let iterator = ShardIterator::decode(&self.inner.signer, &input.shard_iterator)
            .ok_or_else(|| InvalidArgument("Invalid ShardIterator.".to_owned()))?;
        check_place(context, &iterator, input.stream_arn.as_deref())?;
        let now = self.now();
        check_age(&iterator, now)?;

        let name = &iterator.stream;
        let stream = self.inner.registry.get(name).await?.filter(|stream| stream.is_usable());
        let stream = stream.ok_or_else(|| name.shard_does_not_exist(iterator.shard))?;
        if stream.incarnation() != iterator.incarnation {
            // AWS answers an internal failure here (recorded: kinesalite tests).
            return Err(Internal("the iterator belongs to a deleted stream of the same name".to_owned()).into());
        }
        let shard = stream.shard(iterator.shard).filter(|shard| !stream.is_expired(shard, now));
        let shard = shard.ok_or_else(|| name.shard_does_not_exist(iterator.shard))?.clone();
        if self.inner.options.shard_limits && !shard.traffic().admits_read(now) {
            return Err(read_rate_exceeded(name, &shard).into());
        }

        let records = limit(input.limit, GET_RECORDS_COUNT_MAX, GET_RECORDS_COUNT_MAX);
        let read = ReadLimit { records, bytes: GET_RECORDS_BYTES_MAX };
        let batch = match self.inner.parts.log.read(shard.key(), iterator.from.into(), read).await {
            Ok(batch) => batch,
            Err(ReadError::NoShard(_)) => return Err(name.shard_does_not_exist(iterator.shard).into()),
            // Named, never passed over in silence: the caller may go on after the gap with a new iterator.
            Err(error @ ReadError::Damaged { .. }) => {
                self.check_keys(&stream, None)?;
                return Err(GetRecordsError::InternalFailure(error.to_string()));
            }
            Err(ReadError::Unavailable(reason)) => return Err(CommonError::InternalFailure(reason).into()),
        };
        let bytes = batch.records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
        shard.traffic().read(batch.records.len(), bytes, millis_behind(&batch, now));
        if self.inner.options.shard_limits {
            shard.traffic().charge_read(now, bytes);
        }
        // A sealed shard without children is one whose resharding is not finished: they will be there soon.
        let child_shards = if batch.ended { wire_children(&stream, iterator.shard) } else { Vec::new() };
        let next_shard_iterator = child_shards.is_empty().then(|| {
            let next = ShardIterator { from: iterator.from.after(&batch), issued: now, ..iterator };
            next.encode(&self.inner.signer, &self.inner.parts.random)
        });
        Ok(RecordsPage {
            millis_behind_latest: millis_behind(&batch, now),
            records: batch.records,
            shard,
            next_shard_iterator,
            child_shards,
        })
    }

    /// The stream that a shard iterator reads, for authorization; `None` when it is none of ours.
    pub fn shard_iterator_stream(&self, shard_iterator: &str) -> Option<Arn> {
        Some(ShardIterator::decode(&self.inner.signer, shard_iterator)?.stream.arn())
    }
}

/// An iterator works in its own region only, and with the ARN of its own stream.
fn check_place(
    context: &RequestContext,
    iterator: &ShardIterator,
    stream_arn: Option<&str>,
) -> Result<(), GetRecordsError> {
    let arn = iterator.stream.arn();
    let named_otherwise = stream_arn.is_some_and(|given| given != arn.to_string());
    if iterator.stream.scope.region != context.scope.region || named_otherwise {
        return Err(InvalidArgument("Invalid ShardIterator.".to_owned()).into());
    }
    Ok(())
}

fn check_age(iterator: &ShardIterator, now: Timestamp) -> Result<(), ExpiredIterator> {
    if now.since(iterator.issued) <= ITERATOR_LIFE {
        return Ok(());
    }
    Err(ExpiredIterator(format!(
        "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the future \
         than the tolerated delay of {} milliseconds.",
        java_date(iterator.issued),
        java_date(now),
        ITERATOR_LIFE.as_millis(),
    )))
}

/// As Java prints a date: `Thu Nov 21 21:38:33 UTC 2024`.
fn java_date(moment: Timestamp) -> String {
    let format =
        format_description!("[weekday repr:short] [month repr:short] [day] [hour]:[minute]:[second] UTC [year]");
    let seconds = i64::try_from(moment.seconds()).unwrap_or(i64::MAX);
    // A moment after the year 9999 is only possible on a virtual clock.
    let date = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    date.format(format).expect("every date has these parts")
}

/// How far behind the present the reader is: the age of the last record returned. Never 0 while something lies further
/// on, since clients stop at 0.
pub(crate) fn millis_behind(batch: &ReadBatch, now: Timestamp) -> u64 {
    let Some(newest) = batch.behind else { return 0 };
    let reached = batch.records.last().map_or(newest, |record| record.arrival);
    u64::try_from(now.since(reached).as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_as_recorded() {
        assert_eq!(java_date(Timestamp::from_seconds(1_732_225_113)), "Thu Nov 21 21:38:33 UTC 2024");
        assert_eq!(java_date(Timestamp::from_millis(u64::MAX)), "Thu Jan 01 00:00:00 UTC 1970");
    }
}
