//! `CreateRole`, `GetRole`, `ListRoles`, `DeleteRole`, `UpdateAssumeRolePolicy`, `ListInstanceProfilesForRole`.

use bytes::Bytes;
use millstream_catalog::{Expect, StoreError};
use millstream_wire::CommonError;
use millstream_wire::iam::error::{
    CreateRoleError, DeleteRoleError, GetRoleError, ListInstanceProfilesForRoleError, ListRolesError,
    UpdateAssumeRolePolicyError,
};
use millstream_wire::iam::{
    CreateRoleRequest, CreateRoleResponse, DeleteRoleRequest, GetRoleRequest, GetRoleResponse,
    ListInstanceProfilesForRoleRequest, ListInstanceProfilesForRoleResponse, ListRolesRequest, ListRolesResponse,
    UpdateAssumeRolePolicyRequest,
};

use super::answers::{Detail, role};
use super::errors::store_error;
use super::paging::{PageRequest, marker};
use super::quotas::ROLES_MAX;
use super::role_settings::check_tags;
use super::trust::TrustRefusal;
use crate::caller::RequestContext;
use crate::iam::Iam;
use crate::keys::BASE32;
use crate::managed;
use crate::roles::{RoleRecord, account_prefix, store_key};

/// Roles read from the catalog at a time.
const LIST_BATCH: usize = 256;

impl Iam {
    pub async fn create_role(
        &self,
        context: &RequestContext,
        input: CreateRoleRequest,
    ) -> Result<CreateRoleResponse, CreateRoleError> {
        let account = &context.scope.account;
        let trusted_roles = self.check_trust(&input.role_name, &input.assume_role_policy_document).await?;
        if let Some(arn) = &input.permissions_boundary
            && !managed::is_aws_managed(arn)
        {
            let text = format!("Policy {arn} does not exist or is not attachable.");
            return Err(CreateRoleError::InvalidInput(text));
        }
        check_tags(input.tags.as_deref().unwrap_or_default()).map_err(CreateRoleError::InvalidInput)?;
        let id = self.new_id("AROA");
        let created = self.shared.service_clock.now();
        let record = RoleRecord {
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            description: input.description,
            max_session_seconds: input.max_session_duration.map_or(3600, i32::cast_unsigned),
            boundary: input.permissions_boundary,
            trusted_roles,
            tags: input.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect(),
            ..RoleRecord::new(account, &input.role_name, id, created, input.assume_role_policy_document)
        };
        let existing = self.shared.store.list(&account_prefix(account.as_str()), None, ROLES_MAX).await;
        if existing.map_err(|error| store_error(&error))?.items.len() >= ROLES_MAX {
            let text = format!("Cannot exceed quota for RolesPerAccount: {ROLES_MAX}");
            return Err(CreateRoleError::LimitExceeded(text));
        }
        let key = store_key(account.as_str(), &input.role_name);
        match self.shared.store.put(&key, Expect::Absent, Bytes::from(record.encode())).await {
            Ok(_) => Ok(CreateRoleResponse { role: role(&record, Detail::Created) }),
            Err(StoreError::Conflict) => {
                let text = format!("Role with name {} already exists.", input.role_name);
                Err(CreateRoleError::EntityAlreadyExists(text))
            }
            Err(error) => Err(store_error(&error).into()),
        }
    }

    pub async fn get_role(
        &self,
        context: &RequestContext,
        input: GetRoleRequest,
    ) -> Result<GetRoleResponse, GetRoleError> {
        let record = self.read_role(&context.scope.account, &input.role_name).await?;
        Ok(GetRoleResponse { role: role(&record, Detail::Full) })
    }

    pub async fn list_roles(
        &self,
        context: &RequestContext,
        input: ListRolesRequest,
    ) -> Result<ListRolesResponse, ListRolesError> {
        let page = PageRequest::read(input.marker.as_deref(), input.max_items)?;
        let path_prefix = input.path_prefix.as_deref().unwrap_or("/");
        let account = context.scope.account.as_str();
        let mut after = page.after.map(|name| store_key(account, &name));
        let mut roles = Vec::new();
        // One more than asked for tells whether there are more.
        while roles.len() <= page.limit {
            let listed = self.shared.store.list(&account_prefix(account), after.as_deref(), LIST_BATCH).await;
            let listed = listed.map_err(|error| store_error(&error))?;
            for (key, found) in &listed.items {
                let record = RoleRecord::decode(&found.value).ok_or_else(|| {
                    CommonError::InternalFailure(format!("the role under {key} is damaged in the catalog"))
                })?;
                if record.path.starts_with(path_prefix) {
                    roles.push(role(&record, Detail::Listed));
                }
            }
            after = listed.items.last().map(|(key, _)| key.clone());
            if !listed.more || after.is_none() {
                break;
            }
        }
        let more = roles.len() > page.limit;
        roles.truncate(page.limit);
        let next = roles.last().filter(|_| more).map(|last| marker(&last.role_name));
        Ok(ListRolesResponse { is_truncated: Some(more), marker: next, roles })
    }

    pub async fn delete_role(&self, context: &RequestContext, input: DeleteRoleRequest) -> Result<(), DeleteRoleError> {
        let check = |record: &RoleRecord| {
            let refusal = if !record.attached_policies.is_empty() {
                "Cannot delete entity, must detach all policies first."
            } else if !record.inline_policies.is_empty() {
                "Cannot delete entity, must delete policies first."
            } else {
                return Ok(());
            };
            Err(DeleteRoleError::DeleteConflict(refusal.to_owned()))
        };
        self.remove_role(&context.scope.account, &input.role_name, check).await
    }

    pub async fn update_assume_role_policy(
        &self,
        context: &RequestContext,
        input: UpdateAssumeRolePolicyRequest,
    ) -> Result<(), UpdateAssumeRolePolicyError> {
        let account = &context.scope.account;
        self.read_role(account, &input.role_name).await?;
        let trusted_roles = self.check_trust(&input.role_name, &input.policy_document).await?;
        self.change_role(account, &input.role_name, |record| {
            record.trust_policy.clone_from(&input.policy_document);
            record.trusted_roles.clone_from(&trusted_roles);
            Ok(())
        })
        .await
    }

    /// There are no instance profiles, but Terraform asks before it deletes a role.
    pub async fn list_instance_profiles_for_role(
        &self,
        context: &RequestContext,
        input: ListInstanceProfilesForRoleRequest,
    ) -> Result<ListInstanceProfilesForRoleResponse, ListInstanceProfilesForRoleError> {
        self.read_role(&context.scope.account, &input.role_name).await?;
        Ok(ListInstanceProfilesForRoleResponse {
            instance_profiles: Vec::new(),
            is_truncated: Some(false),
            marker: None,
        })
    }

    /// `prefix` and 17 random characters, as AWS's unique ids.
    fn new_id(&self, prefix: &str) -> String {
        let random = self.shared.random.bytes::<17>();
        let characters = random.iter().map(|byte| char::from(BASE32[usize::from(byte & 31)]));
        format!("{prefix}{}", characters.collect::<String>())
    }
}

impl From<TrustRefusal> for CreateRoleError {
    fn from(refusal: TrustRefusal) -> Self {
        match refusal {
            TrustRefusal::Malformed(malformed) => Self::MalformedPolicyDocument(malformed.to_string()),
            TrustRefusal::TooLarge(text) => Self::LimitExceeded(text),
            TrustRefusal::Store(error) => Self::Common(store_error(&error)),
        }
    }
}

impl From<TrustRefusal> for UpdateAssumeRolePolicyError {
    fn from(refusal: TrustRefusal) -> Self {
        match refusal {
            TrustRefusal::Malformed(malformed) => Self::MalformedPolicyDocument(malformed.to_string()),
            TrustRefusal::TooLarge(text) => Self::LimitExceeded(text),
            TrustRefusal::Store(error) => Self::Common(store_error(&error)),
        }
    }
}
