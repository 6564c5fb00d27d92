//! `AssumeRole`.

use std::sync::Arc;
use std::time::Duration;

use millstream_wire::CommonError;
use millstream_wire::sts::error::AssumeRoleError;
use millstream_wire::sts::{AssumeRoleRequest, AssumeRoleResponse, AssumedRoleUser, Credentials};

use super::errors::store_error;
use super::quotas::{SESSION_POLICY_ARNS_MAX, SESSION_POLICY_SIZE_MAX};
use crate::caller::{Caller, Principal, RequestContext, SessionPolicy};
use crate::iam::authorize::decide;
use crate::iam::{Iam, SessionGrant};
use crate::managed;
use crate::policy::{ConditionContext, Document, DocumentKind, Question, Subject, TrustOutcome, evaluate_trust};
use crate::roles::{ParsedRole, RoleReference};

const ACTION: &str = "sts:AssumeRole";
const DURATION_SECONDS_DEFAULT: u32 = 3600;
/// A session that assumes another role gets an hour at most (IAM guide, "Role chaining").
const CHAINED_SECONDS_MAX: u32 = 3600;

impl Iam {
    /// The role's trust policy takes part in the decision, so authorization happens here.
    pub async fn assume_role(
        &self,
        context: &RequestContext,
        input: AssumeRoleRequest,
    ) -> Result<AssumeRoleResponse, AssumeRoleError> {
        let caller = &context.caller;
        refuse_what_is_missing(&input)?;
        if RoleReference::parse(&input.role_arn).is_none() {
            return Err(validation(format!("{} is invalid", input.role_arn)));
        }
        let session_policies = read_session_policies(&input)?;
        let role = self.role_by_arn(&input.role_arn).await.map_err(|error| store_error(&error))?;
        // A role that does not exist is not told from one that the caller may not assume.
        let role = role.ok_or_else(|| denied(caller, &input.role_arn))?;
        if !self.may_assume(caller, &role, &input).await? {
            return Err(denied(caller, &input.role_arn));
        }
        let seconds = session_seconds(caller, &role, input.duration_seconds)?;
        let record = &role.record;
        let account = record.account.parse().map_err(|_| {
            CommonError::InternalFailure(format!("the role {} is damaged in the catalog", input.role_arn))
        })?;
        let grant = SessionGrant {
            account,
            role_name: record.name.clone(),
            role_id: record.id.clone(),
            session_name: input.role_session_name.clone(),
            lifetime: Duration::from_secs(seconds.into()),
            environment: environment_of(caller),
            session_policies,
        };
        let issued = self.issue_session(grant).map_err(|error| CommonError::InternalFailure(error.to_string()))?;
        let user = AssumedRoleUser {
            arn: format!("arn:aws:sts::{}:assumed-role/{}/{}", record.account, record.name, input.role_session_name),
            assumed_role_id: format!("{}:{}", record.id, input.role_session_name),
        };
        let credentials = Credentials {
            access_key_id: issued.credentials.access_key_id,
            expiration: issued.expires,
            secret_access_key: issued.credentials.secret_access_key,
            session_token: issued.credentials.session_token.unwrap_or_default(),
        };
        Ok(AssumeRoleResponse {
            assumed_role_user: Some(user),
            credentials: Some(credentials),
            packed_policy_size: packed_percent(&input),
            source_identity: None,
        })
    }

    /// Whether the trust policy names the caller and, where that leaves the decision to the caller's account, the caller's
    /// own policies allow it.
    async fn may_assume(
        &self,
        caller: &Caller,
        role: &ParsedRole,
        input: &AssumeRoleRequest,
    ) -> Result<bool, CommonError> {
        let own = self.role_of(caller).await.map_err(|error| store_error(&error))?;
        let mut facts = ConditionContext::new().with("sts:RoleSessionName", input.role_session_name.as_str());
        if let Some(external_id) = &input.external_id {
            facts.set("sts:ExternalId", external_id.as_str());
        }
        let facts = self.with_facts(&facts, caller, own.as_deref());
        // Identity policies may be enough for other resources, but a role's own policy must always allow.
        let outcome = evaluate_trust(&role.trust, Subject::Caller(caller), ACTION, &facts);
        if outcome != TrustOutcome::Named {
            return Ok(false);
        }
        let arn = role.record.arn();
        let question = Question { caller, action: ACTION, resource: &arn, context: &facts };
        let cross_account = role.record.account != caller.account.as_str();
        Ok(decide(&question, own.as_deref(), Some(&role.trust), cross_account).is_allowed())
    }
}

/// Sessions that a function makes for itself end with its environment too.
fn environment_of(caller: &Caller) -> Option<Arc<str>> {
    match &caller.principal {
        Principal::RoleSession { environment, .. } => environment.clone(),
        _ => None,
    }
}

fn validation(text: impl Into<String>) -> AssumeRoleError {
    AssumeRoleError::Common(CommonError::Validation(text.into()))
}

fn denied(caller: &Caller, role_arn: &str) -> AssumeRoleError {
    let text = format!("User: {} is not authorized to perform: {ACTION} on resource: {role_arn}", caller.arn());
    AssumeRoleError::Common(CommonError::AccessDenied(text))
}

/// Parameters without effect so far are refused rather than ignored.
fn refuse_what_is_missing(input: &AssumeRoleRequest) -> Result<(), AssumeRoleError> {
    let given = [
        ("Tags", input.tags.as_ref().is_some_and(|tags| !tags.is_empty())),
        ("TransitiveTagKeys", input.transitive_tag_keys.as_ref().is_some_and(|keys| !keys.is_empty())),
        ("SourceIdentity", input.source_identity.is_some()),
        ("SerialNumber", input.serial_number.is_some()),
        ("TokenCode", input.token_code.is_some()),
        ("ProvidedContexts", input.provided_contexts.as_ref().is_some_and(|contexts| !contexts.is_empty())),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => {
            Err(validation(format!("Millstream does not support the parameter {name} of AssumeRole yet.")))
        }
    }
}

fn read_session_policies(input: &AssumeRoleRequest) -> Result<Vec<SessionPolicy>, AssumeRoleError> {
    let mut policies = Vec::new();
    if let Some(text) = &input.policy {
        if text.chars().count() > SESSION_POLICY_SIZE_MAX {
            let text = format!("The session policy is longer than {SESSION_POLICY_SIZE_MAX} characters.");
            return Err(AssumeRoleError::PackedPolicyTooLarge(text));
        }
        Document::parse(text, DocumentKind::Identity)
            .map_err(|malformed| AssumeRoleError::MalformedPolicyDocument(malformed.to_string()))?;
        policies.push(SessionPolicy::Inline(text.clone()));
    }
    let arns = input.policy_arns.iter().flatten().filter_map(|policy| policy.arn.as_ref());
    for arn in arns {
        if !managed::is_aws_managed(arn) {
            return Err(validation(format!("{arn} is invalid")));
        }
        policies.push(SessionPolicy::Managed(arn.clone()));
    }
    if policies.len() > SESSION_POLICY_ARNS_MAX + usize::from(input.policy.is_some()) {
        let text = format!("More than {SESSION_POLICY_ARNS_MAX} managed policies are passed for the session.");
        return Err(AssumeRoleError::PackedPolicyTooLarge(text));
    }
    Ok(policies)
}

/// How much of the room for session policies is used, in percent; absent when none was passed.
fn packed_percent(input: &AssumeRoleRequest) -> Option<i32> {
    let characters = input.policy.as_ref().map_or(0, |text| text.chars().count());
    let arns = input.policy_arns.iter().flatten().filter_map(|policy| policy.arn.as_ref()).map(String::len);
    let used = characters + arns.sum::<usize>();
    if used == 0 { None } else { i32::try_from((used * 100).div_ceil(SESSION_POLICY_SIZE_MAX)).ok() }
}

fn session_seconds(caller: &Caller, role: &ParsedRole, asked: Option<i32>) -> Result<u32, AssumeRoleError> {
    let seconds = asked.map_or(DURATION_SECONDS_DEFAULT, i32::cast_unsigned);
    if seconds > role.record.max_session_seconds {
        return Err(validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
    }
    if matches!(caller.principal, Principal::RoleSession { .. }) && seconds > CHAINED_SECONDS_MAX {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(validation(text));
    }
    Ok(seconds)
}
