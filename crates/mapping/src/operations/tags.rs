//! `TagResource`, `UntagResource` and `ListTags` of event source mappings.

use std::collections::BTreeMap;

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::{ListTagsError, TagResourceError, UntagResourceError};
use millstream_wire::lambda::{ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest};

use super::failure::Failure;
use super::get::mapping_key;
use crate::mappings::Mappings;
use crate::record::MappingKey;

/// Most tags of a mapping (Lambda reference, section 2).
const TAGS_MAX: usize = 50;

impl Mappings {
    /// Adds tags to a mapping, or changes them.
    pub async fn tag_resource(
        &self,
        context: &RequestContext,
        input: TagResourceRequest,
    ) -> Result<(), TagResourceError> {
        if input.tags.is_empty() {
            // Recorded, however little it says.
            return Err(Failure::invalid("An error occurred and the request cannot be processed.").into());
        }
        let add = |tags: &mut BTreeMap<String, String>| {
            tags.extend(input.tags.clone());
            check_tags(tags)
        };
        Ok(self.change_tags(context, &input.resource, add).await?)
    }

    /// Takes tags off a mapping; those it does not have are no error.
    pub async fn untag_resource(
        &self,
        context: &RequestContext,
        input: UntagResourceRequest,
    ) -> Result<(), UntagResourceError> {
        let remove = |tags: &mut BTreeMap<String, String>| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        };
        Ok(self.change_tags(context, &input.resource, remove).await?)
    }

    pub async fn list_tags(
        &self,
        context: &RequestContext,
        input: ListTagsRequest,
    ) -> Result<ListTagsResponse, ListTagsError> {
        let arn = &input.resource;
        let key = key_of(context, arn)?;
        let found = self.shared.records.get(&key).await.map_err(Failure::from)?;
        let (_, record) = found.ok_or_else(|| not_found(arn))?;
        Ok(ListTagsResponse { tags: Some(record.tags) })
    }

    async fn change_tags(
        &self,
        context: &RequestContext,
        arn: &str,
        mut change: impl FnMut(&mut BTreeMap<String, String>) -> Result<(), Failure> + Send,
    ) -> Result<(), Failure> {
        let key = key_of(context, arn)?;
        let changed = self.shared.records.change::<Failure>(&key, |record| change(&mut record.tags)).await?;
        changed.map(|_| ()).ok_or_else(|| not_found(arn))
    }
}

/// Whether a mapping may have these tags.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), Failure> {
    if tags.len() > TAGS_MAX {
        return Err(Failure::invalid("Number of tags exceeds resource tag limit."));
    }
    Ok(())
}

/// The mapping with this ARN; those of other accounts and Regions are not found.
fn key_of(context: &RequestContext, arn: &str) -> Result<MappingKey, Failure> {
    let uuid = arn.rsplit(':').next().unwrap_or_default();
    let key = mapping_key(context, uuid).ok_or_else(|| not_found(arn))?;
    let own = context.scope.arn("lambda", format_args!("event-source-mapping:{uuid}"));
    if own.to_string() == arn { Ok(key) } else { Err(not_found(arn)) }
}

fn not_found(arn: &str) -> Failure {
    Failure::ResourceNotFound(format!("Event source mapping not found: {arn}"))
}
