//! `AddPermission`, `RemovePermission` and `GetPolicy`: who else may use a function, one of its versions or an alias.

use millstream_iam::RequestContext;
use millstream_types::Arn;
use millstream_wire::lambda::error::{AddPermissionError, GetPolicyError, RemovePermissionError};
use millstream_wire::lambda::{
    AddPermissionRequest, AddPermissionResponse, FunctionUrlAuthType, GetPolicyRequest, GetPolicyResponse,
    RemovePermissionRequest,
};

use super::aliases::cannot_find;
use super::resolve::version_number;
use super::versions::stale;
use crate::failure::Failure;
use crate::functions::Functions;
use crate::layers::LayerName;
use crate::names::{LATEST, Target, named_by};
use crate::policy::{PolicyRecord, Statement, principal};
use crate::settings::invalid;
use crate::store::{layer_policy_key, policy_key};

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
        let url_auth = input.function_url_auth_type.map(FunctionUrlAuthType::as_str);
        let via_url = input.invoked_via_function_url.map(|via| via.to_string());
        let conditions = [
            ("ArnLike", "AWS:SourceArn", input.source_arn.as_deref()),
            ("StringEquals", "AWS:SourceAccount", input.source_account.as_deref()),
            ("StringEquals", "aws:PrincipalOrgID", input.principal_org_id.as_deref()),
            ("StringEquals", "lambda:EventSourceToken", input.event_source_token.as_deref()),
            ("StringEquals", "lambda:FunctionUrlAuthType", url_auth),
            ("Bool", "lambda:InvokedViaFunctionUrl", via_url.as_deref()),
        ];
        let statement = Statement::new(&input.statement_id, principal, &input.action, target.arn(), &conditions);
        let shown = statement.shown();
        self.add_statement(&policy_key(&target), input.revision_id.as_deref(), statement).await?;
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
        let key = policy_key(&target);
        Ok(self.remove_statement(&key, input.revision_id.as_deref(), &input.statement_id).await?)
    }

    pub async fn get_policy(
        &self,
        context: &RequestContext,
        input: GetPolicyRequest,
    ) -> Result<GetPolicyResponse, GetPolicyError> {
        let target = Target::of(context, &input.function_name, input.qualifier.as_deref())?;
        let policy = self.policy_at(&policy_key(&target)).await?;
        let policy = policy.ok_or_else(|| Failure::ResourceNotFound(NO_POLICY.to_owned()))?;
        Ok(GetPolicyResponse { policy: Some(policy.document()), revision_id: Some(policy.revision_id) })
    }

    /// The policy on a function, a version, an alias or a layer version, as a document: for whoever decides about a call.
    pub async fn resource_policy(&self, arn: &Arn) -> Option<String> {
        let key = match LayerName::parse(&arn.to_string()) {
            Some((layer, Some(number))) => layer_policy_key(&layer, number),
            Some((_, None)) => return None,
            None => policy_key(&named_by(arn)?),
        };
        match self.policy_at(&key).await {
            Ok(policy) => policy.map(|policy| policy.document()),
            Err(failure) => {
                // A document that nobody can read: it denies, as one that cannot be loaded must.
                tracing::error!(%arn, ?failure, "the policy of a function or layer cannot be read");
                Some(String::new())
            }
        }
    }

    /// The policy under a key, if it says anything.
    pub(super) async fn policy_at(&self, key: &str) -> Result<Option<PolicyRecord>, Failure> {
        let found = self.shared.records.policy(key).await?;
        Ok(found.map(|stored| stored.record).filter(|policy| !policy.statements.is_empty()))
    }

    /// Adds a statement to the policy under a key; the new revision id.
    pub(super) async fn add_statement(
        &self,
        key: &str,
        revision_id: Option<&str>,
        statement: Statement,
    ) -> Result<String, Failure> {
        self.change_policy(key, revision_id, |policy| {
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
        .await
    }

    pub(super) async fn remove_statement(
        &self,
        key: &str,
        revision_id: Option<&str>,
        sid: &str,
    ) -> Result<(), Failure> {
        self.change_policy(key, revision_id, |policy| {
            let text = match policy.statements.iter().position(|statement| statement.sid == sid) {
                Some(at) => {
                    policy.statements.remove(at);
                    return Ok(());
                }
                None if policy.statements.is_empty() => "No policy is associated with the given resource.".to_owned(),
                None => format!("Statement {sid} is not found in resource policy."),
            };
            Err(Failure::ResourceNotFound(text))
        })
        .await
        .map(drop)
    }

    /// Changes the policy under a key; its new revision id.
    async fn change_policy(
        &self,
        key: &str,
        revision_id: Option<&str>,
        mut change: impl FnMut(&mut PolicyRecord) -> Result<(), Failure> + Send,
    ) -> Result<String, Failure> {
        loop {
            let found = self.shared.records.policy(key).await?;
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
            if self.shared.records.put_policy(key, revision, &policy).await? {
                return Ok(policy.revision_id);
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
