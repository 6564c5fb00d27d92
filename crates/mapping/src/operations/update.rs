//! `UpdateEventSourceMapping`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::UpdateEventSourceMappingError;
use millstream_wire::lambda::{EventSourceMappingConfiguration, UpdateEventSourceMappingRequest};

use super::checks::{check_access, check_destination_access, check_only_stream_settings, duplicate, find_function};
use super::document::document;
use super::failure::Failure;
use super::get::mapping_key;
use super::settings::GivenSettings;
use crate::mappings::{Mappings, Shared};
use crate::names::FunctionReference;
use crate::record::{MappingKey, MappingRecord, MappingState, Pending};

impl Mappings {
    /// Begins a change. The answer shows the old values and the transition; the driver brings the new ones into effect.
    pub async fn update_event_source_mapping(
        &self,
        context: &RequestContext,
        input: UpdateEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, UpdateEventSourceMappingError> {
        Ok(update(&self.shared, context, &input).await?)
    }
}

async fn update(
    shared: &Shared,
    context: &RequestContext,
    input: &UpdateEventSourceMappingRequest,
) -> Result<EventSourceMappingConfiguration, Failure> {
    let given = GivenSettings::from(input);
    given.check_on_success()?;
    let key = mapping_key(context, &input.uuid).ok_or_else(Failure::not_found)?;
    let (_, before) = shared.records.get(&key).await?.ok_or_else(Failure::not_found)?;
    check_stable(&before)?;
    check_foreign_settings(input)?;
    let settings = given.over(&before.settings)?;
    if settings.on_failure != before.settings.on_failure {
        let name = input.function_name.clone().unwrap_or_else(|| before.function.arn(&key.scope));
        // A mapping whose function is gone can still be changed; nothing is sent for it.
        if let Ok((_, role_arn)) = find_function(shared, &key.scope, &name).await {
            check_destination_access(shared, &role_arn, &settings).await?;
        }
    }
    let function = new_function(shared, &key, input, &before).await?;
    let now = shared.clock.now().millis();
    let updated = shared.records.change::<Failure>(&key, |record| {
        check_stable(record)?;
        let enabled = input.enabled.unwrap_or(record.enabled);
        record.pending = Some(Pending { function: function.clone(), settings: given.over(&record.settings)? });
        record.state = transition(record.enabled, enabled);
        record.enabled = enabled;
        record.last_modified_ms = now;
        Ok(())
    });
    let record = updated.await?.ok_or_else(Failure::not_found)?;
    // Until the record had the function, another request could take the claim for a leftover.
    if let Err(uuid) = shared.records.claim(&key, &function, &before.event_source_arn).await? {
        undo(shared, &key, &before, &function).await?;
        return Err(duplicate(&before.event_source_arn, &function, &uuid));
    }
    Ok(document(&key, &record))
}

/// Takes a change back that made `function` the mapping's, which may be in effect already.
async fn undo(
    shared: &Shared,
    key: &MappingKey,
    before: &MappingRecord,
    function: &FunctionReference,
) -> Result<(), Failure> {
    // It may have been given back already. Should a third request have taken it meanwhile, the mapping keeps its function.
    let _ = shared.records.claim(key, &before.function, &before.event_source_arn).await?;
    let back = shared.records.change::<Failure>(key, |record| {
        let becomes = record.pending.as_ref().map_or(&record.function, |pending| &pending.function);
        if record.state == MappingState::Deleting || becomes != function {
            return Ok(());
        }
        record.pending = Some(Pending { function: before.function.clone(), settings: before.settings.clone() });
        record.state = transition(record.enabled, before.enabled);
        record.enabled = before.enabled;
        record.last_modified_ms = before.last_modified_ms;
        Ok(())
    });
    back.await.map(drop)
}

const fn transition(was_enabled: bool, is_enabled: bool) -> MappingState {
    match (was_enabled, is_enabled) {
        (true, false) => MappingState::Disabling,
        (false, true) => MappingState::Enabling,
        _ => MappingState::Updating,
    }
}

fn check_stable(record: &MappingRecord) -> Result<(), Failure> {
    if record.state.is_stable() {
        return Ok(());
    }
    Err(Failure::ResourceInUse("Cannot update the event source mapping because it is in use.".to_owned()))
}

/// The function after the change: it must exist, its role must be able to poll, and no other mapping may have it.
async fn new_function(
    shared: &Shared,
    key: &MappingKey,
    input: &UpdateEventSourceMappingRequest,
    before: &MappingRecord,
) -> Result<FunctionReference, Failure> {
    let stream_arn = &before.event_source_arn;
    let Some(name) = &input.function_name else { return Ok(before.function.clone()) };
    let (function, role_arn) = find_function(shared, &key.scope, name).await?;
    check_access(shared, &role_arn, stream_arn).await?;
    match shared.records.claim(key, &function, stream_arn).await? {
        Ok(()) => Ok(function),
        Err(uuid) => Err(duplicate(stream_arn, &function, &uuid)),
    }
}

fn check_foreign_settings(input: &UpdateEventSourceMappingRequest) -> Result<(), Failure> {
    check_only_stream_settings(&[
        ("SourceAccessConfigurations", input.source_access_configurations.as_ref().is_some_and(|l| !l.is_empty())),
        ("AmazonManagedKafkaEventSourceConfig", input.amazon_managed_kafka_event_source_config.is_some()),
        ("SelfManagedKafkaEventSourceConfig", input.self_managed_kafka_event_source_config.is_some()),
        ("DocumentDBEventSourceConfig", input.document_db_event_source_config.is_some()),
        ("ScalingConfig", input.scaling_config.is_some()),
        ("ProvisionedPollerConfig", input.provisioned_poller_config.is_some()),
        ("LoggingConfig", input.logging_config.is_some()),
    ])
}
