//! `GetShardIterator`.

use millstream_iam::RequestContext;
use millstream_log::{Position, ReadFrom, ReadLimit};
use millstream_types::{SequenceNumber, ShardId};
use millstream_wire::kinesis::error::GetShardIteratorError;
use millstream_wire::kinesis::{GetShardIteratorInput, GetShardIteratorOutput, ShardIteratorType};

use super::read_rate_exceeded;
use crate::errors::{Internal, InvalidArgument};
use crate::iterator::{From, ShardIterator};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;
use crate::stream::Shard;

impl Streams {
    pub async fn get_shard_iterator(
        &self,
        context: &RequestContext,
        input: GetShardIteratorInput,
    ) -> Result<GetShardIteratorOutput, GetShardIteratorError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "GetShardIterator")?;
        let shard: ShardId = input.shard_id.parse().map_err(|_| name.could_not_find_shard(&input.shard_id))?;
        check_combination(&input)?;
        let stream = self.inner.registry.get(&name).await?.filter(|stream| stream.is_usable());
        let stream = stream.ok_or_else(|| name.shard_does_not_exist(shard))?;
        let now = self.now();
        let shard = stream
            .shard(shard)
            .filter(|shard| !stream.is_expired(shard, now))
            .ok_or_else(|| name.shard_does_not_exist(shard))?;

        if self.inner.options.shard_limits && !shard.traffic().admits_iterator(now) {
            return Err(read_rate_exceeded(&name, shard).into());
        }
        let from = match input.shard_iterator_type {
            ShardIteratorType::TrimHorizon => From::Position(Position(0)),
            ShardIteratorType::Latest => From::Position(self.tip(shard).await?),
            ShardIteratorType::AtTimestamp => From::Time(past_timestamp(&input, now)?),
            ShardIteratorType::AtSequenceNumber | ShardIteratorType::AfterSequenceNumber => {
                let text = input.starting_sequence_number.as_deref().unwrap_or_default();
                From::Position(self.starting_position(&name, shard, text, input.shard_iterator_type)?)
            }
        };
        let iterator =
            ShardIterator { stream: name, incarnation: stream.incarnation(), shard: shard.id(), from, issued: now };
        let text = iterator.encode(&self.inner.signer, &self.inner.parts.random);
        Ok(GetShardIteratorOutput { shard_iterator: Some(text) })
    }

    /// Where the next record will be stored.
    async fn tip(&self, shard: &Shard) -> Result<Position, Internal> {
        let limit = ReadLimit { records: 1, bytes: 1 };
        let batch = self.inner.parts.log.read(shard.key(), ReadFrom::Tip, limit).await;
        batch.map(|batch| batch.next).map_err(|error| Internal(error.to_string()))
    }

    fn starting_position(
        &self,
        name: &StreamName,
        shard: &Shard,
        text: &str,
        kind: ShardIteratorType,
    ) -> Result<Position, GetShardIteratorError> {
        let index = index_in_shard(name, shard, text)?;
        let position = match kind {
            ShardIteratorType::AfterSequenceNumber => Position(index),
            _ => Shard::position_at_index(index),
        };
        // A well-formed number beyond the last record means the tip.
        let bounds = self.inner.parts.log.bounds(shard.key()).map_err(Internal::from)?;
        Ok(position.min(bounds.next))
    }
}

/// The running index of a number that belongs to this shard. Checks in AWS's order (recorded: kinesalite tests).
fn index_in_shard(name: &StreamName, shard: &Shard, text: &str) -> Result<u64, GetShardIteratorError> {
    let used = || {
        let (id, stream, account) = (shard.id(), &name.name, &name.scope.account);
        format!(
            "StartingSequenceNumber {text} used in GetShardIterator on shard {id} in stream {stream} under account \
             {account} is invalid"
        )
    };
    let number: Option<SequenceNumber> = text.parse().ok();
    let decoded = number.and_then(SequenceNumber::decode).ok_or_else(|| InvalidArgument(format!("{}.", used())))?;
    let id = shard.id();
    if decoded.shard_index != i64::from(id.0.get()) {
        return Err(InvalidArgument(format!(
            "Invalid StartingSequenceNumber. It encodes shardId-{:012}, while it was used in a call to a shard with {id}",
            decoded.shard_index,
        ))
        .into());
    }
    let of_this_shard = decoded.version == 2 && decoded.shard_created_seconds == shard.created().seconds();
    match decoded.index {
        Some(index) if of_this_shard => Ok(index),
        _ if decoded.version == 0 => Err(Internal(format!("{}, of the oldest layout", used())).into()),
        _ => Err(InvalidArgument(format!("{} because it did not come from this stream.", used())).into()),
    }
}

fn check_combination(input: &GetShardIteratorInput) -> Result<(), InvalidArgument> {
    let kind = input.shard_iterator_type;
    let specified = match (kind, &input.starting_sequence_number) {
        (ShardIteratorType::TrimHorizon | ShardIteratorType::Latest, Some(_)) => "and also a StartingSequenceNumber.",
        (ShardIteratorType::AtSequenceNumber | ShardIteratorType::AfterSequenceNumber, None) => {
            "and no StartingSequenceNumber."
        }
        (ShardIteratorType::AtTimestamp, _) if input.timestamp.is_none() => {
            return Err(InvalidArgument(
                "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no \
                 timestamp parameter."
                    .to_owned(),
            ));
        }
        _ => return Ok(()),
    };
    Err(InvalidArgument(format!(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) \
         TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified {} {specified}",
        kind.as_str(),
    )))
}

fn past_timestamp(
    input: &GetShardIteratorInput,
    now: millstream_env::Timestamp,
) -> Result<millstream_env::Timestamp, InvalidArgument> {
    let timestamp = input.timestamp.unwrap_or_default();
    if timestamp > now {
        return Err(InvalidArgument(format!(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: \
             {}, currentTimestampInMillis: {}",
            timestamp.millis(),
            now.millis(),
        )));
    }
    Ok(timestamp)
}
