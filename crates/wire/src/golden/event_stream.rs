//! The answer of `SubscribeToShard` in its transcript: the opening, the sample as the only event, and an exception.

use bytes::Bytes;
use http::{Response, header};

use super::from_json;
use crate::direct::{RecordView, subscribe_to_shard};
use crate::event_stream::{self, CONTENT_TYPE};
use crate::kinesis::error::SubscribeToShardEventStreamError;
use crate::kinesis::{SERVICE, SubscribeToShardEvent, op};
use crate::operation::EventStream as _;
use crate::typed::Typed as _;

pub(super) fn answer(sample: &serde_json::Value) -> Response<Bytes> {
    let event = SubscribeToShardEvent::from_value(from_json(op::SubscribeToShard::event_shape(), sample));
    let records: Vec<RecordView<'_>> = event
        .records
        .iter()
        .map(|record| RecordView {
            sequence_number: record.sequence_number.parse().expect("the sample is a sequence number"),
            approximate_arrival_timestamp: record.approximate_arrival_timestamp.unwrap_or_default(),
            data: &record.data,
            partition_key: &record.partition_key,
            encryption_type: record.encryption_type,
        })
        .collect();
    let encoded = subscribe_to_shard::encode(&subscribe_to_shard::Event {
        records: &records,
        continuation_sequence_number: event.continuation_sequence_number.as_deref(),
        millis_behind_latest: event.millis_behind_latest,
        child_shards: event.child_shards.as_deref(),
    });
    let error = SubscribeToShardEventStreamError::ResourceInUse("Some \"message\" <here>.".to_owned());
    let ending = event_stream::exception(&SERVICE, &error.into());
    let body = [event_stream::initial_response(), encoded, ending].concat();
    let answer = Response::builder().header(header::CONTENT_TYPE, CONTENT_TYPE).body(body.into());
    answer.expect("the headers are fixed")
}
