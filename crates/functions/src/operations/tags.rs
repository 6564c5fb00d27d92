//! `TagResource`, `UntagResource` and `ListTags` of functions.

use std::collections::BTreeMap;

use millstream_iam::RequestContext;
use millstream_wire::lambda::error::{ListTagsError, TagResourceError, UntagResourceError};
use millstream_wire::lambda::{ListTagsRequest, ListTagsResponse, TagResourceRequest, UntagResourceRequest};

use super::create_function::TAGS_MAX;
use super::resolve::not_found;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::Target;
use crate::settings::invalid;

impl Functions {
    /// Adds tags to a function, or changes them.
    pub async fn tag_resource(
        &self,
        context: &RequestContext,
        input: TagResourceRequest,
    ) -> Result<(), TagResourceError> {
        let target = whole(context, &input.resource)?;
        if input.tags.is_empty() {
            // Recorded, however little it says.
            return Err(invalid("An error occurred and the request cannot be processed.".to_owned()).into());
        }
        let add = |tags: &mut BTreeMap<String, String>| {
            tags.extend(input.tags.clone());
            if tags.len() > TAGS_MAX {
                return Err(invalid("Number of tags exceeds resource tag limit.".to_owned()));
            }
            Ok(())
        };
        Ok(self.change_tags(&target, add).await?)
    }

    /// Takes tags off a function; those it does not have are no error.
    pub async fn untag_resource(
        &self,
        context: &RequestContext,
        input: UntagResourceRequest,
    ) -> Result<(), UntagResourceError> {
        let target = whole(context, &input.resource)?;
        let remove = |tags: &mut BTreeMap<String, String>| {
            tags.retain(|key, _| !input.tag_keys.contains(key));
            Ok(())
        };
        Ok(self.change_tags(&target, remove).await?)
    }

    pub async fn list_tags(
        &self,
        context: &RequestContext,
        input: ListTagsRequest,
    ) -> Result<ListTagsResponse, ListTagsError> {
        let target = whole(context, &input.resource)?;
        let found = self.shared.records.function(&target.scope, &target.name).await?;
        let function = found.ok_or_else(|| not_found(&target))?;
        Ok(ListTagsResponse { tags: Some(function.record.tags) })
    }

    async fn change_tags(
        &self,
        target: &Target,
        mut change: impl FnMut(&mut BTreeMap<String, String>) -> Result<(), Failure> + Send,
    ) -> Result<(), Failure> {
        let changed = self.shared.records.change(&target.scope, &target.name, |function| change(&mut function.tags));
        changed.await?.map(|_| ()).ok_or_else(|| not_found(target))
    }
}

/// The function with this ARN: its versions have no tags.
fn whole(context: &RequestContext, arn: &str) -> Result<Target, Failure> {
    let target = Target::of(context, arn, None)?;
    if target.qualifier.is_some() {
        let text = "Tags on function aliases and versions are not supported. Please specify a function ARN.";
        return Err(invalid(text.to_owned()));
    }
    Ok(target)
}
