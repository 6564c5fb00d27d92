//! `CreateEventSourceMapping`.

use millstream_iam::RequestContext;
use millstream_types::Timestamp;
use millstream_wire::lambda::error::CreateEventSourceMappingError;
use millstream_wire::lambda::{CreateEventSourceMappingRequest, EventSourceMappingConfiguration, EventSourcePosition};

use super::checks::{check_access, check_destination_access, check_only_stream_settings, duplicate, find_function};
use super::document::document;
use super::failure::Failure;
use super::settings::GivenSettings;
use super::tags::check_tags;
use crate::mappings::{Mappings, Shared};
use crate::names::EventSource;
use crate::record::{FORMAT, MappingKey, MappingRecord, MappingState, Settings, StartingPosition};
use crate::result::ProcessingResult;

/// The only reason there is: nothing else changes the state of a stream's mapping (recorded).
const USER_ACTION: &str = "User action";

impl Mappings {
    /// Makes a mapping. The answer says `Creating`; the driver starts it.
    pub async fn create_event_source_mapping(
        &self,
        context: &RequestContext,
        input: CreateEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, CreateEventSourceMappingError> {
        Ok(create(&self.shared, context, input).await?)
    }
}

async fn create(
    shared: &Shared,
    context: &RequestContext,
    input: CreateEventSourceMappingRequest,
) -> Result<EventSourceMappingConfiguration, Failure> {
    let given = GivenSettings::from(&input);
    given.check_on_success()?;
    let stream_arn = event_source(&input)?;
    check_foreign_settings(&input)?;
    let starting_position = starting_position(&input, shared.clock.now())?;
    let settings = given.over(&Settings::default())?;
    let tags = input.tags.clone().unwrap_or_default();
    check_tags(&tags)?;
    let (function, role_arn) = find_function(shared, &context.scope, &input.function_name).await?;
    check_stream(shared, context, &role_arn, &stream_arn).await?;
    check_destination_access(shared, &role_arn, &settings).await?;
    let record = MappingRecord {
        v: FORMAT,
        event_source_arn: stream_arn,
        function,
        starting_position,
        settings,
        state: MappingState::Creating,
        state_transition_reason: USER_ACTION.to_owned(),
        enabled: input.enabled.unwrap_or(true),
        pending: None,
        last_modified_ms: shared.clock.now().millis(),
        last_processing_result: ProcessingResult::NothingYet.text().to_owned(),
        stream_incarnation: None,
        tags,
        paused: false,
        rewind: None,
    };
    let key = MappingKey { scope: context.scope.clone(), uuid: shared.random.uuid() };
    store(shared, &key, &record).await?;
    Ok(document(&key, &record))
}

/// Claims the pair of stream and function, then stores the mapping. The claim is looked at again afterwards: until the
/// mapping existed, another request could take the claim for a leftover.
async fn store(shared: &Shared, key: &MappingKey, record: &MappingRecord) -> Result<(), Failure> {
    let claim = async || shared.records.claim(key, &record.function, &record.event_source_arn).await;
    let taken = |uuid: String| duplicate(&record.event_source_arn, &record.function, &uuid);
    claim().await?.map_err(taken)?;
    shared.records.create(key, record).await?;
    if let Err(uuid) = claim().await? {
        shared.records.delete(key, record).await?;
        return Err(taken(uuid));
    }
    Ok(())
}

fn event_source(input: &CreateEventSourceMappingRequest) -> Result<String, Failure> {
    let arn = match (&input.event_source_arn, &input.self_managed_event_source) {
        (Some(arn), _) => arn,
        (None, None) => return Err(Failure::invalid("Unrecognized event source.")),
        (None, Some(_)) => {
            return Err(Failure::invalid(
                "SelfManagedEventSource is not supported by Millstream: use the ARN of a Kinesis data stream.",
            ));
        }
    };
    match EventSource::parse(arn) {
        EventSource::Stream(_) | EventSource::Consumer(_) => Ok(arn.clone()),
        EventSource::Other => Err(Failure::invalid("Unrecognized event source.")),
    }
}

fn check_foreign_settings(input: &CreateEventSourceMappingRequest) -> Result<(), Failure> {
    check_only_stream_settings(&[
        ("SelfManagedEventSource", input.self_managed_event_source.is_some()),
        ("Queues", input.queues.as_ref().is_some_and(|list| !list.is_empty())),
        ("Topics", input.topics.as_ref().is_some_and(|list| !list.is_empty())),
        ("SourceAccessConfigurations", input.source_access_configurations.as_ref().is_some_and(|l| !l.is_empty())),
        ("AmazonManagedKafkaEventSourceConfig", input.amazon_managed_kafka_event_source_config.is_some()),
        ("SelfManagedKafkaEventSourceConfig", input.self_managed_kafka_event_source_config.is_some()),
        ("DocumentDBEventSourceConfig", input.document_db_event_source_config.is_some()),
        ("ScalingConfig", input.scaling_config.is_some()),
        ("ProvisionedPollerConfig", input.provisioned_poller_config.is_some()),
        ("LoggingConfig", input.logging_config.is_some()),
    ])
}

fn starting_position(input: &CreateEventSourceMappingRequest, now: Timestamp) -> Result<StartingPosition, Failure> {
    let timestamp = input.starting_position_timestamp;
    match (input.starting_position, timestamp) {
        // With a full stop at its end, unlike the front end's text (recorded).
        (None, _) => Err(Failure::invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must \
             not be null.",
        )),
        (Some(EventSourcePosition::TrimHorizon), None) => Ok(StartingPosition::TrimHorizon),
        (Some(EventSourcePosition::Latest), None) => Ok(StartingPosition::Latest),
        (Some(EventSourcePosition::AtTimestamp), Some(timestamp)) if timestamp > now => {
            Err(Failure::invalid("StartingPositionTimestamp must not be in the future."))
        }
        (Some(EventSourcePosition::AtTimestamp), Some(timestamp)) => {
            Ok(StartingPosition::AtTimestamp { ms: timestamp.millis() })
        }
        (Some(EventSourcePosition::AtTimestamp), None) => {
            Err(Failure::invalid("StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP."))
        }
        (Some(_), Some(_)) => {
            Err(Failure::invalid("StartingPositionTimestamp is only allowed when StartingPosition is AT_TIMESTAMP."))
        }
    }
}

/// The stream must be readable by the role, and exist. Streams of other accounts would need a resource policy, which
/// Millstream does not have: nobody may read them.
async fn check_stream(
    shared: &Shared,
    context: &RequestContext,
    role_arn: &str,
    stream_arn: &str,
) -> Result<(), Failure> {
    let not_found = || Failure::invalid(format!("Stream not found: {stream_arn}"));
    let source = EventSource::parse(stream_arn);
    let Some(stream) = source.stream() else { return Err(not_found()) };
    if stream.scope.region != context.scope.region {
        return Err(not_found());
    }
    check_access(shared, role_arn, stream_arn).await?;
    if stream.scope.account != context.scope.account {
        return Err(not_found());
    }
    shared.source.stream(&stream.arn()).await?.map(drop).ok_or_else(not_found)?;
    match &source {
        EventSource::Consumer(consumer) if !shared.source.has_consumer(&consumer.arn).await? => {
            Err(Failure::invalid(format!("Stream consumer not found: {stream_arn}")))
        }
        _ => Ok(()),
    }
}
