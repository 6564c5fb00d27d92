//! `DescribeLimits`.

use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::DescribeLimitsError;
use millstream_wire::kinesis::{DescribeLimitsInput, DescribeLimitsOutput};

use super::wire_count;
use crate::service::Streams;

impl Streams {
    pub async fn describe_limits(
        &self,
        context: &RequestContext,
        _input: DescribeLimitsInput,
    ) -> Result<DescribeLimitsOutput, DescribeLimitsError> {
        self.admit_on_account(context, "DescribeLimits")?;
        let usage = self.usage(&context.scope).await?;
        let options = self.inner.options;
        let count = |count: u32| wire_count(count as usize);
        Ok(DescribeLimitsOutput {
            shard_limit: count(options.shards_max),
            open_shard_count: count(usage.open_shards),
            on_demand_stream_count: count(usage.on_demand_streams),
            on_demand_stream_count_limit: count(options.on_demand_streams_max),
        })
    }
}
