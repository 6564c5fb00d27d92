//! On-demand streams split by themselves the shards that take much.

use std::time::Duration;

use super::Traffic;
use crate::errors::{InUse, Internal, LimitExceeded, LookupError, NotFound};
use crate::model::{Mode, Round, Status, Step};
use crate::names::StreamName;
use crate::service::Streams;
use crate::stream::{Shard, Stream};

const MINUTE: Duration = Duration::from_mins(1);
/// A shard is split that has taken more than this over as many minutes (Kinesis developer guide: about 500 KB/s over 15
/// minutes; half of what a shard takes at most). As an average, so a burst counts at once.
const MINUTES: usize = 15;
const BYTES: u64 = 500_000 * 60 * MINUTES as u64;
const RECORDS: u64 = 500 * 60 * MINUTES as u64;

/// Why a stream was not scaled.
#[derive(Debug)]
enum NotScaled {
    /// Tried again a minute later.
    Busy,
    Quota(String),
    Internal(String),
}

impl From<LimitExceeded> for NotScaled {
    fn from(LimitExceeded(text): LimitExceeded) -> Self {
        Self::Quota(text)
    }
}

impl From<InUse> for NotScaled {
    fn from(_: InUse) -> Self {
        Self::Busy
    }
}

impl From<NotFound> for NotScaled {
    fn from(_: NotFound) -> Self {
        Self::Busy
    }
}

impl From<Internal> for NotScaled {
    fn from(Internal(reason): Internal) -> Self {
        Self::Internal(reason)
    }
}

impl From<LookupError> for NotScaled {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound(cause) => cause.into(),
            LookupError::Internal(cause) => cause.into(),
        }
    }
}

impl Streams {
    /// Looks at the load of the on-demand streams every minute, for ever. Only those that have to be split are read from the
    /// catalog for it.
    pub(crate) async fn scale_on_demand(&self) {
        loop {
            self.inner.parts.clock.sleep(MINUTE).await;
            for name in self.inner.registry.traffic.end_minute(MINUTES, is_hot) {
                let Ok(Some(stream)) = self.inner.registry.get(&name).await else { continue };
                if stream.header.mode != Mode::OnDemand {
                    continue;
                }
                let hot: Vec<&Shard> = stream
                    .shards()
                    .iter()
                    .filter(|shard| shard.closed_at().is_none() && is_hot(shard.traffic()))
                    .collect();
                if hot.is_empty() || stream.header.status != Status::Active {
                    continue;
                }
                match self.split_hot(stream.name(), &stream, &hot).await {
                    Ok(0) | Err(NotScaled::Busy) => {}
                    Ok(shards) => tracing::info!(stream = %stream.arn(), shards, "splitting shards under load"),
                    Err(NotScaled::Quota(reason)) => {
                        tracing::warn!(stream = %stream.arn(), reason, "an on-demand stream cannot scale further");
                    }
                    Err(NotScaled::Internal(reason)) => {
                        tracing::warn!(stream = %stream.arn(), reason, "an on-demand stream was not scaled");
                    }
                }
            }
        }
    }

    /// How many shards are being split. A range of one key cannot be.
    async fn split_hot(&self, name: &StreamName, stream: &Stream, hot: &[&Shard]) -> Result<usize, NotScaled> {
        let steps: Vec<Step> = hot.iter().filter_map(|shard| halve(shard)).take(Round::STEPS_MAX).collect();
        let count = steps.len();
        if count == 0 {
            return Ok(0);
        }
        let more = u32::try_from(count).expect("at most one round's steps");
        self.check_shard_quota::<NotScaled>(name, more).await?;
        self.begin_resharding(name, stream, steps, None, |_| Ok::<_, NotScaled>(())).await?;
        Ok(count)
    }
}

fn is_hot(traffic: &Traffic) -> bool {
    let (records, bytes) = traffic.load();
    bytes > BYTES || records > RECORDS
}

fn halve(shard: &Shard) -> Option<Step> {
    let range = shard.hash_key_range();
    let at = range.start.0 + (range.end.0 - range.start.0) / 2 + 1;
    (at <= range.end.0).then_some(Step::Split { shard: shard.key().shard, at })
}
