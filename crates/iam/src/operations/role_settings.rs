//! What can be changed about a role beside its policies: `UpdateRole`, `UpdateRoleDescription`, `TagRole`, `UntagRole`,
//! `ListRoleTags`, `PutRolePermissionsBoundary`, `DeleteRolePermissionsBoundary`.

use std::collections::HashSet;

use millstream_wire::iam::error::{
    DeleteRolePermissionsBoundaryError, ListRoleTagsError, PutRolePermissionsBoundaryError, TagRoleError,
    UntagRoleError, UpdateRoleDescriptionError, UpdateRoleError,
};
use millstream_wire::iam::{
    DeleteRolePermissionsBoundaryRequest, ListRoleTagsRequest, ListRoleTagsResponse, PutRolePermissionsBoundaryRequest,
    Tag, TagRoleRequest, UntagRoleRequest, UpdateRoleDescriptionRequest, UpdateRoleDescriptionResponse,
    UpdateRoleRequest, UpdateRoleResponse,
};

use super::answers::{Detail, role};
use super::paging::PageRequest;
use crate::caller::RequestContext;
use crate::iam::Iam;
use crate::managed;

/// Tags of a role (IAM quotas).
const TAGS_MAX: usize = 50;

impl Iam {
    /// What is not given stays as it is.
    pub async fn update_role(
        &self,
        context: &RequestContext,
        input: UpdateRoleRequest,
    ) -> Result<UpdateRoleResponse, UpdateRoleError> {
        self.change_role(&context.scope.account, &input.role_name, |record| -> Result<(), UpdateRoleError> {
            if let Some(description) = &input.description {
                record.description = Some(description.clone());
            }
            if let Some(seconds) = input.max_session_duration {
                record.max_session_seconds = seconds.cast_unsigned();
            }
            Ok(())
        })
        .await?;
        Ok(UpdateRoleResponse {})
    }

    pub async fn update_role_description(
        &self,
        context: &RequestContext,
        input: UpdateRoleDescriptionRequest,
    ) -> Result<UpdateRoleDescriptionResponse, UpdateRoleDescriptionError> {
        let account = &context.scope.account;
        self.change_role(account, &input.role_name, |record| -> Result<(), UpdateRoleDescriptionError> {
            record.description = Some(input.description.clone());
            Ok(())
        })
        .await?;
        let record = self.read_role(account, &input.role_name).await?;
        Ok(UpdateRoleDescriptionResponse { role: Some(role(&record, Detail::Full)) })
    }

    /// Adds tags or changes their values. Keys are told apart without their case.
    pub async fn tag_role(&self, context: &RequestContext, input: TagRoleRequest) -> Result<(), TagRoleError> {
        check_tags(&input.tags).map_err(TagRoleError::InvalidInput)?;
        self.change_role(&context.scope.account, &input.role_name, |record| {
            for Tag { key, value } in &input.tags {
                match record.tags.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(key)) {
                    Some(tag) => *tag = (key.clone(), value.clone()),
                    None => record.tags.push((key.clone(), value.clone())),
                }
            }
            if record.tags.len() > TAGS_MAX {
                let text = format!("Cannot exceed quota for TagsPerRole: {TAGS_MAX}");
                return Err(TagRoleError::LimitExceeded(text));
            }
            Ok(())
        })
        .await
    }

    /// Tags that are not there are no error.
    pub async fn untag_role(&self, context: &RequestContext, input: UntagRoleRequest) -> Result<(), UntagRoleError> {
        self.change_role(&context.scope.account, &input.role_name, |record| {
            record.tags.retain(|(key, _)| !input.tag_keys.iter().any(|other| other.eq_ignore_ascii_case(key)));
            Ok(())
        })
        .await
    }

    pub async fn list_role_tags(
        &self,
        context: &RequestContext,
        input: ListRoleTagsRequest,
    ) -> Result<ListRoleTagsResponse, ListRoleTagsError> {
        let page = PageRequest::read(input.marker.as_deref(), input.max_items)?;
        let record = self.read_role(&context.scope.account, &input.role_name).await?;
        let mut tags: Vec<_> = record.tags.into_iter().map(|(key, value)| Tag { key, value }).collect();
        tags.sort_by(|a, b| a.key.cmp(&b.key));
        let (tags, marker) = page.cut(tags, |tag| &tag.key);
        Ok(ListRoleTagsResponse { is_truncated: Some(marker.is_some()), marker, tags })
    }

    pub async fn put_role_permissions_boundary(
        &self,
        context: &RequestContext,
        input: PutRolePermissionsBoundaryRequest,
    ) -> Result<(), PutRolePermissionsBoundaryError> {
        if !managed::is_aws_managed(&input.permissions_boundary) {
            let text = format!("Policy {} does not exist or is not attachable.", input.permissions_boundary);
            return Err(PutRolePermissionsBoundaryError::NoSuchEntity(text));
        }
        self.change_role(&context.scope.account, &input.role_name, |record| {
            record.boundary = Some(input.permissions_boundary.clone());
            Ok(())
        })
        .await
    }

    pub async fn delete_role_permissions_boundary(
        &self,
        context: &RequestContext,
        input: DeleteRolePermissionsBoundaryRequest,
    ) -> Result<(), DeleteRolePermissionsBoundaryError> {
        self.change_role(&context.scope.account, &input.role_name, |record| {
            if record.boundary.take().is_none() {
                let text = format!("Role {} has no permissions boundary.", input.role_name);
                return Err(DeleteRolePermissionsBoundaryError::NoSuchEntity(text));
            }
            Ok(())
        })
        .await
    }
}

/// Refuses two tags with one key. The error is IAM's text.
pub(super) fn check_tags(tags: &[Tag]) -> Result<(), String> {
    let mut keys = HashSet::new();
    if tags.iter().all(|tag| keys.insert(tag.key.to_lowercase())) {
        return Ok(());
    }
    Err("Duplicate tag keys found. Please note that Tag keys are case insensitive.".to_owned())
}
