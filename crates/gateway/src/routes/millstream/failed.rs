//! The batches that were given up.

use millstream_functions::Outcome;
use millstream_mapping::machine::DiscardReason;
use millstream_mapping::operator::{FailedBatchInfo, OperatorError, RedriveReport};
use millstream_mapping::{DeliveryState, Mappings};
use millstream_types::Scope;
use millstream_wire::millstream::error::ListFailedBatchesError;
use millstream_wire::millstream::{
    DeliveryState as WireDelivery, FailedBatch, FailedBatchCondition, FailedRecord, ForgetFailedBatchInput,
    ForgetFailedBatchOutput, GetFailedBatchInput, GetFailedBatchOutput, ListFailedBatchesInput,
    ListFailedBatchesOutput, RedriveFailedBatchInput, RedriveFailedBatchOutput, RedriveOutcome, RedrivenEvent, op,
};

use super::{Refusal, int, moment, on_mapping, on_one_mapping, page_items};
use crate::operation::Table;

/// Characters of a function's error that an answer shows.
const ERROR_CHARACTERS_MAX: usize = 16_384;

pub(super) fn add(table: &mut Table, mappings: &Mappings) {
    table.add::<op::ListFailedBatches, _, _>(
        |context, input| on_mapping(context, "ListFailedBatches", input.uuid.as_deref().unwrap_or("*")),
        {
            let mappings = mappings.clone();
            move |context, input| {
                let mappings = mappings.clone();
                async move { list(&mappings, &context.scope, input).await.map_err(ListFailedBatchesError::of) }
            }
        },
    );
    on_one_mapping! { table, mappings:
        ForgetFailedBatch => forget;
        GetFailedBatch => get;
        RedriveFailedBatch => redrive;
    }
}

async fn list(
    mappings: &Mappings,
    scope: &Scope,
    input: ListFailedBatchesInput,
) -> Result<ListFailedBatchesOutput, OperatorError> {
    let (after, limit) = (input.next_token.as_deref(), page_items(input.max_results));
    let Some(uuid) = input.uuid else {
        let page = mappings.failed_batches_of_all(scope, after, limit).await?;
        let failed_batches = page.batches.into_iter().map(|(uuid, info)| failed(&uuid, info)).collect();
        return Ok(ListFailedBatchesOutput { failed_batches, next_token: page.next });
    };
    let page = mappings.failed_batches(scope, &uuid, after, limit).await?;
    let failed_batches = page.batches.into_iter().map(|info| failed(&uuid, info)).collect();
    Ok(ListFailedBatchesOutput { failed_batches, next_token: page.next })
}

async fn get(
    mappings: &Mappings,
    scope: &Scope,
    input: GetFailedBatchInput,
) -> Result<GetFailedBatchOutput, OperatorError> {
    let (info, records) = mappings.failed_batch(scope, &input.uuid, &input.failed_batch_id).await?;
    let available_record_count = int(records.len());
    let records = (input.include_records == Some(true)).then(|| {
        let records = records.into_iter().map(|(sequence_number, record)| FailedRecord {
            sequence_number,
            partition_key: String::from_utf8_lossy(&record.partition_key).into_owned(),
            approximate_arrival_timestamp: record.arrival,
            data: record.data,
        });
        records.collect()
    });
    Ok(GetFailedBatchOutput { failed_batch: failed(&input.uuid, info), available_record_count, records })
}

async fn forget(
    mappings: &Mappings,
    scope: &Scope,
    input: ForgetFailedBatchInput,
) -> Result<ForgetFailedBatchOutput, OperatorError> {
    mappings.forget_failed_batch(scope, &input.uuid, &input.failed_batch_id).await?;
    Ok(ForgetFailedBatchOutput::default())
}

async fn redrive(
    mappings: &Mappings,
    scope: &Scope,
    input: RedriveFailedBatchInput,
) -> Result<RedriveFailedBatchOutput, OperatorError> {
    let redriven = mappings.redrive_failed_batch(scope, &input.uuid, &input.failed_batch_id).await?;
    Ok(RedriveFailedBatchOutput {
        record_count: int(redriven.records),
        events: redriven.reports.into_iter().map(event).collect(),
        done: redriven.is_done,
    })
}

fn event(sent: RedriveReport) -> RedrivenEvent {
    let text = |payload: &[u8]| Some(String::from_utf8_lossy(payload).chars().take(ERROR_CHARACTERS_MAX).collect());
    let (outcome, error) = match sent.report.outcome {
        Outcome::Ok(_) if sent.is_success => (RedriveOutcome::Succeeded, None),
        Outcome::Ok(payload) => (RedriveOutcome::PartlyFailed, text(&payload)),
        Outcome::FunctionError { payload, .. } => (RedriveOutcome::FunctionFailed, text(&payload)),
        Outcome::Throttled { reason } => (RedriveOutcome::Throttled, Some(reason.to_owned())),
        Outcome::NotPermitted(text) => (RedriveOutcome::NotPermitted, Some(text)),
        Outcome::NotFound(arn) => (RedriveOutcome::FunctionNotFound, Some(format!("Function not found: {arn}"))),
        Outcome::NotReady(text) => (RedriveOutcome::FunctionNotReady, Some(text)),
        Outcome::ServiceError(text) => (RedriveOutcome::ServiceError, Some(text)),
    };
    RedrivenEvent { request_id: sent.report.request_id, executed_version: sent.report.executed_version, outcome, error }
}

fn failed(uuid: &str, info: FailedBatchInfo) -> FailedBatch {
    let FailedBatchInfo { id, shard, batch } = info;
    let (delivery, delivery_error) = match batch.delivery {
        DeliveryState::NoDestination => (WireDelivery::NoDestination, None),
        DeliveryState::NotDelivered => (WireDelivery::NotDelivered, None),
        DeliveryState::Delivered => (WireDelivery::Delivered, None),
        DeliveryState::Failed { reason } => (WireDelivery::Failed, Some(reason)),
    };
    FailedBatch {
        uuid: uuid.to_ascii_lowercase(),
        failed_batch_id: id,
        shard_id: shard.to_string(),
        start_sequence_number: batch.start_sequence_number,
        end_sequence_number: batch.end_sequence_number,
        record_count: int(batch.records),
        approximate_arrival_of_first_record: moment(batch.first_arrival_ms),
        approximate_arrival_of_last_record: moment(batch.last_arrival_ms),
        condition: match batch.reason {
            DiscardReason::RetryAttemptsExhausted => FailedBatchCondition::RetryAttemptsExhausted,
            DiscardReason::RecordAgeExceeded => FailedBatchCondition::RecordAgeExceeded,
            DiscardReason::TooLarge => FailedBatchCondition::TooLarge,
            DiscardReason::Skipped => FailedBatchCondition::Skipped,
        },
        approximate_invoke_count: batch.invoke_count.try_into().unwrap_or(i32::MAX),
        request_id: batch.request_id,
        executed_version: batch.executed_version,
        function_error: batch.is_function_error,
        failed_time: moment(batch.at_ms),
        delivery,
        delivery_error,
    }
}
