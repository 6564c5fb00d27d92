//! One file for each operation or closely related group; what several of them need is here.

mod account;
mod admit;
mod capacity;
mod consumers;
mod create_stream;
mod delete_stream;
mod describe_limits;
mod describe_stream;
pub(crate) mod encryption;
pub(crate) mod get_records;
mod get_shard_iterator;
mod list_shards;
mod list_streams;
pub(crate) mod monitoring;
pub(crate) mod put;
mod record_size;
mod reshard;
mod resource_policy;
mod resource_tags;
mod retention;
mod starting_point;
mod subscribe_to_shard;
mod tags;
mod token;

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_types::{Scope, ShardId};
use millstream_wire::kinesis::{
    ChildShard, HashKeyRange, SequenceNumberRange, Shard as WireShard, StreamMode, StreamModeDetails, StreamStatus,
};

use crate::errors::{InUse, Internal, LimitExceeded, NotFound, ThroughputExceeded};
use crate::model::{self, Header, Mode, Status, Unreadable};
use crate::names::StreamName;
use crate::service::Streams;
use crate::stream::{Shard, Stream};

/// Longest wait of a call for the work it has begun; the work goes on beyond it.
const SETTLE_WAIT_MAX: Duration = Duration::from_secs(5);

impl Status {
    fn wire(self) -> StreamStatus {
        match self {
            Self::Creating => StreamStatus::Creating,
            Self::Active => StreamStatus::Active,
            Self::Updating => StreamStatus::Updating,
            Self::Deleting => StreamStatus::Deleting,
        }
    }
}

impl Mode {
    fn wire(self) -> StreamModeDetails {
        let stream_mode = match self {
            Self::Provisioned => StreamMode::Provisioned,
            Self::OnDemand => StreamMode::OnDemand,
        };
        StreamModeDetails { stream_mode }
    }
}

impl Header {
    /// Creation times are answered in whole seconds (recorded: kinesalite tests).
    fn created_shown(&self) -> Timestamp {
        Timestamp::from_seconds(self.created().seconds())
    }

    fn retention_hours_shown(&self) -> i32 {
        i32::try_from(self.retention_hours).expect("at most 8760 hours")
    }
}

impl From<Unreadable> for Internal {
    fn from(error: Unreadable) -> Self {
        Self(error.to_string())
    }
}

impl StreamName {
    fn not_active(&self, status: Status) -> InUse {
        InUse(format!("{self} not ACTIVE, instead in state {}", status.wire().as_str()))
    }

    /// `text` names no possible shard, or none that the stream has.
    fn could_not_find_shard(&self, text: &str) -> NotFound {
        let (name, account) = (&self.name, &self.scope.account);
        NotFound(format!("Could not find shard {text} in stream {name} under account {account}."))
    }

    pub(crate) fn shard_does_not_exist(&self, shard: ShardId) -> NotFound {
        let (name, account) = (&self.name, &self.scope.account);
        NotFound(format!("Shard {shard} in stream {name} under account {account} does not exist"))
    }
}

/// AWS's text for calls that read (recorded: public logs of 2023 to 2025; no full stop).
fn read_rate_exceeded(name: &StreamName, shard: &Shard) -> ThroughputExceeded {
    let StreamName { scope, name } = name;
    ThroughputExceeded(format!("Rate exceeded for Shard - {}/{name}/{}", scope.account, shard.id()))
}

fn wire_range(shard: &Shard) -> HashKeyRange {
    let range = shard.hash_key_range();
    HashKeyRange { starting_hash_key: range.start.to_string(), ending_hash_key: range.end.to_string() }
}

fn wire_shard(shard: &Shard) -> WireShard {
    WireShard {
        shard_id: shard.id().to_string(),
        parent_shard_id: shard.parent().map(|id| id.to_string()),
        adjacent_parent_shard_id: shard.adjacent_parent().map(|id| id.to_string()),
        hash_key_range: wire_range(shard),
        sequence_number_range: SequenceNumberRange {
            starting_sequence_number: shard.starting_sequence_number().to_string(),
            ending_sequence_number: shard.ending_sequence_number().map(|number| number.to_string()),
        },
    }
}

pub(crate) fn wire_children(stream: &Stream, parent: ShardId) -> Vec<ChildShard> {
    let child = |shard: &Shard| ChildShard {
        shard_id: shard.id().to_string(),
        parent_shards: shard.parents().map(|id| id.to_string()).collect(),
        hash_key_range: wire_range(shard),
    };
    stream.children(parent).map(child).collect()
}

/// A count or limit for the wire, which knows 31 bits.
fn wire_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A limit from the wire, which has checked that it is positive.
fn limit(given: Option<i32>, default: usize, max: usize) -> usize {
    given.map_or(default, |n| usize::try_from(n).unwrap_or(0).clamp(1, max))
}

/// What one account has in one region.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    open_shards: u32,
    on_demand_streams: u32,
    streams_creating: usize,
}

impl Streams {
    async fn usage(&self, scope: &Scope) -> Result<Usage, Internal> {
        let mut usage = Usage::default();
        for (key, kept) in self.inner.registry.list_all(&model::header_prefix(scope)).await? {
            let header: Header = model::decode(&key, &kept.value)?;
            usage.open_shards += header.shards_open;
            usage.on_demand_streams += u32::from(header.mode == Mode::OnDemand);
            usage.streams_creating += usize::from(header.status == Status::Creating);
        }
        Ok(usage)
    }

    /// Whether the account may have `more` open shards in this region.
    pub(crate) async fn check_shard_quota<E: From<Internal> + From<LimitExceeded>>(
        &self,
        name: &StreamName,
        more: u32,
    ) -> Result<(), E> {
        let usage = self.usage(&name.scope).await?;
        Ok(self.check_shards(name, &usage, more)?)
    }

    fn check_shards(&self, name: &StreamName, usage: &Usage, more: u32) -> Result<(), LimitExceeded> {
        let limit = self.inner.options.shards_max;
        if usage.open_shards.saturating_add(more) <= limit {
            return Ok(());
        }
        Err(LimitExceeded(format!(
            "This request would exceed the shard limit for the account {} in {}. Current shard count for the account: \
             {}. Limit: {limit}. Number of additional shards that would have resulted from this request: {more}. Refer \
             to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for \
             current limits and how to request higher limits.",
            name.scope.account, name.scope.region, usage.open_shards,
        )))
    }

    fn check_on_demand(&self, name: &StreamName, usage: &Usage) -> Result<(), LimitExceeded> {
        let limit = self.inner.options.on_demand_streams_max;
        if usage.on_demand_streams < limit {
            return Ok(());
        }
        Err(LimitExceeded(format!(
            "This request would exceed the limit on the number of On-Demand streams for the account {} in {}. Current \
             On-Demand streams count: {}. Limit: {limit}.",
            name.scope.account, name.scope.region, usage.on_demand_streams,
        )))
    }

    /// Waits until the stream's intent is finished, but not for ever.
    async fn settle(&self, name: &StreamName) -> Result<(), Internal> {
        let mut watch = self.inner.registry.subscribe(name);
        let deadline = self.inner.parts.host_clock.sleep(SETTLE_WAIT_MAX);
        tokio::pin!(deadline);
        loop {
            let stream = self.inner.registry.get(name).await?;
            if stream.is_none_or(|stream| stream.header.intent.is_none()) {
                return Ok(());
            }
            tokio::select! {
                () = watch.changed() => {}
                () = &mut deadline => return Ok(()),
            }
        }
    }
}
