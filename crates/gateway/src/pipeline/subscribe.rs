//! `SubscribeToShard`: an answer that goes on for minutes, a frame at a time.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use millstream_streams::{Subscription, SubscriptionEvent};
use millstream_wire::direct::subscribe_to_shard::{Event, encode};
use millstream_wire::event_stream;
use millstream_wire::kinesis::error::SubscribeToShardEventStreamError;
use millstream_wire::kinesis::{SERVICE, SubscribeToShardInput, op};
use millstream_wire::protocol::{Encoding, decode_value};
use millstream_wire::typed::Typed as _;
use millstream_wire::{ApiError, CommonError, Operation as _};

use super::call::Call;
use super::json::before_caller;
use super::records::views;
use crate::answer::Answer;
use crate::body::Received;
use crate::metrics::Metrics;
use crate::operation::Need;

#[cfg(test)]
mod tests;

pub(super) async fn run(call: &Call<'_>, encoding: Encoding, received: &Received) -> Result<Answer, ApiError> {
    let request = call.request(&received.bytes);
    let decoded = before_caller(decode_value(&SERVICE, op::SubscribeToShard::shape(), encoding, &request))?;
    let context = call.authenticate("kinesis", &received.sha256).await?;
    let input = SubscribeToShardInput::from_value(decoded?);
    call.authorize(&context, &[Need::new("kinesis:SubscribeToShard", &input.consumer_arn)]).await?;
    if encoding == Encoding::Cbor {
        // AWS answers the same: there is no CBOR form, and its SDKs know that.
        return Err(CommonError::InternalFailure("SubscribeToShard was called in CBOR".to_owned()).into());
    }
    let parts = &call.shared.parts;
    let subscription = parts.services.streams.subscribe_to_shard(&context, input).await?;
    let frames = frames(subscription, Arc::clone(&parts.metrics), call.request_id.clone());
    Ok(Answer::pieces(event_stream::CONTENT_TYPE, frames))
}

/// The opening, the events as they are asked for, and the error that ends them if there is one.
fn frames(
    subscription: Subscription,
    metrics: Arc<Metrics>,
    request_id: String,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let opening = stream::once(ready(Bytes::from(event_stream::initial_response())));
    let events = stream::unfold((subscription, metrics, request_id), |(mut subscription, metrics, request_id)| async {
        let frame = match subscription.next().await? {
            Ok(event) => event_frame(&event, &metrics),
            Err(error) => {
                if let SubscribeToShardEventStreamError::InternalFailure(reason) = &error {
                    tracing::warn!(%request_id, %reason, "a subscription failed inside");
                }
                event_stream::exception(&SERVICE, &error.into())
            }
        };
        Some((Bytes::from(frame), (subscription, metrics, request_id)))
    });
    opening.chain(events)
}

fn event_frame(event: &SubscriptionEvent, metrics: &Metrics) -> Vec<u8> {
    metrics.read(event.records.len(), event.records.iter().map(|record| record.data.len()).sum());
    let continuation = event.continuation_sequence_number.map(|number| number.to_string());
    encode(&Event {
        records: &views(&event.records, &event.shard),
        continuation_sequence_number: continuation.as_deref(),
        millis_behind_latest: i64::try_from(event.millis_behind_latest).unwrap_or(i64::MAX),
        child_shards: (!event.child_shards.is_empty()).then_some(&event.child_shards),
    })
}
