//! `SubscribeToShard`.

use millstream_iam::RequestContext;
use millstream_types::ShardId;
use millstream_wire::kinesis::SubscribeToShardInput;
use millstream_wire::kinesis::error::SubscribeToShardError;

use super::starting_point::StartingPoint;
use crate::consumers::{ConsumerTarget, texts};
use crate::model::ConsumerState;
use crate::service::Streams;
use crate::subscriptions::{Beginning, Refused, Subscription};

impl Streams {
    /// Begins a subscription. One that the consumer has to the shard already is taken over, unless it began just now.
    pub async fn subscribe_to_shard(
        &self,
        context: &RequestContext,
        input: SubscribeToShardInput,
    ) -> Result<Subscription, SubscribeToShardError> {
        let target = ConsumerTarget { consumer_arn: Some(&input.consumer_arn), ..ConsumerTarget::default() };
        let named = target.resolve(context, "SubscribeToShard")?;
        let name = named.stream();
        let shard: ShardId = input.shard_id.parse().map_err(|_| name.could_not_find_shard(&input.shard_id))?;
        let position = &input.starting_position;
        let point = StartingPoint {
            operation: "SubscribeToShard",
            kind: position.r#type,
            sequence_number: position.sequence_number.as_deref(),
            timestamp: position.timestamp,
        };
        point.check()?;
        // Both before anything is looked up, so that no change is missed.
        let stream_changes = self.inner.registry.subscribe(name);
        let (stream, consumer) = self.expect_consumer(&named).await?;
        let active = named.find(&stream.header).is_some_and(|found| found.state == ConsumerState::Active);
        if !active {
            return Err(texts::not_active(&consumer).into());
        }
        let now = self.now();
        let shard = stream
            .shard(shard)
            .filter(|shard| !stream.is_expired(shard, now))
            .ok_or_else(|| name.shard_does_not_exist(shard))?
            .clone();
        self.admit_subscription(&consumer, shard.key(), shard.id())?;
        let tail = self.inner.parts.log.tail(shard.key()).ok_or_else(|| name.shard_does_not_exist(shard.id()))?;
        let from = self.begin::<SubscribeToShardError>(name, &shard, &point, now).await?;
        let seat = self.inner.subscriptions.take(&consumer, shard.key(), now).map_err(|refused| match refused {
            Refused::Taken => SubscribeToShardError::from(texts::subscribed_already(&consumer, shard.id())),
            Refused::Full(limit) => texts::too_many_subscriptions(limit).into(),
        })?;
        tracing::debug!(consumer = %consumer.arn(), shard = %shard.id(), "a subscription begins");
        let beginning = Beginning { consumer, stream, shard, from, now, seat, stream_changes, tail };
        Ok(Subscription::new(self.clone(), beginning))
    }
}
