//! `ListShards`.

use std::sync::Arc;

use millstream_env::Timestamp;
use millstream_iam::RequestContext;
use millstream_types::{Arn, ShardId};
use millstream_wire::kinesis::error::ListShardsError;
use millstream_wire::kinesis::{ListShardsInput, ListShardsOutput, ShardFilter, ShardFilterType};
use serde::{Deserialize, Serialize};

use super::token::IntoError;
use super::{limit, wire_shard};
use crate::errors::InvalidArgument;
use crate::names::{StreamName, StreamTarget};
use crate::service::Streams;
use crate::stream::{Shard, Stream};

/// Shards in one answer by default and at most (Kinesis model).
const SHARDS_SHOWN_DEFAULT: usize = 1000;
const SHARDS_SHOWN_MAX: usize = 10_000;
const TOKEN: &str = "list-shards";

/// Which shards are asked for; times in milliseconds, shards by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Filter {
    FromTrimHorizon,
    AtLatest,
    AtTime(u64),
    FromTime(u64),
    After(u32),
}

#[derive(Debug, Serialize, Deserialize)]
struct Token {
    arn: String,
    incarnation: u64,
    after: u32,
    filter: Filter,
}

/// What one call is to list.
struct Listing {
    stream: Arc<Stream>,
    filter: Filter,
    after: Option<u32>,
}

impl Streams {
    pub async fn list_shards(
        &self,
        context: &RequestContext,
        input: ListShardsInput,
    ) -> Result<ListShardsOutput, ListShardsError> {
        let listing = match &input.next_token {
            Some(token) => self.continued(context, &input, token).await?,
            None => self.begun(context, &input).await?,
        };
        let Listing { stream, filter, after } = listing;
        if !stream.is_usable() {
            return Err(stream.name.not_active(stream.header.status).into());
        }
        let now = self.now();
        let mut shards = stream.shards().iter().filter(|shard| {
            Some(shard.key().shard) > after && !stream.is_expired(shard, now) && filter.admits(&stream, shard)
        });
        let count = limit(input.max_results, SHARDS_SHOWN_DEFAULT, SHARDS_SHOWN_MAX);
        let shown: Vec<&Shard> = shards.by_ref().take(count).collect();
        let next_token = match (shards.next(), shown.last()) {
            (Some(_), Some(last)) => Some(self.seal_token(
                TOKEN,
                Token {
                    arn: stream.arn().to_string(),
                    incarnation: stream.incarnation(),
                    after: last.key().shard,
                    filter,
                },
            )),
            _ => None,
        };
        Ok(ListShardsOutput { shards: Some(shown.into_iter().map(wire_shard).collect()), next_token })
    }

    /// The stream that a token of [`Streams::list_shards`] goes on listing, for authorization.
    pub fn list_shards_token_stream(&self, token: &str) -> Option<Arn> {
        self.open_token::<Token>(TOKEN, token).ok()?.arn.parse().ok()
    }

    async fn begun(&self, context: &RequestContext, input: &ListShardsInput) -> Result<Listing, ListShardsError> {
        if input.stream_name.is_none() && input.stream_arn.is_none() {
            return Err(InvalidArgument("Either NextToken or StreamName should be provided.".to_owned()).into());
        }
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        let name = target.resolve(context, "ListShards")?;
        self.admit(context, "ListShards", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        let other_incarnation = |given: Timestamp| given.seconds() != stream.header.created_shown().seconds();
        if input.stream_creation_timestamp.is_some_and(other_incarnation) {
            return Err(name.not_found().into());
        }
        let after = match &input.exclusive_start_shard_id {
            Some(text) => Some(parse_shard(&name, text)?),
            None => None,
        };
        let horizon = stream.created().max(self.now().minus(stream.retention()));
        let filter = match &input.shard_filter {
            Some(filter) => Filter::new(filter, horizon)?,
            None => Filter::FromTrimHorizon,
        };
        Ok(Listing { stream, filter, after })
    }

    async fn continued(
        &self,
        context: &RequestContext,
        input: &ListShardsInput,
        token: &str,
    ) -> Result<Listing, ListShardsError> {
        for (given, member) in [
            (input.stream_name.is_some(), "StreamName"),
            (input.stream_arn.is_some(), "StreamARN"),
            (input.exclusive_start_shard_id.is_some(), "ExclusiveStartShardId"),
            (input.shard_filter.is_some(), "ShardFilter"),
            (input.stream_creation_timestamp.is_some(), "StreamCreationTimestamp"),
        ] {
            if given {
                return Err(InvalidArgument(format!("NextToken and {member} cannot be provided together.")).into());
            }
        }
        let token: Token = self.open_token(TOKEN, token).map_err(IntoError::<ListShardsError>::into_error)?;
        let target = StreamTarget { stream_name: None, stream_arn: Some(&token.arn) };
        let name = target.resolve(context, "ListShards")?;
        self.admit(context, "ListShards", &name)?;
        let stream = self.inner.registry.expect(&name).await?;
        if stream.incarnation() != token.incarnation {
            return Err(name.not_found().into());
        }
        Ok(Listing { stream, filter: token.filter, after: Some(token.after) })
    }
}

fn parse_shard(name: &StreamName, text: &str) -> Result<u32, ListShardsError> {
    let id: ShardId = text.parse().map_err(|_| name.could_not_find_shard(text))?;
    Ok(id.0.get())
}

impl Filter {
    /// A moment before `horizon` counts as the horizon.
    fn new(filter: &ShardFilter, horizon: Timestamp) -> Result<Self, InvalidArgument> {
        let kind = filter.r#type;
        let time = || {
            let time = filter.timestamp.ok_or_else(|| missing(kind, "Timestamp"))?;
            Ok(time.max(horizon).millis())
        };
        Ok(match kind {
            ShardFilterType::FromTrimHorizon => Self::FromTrimHorizon,
            ShardFilterType::AtTrimHorizon => Self::AtTime(horizon.millis()),
            ShardFilterType::AtLatest => Self::AtLatest,
            ShardFilterType::AtTimestamp => Self::AtTime(time()?),
            ShardFilterType::FromTimestamp => Self::FromTime(time()?),
            ShardFilterType::AfterShardId => {
                let text = filter.shard_id.as_ref().ok_or_else(|| missing(kind, "ShardId"))?;
                let id: ShardId = text
                    .parse()
                    .map_err(|_| InvalidArgument(format!("ShardId {text} in ShardFilter is not the id of a shard.")))?;
                Self::After(id.0.get())
            }
        })
    }

    fn admits(self, stream: &Stream, shard: &Shard) -> bool {
        let open_or_ended_since = |millis| shard.closed_at().is_none_or(|closed| closed.millis() >= millis);
        match self {
            Self::FromTrimHorizon => true,
            Self::AtLatest => shard.closed_at().is_none(),
            Self::AtTime(millis) => stream.opened_at(shard).millis() <= millis && open_or_ended_since(millis),
            Self::FromTime(millis) => open_or_ended_since(millis),
            Self::After(index) => shard.key().shard > index,
        }
    }
}

fn missing(kind: ShardFilterType, member: &str) -> InvalidArgument {
    InvalidArgument(format!("{member} must be provided in ShardFilter when its Type is {}.", kind.as_str()))
}
