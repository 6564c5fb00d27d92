//! The handles of the other crates as what mappings need of them.

use millstream_env::BoxFuture;
use millstream_functions::Functions;
use millstream_iam::Iam;
use millstream_streams::{StreamState, StreamWatch, Streams};
use millstream_types::{Arn, Scope};

use crate::contract::{Permissions, Source, StreamChanges, StreamInfo, Targets, Unavailable};
use crate::topology::ShardInfo;

impl Source for Streams {
    fn stream<'a>(&'a self, arn: &'a Arn) -> BoxFuture<'a, Result<Option<StreamInfo>, Unavailable>> {
        Box::pin(async move {
            let found = self.lookup(arn).await.map_err(|error| Unavailable(error.to_string()))?;
            Ok(found.map(|stream| StreamInfo {
                incarnation: stream.incarnation(),
                active: matches!(stream.state(), StreamState::Active | StreamState::Updating),
                shards: stream.shards().iter().map(shard_info).collect(),
            }))
        })
    }

    fn watch(&self, arn: &Arn) -> Box<dyn StreamChanges> {
        match Self::watch(self, arn) {
            Some(watch) => Box::new(watch),
            None => Box::new(Never),
        }
    }
}

fn shard_info(shard: &millstream_streams::Shard) -> ShardInfo {
    ShardInfo {
        id: shard.id(),
        key: shard.key(),
        created_seconds: shard.created().seconds(),
        parents: shard.parents().collect(),
    }
}

impl StreamChanges for StreamWatch {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Self::changed(self))
    }
}

impl Targets for Functions {
    fn execution_role<'a>(
        &'a self,
        scope: &'a Scope,
        function_name: &'a str,
        qualifier: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            let described = self.describe(scope, function_name, qualifier).await;
            Ok(described.map(|function| function.role_arn))
        })
    }
}

impl Permissions for Iam {
    fn lambda_can_assume<'a>(&'a self, role_arn: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move { self.lambda_can_assume(role_arn).await.map_err(|error| Unavailable(error.to_string())) })
    }

    fn role_allows<'a>(
        &'a self,
        role_arn: &'a str,
        action: &'a str,
        resource_arn: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move {
            self.role_allows(role_arn, action, resource_arn).await.map_err(|error| Unavailable(error.to_string()))
        })
    }
}

/// Of something that is no stream, nothing ever changes.
#[derive(Debug)]
struct Never;

impl StreamChanges for Never {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}
