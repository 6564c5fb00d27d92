//! Whether stream, function and role let a mapping run, and what the work is then.

use std::sync::Arc;
use std::time::Duration;

use millstream_types::Arn;

use super::{Coordinator, Error};
use crate::contract::{Access, StreamInfo, access};
use crate::filter::Filters;
use crate::machine;
use crate::names::{EventSource, FunctionReference};
use crate::record::{MappingRecord, Settings, StartingPosition};
use crate::result::ProcessingResult;

/// What all workers of a mapping have in common. When it changes, they are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) stream: Arn,
    /// The stream, or a consumer of it: what events name.
    pub(super) event_source_arn: String,
    pub(super) incarnation: u64,
    pub(super) function: FunctionReference,
    pub(super) role_arn: String,
    pub(super) settings: Settings,
    pub(super) starting_position: StartingPosition,
}

impl Work {
    /// The settings as the machines of the shards have them.
    pub(super) fn machine_settings(&self) -> machine::Settings {
        let Settings { batch_size, parallelization_factor, .. } = self.settings;
        let size = |value: u32| usize::try_from(value).expect("32 bits fit");
        let seconds = |value: u32| Duration::from_secs(u64::from(value));
        let filters = Filters::parse(&self.settings.filter_patterns());
        let filters = filters.expect("a mapping whose filters are not understood gets no work");
        machine::Settings {
            batch_size: size(batch_size),
            batching_window: seconds(self.settings.maximum_batching_window_in_seconds),
            lanes: size(parallelization_factor),
            retries_max: self.settings.maximum_retry_attempts,
            record_age_max: self.settings.maximum_record_age_in_seconds.map(seconds),
            bisect: self.settings.bisect_batch_on_function_error,
            partial_failures: self.settings.report_batch_item_failures,
            tumbling_window: Some(seconds(self.settings.tumbling_window_in_seconds)).filter(|window| !window.is_zero()),
            // Each shard has its own.
            taken_apart: None,
            filters: Arc::new(filters),
        }
    }
}

/// What the mapping's surroundings say about running it.
pub(super) enum Surroundings {
    Ready(Box<(StreamInfo, Work)>),
    /// It cannot run now; it is looked at again when something changes.
    Blocked(Option<ProcessingResult>),
}

impl Coordinator {
    pub(super) async fn surroundings(&mut self, record: &MappingRecord) -> Result<Surroundings, Error> {
        let stream = match self.shared.source.stream(&self.stream).await? {
            None => return Ok(Surroundings::Blocked(Some(ProcessingResult::NoStream))),
            Some(stream) if !stream.active => return Ok(Surroundings::Blocked(None)),
            Some(stream) => stream,
        };
        if let EventSource::Consumer(consumer) = EventSource::parse(&record.event_source_arn)
            && !self.shared.source.has_consumer(&consumer.arn).await?
        {
            return Ok(Surroundings::Blocked(Some(ProcessingResult::NoConsumer)));
        }
        // They were checked when they were given; a version that knows less must not deliver what was filtered out.
        if let Err(error) = Filters::parse(&record.settings.filter_patterns()) {
            tracing::error!(mapping = %self.uuid, %error, "stored filters cannot be understood");
            return Ok(Surroundings::Blocked(Some(ProcessingResult::UnknownFilters)));
        }
        let FunctionReference { name, qualifier } = &record.function;
        let role = self.shared.targets.execution_role(&self.key.scope, name, qualifier.as_deref()).await?;
        let Some(role_arn) = role else {
            return Ok(Surroundings::Blocked(Some(ProcessingResult::NoFunction)));
        };
        match access(&self.shared.permissions, &role_arn, &record.event_source_arn).await? {
            Access::Granted => {}
            Access::CannotBeAssumed => return Ok(Surroundings::Blocked(Some(ProcessingResult::NoRole))),
            Access::Refused => return Ok(Surroundings::Blocked(Some(ProcessingResult::NoAccess))),
        }
        let work = Work {
            stream: self.stream.clone(),
            event_source_arn: record.event_source_arn.clone(),
            incarnation: stream.incarnation,
            function: record.function.clone(),
            role_arn,
            settings: record.settings.clone(),
            starting_position: record.starting_position,
        };
        Ok(Surroundings::Ready(Box::new((stream, work))))
    }
}
