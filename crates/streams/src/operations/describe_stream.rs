//! `DescribeStream` and `DescribeStreamSummary`.

use millstream_iam::RequestContext;
use millstream_types::ShardId;
use millstream_wire::kinesis::error::{DescribeStreamError, DescribeStreamSummaryError};
use millstream_wire::kinesis::{
    DescribeStreamInput, DescribeStreamOutput, DescribeStreamSummaryInput, DescribeStreamSummaryOutput,
    StreamDescription, StreamDescriptionSummary, WarmThroughputObject,
};

use super::encryption;
use super::monitoring::described;
use super::{limit, wire_count, wire_shard};
use crate::names::StreamTarget;
use crate::service::Streams;
use crate::stream::Shard;

/// Shards in one answer, whatever the caller asks for (Kinesis model).
const SHARDS_SHOWN_MAX: usize = 100;

impl Streams {
    pub async fn describe_stream(
        &self,
        context: &RequestContext,
        input: DescribeStreamInput,
    ) -> Result<DescribeStreamOutput, DescribeStreamError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "DescribeStream")?;
        self.admit(context, "DescribeStream", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        let after: Option<ShardId> = match &input.exclusive_start_shard_id {
            Some(text) => Some(text.parse().map_err(|_| name.could_not_find_shard(text))?),
            None => None,
        };
        let now = self.now();
        let mut shards =
            stream.shards().iter().filter(|shard| Some(shard.id()) > after && !stream.is_expired(shard, now));
        let count = limit(input.limit, SHARDS_SHOWN_MAX, SHARDS_SHOWN_MAX);
        let shown: Vec<_> = shards.by_ref().take(count).map(wire_shard).collect();
        let header = &stream.header;
        Ok(DescribeStreamOutput {
            stream_description: StreamDescription {
                stream_name: name.name.clone(),
                stream_arn: name.arn().to_string(),
                stream_status: header.status.wire(),
                stream_mode_details: Some(header.mode.wire()),
                has_more_shards: shards.next().is_some(),
                shards: shown,
                retention_period_hours: header.retention_hours_shown(),
                stream_creation_timestamp: header.created_shown(),
                enhanced_monitoring: described(header),
                encryption_type: Some(encryption::described(header)),
                key_id: header.encryption.on.as_ref().map(|on| on.key_id.clone()),
            },
        })
    }

    pub async fn describe_stream_summary(
        &self,
        context: &RequestContext,
        input: DescribeStreamSummaryInput,
    ) -> Result<DescribeStreamSummaryOutput, DescribeStreamSummaryError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "DescribeStreamSummary")?;
        self.admit(context, "DescribeStreamSummary", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        let header = &stream.header;
        let is_open = |shard: &&Shard| shard.closed_at().is_none();
        Ok(DescribeStreamSummaryOutput {
            stream_description_summary: StreamDescriptionSummary {
                stream_name: name.name.clone(),
                stream_arn: name.arn().to_string(),
                stream_id: None,
                stream_status: header.status.wire(),
                stream_mode_details: Some(header.mode.wire()),
                retention_period_hours: header.retention_hours_shown(),
                stream_creation_timestamp: header.created_shown(),
                enhanced_monitoring: described(header),
                encryption_type: Some(encryption::described(header)),
                key_id: header.encryption.on.as_ref().map(|on| on.key_id.clone()),
                open_shard_count: wire_count(stream.shards().iter().filter(is_open).count()),
                consumer_count: Some(wire_count(header.consumers.iter().count())),
                warm_throughput: header.warm_mibps.map(|target| WarmThroughputObject {
                    target_mibps: Some(wire_count(target as usize)),
                    current_mibps: Some(wire_count(header.shards_open as usize)),
                }),
                max_record_size_in_kib: Some(wire_count(header.record_kib_max as usize)),
            },
        })
    }
}
