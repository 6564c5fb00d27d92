//! `DeleteMessage`, `ChangeMessageVisibility` and their batches: what a receiver does with what it took.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use millstream_iam::RequestContext;
use millstream_wire::sqs::error::{
    ChangeMessageVisibilityBatchError, ChangeMessageVisibilityError, DeleteMessageBatchError, DeleteMessageError,
};
use millstream_wire::sqs::{
    ChangeMessageVisibilityBatchRequest, ChangeMessageVisibilityBatchResult, ChangeMessageVisibilityBatchResultEntry,
    ChangeMessageVisibilityRequest, DeleteMessageBatchRequest, DeleteMessageBatchResult, DeleteMessageBatchResultEntry,
    DeleteMessageRequest,
};

use super::super::failure::Failure;
use super::super::index::Standing;
use super::super::queue::Queue;
use super::super::{QueueKey, Queues};
use super::receive::between;
use super::{batch, handle};

/// Twelve hours.
pub(super) const VISIBILITY_SECONDS_MAX: i32 = 43_200;

impl Queues {
    pub async fn delete_message(
        &self,
        context: &RequestContext,
        input: DeleteMessageRequest,
    ) -> Result<(), DeleteMessageError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        Ok(self.delete(&queue, &input.receipt_handle).await?)
    }

    pub async fn delete_message_batch(
        &self,
        context: &RequestContext,
        input: DeleteMessageBatchRequest,
    ) -> Result<DeleteMessageBatchResult, DeleteMessageBatchError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        batch::check("DeleteMessageBatchRequestEntry", input.entries.iter().map(|entry| &entry.id))?;
        let deletions = input.entries.into_iter().map(|entry| {
            let queue = &queue;
            async move { (self.delete(queue, &entry.receipt_handle).await, entry.id) }
        });
        let mut result = DeleteMessageBatchResult::default();
        for (deleted, id) in join_all(deletions).await {
            match deleted {
                Ok(()) => result.successful.push(DeleteMessageBatchResultEntry { id }),
                Err(failure) => result.failed.push(failure.entry(id)),
            }
        }
        Ok(result)
    }

    pub async fn change_message_visibility(
        &self,
        context: &RequestContext,
        input: ChangeMessageVisibilityRequest,
    ) -> Result<(), ChangeMessageVisibilityError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        Ok(self.hide(&queue, &input.receipt_handle, Some(input.visibility_timeout)).await?)
    }

    pub async fn change_message_visibility_batch(
        &self,
        context: &RequestContext,
        input: ChangeMessageVisibilityBatchRequest,
    ) -> Result<ChangeMessageVisibilityBatchResult, ChangeMessageVisibilityBatchError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        batch::check("ChangeMessageVisibilityBatchRequestEntry", input.entries.iter().map(|entry| &entry.id))?;
        let changes = input.entries.into_iter().map(|entry| {
            let queue = &queue;
            async move { (self.hide(queue, &entry.receipt_handle, entry.visibility_timeout).await, entry.id) }
        });
        let mut result = ChangeMessageVisibilityBatchResult::default();
        for (changed, id) in join_all(changes).await {
            match changed {
                Ok(()) => result.successful.push(ChangeMessageVisibilityBatchResultEntry { id }),
                Err(failure) => result.failed.push(failure.entry(id)),
            }
        }
        Ok(result)
    }

    /// Deletes a message that was received. A handle of an earlier receive is answered with success and deletes nothing, as
    /// SQS allows itself to do.
    async fn delete(&self, queue: &Arc<Queue>, handle: &str) -> Result<(), Failure> {
        let claim = handle::read(&queue.id, handle)?;
        if queue.index().leave(claim) == Standing::Past {
            return Ok(());
        }
        // Also when somebody else is at it: what is answered with success is durable.
        let (messages, queue) = (self.shared.messages.clone(), Arc::clone(queue));
        let work = async move {
            let deleted = messages.delete(&queue.id, claim.sequence).await;
            if deleted.is_ok() {
                queue.index().remove(claim.sequence);
            } else {
                queue.index().stay(claim.sequence);
                queue.wake();
            }
            deleted
        };
        self.finish(work).await
    }

    async fn hide(&self, queue: &Arc<Queue>, handle: &str, seconds: Option<i32>) -> Result<(), Failure> {
        let claim = handle::read(&queue.id, handle)?;
        let seconds = between("VisibilityTimeout", seconds, 0, VISIBILITY_SECONDS_MAX)?.ok_or_else(|| {
            Failure::Parameter("The request must contain the parameter VisibilityTimeout.".to_owned())
        })?;
        self.expire(queue);
        let now = self.shared.clock.now();
        let until = now.plus(Duration::from_secs(seconds.into()));
        let not_in_flight = || {
            Failure::Parameter(format!(
                "Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available \
                 for visibility timeout change."
            ))
        };
        if !queue.index().hide(now, claim, until) {
            return Err(not_in_flight());
        }
        let (messages, owned) = (self.shared.messages.clone(), Arc::clone(queue));
        let work = async move {
            // A later receive may have written meanwhile: its word counts.
            let change = |record: &mut super::super::record::MessageRecord| {
                if record.receives == claim.receive {
                    record.visible_at = until;
                }
            };
            let changed = messages.change(&owned.id, claim.sequence, change).await;
            owned.wake();
            changed
        };
        self.finish(work).await?.map(drop).ok_or_else(not_in_flight)
    }
}
