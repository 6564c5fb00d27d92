//! `SplitShard`, `MergeShards` and `UpdateShardCount`.
//!
//! All answer at once; the stream is UPDATING until the new shards are there.

use std::time::Duration;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::{HashKey, ShardId};
use millstream_wire::kinesis::error::{MergeShardsError, SplitShardError, UpdateShardCountError};
use millstream_wire::kinesis::{MergeShardsInput, SplitShardInput, UpdateShardCountInput, UpdateShardCountOutput};

use super::wire_count;
use crate::errors::{InvalidArgument, LimitExceeded, NotFound, Validation};
use crate::model::{Header, Mode, Status, Step};
use crate::names::{StreamName, StreamTarget};
use crate::reshard::{open_shards, plan};
use crate::service::Streams;
use crate::stream::{Shard, Stream};

/// Calls of `UpdateShardCount` for one stream in a rolling day (Kinesis model).
const SCALINGS_PER_DAY: usize = 10;
pub(super) const DAY: Duration = Duration::from_hours(24);

impl Streams {
    pub async fn split_shard(&self, context: &RequestContext, input: SplitShardInput) -> Result<(), SplitShardError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "SplitShard")?;
        self.admit(context, "SplitShard", &name)?;
        let id = parse_shard(&name, &input.shard_to_split)?;
        let key: HashKey = input.new_starting_hash_key.parse().map_err(|_| {
            InvalidArgument(format!("NewStartingHashKey {} is not valid.", input.new_starting_hash_key))
        })?;
        let stream = self.inner.registry.expect(&name).await?;
        check_resharding::<SplitShardError>(&stream, &name, "SplitShard")?;
        let shard = self.find_shard(&stream, &name, id)?;
        self.check_shard_quota::<SplitShardError>(&name, 1).await?;
        check_open(&name, shard)?;
        let range = shard.hash_key_range();
        if !(range.start.0.saturating_add(1) < key.0 && key.0 < range.end.0) {
            return Err(InvalidArgument(format!(
                "NewStartingHashKey {key} used in SplitShard() on shard {id} in {} is not both greater than one plus \
                 the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                in_stream(&name),
                range.start,
                range.end,
            ))
            .into());
        }
        let step = Step::Split { shard: shard.key().shard, at: key.0 };
        self.begin_resharding(&name, &stream, vec![step], None, |_| Ok::<_, SplitShardError>(())).await
    }

    pub async fn merge_shards(
        &self,
        context: &RequestContext,
        input: MergeShardsInput,
    ) -> Result<(), MergeShardsError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "MergeShards")?;
        self.admit(context, "MergeShards", &name)?;
        let first = parse_shard(&name, &input.shard_to_merge)?;
        let second = parse_shard(&name, &input.adjacent_shard_to_merge)?;
        let stream = self.inner.registry.expect(&name).await?;
        check_resharding::<MergeShardsError>(&stream, &name, "MergeShards")?;
        let first = self.find_shard(&stream, &name, first)?;
        let second = self.find_shard(&stream, &name, second)?;
        check_open(&name, first)?;
        check_open(&name, second)?;
        // Adjacent in this direction only (recorded: kinesalite tests).
        let adjacent = first.hash_key_range().end.0.checked_add(1) == Some(second.hash_key_range().start.0);
        if !adjacent {
            return Err(InvalidArgument(format!(
                "Shards {} and {} in {} are not an adjacent pair of shards eligible for merging",
                first.id(),
                second.id(),
                in_stream(&name),
            ))
            .into());
        }
        let step = Step::Merge { shard: first.key().shard, adjacent: second.key().shard };
        self.begin_resharding(&name, &stream, vec![step], None, |_| Ok::<_, MergeShardsError>(())).await
    }

    /// Reaches the target by as many rounds as it takes; the shards are of equal range afterwards.
    pub async fn update_shard_count(
        &self,
        context: &RequestContext,
        input: UpdateShardCountInput,
    ) -> Result<UpdateShardCountOutput, UpdateShardCountError> {
        let stream_target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = stream_target.resolve(context, "UpdateShardCount")?;
        self.admit(context, "UpdateShardCount", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        check_resharding::<UpdateShardCountError>(&stream, &name, "UpdateShardCount")?;
        let target = u32::try_from(input.target_shard_count).unwrap_or(0);
        let current = stream.header.shards_open;
        check_step(current, target)?;
        if target > current {
            self.check_shard_quota::<UpdateShardCountError>(&name, target - current).await?;
        }
        let open = open_shards(stream.shards().iter().map(Shard::stored));
        let steps = plan::next_round(&open, target);
        let now = self.now();
        self.begin_resharding(&name, &stream, steps, Some(target), |header| {
            header.scaled_ms.retain(|then| now.since(Timestamp::from_millis(*then)) < DAY);
            if header.scaled_ms.len() >= SCALINGS_PER_DAY {
                return Err(UpdateShardCountError::from(LimitExceeded(format!(
                    "UpdateShardCount can be called {SCALINGS_PER_DAY} times per rolling 24 hours for {name}."
                ))));
            }
            header.scaled_ms.push(now.millis());
            Ok(())
        })
        .await?;
        Ok(UpdateShardCountOutput {
            stream_name: Some(name.name.clone()),
            stream_arn: Some(name.arn().to_string()),
            current_shard_count: Some(wire_count(current as usize)),
            target_shard_count: Some(input.target_shard_count),
        })
    }

    /// Promises a round where the stream is still what `seen` showed, and has it done in the background. `note` may
    /// change more of the header, or refuse. Without steps only that is done.
    pub(crate) async fn begin_resharding<E>(
        &self,
        name: &StreamName,
        seen: &Stream,
        steps: Vec<Step>,
        target: Option<u32>,
        mut note: impl FnMut(&mut Header) -> Result<(), E>,
    ) -> Result<(), E>
    where
        E: From<crate::errors::LookupError> + From<crate::errors::InUse> + From<NotFound>,
    {
        self.inner
            .registry
            .change(name, |header| {
                if header.id != seen.incarnation() {
                    return Err(E::from(name.not_found()));
                }
                if header.status != Status::Active {
                    return Err(name.not_active(header.status).into());
                }
                if header.shards_made != seen.header.shards_made {
                    // Another resharding began and ended since the caller looked: its shards may be closed now.
                    return Err(name.not_active(Status::Updating).into());
                }
                let before = header.clone();
                note(header)?;
                if !steps.is_empty() {
                    header.begin_round(steps.clone(), target);
                }
                Ok(*header != before)
            })
            .await?;
        self.finish_in_background(name);
        Ok(())
    }

    fn find_shard<'a>(&self, stream: &'a Stream, name: &StreamName, id: ShardId) -> Result<&'a Shard, NotFound> {
        let shard = stream.shard(id).filter(|shard| !stream.is_expired(shard, self.now()));
        shard.ok_or_else(|| name.could_not_find_shard(&id.to_string()))
    }
}

fn in_stream(name: &StreamName) -> String {
    format!("stream {} under account {}", name.name, name.scope.account)
}

fn parse_shard(name: &StreamName, text: &str) -> Result<ShardId, NotFound> {
    text.parse().map_err(|_| name.could_not_find_shard(text))
}

/// What may not be resharded now, or not by its owner. The texts for on-demand streams are not recorded.
fn check_resharding<E>(stream: &Stream, name: &StreamName, action: &str) -> Result<(), E>
where
    E: From<crate::errors::InUse> + From<Validation>,
{
    if stream.header.status != Status::Active {
        return Err(name.not_active(stream.header.status).into());
    }
    if stream.header.mode == Mode::OnDemand {
        return Err(Validation(format!(
            "{action} is not supported for {}: its capacity mode is ON_DEMAND, so it scales by itself. Use \
             UpdateStreamMode first.",
            in_stream(name),
        ))
        .into());
    }
    Ok(())
}

/// A closed shard has been replaced already. The text is not recorded.
fn check_open(name: &StreamName, shard: &Shard) -> Result<(), InvalidArgument> {
    if shard.closed_at().is_none() {
        return Ok(());
    }
    Err(InvalidArgument(format!("Shard {} in {} is closed and can not be resharded.", shard.id(), in_stream(name))))
}

/// At most double, at least half.
fn check_step(current: u32, target: u32) -> Result<(), LimitExceeded> {
    let (direction, bound) = match target {
        more if more > current.saturating_mul(2) => ("up", "over double"),
        fewer if fewer < current.div_ceil(2) => ("down", "below half"),
        _ => return Ok(()),
    };
    Err(LimitExceeded(format!(
        "UpdateShardCount cannot scale {direction} {bound} your current open shard count. Current open shard count: \
         {current}, Target shard count: {target}"
    )))
}
