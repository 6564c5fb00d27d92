//! `AddPermission`, `RemovePermission` and `GetPolicy`: who else may use a function, one of its versions or an alias.

use millstream_iam::RequestContext;
use millstream_types::Arn;
use millstream_wire::lambda::error::{AddPermissionError, GetPolicyError, RemovePermissionError};
use millstream_wire::lambda::{
    AddPermissionRequest, AddPermissionResponse, GetPolicyRequest, GetPolicyResponse, RemovePermissionRequest,
};

use super::aliases::cannot_find;
use super::resolve::version_number;
use super::versions::stale;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::names::{LATEST, Target, named_by};
use crate::policy::{PolicyRecord, Statement, principal};
use crate::settings::invalid;

/// AWS's bound on a policy.
const POLICY_BYTES_MAX: usize = 20_480;
const NO_POLICY: &str = "The resource you requested does not exist.";

impl Functions {
    pub async fn add_permission(
        &self,
        context: &RequestContext,
        input: AddPermissionRequest,
    ) -> Result<AddPermissionResponse, AddPermissionError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        if target.qualifier.as_deref() == Some(LATEST) {
            return Err(invalid("We currently do not support adding policies for $LATEST.".to_owned()).into());
        }
        self.function(&target).await?;
        self.check_qualifier(&target).await?;
        let principal = principal(&input.principal).ok_or_else(|| {
            invalid("The provided principal was invalid. Please check the principal and try again.".to_owned())
        })?;
        let statement = Statement::new(&input, principal, target.arn());
        let shown = serde_json::to_string(&statement).expect("plain data becomes JSON");
        self.change_policy(&target, input.revision_id.as_deref(), |policy| {
            if policy.statements.iter().any(|other| other.sid == statement.sid) {
                return Err(Failure::ResourceConflict(format!(
                    "The statement id ({}) provided already exists. Please provide a new statement id, or remove the \
                     existing statement.",
                    statement.sid
                )));
            }
            policy.statements.push(statement.clone());
            let bytes = policy.document().len();
            if bytes > POLICY_BYTES_MAX {
                return Err(Failure::PolicyLengthExceeded(format!(
                    "The final policy size ({bytes}) is bigger than the limit ({POLICY_BYTES_MAX})."
                )));
            }
            Ok(())
        })
        .await?;
        Ok(AddPermissionResponse { statement: Some(shown) })
    }

    pub async fn remove_permission(
        &self,
        context: &RequestContext,
        input: RemovePermissionRequest,
    ) -> Result<(), RemovePermissionError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        if self.shared.records.function(&target.scope, &target.name).await?.is_none() {
            return Err(Failure::ResourceNotFound(format!("No policy found for: {}", target.arn())).into());
        }
        let sid = input.statement_id;
        self.change_policy(&target, input.revision_id.as_deref(), |policy| {
            if policy.statements.is_empty() {
                let text = "No policy is associated with the given resource.";
                return Err(Failure::ResourceNotFound(text.to_owned()));
            }
            let before = policy.statements.len();
            policy.statements.retain(|statement| statement.sid != sid);
            if policy.statements.len() == before {
                let text = format!("Statement {sid} is not found in resource policy.");
                return Err(Failure::ResourceNotFound(text));
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    pub async fn get_policy(
        &self,
        context: &RequestContext,
        input: GetPolicyRequest,
    ) -> Result<GetPolicyResponse, GetPolicyError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        let found = self.shared.records.policy(&target).await?;
        let policy = found.map(|stored| stored.record).filter(|policy| !policy.statements.is_empty());
        let policy = policy.ok_or_else(|| Failure::ResourceNotFound(NO_POLICY.to_owned()))?;
        Ok(GetPolicyResponse { policy: Some(policy.document()), revision_id: Some(policy.revision_id) })
    }

    /// The policy on a function, a version or an alias, as a document: for whoever decides about a call.
    pub async fn resource_policy(&self, arn: &Arn) -> Option<String> {
        let target = named_by(arn)?;
        match self.shared.records.policy(&target).await {
            Ok(found) => found
                .map(|stored| stored.record)
                .filter(|policy| !policy.statements.is_empty())
                .map(|policy| policy.document()),
            Err(failure) => {
                // A document that nobody can read: it denies, as one that cannot be loaded must.
                tracing::error!(%arn, ?failure, "the policy of a function cannot be read");
                Some(String::new())
            }
        }
    }

    /// Changes the policy of a function that exists.
    async fn change_policy(
        &self,
        target: &Target,
        revision_id: Option<&str>,
        mut change: impl FnMut(&mut PolicyRecord) -> Result<(), Failure> + Send,
    ) -> Result<(), Failure> {
        loop {
            let found = self.shared.records.policy(target).await?;
            let (mut policy, revision) = match found {
                Some(stored) => (stored.record, Some(stored.revision)),
                None => (PolicyRecord::default(), None),
            };
            change(&mut policy)?;
            if revision_id.is_some_and(|id| id != policy.revision_id) {
                return Err(stale("GetPolicy"));
            }
            policy.revision_id = self.shared.random.uuid();
            // Changed by somebody else meanwhile: his change is the base of this one.
            if self.shared.records.put_policy(target, revision, &policy).await? {
                return Ok(());
            }
        }
    }

    /// The version or alias that a target names must exist.
    async fn check_qualifier(&self, target: &Target) -> Result<(), Failure> {
        let Some(qualifier) = target.qualifier.as_deref() else { return Ok(()) };
        let records = &self.shared.records;
        if let Some(number) = version_number(qualifier) {
            let found = records.version(&target.scope, &target.name, number).await?;
            return found.map(drop).ok_or_else(|| target.not_found());
        }
        let found = records.alias(&target.scope, &target.name, qualifier).await?;
        found.map(drop).ok_or_else(|| cannot_find(&target.qualified(Some(qualifier))))
    }
}
