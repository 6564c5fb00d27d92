//! `GetShardIterator`.

use millstream_iam::RequestContext;
use millstream_types::ShardId;
use millstream_wire::kinesis::error::GetShardIteratorError;
use millstream_wire::kinesis::{GetShardIteratorInput, GetShardIteratorOutput};

use super::read_rate_exceeded;
use super::starting_point::StartingPoint;
use crate::iterator::ShardIterator;
use crate::names::StreamTarget;
use crate::service::Streams;

impl Streams {
    pub async fn get_shard_iterator(
        &self,
        context: &RequestContext,
        input: GetShardIteratorInput,
    ) -> Result<GetShardIteratorOutput, GetShardIteratorError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "GetShardIterator")?;
        let shard: ShardId = input.shard_id.parse().map_err(|_| name.could_not_find_shard(&input.shard_id))?;
        let point = StartingPoint {
            operation: "GetShardIterator",
            kind: input.shard_iterator_type,
            sequence_number: input.starting_sequence_number.as_deref(),
            timestamp: input.timestamp,
        };
        point.check()?;
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
        let from = self.begin::<GetShardIteratorError>(&name, shard, &point, now).await?;
        let iterator =
            ShardIterator { stream: name, incarnation: stream.incarnation(), shard: shard.id(), from, issued: now };
        let text = iterator.encode(&self.inner.signer, &self.inner.parts.random);
        Ok(GetShardIteratorOutput { shard_iterator: Some(text) })
    }
}
