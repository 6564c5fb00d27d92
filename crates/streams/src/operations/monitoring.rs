//! `EnableEnhancedMonitoring` and `DisableEnhancedMonitoring`: which numbers of each shard the metrics show.

use std::collections::BTreeSet;

use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::{DisableEnhancedMonitoringError, EnableEnhancedMonitoringError};
use millstream_wire::kinesis::{
    DisableEnhancedMonitoringInput, EnableEnhancedMonitoringInput, EnhancedMetrics, EnhancedMonitoringOutput,
    MetricsName,
};

use crate::errors::{InUse, LookupError};
use crate::model::{Header, Status};
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;
use crate::traffic::ShardCounters;

/// What `ALL` stands for (Kinesis model).
const EVERY_METRIC: [MetricsName; 7] = [
    MetricsName::IncomingBytes,
    MetricsName::IncomingRecords,
    MetricsName::OutgoingBytes,
    MetricsName::OutgoingRecords,
    MetricsName::WriteProvisionedThroughputExceeded,
    MetricsName::ReadProvisionedThroughputExceeded,
    MetricsName::IteratorAgeMilliseconds,
];

/// A number of one shard of a stream that has it enabled.
#[derive(Clone, Debug)]
pub struct ShardMetric {
    pub stream: StreamName,
    /// `shardId-000000000000`
    pub shard: String,
    pub name: MetricsName,
    pub value: u64,
}

impl Streams {
    pub async fn enable_enhanced_monitoring(
        &self,
        context: &RequestContext,
        input: EnableEnhancedMonitoringInput,
    ) -> Result<EnhancedMonitoringOutput, EnableEnhancedMonitoringError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "EnableEnhancedMonitoring")?;
        self.admit(context, "EnableEnhancedMonitoring", &name)?;
        let named = expanded(&input.shard_level_metrics);
        self.change_monitoring(name, |metrics| metrics.extend(named.clone())).await
    }

    pub async fn disable_enhanced_monitoring(
        &self,
        context: &RequestContext,
        input: DisableEnhancedMonitoringInput,
    ) -> Result<EnhancedMonitoringOutput, DisableEnhancedMonitoringError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "DisableEnhancedMonitoring")?;
        self.admit(context, "DisableEnhancedMonitoring", &name)?;
        let named = expanded(&input.shard_level_metrics);
        self.change_monitoring(name, |metrics| metrics.retain(|metric| !named.contains(metric))).await
    }

    /// The enabled numbers of all shards that were used since the start, of all accounts.
    pub async fn shard_metrics(&self) -> Vec<ShardMetric> {
        let mut metrics = Vec::new();
        for name in self.inner.registry.traffic.streams() {
            let Ok(Some(stream)) = self.inner.registry.get(&name).await else { continue };
            let enabled = wire(&stream.header.monitoring);
            for shard in stream.shards().iter().filter(|_| !enabled.is_empty()) {
                let counters = shard.traffic().counters();
                metrics.extend(enabled.iter().map(|name| ShardMetric {
                    stream: stream.name().clone(),
                    shard: shard.id().to_string(),
                    name: *name,
                    value: value(&counters, *name),
                }));
            }
        }
        metrics
    }

    async fn change_monitoring<E: From<LookupError> + From<InUse>>(
        &self,
        name: StreamName,
        change: impl Fn(&mut BTreeSet<String>),
    ) -> Result<EnhancedMonitoringOutput, E> {
        let mut before = Vec::new();
        let header = self
            .inner
            .registry
            .change(&name, |header| {
                if header.status != Status::Active {
                    return Err(E::from(name.not_active(header.status)));
                }
                before = wire(&header.monitoring);
                change(&mut header.monitoring);
                Ok(wire(&header.monitoring) != before)
            })
            .await?;
        Ok(EnhancedMonitoringOutput {
            stream_arn: Some(name.arn().to_string()),
            stream_name: Some(name.name),
            current_shard_level_metrics: Some(before),
            desired_shard_level_metrics: Some(wire(&header.monitoring)),
        })
    }
}

/// What `DescribeStream` shows.
pub(super) fn described(header: &Header) -> Vec<EnhancedMetrics> {
    vec![EnhancedMetrics { shard_level_metrics: Some(wire(&header.monitoring)) }]
}

fn expanded(named: &[MetricsName]) -> BTreeSet<String> {
    let metrics = if named.contains(&MetricsName::All) { &EVERY_METRIC } else { named };
    metrics.iter().map(|metric| metric.as_str().to_owned()).collect()
}

fn wire(stored: &BTreeSet<String>) -> Vec<MetricsName> {
    EVERY_METRIC.into_iter().filter(|metric| stored.contains(metric.as_str())).collect()
}

fn value(counters: &ShardCounters, name: MetricsName) -> u64 {
    match name {
        MetricsName::IncomingBytes => counters.incoming_bytes,
        MetricsName::IncomingRecords => counters.incoming_records,
        MetricsName::OutgoingBytes => counters.outgoing_bytes,
        MetricsName::OutgoingRecords => counters.outgoing_records,
        MetricsName::WriteProvisionedThroughputExceeded => counters.write_throttled,
        MetricsName::ReadProvisionedThroughputExceeded => counters.read_throttled,
        MetricsName::IteratorAgeMilliseconds => counters.iterator_age_ms,
        MetricsName::All => 0,
    }
}
