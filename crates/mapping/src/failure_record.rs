//! The record of a failed batch that goes to a destination (event source mapping reference, section 6.3).

use millstream_env::Timestamp;
use millstream_types::ShardId;
use serde::Serialize;

use crate::dates;
use crate::event::EventFormat;
use crate::machine::{FailedBatch, FailedInvocation};

/// Where a failed batch comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// As the mapping has it, with its qualifier or without.
    pub(crate) function_arn: &'a str,
    pub(crate) stream_arn: &'a str,
    pub(crate) format: &'a EventFormat,
}

/// The members in the order that was recorded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    request_context: RequestContext<'a>,
    /// Absent when the records were too old.
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'a>>,
    version: &'static str,
    timestamp: String,
    #[serde(rename = "KinesisBatchInfo")]
    batch: KinesisBatchInfo<'a>,
    /// The whole event as text: S3 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: &'a str,
    /// Null when the function reported records that failed.
    function_error: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KinesisBatchInfo<'a> {
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
    approximate_arrival_of_first_record: String,
    approximate_arrival_of_last_record: String,
    batch_size: usize,
    stream_arn: &'a str,
}

/// The JSON of a failed batch; with its event when it goes to a bucket.
pub(crate) fn document(origin: &Origin<'_>, failed: &FailedBatch, request_id: &str, with_event: bool) -> Vec<u8> {
    let shard = origin.format.shard();
    let event = with_event.then(|| event(origin.format, failed));
    let document = Document {
        request_context: RequestContext {
            request_id,
            function_arn: origin.function_arn,
            condition: failed.reason.condition(),
            approximate_invoke_count: failed.invoke_count,
        },
        response_context: failed
            .invocation
            .as_ref()
            .filter(|_| failed.reason.has_response())
            .map(|invocation| response_context(invocation)),
        version: "1.0",
        timestamp: dates::millis(failed.at),
        batch: KinesisBatchInfo {
            shard_id: shard.id.to_string(),
            start_sequence_number: shard.sequence_number(failed.first()).to_string(),
            end_sequence_number: shard.sequence_number(failed.last()).to_string(),
            approximate_arrival_of_first_record: dates::millis(failed.first().arrival),
            approximate_arrival_of_last_record: dates::millis(failed.last().arrival),
            batch_size: failed.records.len(),
            stream_arn: origin.stream_arn,
        },
        payload: event.as_deref().map(|event| std::str::from_utf8(event).expect("events are JSON")),
    };
    serde_json::to_vec(&document).expect("a document is written to memory")
}

fn response_context(invocation: &FailedInvocation) -> ResponseContext<'_> {
    ResponseContext {
        status_code: 200,
        executed_version: invocation.executed_version.as_deref().unwrap_or("$LATEST"),
        function_error: invocation.is_function_error.then_some("Unhandled"),
    }
}

/// The event as it was sent last, or as it would have been.
pub(crate) fn event(format: &EventFormat, failed: &FailedBatch) -> bytes::Bytes {
    failed.event.clone().unwrap_or_else(|| format.build(&failed.records, None))
}

/// The key of the object in a bucket (recorded).
pub(crate) fn object_key(uuid: &str, shard: ShardId, at: Timestamp, random_uuid: &str) -> String {
    format!("aws/lambda/{uuid}/{shard}/{}-{random_uuid}", dates::object_key(at))
}
