//! Texts about consumers. Only those marked as recorded are known to be AWS's; the others follow their manner.

use millstream_types::ShardId;

use super::{CONSUMERS_CREATING_MAX, ConsumerArn};
use crate::errors::{InUse, LimitExceeded, NotFound};
use crate::names::StreamName;

pub(crate) const UNNAMED: &str = "Either ConsumerARN or both StreamARN and ConsumerName should be provided.";
pub(crate) const CONTRADICTION: &str = "ConsumerARN, StreamARN and ConsumerName do not name the same consumer.";

pub(crate) fn invalid_arn(text: &str) -> String {
    format!("ConsumerARN {text} is not valid.")
}

pub(crate) fn not_found(stream: &StreamName, name: &str) -> NotFound {
    let (stream, account) = (&stream.name, &stream.scope.account);
    NotFound(format!("Consumer {name} under stream {stream} and account {account} not found."))
}

pub(crate) fn already_exists(stream: &StreamName, name: &str) -> InUse {
    let (stream, account) = (&stream.name, &stream.scope.account);
    InUse(format!("Consumer {name} under stream {stream} already exists for account {account}."))
}

pub(crate) fn too_many(stream: &StreamName, limit: usize) -> LimitExceeded {
    let (stream, account) = (&stream.name, &stream.scope.account);
    LimitExceeded(format!(
        "This request would exceed the limit on the number of consumers of stream {stream} under account {account}. \
         Limit: {limit}.",
    ))
}

pub(crate) fn too_many_creating(stream: &StreamName) -> LimitExceeded {
    let (stream, account) = (&stream.name, &stream.scope.account);
    LimitExceeded(format!(
        "This request would exceed the limit on the number of consumers of stream {stream} under account {account} that \
         can simultaneously be in CREATING. Limit: {CONSUMERS_CREATING_MAX}.",
    ))
}

pub(crate) fn too_many_tags(stream: &StreamName) -> LimitExceeded {
    let (stream, account) = (&stream.name, &stream.scope.account);
    LimitExceeded(format!(
        "The tags and policies of all consumers of stream {stream} under account {account} are too large."
    ))
}

pub(crate) fn too_many_subscriptions(limit: usize) -> LimitExceeded {
    LimitExceeded(format!("This server has {limit} active subscriptions already."))
}

pub(crate) fn subscribed_too_often(consumer: &ConsumerArn, shard: ShardId) -> LimitExceeded {
    let ConsumerArn { stream, name, .. } = consumer;
    let (stream, account) = (&stream.name, &stream.scope.account);
    LimitExceeded(format!(
        "Rate exceeded for consumer {name} on shard {shard} in stream {stream} under account {account}."
    ))
}

/// Recorded (log of 2024), the space before the comma included.
pub(crate) fn not_active(consumer: &ConsumerArn) -> InUse {
    let ConsumerArn { stream, name, created } = consumer;
    InUse(format!(
        "Consumer {name} with creation timestamp {created} under stream: {} , account {} is not in ACTIVE status.",
        stream.name, stream.scope.account,
    ))
}

/// Recorded (log of 2025): said otherwise than for a subscription.
pub(crate) fn not_active_for_policy(consumer: &ConsumerArn) -> InUse {
    let ConsumerArn { stream, name, created } = consumer;
    InUse(format!(
        "Consumer {name} with creation timestamp {created} under stream {} and account {} is not in ACTIVE status.",
        stream.name, stream.scope.account,
    ))
}

/// Recorded (log).
pub(crate) fn subscribed_already(consumer: &ConsumerArn, shard: ShardId) -> InUse {
    let ConsumerArn { stream, name, .. } = consumer;
    let (stream, account) = (&stream.name, &stream.scope.account);
    InUse(format!("Another active subscription exists for this consumer: {account}:{stream}:{shard}:{name}"))
}

/// Recorded (log), with a typographic apostrophe.
pub(crate) fn stream_has_consumers(stream: &StreamName) -> InUse {
    let (stream, account) = (&stream.name, &stream.scope.account);
    InUse(format!(
        "DeleteStream can\u{2019}t delete {account}:{stream} because there are consumers associated with this data stream. \
         To delete {stream} anyway, set the EnforceConsumerDeletion parameter to true to force the deletion of all the \
         consumers that are associated with it.",
    ))
}
