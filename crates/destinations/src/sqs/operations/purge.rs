//! `PurgeQueue`.

use std::sync::Arc;
use std::time::Duration;

use millstream_iam::RequestContext;
use millstream_wire::sqs::PurgeQueueRequest;
use millstream_wire::sqs::error::PurgeQueueError;

use super::super::failure::Failure;
use super::super::record::Purge;
use super::super::{QueueKey, Queues};

/// How long one purge keeps out the next (`PurgeQueue`).
const INTERVAL: Duration = Duration::from_mins(1);

impl Queues {
    /// Every message that was sent before is gone when this returns: one mark in the queue's record says so, and the messages
    /// are deleted behind it.
    pub async fn purge_queue(&self, context: &RequestContext, input: PurgeQueueRequest) -> Result<(), PurgeQueueError> {
        let queue = self.find(&QueueKey::from_url(&input.queue_url, &context.scope.region)?)?;
        let (queues, now) = (self.clone(), self.shared.clock.now());
        let work = async move {
            let last = queue.index().last();
            let purge = |record: &mut super::super::record::QueueRecord| {
                if record.purge.is_some_and(|purge| now < purge.at.plus(INTERVAL)) {
                    let text =
                        format!("Only one PurgeQueue operation on {} is allowed every 60 seconds.", queue.key.name);
                    return Err(Failure::PurgeQueueInProgress(text));
                }
                record.purge = Some(Purge { at: now, last });
                Ok(())
            };
            queues.change(&queue.key, purge).await?;
            let purged = queue.index().purge(last);
            queues.delete_later(&queue.id, purged);
            Ok(Arc::clone(&queue))
        };
        self.finish(work).await?;
        Ok(())
    }
}
