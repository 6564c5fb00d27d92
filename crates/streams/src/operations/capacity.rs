//! `UpdateStreamMode` and `UpdateStreamWarmThroughput`: how a stream's capacity is decided.
//!
//! A warm throughput is given as shards: each takes 1 MiB/s by AWS's limits. On-demand streams never lose shards by
//! themselves, so what was made is there when the load comes.

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::Scope;
use millstream_wire::kinesis::error::{UpdateStreamModeError, UpdateStreamWarmThroughputError};
use millstream_wire::kinesis::{
    StreamMode, UpdateStreamModeInput, UpdateStreamWarmThroughputInput, UpdateStreamWarmThroughputOutput,
    WarmThroughputObject,
};

use super::reshard::DAY;
use super::wire_count;
use crate::errors::{InUse, Internal, InvalidArgument, LimitExceeded, LookupError, NotFound};
use crate::model::{Header, Mode, Status};
use crate::names::{StreamName, StreamTarget};
use crate::reshard::{open_shards, plan};
use crate::service::Streams;
use crate::stream::{Shard, Stream};

/// Switches of a stream's mode in a rolling day (Kinesis model).
const MODE_CHANGES_PER_DAY: usize = 2;
/// Largest warm throughput: 10 GiB/s (Kinesis model).
const WARM_MIBPS_MAX: i32 = 10 * 1024;

impl Streams {
    /// The present mode is accepted and does not count as a switch. The number of shards stays.
    pub async fn update_stream_mode(
        &self,
        context: &RequestContext,
        input: UpdateStreamModeInput,
    ) -> Result<(), UpdateStreamModeError> {
        let target = StreamTarget::new(None, Some(&input.stream_arn));
        let name = target.resolve(context, "UpdateStreamMode")?;
        let mode = match input.stream_mode_details.stream_mode {
            StreamMode::Provisioned => Mode::Provisioned,
            StreamMode::OnDemand => Mode::OnDemand,
        };
        let warm = self.check_warm::<UpdateStreamModeError>(&name.scope, mode, input.warm_throughput_mibps).await?;
        let stream = self.inner.registry.expect(&name).await?;
        if mode == Mode::OnDemand && stream.header.mode != mode {
            let usage = self.usage(&name.scope).await?;
            self.check_on_demand(&name, &usage)?;
        }
        let now = self.now();
        self.warm(&name, &stream, warm, |header| {
            header.mode_changes_ms.retain(|then| now.since(Timestamp::from_millis(*then)) < DAY);
            if header.mode == mode {
                return Ok(());
            }
            if header.mode_changes_ms.len() >= MODE_CHANGES_PER_DAY {
                return Err(UpdateStreamModeError::from(LimitExceeded(format!(
                    "The capacity mode of {name} can be switched {MODE_CHANGES_PER_DAY} times per rolling 24 hours."
                ))));
            }
            header.mode_changes_ms.push(now.millis());
            header.mode = mode;
            if mode == Mode::Provisioned {
                header.warm_mibps = None;
            }
            Ok(())
        })
        .await
    }

    /// Answers at once; the stream is UPDATING until it has the shards for the throughput.
    pub async fn update_stream_warm_throughput(
        &self,
        context: &RequestContext,
        input: UpdateStreamWarmThroughputInput,
    ) -> Result<UpdateStreamWarmThroughputOutput, UpdateStreamWarmThroughputError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "UpdateStreamWarmThroughput")?;
        self.admit(context, "UpdateStreamWarmThroughput", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        let asked = Some(input.warm_throughput_mibps);
        let warm = self.check_warm::<UpdateStreamWarmThroughputError>(&name.scope, stream.header.mode, asked).await?;
        self.warm(&name, &stream, warm, |header| {
            header.warm_mibps = warm;
            Ok::<_, UpdateStreamWarmThroughputError>(())
        })
        .await?;
        Ok(UpdateStreamWarmThroughputOutput {
            stream_name: Some(name.name.clone()),
            stream_arn: Some(name.arn().to_string()),
            warm_throughput: Some(WarmThroughputObject {
                target_mibps: Some(input.warm_throughput_mibps),
                current_mibps: Some(wire_count(stream.header.shards_open as usize)),
            }),
        })
    }

    /// The warm throughput that was asked for, when it may be. The texts are not recorded.
    pub(super) async fn check_warm<E>(&self, scope: &Scope, mode: Mode, asked: Option<i32>) -> Result<Option<u32>, E>
    where
        E: From<InvalidArgument> + From<Internal>,
    {
        let Some(mibps) = asked.and_then(|mibps| u32::try_from(mibps).ok()).filter(|mibps| *mibps > 0) else {
            return Ok(None);
        };
        let refusal = if mode != Mode::OnDemand {
            "WarmThroughputMiBps is only supported when StreamMode=ON_DEMAND.".to_owned()
        } else if mibps > WARM_MIBPS_MAX.unsigned_abs() {
            format!("WarmThroughputMiBps can not be more than {WARM_MIBPS_MAX}.")
        } else if !self.commitment(scope).await?.is_on() {
            "WarmThroughputMiBps is only supported for accounts with MinimumThroughputBillingCommitment ENABLED. Use \
             UpdateAccountSettings first."
                .to_owned()
        } else {
            return Ok(Some(mibps));
        };
        Err(InvalidArgument(refusal).into())
    }

    /// Changes the header by `note`, and makes shards for a throughput where there are too few.
    async fn warm<E>(
        &self,
        name: &StreamName,
        stream: &Stream,
        warm: Option<u32>,
        mut note: impl FnMut(&mut Header) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<InUse> + From<NotFound> + From<LookupError> + From<LimitExceeded> + From<Internal>,
    {
        if stream.header.status != Status::Active {
            return Err(name.not_active(stream.header.status).into());
        }
        let open = stream.header.shards_open;
        let target = warm.filter(|target| *target > open);
        let mut steps = Vec::new();
        if let Some(target) = target {
            self.check_shard_quota::<E>(name, target - open).await?;
            steps = plan::next_round(&open_shards(stream.shards().iter().map(Shard::stored)), target);
        }
        self.begin_resharding(name, stream, steps, target, |header| {
            header.warm_mibps = warm.or(header.warm_mibps);
            note(header)
        })
        .await
    }
}
