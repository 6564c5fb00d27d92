//! `GetEventSourceMapping`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::GetEventSourceMappingError;
use millstream_wire::lambda::{EventSourceMappingConfiguration, GetEventSourceMappingRequest};

use super::document::document;
use super::failure::Failure;
use crate::mappings::Mappings;
use crate::record::MappingKey;

impl Mappings {
    pub async fn get_event_source_mapping(
        &self,
        context: &RequestContext,
        input: GetEventSourceMappingRequest,
    ) -> Result<EventSourceMappingConfiguration, GetEventSourceMappingError> {
        let key = mapping_key(context, &input.uuid).ok_or_else(Failure::not_found)?;
        let (_, record) = self.shared.records.get(&key).await.map_err(Failure::from)?.ok_or_else(Failure::not_found)?;
        Ok(document(&key, &record))
    }
}

/// `None` for a text that cannot be a mapping's UUID.
pub(super) fn mapping_key(context: &RequestContext, uuid: &str) -> Option<MappingKey> {
    let is_uuid = uuid.len() == 36 && uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_uuid.then(|| MappingKey { scope: context.scope.clone(), uuid: uuid.to_ascii_lowercase() })
}
