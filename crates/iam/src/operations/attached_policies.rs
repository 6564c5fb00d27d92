//! `AttachRolePolicy`, `DetachRolePolicy`, `ListAttachedRolePolicies`.

use millstream_types::Arn;
use millstream_wire::CommonError;
use millstream_wire::iam::error::{AttachRolePolicyError, DetachRolePolicyError, ListAttachedRolePoliciesError};
use millstream_wire::iam::{
    AttachRolePolicyRequest, AttachedPolicy, DetachRolePolicyRequest, ListAttachedRolePoliciesRequest,
    ListAttachedRolePoliciesResponse,
};

use super::paging::PageRequest;
use super::quotas::check_attached_policies;
use crate::caller::RequestContext;
use crate::iam::Iam;
use crate::managed;

impl Iam {
    pub async fn attach_role_policy(
        &self,
        context: &RequestContext,
        input: AttachRolePolicyRequest,
    ) -> Result<(), AttachRolePolicyError> {
        let arn = input.policy_arn;
        check_arn(&arn)?;
        let account = &context.scope.account;
        self.read_role(account, &input.role_name).await?;
        if !managed::is_aws_managed(&arn) {
            let text = format!("Policy {arn} does not exist or is not attachable.");
            return Err(AttachRolePolicyError::NoSuchEntity(text));
        }
        if managed::document(&arn).is_none() {
            tracing::warn!(role = %input.role_name, policy = %arn, "this policy of AWS is not built in: it grants nothing");
        }
        self.change_role(account, &input.role_name, |record| {
            if !record.attached_policies.contains(&arn) {
                record.attached_policies.push(arn.clone());
            }
            check_attached_policies(record).map_err(AttachRolePolicyError::LimitExceeded)
        })
        .await
    }

    pub async fn detach_role_policy(
        &self,
        context: &RequestContext,
        input: DetachRolePolicyRequest,
    ) -> Result<(), DetachRolePolicyError> {
        let arn = input.policy_arn;
        check_arn(&arn)?;
        self.change_role(&context.scope.account, &input.role_name, |record| {
            match record.attached_policies.iter().position(|attached| *attached == arn) {
                Some(index) => {
                    record.attached_policies.remove(index);
                    Ok(())
                }
                None => Err(DetachRolePolicyError::NoSuchEntity(format!("Policy {arn} was not found."))),
            }
        })
        .await
    }

    pub async fn list_attached_role_policies(
        &self,
        context: &RequestContext,
        input: ListAttachedRolePoliciesRequest,
    ) -> Result<ListAttachedRolePoliciesResponse, ListAttachedRolePoliciesError> {
        let page = PageRequest::read(input.marker.as_deref(), input.max_items)?;
        let record = self.read_role(&context.scope.account, &input.role_name).await?;
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let mut arns = record.attached_policies;
        arns.retain(|arn| path_and_name(arn).0.starts_with(prefix));
        let (arns, marker) = page.cut(arns, String::as_str);
        let show =
            |arn: String| AttachedPolicy { policy_name: Some(path_and_name(&arn).1.to_owned()), policy_arn: Some(arn) };
        Ok(ListAttachedRolePoliciesResponse {
            attached_policies: Some(arns.into_iter().map(show).collect()),
            is_truncated: Some(marker.is_some()),
            marker,
        })
    }
}

fn check_arn(arn: &str) -> Result<(), CommonError> {
    match arn.parse::<Arn>() {
        Ok(_) => Ok(()),
        Err(_) => Err(CommonError::Validation("Invalid ARN:  Could not be parsed!".to_owned())),
    }
}

/// The path, with a slash at both ends, and the name of a policy.
fn path_and_name(arn: &str) -> (&str, &str) {
    let resource = arn.split_once(":policy").map_or(arn, |(_, resource)| resource);
    resource.rfind('/').map_or(("/", resource), |slash| resource.split_at(slash + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_policy_is_in_its_arn() {
        assert_eq!(path_and_name("arn:aws:iam::aws:policy/service-role/X"), ("/service-role/", "X"));
        assert_eq!(path_and_name("arn:aws:iam::aws:policy/X"), ("/", "X"));
    }
}
