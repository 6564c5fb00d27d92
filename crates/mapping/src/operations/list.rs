//! `ListEventSourceMappings`.

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::ListEventSourceMappingsError;
use millstream_wire::lambda::{ListEventSourceMappingsRequest, ListEventSourceMappingsResponse};

use super::document::document;
use super::failure::Failure;
use crate::mappings::Mappings;
use crate::names::FunctionReference;
use crate::record::{MappingKey, MappingRecord, mappings_of};

/// Mappings on one page, whatever `MaxItems` says (event source mapping reference, section 1).
const PAGE_ITEMS_MAX: usize = 100;

impl Mappings {
    /// Mappings of a stream, of a function, of both or all, in order of UUID. An unknown function or source is no
    /// error: it has no mappings (recorded).
    pub async fn list_event_source_mappings(
        &self,
        context: &RequestContext,
        input: ListEventSourceMappingsRequest,
    ) -> Result<ListEventSourceMappingsResponse, ListEventSourceMappingsError> {
        let limit = input.max_items.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE_ITEMS_MAX);
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let marker = input.marker.clone().filter(|marker| !marker.is_empty());
        let mut found = self.find(context, &input, marker, limit + 1).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_marker = found.last().filter(|_| more).map(|(key, _)| key.uuid.clone());
        let documents = found.iter().map(|(key, record)| document(key, record)).collect();
        Ok(ListEventSourceMappingsResponse { event_source_mappings: Some(documents), next_marker })
    }

    /// The first `count` mappings after `marker` that the request asks for.
    async fn find(
        &self,
        context: &RequestContext,
        input: &ListEventSourceMappingsRequest,
        marker: Option<String>,
        count: usize,
    ) -> Result<Vec<(MappingKey, MappingRecord)>, Failure> {
        let prefix = mappings_of(&context.scope);
        let function = match input.function_name.as_deref().map(|text| FunctionReference::parse(&context.scope, text)) {
            Some(None) => return Ok(Vec::new()),
            Some(Some(function)) => Some(function),
            None => None,
        };
        let wanted = |record: &MappingRecord| {
            input.event_source_arn.as_ref().is_none_or(|arn| *arn == record.event_source_arn)
                && function.as_ref().is_none_or(|function| *function == record.function)
        };
        let mut after = marker.map(|uuid| format!("{prefix}{uuid}"));
        let mut found = Vec::new();
        loop {
            let (mappings, next) = self.shared.records.list(&prefix, after.as_deref()).await?;
            after = next;
            found.extend(mappings.into_iter().filter(|(_, record)| wanted(record)));
            if found.len() >= count || after.is_none() {
                found.truncate(count);
                return Ok(found);
            }
        }
    }
}
