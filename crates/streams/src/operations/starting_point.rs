//! Where a reader begins: the five types that `GetShardIterator` and `SubscribeToShard` know, with the same checks.

use millstream_env::Timestamp;
use millstream_log::{Position, ReadFrom, ReadLimit};
use millstream_types::SequenceNumber;
use millstream_wire::kinesis::ShardIteratorType;

use crate::errors::{Internal, InvalidArgument};
use crate::iterator::From as ReadOn;
use crate::names::StreamName;
use crate::service::Streams;
use crate::stream::Shard;

/// What a request says.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartingPoint<'a> {
    /// As texts name it.
    pub(super) operation: &'static str,
    pub(super) kind: ShardIteratorType,
    pub(super) sequence_number: Option<&'a str>,
    pub(super) timestamp: Option<Timestamp>,
}

impl Streams {
    /// The place in `shard` that a checked point means.
    pub(super) async fn begin<E: From<InvalidArgument> + From<Internal>>(
        &self,
        name: &StreamName,
        shard: &Shard,
        point: &StartingPoint<'_>,
        now: Timestamp,
    ) -> Result<ReadOn, E> {
        Ok(match point.kind {
            ShardIteratorType::TrimHorizon => ReadOn::Position(Position(0)),
            ShardIteratorType::Latest => ReadOn::Position(self.tip(shard).await?),
            ShardIteratorType::AtTimestamp => ReadOn::Time(point.past_timestamp(now)?),
            ShardIteratorType::AtSequenceNumber | ShardIteratorType::AfterSequenceNumber => {
                ReadOn::Position(self.position_of::<E>(name, shard, point)?)
            }
        })
    }

    /// Where the next record will be stored.
    async fn tip(&self, shard: &Shard) -> Result<Position, Internal> {
        let limit = ReadLimit { records: 1, bytes: 1 };
        let batch = self.inner.parts.log.read(shard.key(), ReadFrom::Tip, limit).await;
        batch.map(|batch| batch.next).map_err(|error| Internal(error.to_string()))
    }

    fn position_of<E: From<InvalidArgument> + From<Internal>>(
        &self,
        name: &StreamName,
        shard: &Shard,
        point: &StartingPoint<'_>,
    ) -> Result<Position, E> {
        let index = point.index_in_shard::<E>(name, shard)?;
        let position = match point.kind {
            ShardIteratorType::AfterSequenceNumber => Position(index),
            _ => Shard::position_at_index(index),
        };
        // A well-formed number beyond the last record means the tip.
        let bounds = self.inner.parts.log.bounds(shard.key()).map_err(Internal::from)?;
        Ok(position.min(bounds.next))
    }
}

impl StartingPoint<'_> {
    /// Whether the type and the values that come with it fit together.
    pub(super) fn check(&self) -> Result<(), InvalidArgument> {
        let specified = match (self.kind, self.sequence_number) {
            (ShardIteratorType::TrimHorizon | ShardIteratorType::Latest, Some(_)) => {
                "and also a StartingSequenceNumber."
            }
            (ShardIteratorType::AtSequenceNumber | ShardIteratorType::AfterSequenceNumber, None) => {
                "and no StartingSequenceNumber."
            }
            (ShardIteratorType::AtTimestamp, _) if self.timestamp.is_none() => {
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
            self.kind.as_str(),
        )))
    }

    /// The running index of a number that belongs to this shard. Checks in AWS's order (recorded: kinesalite tests).
    fn index_in_shard<E>(&self, name: &StreamName, shard: &Shard) -> Result<u64, E>
    where
        E: From<InvalidArgument> + From<Internal>,
    {
        let text = self.sequence_number.unwrap_or_default();
        let used = || {
            let (operation, id, stream, account) = (self.operation, shard.id(), &name.name, &name.scope.account);
            format!(
                "StartingSequenceNumber {text} used in {operation} on shard {id} in stream {stream} under account \
                 {account} is invalid"
            )
        };
        let number: Option<SequenceNumber> = text.parse().ok();
        let decoded = number.and_then(SequenceNumber::decode).ok_or_else(|| InvalidArgument(format!("{}.", used())))?;
        let id = shard.id();
        if decoded.shard_index != i64::from(id.0.get()) {
            return Err(InvalidArgument(format!(
                "Invalid StartingSequenceNumber. It encodes shardId-{:012}, while it was used in a call to a shard with \
                 {id}",
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

    fn past_timestamp(&self, now: Timestamp) -> Result<Timestamp, InvalidArgument> {
        let timestamp = self.timestamp.unwrap_or_default();
        if timestamp > now {
            return Err(InvalidArgument(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {}, currentTimestampInMillis: {}",
                timestamp.millis(),
                now.millis(),
            )));
        }
        Ok(timestamp)
    }
}
