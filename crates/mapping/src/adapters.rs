//! The handles of the other crates as what mappings need of them.

use millstream_env::BoxFuture;
use millstream_env::activity::Unseen;
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

    fn has_consumer<'a>(&'a self, arn: &'a Arn) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move { self.has_consumer(arn).await.map_err(|error| Unavailable(error.to_string())) })
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
        hash_key_range: shard.hash_key_range(),
        parents: shard.parents().collect(),
    }
}

impl StreamChanges for StreamWatch {
    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(Self::changed(self))
    }

    fn glimpse(&self) -> Unseen {
        let watch = self.clone();
        Box::new(move || watch.has_changed())
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
            let found = self.lookup(scope, function_name, qualifier).await;
            let described = found.map_err(|error| Unavailable(error.to_string()))?;
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

    fn glimpse(&self) -> Unseen {
        Box::new(|| false)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use millstream_catalog::MemoryStore;
    use millstream_env::{HostClock, Random, ServiceClock, Tasks, Timestamp};
    use millstream_log::memory::Options as LogOptions;
    use millstream_log::{MemoryLog, Position, Record};
    use millstream_streams::MasterKeys;
    use millstream_wire::kinesis::CreateStreamInput;

    use super::*;
    use crate::event::ShardIdentity;
    use crate::testing::{STREAM, context};

    #[tokio::test]
    async fn events_carry_the_sequence_numbers_of_the_stream() {
        let clock = ServiceClock::real();
        let parts = millstream_streams::Parts {
            log: Arc::new(MemoryLog::new(LogOptions::default(), clock.clone(), HostClock::real())),
            keys: MasterKeys::in_memory(Random::system()),
            store: Arc::new(MemoryStore::new()),
            clock,
            host_clock: HostClock::real(),
            random: Random::system(),
            tasks: Tasks::new(),
        };
        let streams = Streams::open(parts, millstream_streams::Options::default()).await.unwrap();
        let arn: Arn = STREAM.parse().unwrap();
        let mut changes = Source::watch(&streams, &arn);
        assert_eq!(streams.stream(&arn).await.unwrap(), None);
        let input = CreateStreamInput {
            stream_name: "lambda-stream".to_owned(),
            shard_count: Some(2),
            ..CreateStreamInput::default()
        };
        streams.create_stream(&context(), input).await.unwrap();
        let info = loop {
            match streams.stream(&arn).await.unwrap() {
                Some(info) if info.active => break info,
                _ => changes.changed().await,
            }
        };
        assert_eq!(info.shards.len(), 2);
        let stream = streams.lookup(&arn).await.unwrap().unwrap();
        for (shard, info) in stream.shards().iter().zip(&info.shards) {
            let identity = ShardIdentity { id: info.id, created_seconds: info.created_seconds };
            for position in [0, 1, 77, 1 << 40] {
                let record = Record {
                    position: Position(position),
                    arrival: Timestamp::from_millis(1_700_000_123_456),
                    partition_key: Bytes::new(),
                    data: Bytes::new(),
                    tag: 0,
                };
                assert_eq!(identity.sequence_number(&record), shard.sequence_number(&record));
            }
        }
    }
}
