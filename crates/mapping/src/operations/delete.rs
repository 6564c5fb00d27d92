//! `DeleteEventSourceMapping`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::DeleteEventSourceMappingError;
use millstream_wire::lambda::{DeleteEventSourceMappingRequest, EventSourceMappingConfiguration};

use super::document::document;
use super::failure::Failure;
use super::get::mapping_key;
use crate::mappings::Mappings;
use crate::record::MappingState;

impl Mappings {
    /// Begins the deletion. The answer says `Deleting`; the driver stops the mapping and forgets it.
    pub async fn delete_event_source_mapping(
        &self,
        context: &RequestContext,
        input: DeleteEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, DeleteEventSourceMappingError> {
        let key = mapping_key(context, &input.uuid).ok_or_else(Failure::not_found)?;
        let now = self.shared.clock.now().millis();
        let deleting = self.shared.records.change::<Failure>(&key, |record| {
            if !record.state.is_stable() {
                return Err(Failure::ResourceInUse(
                    "Cannot delete the event source mapping because it is in use.".to_owned(),
                ));
            }
            record.state = MappingState::Deleting;
            record.last_modified_ms = now;
            Ok(())
        });
        let record = deleting.await?.ok_or_else(Failure::not_found)?;
        Ok(document(&key, &record))
    }
}
