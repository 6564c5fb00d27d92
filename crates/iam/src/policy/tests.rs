use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::caller::{Caller, Principal};

const STREAM: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
const CALLER: &str = "arn:aws:sts::000000000000:assumed-role/role/session";

fn caller(principal: Principal) -> Caller {
    Caller { account: "000000000000".parse().unwrap(), access_key_id: "ASIA".to_owned(), principal }
}

fn session() -> Caller {
    caller(Principal::RoleSession {
        role_name: "role".to_owned(),
        role_id: "AROAX".to_owned(),
        session_name: "session".to_owned(),
        issued_at: millstream_types::Timestamp::EPOCH,
        environment: None,
        session_policies: Arc::from([]),
    })
}

fn policy(effect: &str, action: &str, resource: &str) -> Document {
    identity(&format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#))
}

fn identity(statement: &str) -> Document {
    Document::parse(&wrap(statement), DocumentKind::Identity).unwrap()
}

fn on_resource(effect: &str, principal: &str) -> Document {
    let statement =
        format!(r#"{{"Effect":"{effect}","Principal":{principal},"Action":"kinesis:*","Resource":"{STREAM}"}}"#);
    Document::parse(&wrap(&statement), DocumentKind::Resource).unwrap()
}

fn wrap(statement: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
}

const NONE: Policies<'_> =
    Policies { identity: &[], boundary: None, session: None, resource: None, cross_account: false };

fn ask(caller: &Caller, policies: &Policies<'_>) -> Decision {
    let context = ConditionContext::new();
    evaluate(&Question { caller, action: "kinesis:GetRecords", resource: STREAM, context: &context }, policies)
}

fn reason(decision: &Decision) -> Option<DenialReason> {
    match decision {
        Decision::Allowed => None,
        Decision::Denied(denial) => Some(denial.reason),
    }
}

#[track_caller]
fn check(caller: &Caller, policies: &Policies<'_>, expected: Option<DenialReason>) {
    assert_eq!(reason(&ask(caller, policies)), expected);
}

#[test]
fn the_order_of_decisions() {
    use DenialReason::{Explicit, Implicit};
    let allow = policy("Allow", "kinesis:Get*", STREAM);
    let deny = policy("Deny", "KINESIS:getrecords", "*");
    let other = policy("Allow", "kinesis:PutRecord", STREAM);
    check(&session(), &NONE, Some(Implicit(PolicyKind::Identity)));
    check(&session(), &Policies { identity: &[&other], ..NONE }, Some(Implicit(PolicyKind::Identity)));
    check(&session(), &Policies { identity: &[&other, &allow], ..NONE }, None);
    check(&session(), &Policies { identity: &[&allow, &deny], ..NONE }, Some(Explicit(PolicyKind::Identity)));
    let bounded = Policies { identity: &[&allow], boundary: Some(&[&other]), ..NONE };
    check(&session(), &bounded, Some(Implicit(PolicyKind::Boundary)));
    check(&session(), &Policies { boundary: Some(&[&allow]), ..bounded }, None);
    check(&session(), &Policies { boundary: Some(&[]), ..bounded }, Some(Implicit(PolicyKind::Boundary)));
    let narrowed = Policies { identity: &[&allow], session: Some(&[&other]), ..NONE };
    check(&session(), &narrowed, Some(Implicit(PolicyKind::Session)));
    check(&session(), &Policies { session: Some(&[&other, &allow]), ..narrowed }, None);
    check(&session(), &Policies { session: Some(&[&allow, &deny]), ..narrowed }, Some(Explicit(PolicyKind::Session)));
}

#[test]
fn policies_of_the_resource() {
    use DenialReason::{Explicit, Implicit};
    let other = policy("Allow", "kinesis:PutRecord", STREAM);
    let itself = on_resource("Allow", &format!(r#"{{"AWS":"{CALLER}"}}"#));
    let role = on_resource("Allow", r#"{"AWS":"arn:aws:iam::000000000000:role/path/role"}"#);
    let account = on_resource("Allow", r#"{"AWS":"000000000000"}"#);
    let nobody = on_resource("Allow", r#"{"AWS":"arn:aws:iam::000000000000:role/another"}"#);
    let deny_all = on_resource("Deny", r#""*""#);
    let boundary: &[&Document] = &[&other];
    check(&session(), &Policies { resource: Some(&itself), boundary: Some(boundary), ..NONE }, None);
    check(&session(), &Policies { resource: Some(&role), ..NONE }, None);
    let bounded = Policies { resource: Some(&role), boundary: Some(boundary), ..NONE };
    check(&session(), &bounded, Some(Implicit(PolicyKind::Boundary)));
    check(&session(), &Policies { resource: Some(&account), ..NONE }, Some(Implicit(PolicyKind::Identity)));
    check(&session(), &Policies { resource: Some(&nobody), ..NONE }, Some(Implicit(PolicyKind::Identity)));
    check(&session(), &Policies { resource: Some(&deny_all), ..NONE }, Some(Explicit(PolicyKind::Resource)));
    let root = caller(Principal::Root);
    check(&root, &NONE, None);
    check(&root, &Policies { resource: Some(&deny_all), ..NONE }, Some(Explicit(PolicyKind::Resource)));
}

#[test]
fn another_accounts_resource_needs_both_sides() {
    use DenialReason::Implicit;
    let allow = policy("Allow", "*", "*");
    let named = on_resource("Allow", r#"{"AWS":"arn:aws:iam::000000000000:root"}"#);
    let cross = Policies { cross_account: true, ..NONE };
    check(&session(), &Policies { identity: &[&allow], ..cross }, Some(Implicit(PolicyKind::Resource)));
    check(&session(), &Policies { resource: Some(&named), ..cross }, Some(Implicit(PolicyKind::Identity)));
    check(&session(), &Policies { identity: &[&allow], resource: Some(&named), ..cross }, None);
    check(&caller(Principal::Root), &cross, Some(Implicit(PolicyKind::Resource)));
    check(&caller(Principal::Root), &Policies { resource: Some(&named), ..cross }, None);
}

#[test]
fn refusals_read_as_those_of_aws() {
    let Decision::Denied(mut denial) = ask(&session(), &NONE) else { panic!("nothing allows it") };
    let start = format!("User: {CALLER} is not authorized to perform: kinesis:GetRecords on resource: {STREAM}");
    assert_eq!(
        denial.to_string(),
        format!("{start} because no identity-based policy allows the kinesis:GetRecords action")
    );
    denial.reason = DenialReason::Explicit(PolicyKind::Identity);
    assert_eq!(denial.to_string(), format!("{start} with an explicit deny in an identity-based policy"));
    denial.resource.clear();
    denial.reason = DenialReason::Explicit(PolicyKind::Boundary);
    assert!(denial.to_string().ends_with("kinesis:GetRecords with an explicit deny in a permissions boundary"));
}

#[test]
fn an_unknown_operator_never_helps_the_caller() {
    let statement = |effect: &str| {
        identity(&format!(
            r#"{{"Effect":"{effect}","Action":"*","Resource":"*","Condition":{{"StringEqual":{{"a":"b"}}}}}}"#
        ))
    };
    let (allow, deny, plain) = (statement("Allow"), statement("Deny"), policy("Allow", "*", "*"));
    for identity in [&[&allow][..], &[&deny, &plain][..]] {
        let Decision::Denied(denial) = ask(&session(), &Policies { identity, ..NONE }) else {
            panic!("must be denied")
        };
        assert_eq!(denial.unknown_operators, ["StringEqual"]);
    }
    assert_eq!(allow.unknown_operators().collect::<Vec<_>>(), ["StringEqual"]);
}

#[test]
fn negated_elements_cover_all_else() {
    let all_but_put = identity(r#"{"Effect":"Allow","NotAction":"kinesis:Put*","Resource":"*"}"#);
    let all_but_get = identity(r#"{"Effect":"Allow","NotAction":["kinesis:Get*"],"Resource":"*"}"#);
    let elsewhere = identity(&format!(r#"{{"Effect":"Allow","Action":"*","NotResource":"{STREAM}"}}"#));
    check(&session(), &Policies { identity: &[&all_but_put], ..NONE }, None);
    let implicit = Some(DenialReason::Implicit(PolicyKind::Identity));
    check(&session(), &Policies { identity: &[&all_but_get, &elsewhere], ..NONE }, implicit);
}

#[test]
fn a_log_group_is_meant_with_and_without_its_star() {
    let group = "arn:aws:logs:r:000000000000:log-group:/aws/lambda/f";
    let context = ConditionContext::new();
    let allowed = |resource: &str, pattern: &str| {
        let document = policy("Allow", "logs:*", pattern);
        let caller = session();
        let question = Question { caller: &caller, action: "logs:CreateLogGroup", resource, context: &context };
        evaluate(&question, &Policies { identity: &[&document], ..NONE }).is_allowed()
    };
    assert!(allowed(group, group) && allowed(group, &format!("{group}:*")));
    assert!(allowed(&format!("{group}:log-stream:x"), &format!("{group}:*")));
    assert!(!allowed(&format!("{group}:log-stream:x"), group));
}

#[test]
fn trust_policies_name_services_roles_and_accounts() {
    let trust = |principal: &str| {
        let statement = format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}"#);
        Document::parse(&wrap(&statement), DocumentKind::Trust).unwrap()
    };
    let (context, caller) = (ConditionContext::new(), session());
    let check = |principal: &str, subject, expected| {
        let outcome = evaluate_trust(&trust(principal), subject, "sts:AssumeRole", &context);
        assert_eq!(outcome, expected, "{principal}");
    };
    let lambda = Subject::Service("lambda.amazonaws.com");
    let service = r#"{"Service":["ec2.amazonaws.com","lambda.amazonaws.com"]}"#;
    check(service, lambda, TrustOutcome::Named);
    check(service, Subject::Caller(&caller), TrustOutcome::NotNamed);
    check(r#"{"Service":"ec2.amazonaws.com"}"#, lambda, TrustOutcome::NotNamed);
    check(r#"{"AWS":"000000000000"}"#, lambda, TrustOutcome::NotNamed);
    check(r#"{"AWS":"000000000000"}"#, Subject::Caller(&caller), TrustOutcome::Named);
    check(r#"{"AWS":"arn:aws:iam::000000000000:role/role"}"#, Subject::Caller(&caller), TrustOutcome::Named);
    let other = evaluate_trust(&trust(service), lambda, "sts:TagSession", &context);
    assert_eq!(other, TrustOutcome::NotNamed);
}

const SYNTAX: &str = "Syntax errors in policy.";

#[test]
fn malformed_documents_get_the_texts_of_aws() {
    use DocumentKind::{Identity, Resource, Trust};
    let check = |kind, text: &str, expected: &str| {
        assert_eq!(Document::parse(text, kind).unwrap_err().to_string(), expected, "{text}");
    };
    let statement = |kind, statement: &str, expected: &str| check(kind, &wrap(statement), expected);
    check(Identity, "", "This policy contains invalid Json");
    check(Identity, "not json", "This policy contains invalid Json");
    check(Identity, "[]", SYNTAX);
    check(Identity, r#"{"Version":"2012-10-17"}"#, SYNTAX);
    check(
        Identity,
        r#"{"Version":"2013-01-01","Statement":[]}"#,
        "Policy document must be version 2012-10-17 or greater.",
    );
    statement(Identity, "[]", SYNTAX);
    statement(Identity, r#"{"Effect":"allow","Action":"*","Resource":"*"}"#, SYNTAX);
    statement(Identity, r#"{"Effect":"Allow","Action":"*","Resource":"*","Extra":1}"#, SYNTAX);
    statement(Identity, r#"{"Effect":"Allow","Action":"*","NotAction":"a:b","Resource":"*"}"#, SYNTAX);
    statement(Identity, r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":[]}"#, SYNTAX);
    statement(Identity, r#"{"Effect":"Allow","Resource":"*"}"#, "Policy statement must contain actions.");
    statement(Identity, r#"{"Effect":"Allow","Action":[],"Resource":"*"}"#, "Policy statement must contain actions.");
    statement(Identity, r#"{"Effect":"Allow","Action":"a:b"}"#, "Policy statement must contain resources.");
    statement(
        Identity,
        r#"{"Effect":"Allow","Action":"PutRecord","Resource":"*"}"#,
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    );
    statement(
        Identity,
        r#"{"Effect":"Allow","Action":"a:b:c","Resource":"*"}"#,
        "Actions/Condition can contain only one colon.",
    );
    statement(Identity, r#"{"Effect":"Allow","Action":"a b:c","Resource":"*"}"#, "Vendor a b is not valid");
    statement(
        Identity,
        r#"{"Effect":"Allow","Action":"a:b","Resource":"s"}"#,
        r#"Resource s must be in ARN format or "*"."#,
    );
    statement(
        Identity,
        r#"{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:kinesis"}"#,
        "The policy failed legacy parsing",
    );
    statement(
        Identity,
        r#"{"Effect":"Allow","Action":"a:b","Resource":"arn:aws:*:r:1:x"}"#,
        "Resource vendor must be fully qualified and cannot contain regexes.",
    );
    statement(
        Identity,
        r#"{"Effect":"Allow","Principal":"*","Action":"a:b","Resource":"*"}"#,
        "Has prohibited field Principal",
    );
    statement(
        Identity,
        r#"[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]"#,
        "Statement IDs (SID) in a single policy must be unique.",
    );
    statement(
        Trust,
        r#"{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}"#,
        "Has prohibited field Resource",
    );
    statement(Trust, r#"{"Effect":"Allow","Action":"sts:AssumeRole"}"#, "Missing required field Principal");
    statement(
        Trust,
        r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}"#,
        "AssumeRole policy may only specify STS AssumeRole actions.",
    );
    statement(
        Trust,
        r#"{"Effect":"Allow","Principal":{"AWS":"someone"},"Action":"sts:AssumeRole"}"#,
        r#"Invalid principal in policy: "AWS":"someone""#,
    );
    statement(Resource, r#"{"Effect":"Allow","Action":"a:b","Resource":"*"}"#, "Missing required field Principal");
}

#[test]
fn variables_are_literal_text_in_the_old_version() {
    let text = r#"{"Statement":{"Effect":"Allow","Action":"kinesis:*","Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/${x}"}}"#;
    let old = Document::parse(text, DocumentKind::Identity).unwrap();
    let new = identity(
        r#"{"Effect":"Allow","Action":"kinesis:*","Resource":"arn:aws:kinesis:us-east-1:000000000000:stream/${x}"}"#,
    );
    let context = ConditionContext::new().with("x", "s");
    let caller = session();
    let question = Question { caller: &caller, action: "kinesis:GetRecords", resource: STREAM, context: &context };
    assert!(!evaluate(&question, &Policies { identity: &[&old], ..NONE }).is_allowed());
    assert!(evaluate(&question, &Policies { identity: &[&new], ..NONE }).is_allowed());
}

fn statement() -> impl Strategy<Value = String> {
    let action = "(\\*|kinesis:\\*|kinesis:Get\\*|kinesis:Put\\*|s3:\\*)";
    ("(Allow|Deny)", action, prop::sample::select(vec!["*", STREAM, "arn:aws:kinesis:*:*:stream/x*"])).prop_map(
        |(effect, action, resource)| format!(r#"{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}"#),
    )
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,200}") {
        for kind in [DocumentKind::Identity, DocumentKind::Trust, DocumentKind::Resource] {
            let _outcome = Document::parse(&text, kind);
        }
    }

    #[test]
    fn any_json_of_the_right_outline_is_parsed_or_refused(
        effect in "(Allow|Deny|x)",
        action in "[a-z:*\\[\\]\"]{0,12}",
        resource in "[a-z:*${},' ]{0,30}",
        operator in "(ForAllValues:|ForAnyValue:)?(String|Numeric|Date|Arn|Ip|Null|Bool)?(Equals|Like|LessThan|Address)?(IfExists)?",
        value in "[a-z0-9:/.*?${}T-]{0,20}",
    ) {
        let document = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": {
                "Effect": effect, "Action": action, "Resource": resource,
                "Condition": { operator: { "aws:x": &value } },
            },
        });
        if let Ok(document) = Document::parse(&document.to_string(), DocumentKind::Identity) {
            let context = ConditionContext::new().with("aws:x", value);
            let caller = session();
            let question = Question { caller: &caller, action: "kinesis:GetRecords", resource: STREAM, context: &context };
            let _outcome = evaluate(&question, &Policies { identity: &[&document], ..NONE });
        }
    }

    #[test]
    fn an_added_deny_never_allows_more_and_order_does_not_matter(mut statements in prop::collection::vec(statement(), 1..6)) {
        let decide = |statements: &[String]| {
            let document = identity(&format!("[{}]", statements.join(",")));
            reason(&ask(&session(), &Policies { identity: &[&document], ..NONE }))
        };
        let before = decide(&statements);
        statements.reverse();
        prop_assert_eq!(decide(&statements), before);
        statements.push(r#"{"Effect":"Deny","Action":"kinesis:*","Resource":"*"}"#.to_owned());
        prop_assert_eq!(decide(&statements), Some(DenialReason::Explicit(PolicyKind::Identity)));
    }
}
