//! `PutRolePolicy`, `GetRolePolicy`, `ListRolePolicies`, `DeleteRolePolicy`.

use millstream_wire::iam::error::{
    DeleteRolePolicyError, GetRolePolicyError, ListRolePoliciesError, PutRolePolicyError,
};
use millstream_wire::iam::{
    DeleteRolePolicyRequest, GetRolePolicyRequest, GetRolePolicyResponse, ListRolePoliciesRequest,
    ListRolePoliciesResponse, PutRolePolicyRequest,
};

use super::answers::encoded_document;
use super::paging::PageRequest;
use super::quotas::check_inline_policies;
use super::trust::warn_of_unknown_operators;
use crate::caller::RequestContext;
use crate::iam::Iam;
use crate::policy::{Document, DocumentKind};

fn no_such_policy(name: &str) -> String {
    format!("The role policy with name {name} cannot be found.")
}

impl Iam {
    pub async fn put_role_policy(
        &self,
        context: &RequestContext,
        input: PutRolePolicyRequest,
    ) -> Result<(), PutRolePolicyError> {
        let account = &context.scope.account;
        self.read_role(account, &input.role_name).await?;
        let document = Document::parse(&input.policy_document, DocumentKind::Identity)
            .map_err(|malformed| PutRolePolicyError::MalformedPolicyDocument(malformed.to_string()))?;
        warn_of_unknown_operators(&input.role_name, &document);
        self.change_role(account, &input.role_name, |record| {
            record.inline_policies.insert(input.policy_name.clone(), input.policy_document.clone());
            check_inline_policies(record).map_err(PutRolePolicyError::LimitExceeded)
        })
        .await
    }

    pub async fn get_role_policy(
        &self,
        context: &RequestContext,
        input: GetRolePolicyRequest,
    ) -> Result<GetRolePolicyResponse, GetRolePolicyError> {
        let record = self.read_role(&context.scope.account, &input.role_name).await?;
        let document = record.inline_policies.get(&input.policy_name);
        let document = document.ok_or_else(|| GetRolePolicyError::NoSuchEntity(no_such_policy(&input.policy_name)))?;
        Ok(GetRolePolicyResponse {
            policy_document: encoded_document(document),
            policy_name: input.policy_name,
            role_name: record.name,
        })
    }

    pub async fn list_role_policies(
        &self,
        context: &RequestContext,
        input: ListRolePoliciesRequest,
    ) -> Result<ListRolePoliciesResponse, ListRolePoliciesError> {
        let page = PageRequest::read(input.marker.as_deref(), input.max_items)?;
        let record = self.read_role(&context.scope.account, &input.role_name).await?;
        let names = record.inline_policies.into_keys().collect();
        let (policy_names, marker) = page.cut(names, String::as_str);
        Ok(ListRolePoliciesResponse { is_truncated: Some(marker.is_some()), marker, policy_names })
    }

    pub async fn delete_role_policy(
        &self,
        context: &RequestContext,
        input: DeleteRolePolicyRequest,
    ) -> Result<(), DeleteRolePolicyError> {
        self.change_role(&context.scope.account, &input.role_name, |record| {
            match record.inline_policies.remove(&input.policy_name) {
                Some(_) => Ok(()),
                None => Err(DeleteRolePolicyError::NoSuchEntity(no_such_policy(&input.policy_name))),
            }
        })
        .await
    }
}
