//! An event of `SubscribeToShard` without a value tree: data goes from the log's block into the frame.

use super::writer::Writer;
use super::{Format, RecordView, records};
use crate::event_stream::{self, CONTENT_TYPE_JSON};
use crate::kinesis::{ChildShard, op};
use crate::operation::EventStream as _;

/// A `SubscribeToShardEvent`.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub records: &'a [RecordView<'a>],
    /// `None` exactly at the end of a closed shard.
    pub continuation_sequence_number: Option<&'a str>,
    pub millis_behind_latest: i64,
    /// Given at the end of a closed shard.
    pub child_shards: Option<&'a [ChildShard]>,
}

/// The event as one frame. There is only a JSON form.
pub fn encode(event: &Event<'_>) -> Vec<u8> {
    let headers = [
        (":message-type", "event"),
        (":event-type", op::SubscribeToShard::EVENT),
        (":content-type", CONTENT_TYPE_JSON),
    ];
    let frame = event_stream::start(&headers, records::capacity(event.records, Format::Json));
    let mut out = Writer::after(frame, Format::Json);
    out.start_structure();
    if let Some(children) = event.child_shards {
        records::child_shards(&mut out, children);
    }
    if let Some(number) = event.continuation_sequence_number {
        out.text("ContinuationSequenceNumber", number);
    }
    out.integer("MillisBehindLatest", event.millis_behind_latest);
    records::records(&mut out, event.records);
    out.end_structure();
    event_stream::finish(out.finish())
}
