//! `CreateStream`.

use std::collections::BTreeMap;

use millstream_catalog::{Expect, StoreError};
use millstream_iam::RequestContext;
use millstream_wire::kinesis::error::CreateStreamError;
use millstream_wire::kinesis::{CreateStreamInput, StreamMode};

use super::tags::{TAGS_MAX, check_characters};
use crate::errors::{InUse, Internal, InvalidArgument, LimitExceeded};
use crate::model::{Header, Mode};
use crate::names::StreamName;
use crate::service::Streams;

/// Shards of a stream whose creator names no count (Kinesis developer guide: on-demand streams begin with 4).
const SHARDS_ON_DEMAND: u32 = 4;

impl Streams {
    /// Answers at once; the stream becomes ACTIVE in the background.
    pub async fn create_stream(
        &self,
        context: &RequestContext,
        input: CreateStreamInput,
    ) -> Result<(), CreateStreamError> {
        let name = StreamName { scope: context.scope.clone(), name: input.stream_name.clone() };
        self.admit(context, "CreateStream", &name)?;
        let (mode, shards) = mode_and_shards(&input)?;
        let warm = self.check_warm::<CreateStreamError>(&name.scope, mode, input.warm_throughput_mibps).await?;
        let shards = shards.max(warm.unwrap_or(0));
        let tags = input.tags.unwrap_or_default();
        check_tags(&name, &tags)?;
        if self.inner.registry.header(&name).await?.is_some() {
            return Err(already_exists(&name).into());
        }
        self.check_quotas(&name, mode, shards).await?;

        let parts = &self.inner.parts;
        let mut header = Header::new(parts.random.u64(), mode, shards, parts.clock.now());
        header.tags = tags;
        header.warm_mibps = warm;
        if let Some(kib) = input.max_record_size_in_kib {
            header.record_kib_max = u32::try_from(kib).unwrap_or(Header::RECORD_KIB_MAX_DEFAULT);
        }
        match self.inner.registry.put(&name, Expect::Absent, &header).await {
            Ok(_) => {}
            Err(StoreError::Conflict) => return Err(already_exists(&name).into()),
            Err(error) => return Err(Internal::from(error).into()),
        }
        tracing::debug!(stream = %name.arn(), shards, "creating a stream");
        self.finish_in_background(&name);
        Ok(())
    }

    async fn check_quotas(&self, name: &StreamName, mode: Mode, shards: u32) -> Result<(), CreateStreamError> {
        let options = self.inner.options;
        let account = &name.scope.account;
        let mut changes = self.inner.registry.all_changes();
        let deadline = self.inner.parts.host_clock.sleep(options.creating_wait);
        tokio::pin!(deadline);
        loop {
            changes.mark_unchanged();
            let usage = self.usage(&name.scope).await?;
            self.check_shards(name, &usage, shards)?;
            if mode == Mode::OnDemand {
                self.check_on_demand(name, &usage)?;
            }
            if usage.streams_creating < options.streams_creating_max {
                return Ok(());
            }
            // Creations take milliseconds here: a short wait spares the caller an error that AWS must give.
            tokio::select! {
                _ = changes.changed() => {}
                () = &mut deadline => return Err(LimitExceeded(format!(
                    "This request would have exceed the limit on the number of streams that can simultaneously be in \
                     CREATING or DELETING for the account {account}. Limit: {}.",
                    options.streams_creating_max,
                ))
                .into()),
            }
        }
    }
}

fn already_exists(name: &StreamName) -> InUse {
    InUse(format!("{name} already exists."))
}

/// Without a count and a mode AWS makes a stream of 4 shards (recorded: `LocalStack` snapshot 2022).
fn mode_and_shards(input: &CreateStreamInput) -> Result<(Mode, u32), InvalidArgument> {
    let count = input.shard_count.map(|count| u32::try_from(count).unwrap_or(0));
    let mode = input.stream_mode_details.as_ref().map(|details| details.stream_mode);
    match (mode, count) {
        (_, Some(0)) => Err(InvalidArgument("ShardCount must be at least 1.".to_owned())),
        (Some(StreamMode::OnDemand), Some(_)) => {
            Err(InvalidArgument("ShardCount is not expected when StreamMode=ON_DEMAND".to_owned()))
        }
        (Some(StreamMode::Provisioned), None) => {
            Err(InvalidArgument("ShardCount is required when StreamMode=PROVISIONED".to_owned()))
        }
        (_, Some(count)) => Ok((Mode::Provisioned, count)),
        (_, None) => Ok((Mode::OnDemand, SHARDS_ON_DEMAND)),
    }
}

pub(super) fn check_tags(name: &StreamName, tags: &BTreeMap<String, String>) -> Result<(), InvalidArgument> {
    check_characters(name, "add", "to", tags.iter().flat_map(|(key, value)| [key, value]))?;
    if tags.len() > TAGS_MAX {
        return Err(super::tags::too_many(name));
    }
    Ok(())
}
