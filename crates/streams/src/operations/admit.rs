//! Calls that are counted against AWS's limits of calls per second (`traffic::calls`).

use millstream_iam::RequestContext;
use millstream_log::ShardKey;
use millstream_types::ShardId;

use crate::consumers::{ConsumerArn, texts};
use crate::errors::LimitExceeded;
use crate::names::StreamName;
use crate::service::Streams;

impl Streams {
    /// Whether the caller may call `operation` now, which means that stream. AWS's text (log).
    pub(super) fn admit(
        &self,
        context: &RequestContext,
        operation: &'static str,
        stream: &StreamName,
    ) -> Result<(), LimitExceeded> {
        if self.is_within_rate(context, operation, Some(stream)) {
            return Ok(());
        }
        let StreamName { name, scope } = stream;
        Err(LimitExceeded(format!("Rate exceeded for stream {name} under account {}.", scope.account)))
    }

    /// Whether the caller may call `operation` now, which means no stream. AWS's text (log).
    pub(super) fn admit_on_account(
        &self,
        context: &RequestContext,
        operation: &'static str,
    ) -> Result<(), LimitExceeded> {
        if self.is_within_rate(context, operation, None) {
            return Ok(());
        }
        Err(LimitExceeded(format!("Rate exceeded for account {}.", context.scope.account)))
    }

    pub(super) fn admit_subscription(
        &self,
        consumer: &ConsumerArn,
        shard: ShardKey,
        id: ShardId,
    ) -> Result<(), LimitExceeded> {
        let within =
            !self.inner.options.shard_limits || self.inner.calls.admit_subscription(self.now(), consumer, shard);
        if within { Ok(()) } else { Err(texts::subscribed_too_often(consumer, id)) }
    }

    fn is_within_rate(&self, context: &RequestContext, operation: &'static str, stream: Option<&StreamName>) -> bool {
        !self.inner.options.shard_limits || self.inner.calls.admit(self.now(), operation, &context.scope, stream)
    }
}
