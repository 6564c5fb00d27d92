//! What mappings need from streams, functions and identities. The other crates' handles implement these traits in
//! [`crate::adapters`]; tests bring their own.

use std::fmt::Debug;
use std::sync::Arc;

use millstream_env::BoxFuture;
use millstream_env::activity::Unseen;
use millstream_types::{Arn, Scope};

use crate::topology::ShardInfo;

/// A stream as a mapping sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Unique for ever: a stream deleted and created again gets another one.
    pub incarnation: u64,
    /// The stream serves reads: not while it is being created or deleted.
    pub active: bool,
    /// Every shard that still has records, open or closed.
    pub shards: Vec<ShardInfo>,
}

/// Something that mappings depend on cannot be asked at the moment. Trying again helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Where streams are found.
pub trait Source: Send + Sync + Debug {
    /// `None` when there is no such stream.
    fn stream<'a>(&'a self, arn: &'a Arn) -> BoxFuture<'a, Result<Option<StreamInfo>, Unavailable>>;

    /// Whether this consumer is registered.
    fn has_consumer<'a>(&'a self, arn: &'a Arn) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// Subscribes to a stream, whether it exists or not.
    fn watch(&self, arn: &Arn) -> Box<dyn StreamChanges>;
}

/// A subscription to one stream.
pub trait StreamChanges: Send + Sync + Debug {
    /// Completes after the stream was created, changed, resharded or deleted since the subscription was made or since
    /// this last completed. May complete without cause.
    fn changed(&mut self) -> BoxFuture<'_, ()>;

    /// Tells from outside whether [`Self::changed`] would complete at once.
    fn glimpse(&self) -> Unseen;
}

/// Where functions are found.
pub trait Targets: Send + Sync + Debug {
    /// The ARN of the execution role; `None` when there is no such function, version or alias.
    fn execution_role<'a>(
        &'a self,
        scope: &'a Scope,
        function_name: &'a str,
        qualifier: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>>;
}

/// What roles may do.
pub trait Permissions: Send + Sync + Debug {
    /// Whether the role exists and its trust policy lets Lambda assume it.
    fn lambda_can_assume<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// Whether the role's policies allow `action` on `resource_arn`.
    fn role_allows<'a>(
        &'a self,
        role_arn: &'a str,
        action: &'a str,
        resource_arn: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>>;
}

/// What a role must be allowed on a stream so that it can be polled (event source mapping reference, section 3).
/// `ListStreams` is named in AWS's text and needed only by its console.
pub const POLLING_ACTIONS: [&str; 4] =
    ["kinesis:DescribeStream", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"];

/// What a role must be allowed on a consumer as well, when that is the event source.
pub const CONSUMER_ACTIONS: [&str; 2] = ["kinesis:SubscribeToShard", "kinesis:DescribeStreamConsumer"];

/// What a role can do for a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// All of [`POLLING_ACTIONS`].
    Granted,
    CannotBeAssumed,
    Refused,
}

/// Asks whether Lambda can poll the stream or consumer with the role.
pub(crate) async fn access(
    permissions: &Arc<dyn Permissions>,
    role_arn: &str,
    event_source_arn: &str,
) -> Result<Access, Unavailable> {
    let (stream_arn, consumer) = match event_source_arn.split_once("/consumer/") {
        Some((stream_arn, _)) => (stream_arn, Some(event_source_arn)),
        None => (event_source_arn, None),
    };
    if !permissions.lambda_can_assume(role_arn).await? {
        return Ok(Access::CannotBeAssumed);
    }
    for action in POLLING_ACTIONS {
        if !permissions.role_allows(role_arn, action, stream_arn).await? {
            return Ok(Access::Refused);
        }
    }
    for (action, consumer_arn) in CONSUMER_ACTIONS.iter().zip(std::iter::repeat(consumer)) {
        if let Some(consumer_arn) = consumer_arn
            && !permissions.role_allows(role_arn, action, consumer_arn).await?
        {
            return Ok(Access::Refused);
        }
    }
    Ok(Access::Granted)
}
