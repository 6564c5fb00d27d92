//! Combines the policies that apply to a request (IAM guide, "Policy evaluation logic").

use super::condition::Verdict;
use super::context::ConditionContext;
use super::decision::{Decision, Denial, DenialReason, PolicyKind};
use super::document::{Document, Effect, Statement};
use super::principal::{Naming, Subject};
use crate::caller::{Caller, Principal};

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) caller: &'a Caller,
    /// `service:Name`
    pub(crate) action: &'a str,
    /// An ARN, `*`, or empty for actions whose refusal names no resource (matched as `*`).
    pub(crate) resource: &'a str,
    pub(crate) context: &'a ConditionContext,
}

/// The policies that apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policies<'a> {
    pub(crate) identity: &'a [&'a Document],
    /// `None` when no boundary is set.
    pub(crate) boundary: Option<&'a [&'a Document]>,
    /// `None` when the caller is no session or no policy was passed for it.
    pub(crate) session: Option<&'a [&'a Document]>,
    pub(crate) resource: Option<&'a Document>,
    /// The resource belongs to another account than the caller.
    pub(crate) cross_account: bool,
}

/// What all statements of some policies say together.
#[derive(Default)]
struct Finding {
    denied: bool,
    /// The strongest naming among the statements that allow. Those of identity policies name the caller itself.
    allowed: Option<Naming>,
}

pub(crate) fn evaluate(question: &Question<'_>, policies: &Policies<'_>) -> Decision {
    let mut unknown = Vec::new();
    let subject = Subject::Caller(question.caller);
    let mut find = |documents: &[&Document]| search(question, subject, documents, &mut unknown);
    let identity = find(policies.identity);
    let resource = find(policies.resource.as_slice());
    let boundary = policies.boundary.map(&mut find);
    let session = policies.session.map(&mut find);
    let reason = decide(question, policies.cross_account, &identity, &resource, boundary.as_ref(), session.as_ref());
    match reason {
        None => Decision::Allowed,
        Some(reason) => Decision::Denied(Denial {
            caller: question.caller.arn().to_string(),
            action: question.action.to_owned(),
            resource: question.resource.to_owned(),
            reason,
            unknown_operators: unknown,
        }),
    }
}

/// The reason for a refusal, `None` to allow.
fn decide(
    question: &Question<'_>,
    cross_account: bool,
    identity: &Finding,
    resource: &Finding,
    boundary: Option<&Finding>,
    session: Option<&Finding>,
) -> Option<DenialReason> {
    use DenialReason::{Explicit, Implicit};
    let findings = [
        (PolicyKind::Identity, Some(identity)),
        (PolicyKind::Resource, Some(resource)),
        (PolicyKind::Boundary, boundary),
        (PolicyKind::Session, session),
    ];
    if let Some((kind, _)) = findings.iter().find(|(_, finding)| finding.is_some_and(|finding| finding.denied)) {
        return Some(Explicit(*kind));
    }
    if cross_account && resource.allowed.is_none() {
        return Some(Implicit(PolicyKind::Resource));
    }
    if question.caller.principal == Principal::Root {
        return None;
    }
    if !cross_account && resource.allowed == Some(Naming::Itself) {
        return None;
    }
    let by_resource = !cross_account && resource.allowed == Some(Naming::Role);
    if identity.allowed.is_none() && !by_resource {
        return Some(Implicit(PolicyKind::Identity));
    }
    if boundary.is_some_and(|finding| finding.allowed.is_none()) {
        return Some(Implicit(PolicyKind::Boundary));
    }
    if session.is_some_and(|finding| finding.allowed.is_none()) {
        return Some(Implicit(PolicyKind::Session));
    }
    None
}

/// What a trust policy says about someone who wants to assume its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrustOutcome {
    Denied,
    NotNamed,
    Named,
}

pub(crate) fn evaluate_trust(
    trust: &Document,
    subject: Subject<'_>,
    action: &str,
    context: &ConditionContext,
) -> TrustOutcome {
    let mut finding = Finding::default();
    let mut unknown = Vec::new();
    for statement in &trust.statements {
        weigh(statement, subject, action, &[], context, &mut finding, &mut unknown);
    }
    match finding {
        Finding { denied: true, .. } => TrustOutcome::Denied,
        Finding { allowed: Some(_), .. } => TrustOutcome::Named,
        Finding { allowed: None, .. } => TrustOutcome::NotNamed,
    }
}

/// Whether a policy on a resource lets a service in: such a caller has no policies of its own.
pub(crate) fn admits_service(
    policy: &Document,
    service: &str,
    action: &str,
    resource: &str,
    context: &ConditionContext,
) -> bool {
    let mut finding = Finding::default();
    let mut unknown = Vec::new();
    for statement in &policy.statements {
        weigh(statement, Subject::Service(service), action, &[resource], context, &mut finding, &mut unknown);
    }
    !finding.denied && finding.allowed.is_some()
}

fn search(
    question: &Question<'_>,
    subject: Subject<'_>,
    documents: &[&Document],
    unknown: &mut Vec<String>,
) -> Finding {
    let resources = resource_forms(question.resource);
    let resources: Vec<&str> = resources.iter().map(String::as_str).collect();
    let mut finding = Finding::default();
    for statement in documents.iter().flat_map(|document| &document.statements) {
        weigh(statement, subject, question.action, &resources, question.context, &mut finding, unknown);
    }
    finding
}

/// The forms in which policies name a resource: a log group is also meant by its ARN with `:*` at the end.
fn resource_forms(resource: &str) -> Vec<String> {
    let name = resource.split_once(":log-group:").map(|(_, name)| name);
    match name {
        Some(name) if resource.starts_with("arn:aws:logs:") && !name.contains(':') => {
            vec![resource.to_owned(), format!("{resource}:*")]
        }
        _ if resource.is_empty() => vec!["*".to_owned()],
        _ => vec![resource.to_owned()],
    }
}

/// Adds what one statement says to `finding`. A statement with an unknown operator denies but does not allow.
fn weigh(
    statement: &Statement,
    subject: Subject<'_>,
    action: &str,
    resources: &[&str],
    context: &ConditionContext,
    finding: &mut Finding,
    unknown: &mut Vec<String>,
) {
    let Some(naming) = naming(statement, subject) else { return };
    if !statement.actions.covers(|pattern| pattern.matches(action, true, context)) {
        return;
    }
    let fits = |resource: &&str| {
        let listed = statement.resources.as_ref();
        listed.is_none_or(|listed| listed.covers(|pattern| pattern.matches(resource, context)))
    };
    if !resources.is_empty() && !resources.iter().any(fits) {
        return;
    }
    let mut unknown_here = Vec::new();
    for condition in &statement.conditions {
        match condition.verdict(context) {
            Verdict::Holds => {}
            Verdict::Fails => return,
            Verdict::Unknown(name) => unknown_here.push(name.to_owned()),
        }
    }
    match statement.effect {
        Effect::Deny => finding.denied = true,
        Effect::Allow if unknown_here.is_empty() => finding.allowed = finding.allowed.max(Some(naming)),
        Effect::Allow => {}
    }
    unknown.append(&mut unknown_here);
}

/// How closely `statement` names `subject`.
fn naming(statement: &Statement, subject: Subject<'_>) -> Option<Naming> {
    let Some(listed) = &statement.principals else { return Some(Naming::Itself) };
    let named = listed.patterns.iter().filter_map(|pattern| pattern.names(subject)).max();
    match (listed.negated, named) {
        (false, named) => named,
        (true, None) => Some(Naming::Role),
        (true, Some(_)) => None,
    }
}
