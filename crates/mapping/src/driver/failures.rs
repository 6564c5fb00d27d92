//! Failed batches: kept first, then brought to the destination.

use bytes::Bytes;
use millstream_destinations::{Delivery, DeliveryError};

use super::worker::Assignment;
use crate::event::EventFormat;
use crate::failure_record::{self, Origin};
use crate::machine::{DeliveryProblem, DiscardReason, FailedBatch};
use crate::mappings::Shared;
use crate::record::{DeliveryState, FailedRecord, failed_key};

/// Keeps a failed batch and brings it to the mapping's destination, if it has one. Once: the machine asks again.
pub(super) async fn discard(
    shared: &Shared,
    assignment: &Assignment,
    format: &EventFormat,
    failed: &FailedBatch,
) -> Result<(), DeliveryProblem> {
    let destination = assignment.destination.as_ref().filter(|_| failed.reason != DiscardReason::Skipped);
    let state = if destination.is_some() { DeliveryState::NotDelivered } else { DeliveryState::NoDestination };
    let mut kept = FailedRecord::new(failed, format, shared.random.uuid(), state);
    let shard = format.shard().id;
    let key = failed_key(&assignment.uuid, shard, failed);
    let keep = async |record: &FailedRecord| {
        shared.failed.keep(&assignment.uuid, &key, record).await.map_err(|error| {
            tracing::error!(mapping = %assignment.uuid, %shard, %error, "a failed batch cannot be kept; trying again");
            DeliveryProblem::NotKept
        })
    };
    keep(&kept).await?;
    tracing::warn!(
        mapping = %assignment.uuid, %shard, records = failed.records.len(), reason = failed.reason.condition(),
        first = %kept.start_sequence_number, "a batch is given up"
    );
    let Some(destination) = destination else { return Ok(()) };
    let function_arn = assignment.function.arn(&assignment.scope);
    let stream_arn = assignment.stream.to_string();
    let origin = Origin { function_arn: &function_arn, stream_arn: &stream_arn, format };
    let is_bucket = destination.service == "s3";
    let document = failure_record::document(&origin, failed, &kept.request_id, is_bucket);
    let delivery = Delivery {
        destination: destination.clone(),
        role_arn: assignment.role_arn.clone(),
        region: assignment.scope.region.clone(),
        document: Bytes::from(document),
        object_key: failure_record::object_key(&assignment.uuid, shard, failed.at, &shared.random.uuid()),
    };
    match shared.deliver.deliver(delivery).await {
        Ok(()) => {
            kept.delivery = DeliveryState::Delivered;
            // It is there; that its line in the list says so is worth no second delivery.
            let _ = keep(&kept).await;
            Ok(())
        }
        Err(error @ (DeliveryError::Unavailable(_) | DeliveryError::Refused(_))) => {
            tracing::warn!(mapping = %assignment.uuid, %shard, %destination, %error, "a failed batch was not delivered");
            kept.delivery = DeliveryState::Failed { reason: error.to_string() };
            let _ = keep(&kept).await;
            Err(DeliveryProblem::NotDelivered)
        }
    }
}
