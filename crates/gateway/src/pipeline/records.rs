//! The data path: records go from the body into the log and from the log into the body, without a tree in between.

use millstream_streams::{Record, RecordsPage, Shard, StreamTarget};
use millstream_wire::direct::{Format, PutResult, RecordView, get_records, put_record, put_records};
use millstream_wire::kinesis::{self, EncryptionType, GetRecordsInput};
use millstream_wire::protocol::{Encoding, decode_value, encode_body};
use millstream_wire::typed::Typed;
use millstream_wire::{ApiError, Operation as _};

use super::call::Call;
use super::json::before_caller;
use super::subscribe;
use crate::answer::Answer;
use crate::body::Received;
use crate::operation::{Need, Table};
use crate::routes::kinesis::stream_need;

/// The operations that have direct codecs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    PutRecord,
    PutRecords,
    GetRecords,
    SubscribeToShard,
}

/// The operation of that name, if the table is Kinesis' and the operation is of the data path.
pub(super) fn find(table: &Table, name: &str) -> Option<Operation> {
    if table.service.name != kinesis::SERVICE.name {
        return None;
    }
    match name {
        "PutRecord" => Some(Operation::PutRecord),
        "PutRecords" => Some(Operation::PutRecords),
        "GetRecords" => Some(Operation::GetRecords),
        "SubscribeToShard" => Some(Operation::SubscribeToShard),
        _ => None,
    }
}

pub(super) async fn run(
    call: &Call<'_>,
    operation: Operation,
    encoding: Encoding,
    received: &Received,
) -> Result<Answer, ApiError> {
    let format = if encoding == Encoding::Cbor { Format::Cbor } else { Format::Json };
    let body = match operation {
        Operation::PutRecord => put_one(call, format, received).await?,
        Operation::PutRecords => put_many(call, format, received).await?,
        Operation::GetRecords => get(call, encoding, format, received).await?,
        Operation::SubscribeToShard => return subscribe::run(call, encoding, received).await,
    };
    Ok(encode_body(encoding, &call.request_id, body).into())
}

async fn put_many(call: &Call<'_>, format: Format, received: &Received) -> Result<Vec<u8>, ApiError> {
    let decoded = before_caller(put_records::decode(&received.bytes, format))?;
    let context = call.authenticate("kinesis", &received.sha256).await?;
    let input = decoded?;
    let target = StreamTarget { stream_name: input.stream_name.as_deref(), stream_arn: input.stream_arn.as_deref() };
    call.authorize(&context, &[stream_need(&context, "PutRecords", target)]).await?;
    let parts = &call.shared.parts;
    let reply = parts.services.streams.put_records(&context, target, &input.entries).await?;
    let (mut count, mut bytes) = (0, 0);
    for (result, entry) in reply.results.iter().zip(&input.entries) {
        if matches!(result, PutResult::Stored { .. }) {
            count += 1;
            bytes += entry.data_length;
        }
    }
    parts.metrics.stored(count, bytes);
    Ok(put_records::encode(&reply.results, reply.encryption_type, format))
}

async fn put_one(call: &Call<'_>, format: Format, received: &Received) -> Result<Vec<u8>, ApiError> {
    let decoded = before_caller(put_record::decode(&received.bytes, format))?;
    let context = call.authenticate("kinesis", &received.sha256).await?;
    let input = decoded?;
    let target = StreamTarget { stream_name: input.stream_name.as_deref(), stream_arn: input.stream_arn.as_deref() };
    call.authorize(&context, &[stream_need(&context, "PutRecord", target)]).await?;
    let parts = &call.shared.parts;
    let ordering = input.sequence_number_for_ordering.as_deref();
    let stored = parts.services.streams.put_record(&context, target, &input.entry, ordering).await?;
    parts.metrics.stored(1, input.entry.data_length);
    Ok(put_record::encode(stored.shard_id, stored.sequence_number, stored.encryption_type, format))
}

async fn get(call: &Call<'_>, encoding: Encoding, format: Format, received: &Received) -> Result<Vec<u8>, ApiError> {
    let operation = kinesis::op::GetRecords::shape();
    let request = call.request(&received.bytes);
    let decoded = before_caller(decode_value(&kinesis::SERVICE, operation, encoding, &request))?;
    let context = call.authenticate("kinesis", &received.sha256).await?;
    let input = GetRecordsInput::from_value(decoded?);
    let parts = &call.shared.parts;
    // The iterator names the stream; one that is not ours is refused by the operation itself.
    let need = match parts.services.streams.shard_iterator_stream(&input.shard_iterator) {
        Some(arn) => Need::new("kinesis:GetRecords", arn),
        None => Need::new("kinesis:GetRecords", "*"),
    };
    call.authorize(&context, &[need]).await?;
    let page = parts.services.streams.get_records(&context, input).await?;
    let bytes = page.records.iter().map(|record| record.data.len()).sum();
    parts.metrics.read(page.records.len(), bytes);
    Ok(encode(&page, format))
}

fn encode(page: &RecordsPage, format: Format) -> Vec<u8> {
    let answer = get_records::Answer {
        records: &views(&page.records, &page.shard),
        next_shard_iterator: page.next_shard_iterator.as_deref(),
        millis_behind_latest: Some(i64::try_from(page.millis_behind_latest).unwrap_or(i64::MAX)),
        child_shards: (!page.child_shards.is_empty()).then_some(&page.child_shards),
    };
    get_records::encode(&answer, format)
}

/// Records of a shard as the codecs take them.
pub(super) fn views<'a>(records: &'a [Record], shard: &Shard) -> Vec<RecordView<'a>> {
    let view = |record: &'a Record| RecordView {
        sequence_number: shard.sequence_number(record),
        approximate_arrival_timestamp: record.arrival,
        data: &record.data,
        partition_key: std::str::from_utf8(&record.partition_key).expect("checked when the record was stored"),
        encryption_type: record.is_encrypted().then_some(EncryptionType::Kms),
    };
    records.iter().map(view).collect()
}
