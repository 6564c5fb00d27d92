//! Asks the policies that apply to a caller.

use std::sync::Arc;

use millstream_catalog::StoreError;
use millstream_client::sigv4::date;
use millstream_types::{AccountId, Arn};

use super::Iam;
use crate::caller::{Caller, Principal, SessionPolicy};
use crate::managed;
use crate::policy::{
    ConditionContext, Decision, Denial, DenialReason, Document, DocumentKind, MalformedPolicy, Policies, PolicyKind,
    Question, Subject, TrustOutcome, admits_service, evaluate, evaluate_trust,
};
use crate::roles::{ParsedRole, RoleReference, store_key};

/// The principal Lambda acts as.
const LAMBDA: &str = "lambda.amazonaws.com";

impl Iam {
    /// Whether `caller` may do `action` (`service:Name`) on `resource` (an ARN, `*`, or empty where a refusal names none).
    ///
    /// `context` holds what the service knows for conditions; facts about the caller and the time are added. Policies are
    /// read anew for each request, so that a change acts at once. `resource_policy` is the document on the resource.
    pub async fn authorize(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: &ConditionContext,
        resource_policy: Option<&str>,
    ) -> Result<Decision, StoreError> {
        let role = self.role_of(caller).await?;
        let context = self.with_facts(context, caller, role.as_deref());
        let question = Question { caller, action, resource, context: &context };
        let decision = if let Ok(policy) = parse_resource_policy(resource_policy) {
            let cross_account = is_foreign(resource, &caller.account);
            decide(&question, role.as_deref(), policy.as_ref(), cross_account)
        } else {
            tracing::error!(resource, "the policy of a resource is damaged: everybody is refused");
            Decision::Denied(Denial {
                caller: caller.arn().to_string(),
                action: action.to_owned(),
                resource: resource.to_owned(),
                reason: DenialReason::Explicit(PolicyKind::Resource),
                unknown_operators: Vec::new(),
            })
        };
        if let Decision::Denied(denial) = &decision
            && !denial.unknown_operators.is_empty()
        {
            tracing::warn!(
                caller = %denial.caller,
                action,
                operators = ?denial.unknown_operators,
                "refused because of condition operators that are not known"
            );
        }
        Ok(decision)
    }

    /// Whether the role exists and its trust policy lets Lambda assume it.
    pub async fn lambda_can_assume(&self, role_arn: &str) -> Result<bool, StoreError> {
        let role = self.role_by_arn(role_arn).await?;
        Ok(role.is_some_and(|role| trusts_lambda(&role)))
    }

    /// Whether the role exists and its policies allow `action` on `resource`. Does not ask who may assume it.
    pub async fn role_allows(&self, role_arn: &str, action: &str, resource: &str) -> Result<bool, StoreError> {
        self.role_allows_with(role_arn, action, resource, None).await
    }

    /// As [`Iam::role_allows`], on a resource that has a policy of its own.
    pub async fn role_allows_with(
        &self,
        role_arn: &str,
        action: &str,
        resource: &str,
        resource_policy: Option<&str>,
    ) -> Result<bool, StoreError> {
        let Some(role) = self.role_by_arn(role_arn).await? else { return Ok(false) };
        let Ok(account) = role.record.account.parse() else { return Ok(false) };
        let caller = Caller {
            account,
            access_key_id: String::new(),
            principal: Principal::RoleSession {
                role_name: role.record.name.clone(),
                role_id: role.record.id.clone(),
                session_name: "lambda".to_owned(),
                issued_at: self.shared.host_clock.now(),
                environment: None,
                session_policies: Arc::from([]),
            },
        };
        let context = self.with_facts(&ConditionContext::new(), &caller, Some(&role));
        let question = Question { caller: &caller, action, resource, context: &context };
        let cross_account = is_foreign(resource, &caller.account);
        let Ok(policy) = parse_resource_policy(resource_policy) else { return Ok(false) };
        Ok(decide(&question, Some(&role), policy.as_ref(), cross_account).is_allowed())
    }

    /// The role a caller is a session of, if it still is the same one.
    pub(crate) async fn role_of(&self, caller: &Caller) -> Result<Option<Arc<ParsedRole>>, StoreError> {
        let Principal::RoleSession { role_name, role_id, .. } = &caller.principal else { return Ok(None) };
        let role = self.parsed_role(&caller.account, role_name).await?;
        Ok(role.filter(|role| role.record.id == *role_id))
    }

    /// The role with exactly this ARN, path included.
    pub(crate) async fn role_by_arn(&self, role_arn: &str) -> Result<Option<Arc<ParsedRole>>, StoreError> {
        let Some(reference) = RoleReference::parse(role_arn) else { return Ok(None) };
        let role = self.parsed_role(&reference.account, &reference.name).await?;
        Ok(role.filter(|role| role.record.arn() == role_arn))
    }

    async fn parsed_role(&self, account: &AccountId, name: &str) -> Result<Option<Arc<ParsedRole>>, StoreError> {
        let key = store_key(account.as_str(), name);
        let Some(found) = self.shared.store.get(&key).await? else { return Ok(None) };
        let role = self.shared.roles.get(&key, &found);
        role.map(Some).ok_or_else(|| StoreError::Unavailable(format!("the role {name} is damaged in the catalog")))
    }

    /// `context` with the global condition keys (IAM guide, "AWS global condition context keys").
    pub(crate) fn with_facts(
        &self,
        context: &ConditionContext,
        caller: &Caller,
        role: Option<&ParsedRole>,
    ) -> ConditionContext {
        let now = self.shared.host_clock.now();
        let account = caller.account.as_str();
        let mut context = context.clone();
        context.set("aws:CurrentTime", date::format_iso(now));
        context.set("aws:EpochTime", now.seconds().to_string());
        context.set("aws:PrincipalAccount", account);
        context.set("aws:PrincipalIsAWSService", "false");
        match &caller.principal {
            Principal::Root => {
                context.set("aws:PrincipalArn", caller.arn().to_string());
                context.set("aws:PrincipalType", "Account");
                context.set("aws:userid", account);
            }
            Principal::User { name, id, .. } => {
                context.set("aws:PrincipalArn", caller.arn().to_string());
                context.set("aws:PrincipalType", "User");
                context.set("aws:userid", id.as_str());
                context.set("aws:username", name.as_str());
            }
            Principal::RoleSession { role_id, session_name, issued_at, .. } => {
                context.set("aws:PrincipalType", "AssumedRole");
                context.set("aws:userid", format!("{role_id}:{session_name}"));
                context.set("aws:TokenIssueTime", date::format_iso(*issued_at));
            }
        }
        if let Some(role) = role {
            context.set("aws:PrincipalArn", role.record.arn());
            for (key, value) in &role.record.tags {
                context.set(&format!("aws:PrincipalTag/{key}"), value.as_str());
            }
        }
        context
    }
}

/// Whether the trust policy of `role` names Lambda.
pub(crate) fn trusts_lambda(role: &ParsedRole) -> bool {
    let context = ConditionContext::new()
        .with("aws:SourceAccount", role.record.account.as_str())
        .with("aws:PrincipalIsAWSService", "true")
        .with("aws:PrincipalServiceName", LAMBDA);
    let outcome = evaluate_trust(&role.trust, Subject::Service(LAMBDA), "sts:AssumeRole", &context);
    outcome == TrustOutcome::Named
}

/// Whether the policy on a resource lets a service of AWS (`sns.amazonaws.com`) do something with it in the name of
/// `source`: what the conditions `aws:SourceArn` and `aws:SourceAccount` are about.
pub fn resource_policy_admits_service(policy: &str, service: &str, action: &str, resource: &str, source: &Arn) -> bool {
    let context = ConditionContext::new()
        .with("aws:SourceArn", source.to_string())
        .with("aws:SourceAccount", source.account.as_str())
        .with("aws:PrincipalIsAWSService", "true")
        .with("aws:PrincipalServiceName", service);
    Document::parse(policy, DocumentKind::Resource)
        .is_ok_and(|policy| admits_service(&policy, service, action, resource, &context))
}

/// Whether `text` can be the policy on a resource. The error is IAM's text.
pub fn check_resource_policy(text: &str) -> Result<(), MalformedPolicy> {
    Document::parse(text, DocumentKind::Resource).map(drop)
}

fn parse_resource_policy(text: Option<&str>) -> Result<Option<Document>, ()> {
    text.map(|text| Document::parse(text, DocumentKind::Resource)).transpose().map_err(|_| ())
}

/// Evaluates with the policies of `role`, which is that of the caller's session.
pub(crate) fn decide(
    question: &Question<'_>,
    role: Option<&ParsedRole>,
    resource_policy: Option<&Document>,
    cross_account: bool,
) -> Decision {
    let identity = role.map(ParsedRole::identity_policies).unwrap_or_default();
    let boundary = role.and_then(ParsedRole::boundary);
    let session = session_documents(question.caller);
    let session: Option<Vec<&Document>> = session.as_ref().map(|documents| documents.iter().map(Held::get).collect());
    let policies = Policies {
        identity: &identity,
        boundary: boundary.as_deref(),
        session: session.as_deref(),
        resource: resource_policy,
        cross_account,
    };
    evaluate(question, &policies)
}

/// A document that is built in, or one parsed for this request.
enum Held {
    BuiltIn(&'static Document),
    Own(Document),
}

impl Held {
    fn get(&self) -> &Document {
        match self {
            Self::BuiltIn(document) => document,
            Self::Own(document) => document,
        }
    }
}

/// What was passed for the caller's session; `None` when nothing was. What cannot be read allows nothing.
fn session_documents(caller: &Caller) -> Option<Vec<Held>> {
    let Principal::RoleSession { session_policies, .. } = &caller.principal else { return None };
    let documents = session_policies.iter().filter_map(|policy| match policy {
        SessionPolicy::Managed(arn) => managed::document(arn).map(Held::BuiltIn),
        SessionPolicy::Inline(text) => Document::parse(text, DocumentKind::Identity).ok().map(Held::Own),
    });
    (!session_policies.is_empty()).then(|| documents.collect())
}

/// Whether `resource` names another account than `account`.
fn is_foreign(resource: &str, account: &AccountId) -> bool {
    resource.parse::<Arn>().is_ok_and(|arn| arn.account.parse::<AccountId>().is_ok_and(|owner| owner != *account))
}
