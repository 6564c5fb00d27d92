//! `GetPolicy`, `GetPolicyVersion`.

use millstream_wire::CommonError;
use millstream_wire::iam::error::{GetPolicyError, GetPolicyVersionError};
use millstream_wire::iam::{
    GetPolicyRequest, GetPolicyResponse, GetPolicyVersionRequest, GetPolicyVersionResponse, Policy, PolicyVersion,
};

use super::answers::encoded_document;
use super::errors::store_error;
use super::quotas::ROLES_MAX;
use crate::caller::RequestContext;
use crate::iam::Iam;
use crate::managed;
use crate::roles::{RoleRecord, account_prefix};

impl Iam {
    pub async fn get_policy(
        &self,
        context: &RequestContext,
        input: GetPolicyRequest,
    ) -> Result<GetPolicyResponse, GetPolicyError> {
        let policy = managed::find(&input.policy_arn)
            .ok_or_else(|| GetPolicyError::NoSuchEntity(format!("Policy {} was not found.", input.policy_arn)))?;
        let prefix = account_prefix(context.scope.account.as_str());
        let roles = self.shared.store.list(&prefix, None, ROLES_MAX).await.map_err(|error| store_error(&error))?;
        let (mut attached, mut bounding) = (0, 0);
        for (key, found) in &roles.items {
            let record = RoleRecord::decode(&found.value).ok_or_else(|| {
                CommonError::InternalFailure(format!("the role under {key} is damaged in the catalog"))
            })?;
            attached += i32::from(record.attached_policies.contains(&input.policy_arn));
            bounding += i32::from(record.boundary.as_ref() == Some(&input.policy_arn));
        }
        let policy = Policy {
            arn: Some(input.policy_arn),
            attachment_count: Some(attached),
            create_date: Some(managed::CREATED),
            default_version_id: Some(policy.version.to_owned()),
            description: None,
            is_attachable: Some(true),
            path: Some(policy.path.to_owned()),
            permissions_boundary_usage_count: Some(bounding),
            policy_id: Some(policy.id()),
            policy_name: Some(policy.name.to_owned()),
            tags: None,
            update_date: Some(managed::CREATED),
        };
        Ok(GetPolicyResponse { policy: Some(policy) })
    }

    #[expect(clippy::unused_async, reason = "operations are asynchronous, and customer policies will be read here")]
    pub async fn get_policy_version(
        &self,
        _context: &RequestContext,
        input: GetPolicyVersionRequest,
    ) -> Result<GetPolicyVersionResponse, GetPolicyVersionError> {
        let GetPolicyVersionRequest { policy_arn: arn, version_id } = input;
        let policy = managed::find(&arn)
            .ok_or_else(|| GetPolicyVersionError::NoSuchEntity(format!("Policy {arn} was not found.")))?;
        if policy.version != version_id {
            let text = format!("Policy {arn} version {version_id} does not exist or is not attachable.");
            return Err(GetPolicyVersionError::NoSuchEntity(text));
        }
        let version = PolicyVersion {
            create_date: Some(managed::CREATED),
            document: Some(encoded_document(policy.text)),
            is_default_version: Some(true),
            version_id: Some(version_id),
        };
        Ok(GetPolicyVersionResponse { policy_version: Some(version) })
    }
}
