use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::{MemoryStore, SharedStore};
use millstream_client::sigv4::{Signer, sha256};
use millstream_env::{HostClock, Random, ServiceClock, Timestamp};
use millstream_types::Scope;
use millstream_wire::CommonError;
use millstream_wire::iam::error::{
    AttachRolePolicyError, CreateRoleError, DeleteRoleError, DetachRolePolicyError, GetPolicyError,
    GetPolicyVersionError, GetRoleError, GetRolePolicyError, PutRolePolicyError, UpdateAssumeRolePolicyError,
};
use millstream_wire::iam::*;
use millstream_wire::sts::error::AssumeRoleError;
use millstream_wire::sts::{AssumeRoleRequest, GetCallerIdentityRequest, PolicyDescriptorType};

use crate::iam::Iam;
use crate::sigv4::{AuthMode, RequestParts};
use crate::{Caller, ConditionContext, Decision, Principal, RequestContext, RoleChange};

const ACCOUNT: &str = "123456789012";
const LAMBDA_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const ACCOUNT_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}"#;
const KINESIS_ROLE: &str = "arn:aws:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole";
const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/s";
const NOW: Timestamp = Timestamp::from_seconds(1_767_323_045);

async fn iam() -> Iam {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (clock, _) = ServiceClock::virtual_at(Timestamp::from_seconds(1_000));
    Iam::open(store, clock, HostClock::fixed_at(NOW), Random::seeded(5), AuthMode::Open).await.unwrap()
}

fn context(principal: Principal) -> RequestContext {
    let account: millstream_types::AccountId = ACCOUNT.parse().unwrap();
    RequestContext {
        scope: Scope { account: account.clone(), region: "us-east-1".parse().unwrap() },
        caller: Caller { account, access_key_id: ACCOUNT.to_owned(), principal },
        request_id: "id".to_owned(),
        endpoint: "http://localhost:4566".to_owned(),
    }
}

fn root() -> RequestContext {
    context(Principal::Root)
}

fn create(name: &str, trust: &str) -> CreateRoleRequest {
    CreateRoleRequest {
        role_name: name.to_owned(),
        assume_role_policy_document: trust.to_owned(),
        ..CreateRoleRequest::default()
    }
}

async fn put_policy(iam: &Iam, role: &str, name: &str, document: &str) -> Result<(), PutRolePolicyError> {
    let input = PutRolePolicyRequest {
        role_name: role.to_owned(),
        policy_name: name.to_owned(),
        policy_document: document.to_owned(),
    };
    iam.put_role_policy(&root(), input).await
}

async fn attach(iam: &Iam, role: &str, arn: &str) -> Result<(), AttachRolePolicyError> {
    let input = AttachRolePolicyRequest { role_name: role.to_owned(), policy_arn: arn.to_owned() };
    iam.attach_role_policy(&root(), input).await
}

async fn detach(iam: &Iam, role: &str, arn: &str) -> Result<(), DetachRolePolicyError> {
    let input = DetachRolePolicyRequest { role_name: role.to_owned(), policy_arn: arn.to_owned() };
    iam.detach_role_policy(&root(), input).await
}

async fn get(iam: &Iam, name: &str) -> Result<Role, GetRoleError> {
    iam.get_role(&root(), GetRoleRequest { role_name: name.to_owned() }).await.map(|answer| answer.role)
}

async fn delete(iam: &Iam, name: &str) -> Result<(), DeleteRoleError> {
    iam.delete_role(&root(), DeleteRoleRequest { role_name: name.to_owned() }).await
}

fn allow(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}}}"#
    )
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

#[tokio::test]
async fn a_role_is_answered_with_the_recorded_members() {
    let iam = iam().await;
    let tag = |key: &str| Tag { key: key.to_owned(), value: "v".to_owned() };
    let input = CreateRoleRequest { tags: Some(vec![tag("k")]), ..create("r", LAMBDA_TRUST) };
    let created = iam.create_role(&root(), input).await.unwrap().role;
    assert_eq!((created.arn.as_str(), created.path.as_str()), (arn("r").as_str(), "/"));
    assert!(created.role_id.len() == 21 && created.role_id.starts_with("AROA"));
    assert_eq!(created.create_date, Timestamp::from_seconds(1_000));
    assert_eq!((created.max_session_duration, created.role_last_used.clone()), (None, None));
    assert_eq!(created.tags, Some(vec![tag("k")]));
    let document = created.assume_role_policy_document.clone().unwrap();
    assert!(document.starts_with("%7B%22Version%22%3A%222012-10-17%22"), "{document}");
    let full = get(&iam, "r").await.unwrap();
    assert_eq!((full.max_session_duration, full.role_last_used), (Some(3600), Some(RoleLastUsed::default())));
    let listed = iam.list_roles(&root(), ListRolesRequest::default()).await.unwrap();
    let [listed_role] = &listed.roles[..] else { panic!("there is one role") };
    assert_eq!((listed_role.max_session_duration, listed_role.tags.clone()), (Some(3600), None));
    assert_eq!(listed_role.role_last_used, None);
    let input = CreateRoleRequest { tags: Some(vec![tag("k"), tag("K")]), ..create("r2", LAMBDA_TRUST) };
    let text = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
    assert_eq!(iam.create_role(&root(), input).await, Err(CreateRoleError::InvalidInput(text.to_owned())));
}

#[tokio::test]
async fn role_names_are_unique_ignoring_case() {
    let iam = iam().await;
    iam.create_role(&root(), create("Role", LAMBDA_TRUST)).await.unwrap();
    let text = "Role with name rOLE already exists.".to_owned();
    let second = iam.create_role(&root(), create("rOLE", LAMBDA_TRUST)).await;
    assert_eq!(second, Err(CreateRoleError::EntityAlreadyExists(text)));
    assert_eq!(get(&iam, "role").await.unwrap().role_name, "Role");
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let iam = iam().await;
    let role = "The role with name none cannot be found.".to_owned();
    assert_eq!(get(&iam, "none").await, Err(GetRoleError::NoSuchEntity(role.clone())));
    assert_eq!(delete(&iam, "none").await, Err(DeleteRoleError::NoSuchEntity(role.clone())));
    assert_eq!(attach(&iam, "none", KINESIS_ROLE).await, Err(AttachRolePolicyError::NoSuchEntity(role.clone())));
    let put = put_policy(&iam, "none", "p", &allow("a:b", "*")).await;
    assert_eq!(put, Err(PutRolePolicyError::NoSuchEntity(role)));
    iam.create_role(&root(), create("r", LAMBDA_TRUST)).await.unwrap();
    let text = "Policy arn:aws:iam::123456789012:policy/x does not exist or is not attachable.".to_owned();
    let attached = attach(&iam, "r", "arn:aws:iam::123456789012:policy/x").await;
    assert_eq!(attached, Err(AttachRolePolicyError::NoSuchEntity(text)));
    let text = format!("Policy {KINESIS_ROLE} was not found.");
    assert_eq!(detach(&iam, "r", KINESIS_ROLE).await, Err(DetachRolePolicyError::NoSuchEntity(text)));
    let invalid = CommonError::Validation("Invalid ARN:  Could not be parsed!".to_owned());
    assert_eq!(attach(&iam, "r", "x").await, Err(AttachRolePolicyError::Common(invalid)));
    let input = GetRolePolicyRequest { role_name: "r".to_owned(), policy_name: "p".to_owned() };
    let text = "The role policy with name p cannot be found.".to_owned();
    assert_eq!(iam.get_role_policy(&root(), input).await, Err(GetRolePolicyError::NoSuchEntity(text)));
}

#[tokio::test]
async fn a_role_with_policies_is_not_deleted() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", LAMBDA_TRUST)).await.unwrap();
    attach(&iam, "r", KINESIS_ROLE).await.unwrap();
    attach(&iam, "r", KINESIS_ROLE).await.unwrap();
    put_policy(&iam, "r", "p", &allow("a:b", "*")).await.unwrap();
    let conflict = |text: &str| Err(DeleteRoleError::DeleteConflict(text.to_owned()));
    assert_eq!(delete(&iam, "r").await, conflict("Cannot delete entity, must detach all policies first."));
    detach(&iam, "r", KINESIS_ROLE).await.unwrap();
    assert_eq!(delete(&iam, "r").await, conflict("Cannot delete entity, must delete policies first."));
    let input = DeleteRolePolicyRequest { role_name: "r".to_owned(), policy_name: "p".to_owned() };
    iam.delete_role_policy(&root(), input).await.unwrap();
    assert_eq!(delete(&iam, "r").await, Ok(()));
    assert!(get(&iam, "r").await.is_err());
}

#[tokio::test]
async fn documents_come_back_as_they_were_given() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", LAMBDA_TRUST)).await.unwrap();
    let document = "{\n  \"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\":\"Allow\",\"Action\":\"a:b\",\"Resource\":\"arn:aws:s3:::x%3Ay\"}]}";
    put_policy(&iam, "r", "p", document).await.unwrap();
    let input = GetRolePolicyRequest { role_name: "R".to_owned(), policy_name: "p".to_owned() };
    let answer = iam.get_role_policy(&root(), input).await.unwrap();
    let decoded = millstream_client::sigv4::encoding::query_pairs(&format!("d={}", answer.policy_document)).next();
    assert_eq!(decoded.unwrap().1, document.as_bytes());
    assert_eq!((answer.role_name.as_str(), answer.policy_name.as_str()), ("r", "p"));
}

#[tokio::test]
async fn malformed_and_oversized_policies_are_refused() {
    let iam = iam().await;
    let malformed = |text: &str| Err(CreateRoleError::MalformedPolicyDocument(text.to_owned()));
    let created = iam.create_role(&root(), create("r", "{")).await;
    assert_eq!(created, malformed("This policy contains invalid Json"));
    let trust = ACCOUNT_TRUST.replace("\"123456789012\"", "\"arn:aws:iam::123456789012:role/none\"");
    let created = iam.create_role(&root(), create("r", &trust)).await;
    assert_eq!(created, malformed(r#"Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/none""#));
    let long = LAMBDA_TRUST.replace("2012-10-17\",", &format!("2012-10-17\",\"Id\":\"{}\",", "x".repeat(2048)));
    let text = "Cannot exceed quota for ACLSizePerRole: 2048".to_owned();
    assert_eq!(iam.create_role(&root(), create("r", &long)).await, Err(CreateRoleError::LimitExceeded(text)));
    iam.create_role(&root(), create("r", LAMBDA_TRUST)).await.unwrap();
    let input = UpdateAssumeRolePolicyRequest { role_name: "r".to_owned(), policy_document: "[]".to_owned() };
    let text = "Syntax errors in policy.".to_owned();
    let updated = iam.update_assume_role_policy(&root(), input).await;
    assert_eq!(updated, Err(UpdateAssumeRolePolicyError::MalformedPolicyDocument(text)));
    let large = allow("a:b", &format!("arn:aws:s3:::{}", "x".repeat(6000)));
    put_policy(&iam, "r", "one", &large).await.unwrap();
    let text = "Maximum policy size of 10240 bytes exceeded for role r".to_owned();
    assert_eq!(put_policy(&iam, "r", "two", &large).await, Err(PutRolePolicyError::LimitExceeded(text)));
    assert_eq!(put_policy(&iam, "r", "one", &large).await, Ok(()));
    for number in 0..10 {
        attach(&iam, "r", &format!("arn:aws:iam::aws:policy/P{number}")).await.unwrap();
    }
    let text = "Cannot exceed quota for PoliciesPerRole: 10".to_owned();
    assert_eq!(attach(&iam, "r", KINESIS_ROLE).await, Err(AttachRolePolicyError::LimitExceeded(text)));
}

#[tokio::test]
async fn listings_are_paged() {
    let iam = iam().await;
    for number in 0..5 {
        let path = if number == 3 { "/other/" } else { "/team/" };
        let input =
            CreateRoleRequest { path: Some(path.to_owned()), ..create(&format!("role-{number}"), LAMBDA_TRUST) };
        iam.create_role(&root(), input).await.unwrap();
    }
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let input = ListRolesRequest { marker, max_items: Some(2), path_prefix: Some("/team/".to_owned()) };
        let page = iam.list_roles(&root(), input).await.unwrap();
        assert_eq!(page.is_truncated, Some(page.marker.is_some()));
        names.extend(page.roles.into_iter().map(|role| role.role_name));
        marker = page.marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(names, ["role-0", "role-1", "role-2", "role-4"]);
    attach(&iam, "role-0", KINESIS_ROLE).await.unwrap();
    attach(&iam, "role-0", "arn:aws:iam::aws:policy/AdministratorAccess").await.unwrap();
    let input = ListAttachedRolePoliciesRequest {
        role_name: "role-0".to_owned(),
        path_prefix: Some("/service-role/".to_owned()),
        ..ListAttachedRolePoliciesRequest::default()
    };
    let answer = iam.list_attached_role_policies(&root(), input).await.unwrap();
    let attached = answer.attached_policies.unwrap();
    assert_eq!(attached.len(), 1);
    assert_eq!(attached[0].policy_name.as_deref(), Some("AWSLambdaKinesisExecutionRole"));
    put_policy(&iam, "role-0", "b", &allow("a:b", "*")).await.unwrap();
    put_policy(&iam, "role-0", "a", &allow("a:b", "*")).await.unwrap();
    let input = ListRolePoliciesRequest {
        role_name: "role-0".to_owned(),
        max_items: Some(1),
        ..ListRolePoliciesRequest::default()
    };
    let answer = iam.list_role_policies(&root(), input).await.unwrap();
    assert_eq!((answer.policy_names, answer.is_truncated), (vec!["a".to_owned()], Some(true)));
    let input = ListInstanceProfilesForRoleRequest { role_name: "role-0".to_owned(), ..Default::default() };
    let answer = iam.list_instance_profiles_for_role(&root(), input).await.unwrap();
    assert!(answer.instance_profiles.is_empty());
}

#[tokio::test]
async fn built_in_policies_can_be_read() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", LAMBDA_TRUST)).await.unwrap();
    attach(&iam, "r", KINESIS_ROLE).await.unwrap();
    let ask = |arn: &str| GetPolicyRequest { policy_arn: arn.to_owned() };
    let policy = iam.get_policy(&root(), ask(KINESIS_ROLE)).await.unwrap().policy.unwrap();
    assert_eq!((policy.attachment_count, policy.default_version_id.as_deref()), (Some(1), Some("v2")));
    let text = "Policy arn:aws:iam::aws:policy/X was not found.".to_owned();
    let unknown = iam.get_policy(&root(), ask("arn:aws:iam::aws:policy/X")).await;
    assert_eq!(unknown, Err(GetPolicyError::NoSuchEntity(text)));
    let version = |id: &str| GetPolicyVersionRequest { policy_arn: KINESIS_ROLE.to_owned(), version_id: id.to_owned() };
    let answer = iam.get_policy_version(&root(), version("v2")).await.unwrap().policy_version.unwrap();
    assert!(answer.document.unwrap().contains("kinesis%3AGetRecords"));
    let missing = iam.get_policy_version(&root(), version("v1")).await;
    assert!(matches!(missing, Err(GetPolicyVersionError::NoSuchEntity(_))));
}

#[tokio::test]
async fn lambda_assumes_roles_that_trust_it() {
    let iam = iam().await;
    iam.create_role(&root(), create("yes", LAMBDA_TRUST)).await.unwrap();
    iam.create_role(&root(), create("no", ACCOUNT_TRUST)).await.unwrap();
    for (arn, expected) in [
        (arn("yes"), true),
        (arn("no"), false),
        (arn("none"), false),
        (arn("path/yes"), false),
        ("arn:aws:iam::000000000000:role/yes".to_owned(), false),
        ("nonsense".to_owned(), false),
    ] {
        assert_eq!(iam.lambda_can_assume(&arn).await, Ok(expected), "{arn}");
    }
    let minute = Duration::from_mins(1);
    assert!(iam.issue_role_session(&arn("no"), "f", "e", minute).await.is_err());
    assert!(iam.issue_role_session(&arn("yes"), "f", "e", minute).await.is_ok());
}

#[tokio::test]
async fn a_change_of_a_role_acts_at_once_and_is_told() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", LAMBDA_TRUST)).await.unwrap();
    let mut watch = iam.role_watch();
    let allows = || async { iam.role_allows(&arn("r"), "kinesis:GetRecords", STREAM).await.unwrap() };
    assert!(!allows().await);
    attach(&iam, "r", KINESIS_ROLE).await.unwrap();
    assert!(allows().await);
    let change = watch.next().await;
    assert!(matches!(change, RoleChange::Role { .. }));
    assert!(change.concerns(&arn("R")) && !change.concerns(&arn("other")));
    detach(&iam, "r", KINESIS_ROLE).await.unwrap();
    assert!(!allows().await);
    attach(&iam, "r", "arn:aws:iam::aws:policy/Unknown").await.unwrap();
    assert!(!allows().await);
}

/// Calls `AssumeRole` and gives the context of the session.
async fn assume(iam: &Iam, from: &RequestContext, input: AssumeRoleRequest) -> Result<RequestContext, AssumeRoleError> {
    let credentials = iam.assume_role(from, input).await?.credentials.unwrap();
    let credentials = millstream_client::Credentials {
        access_key_id: credentials.access_key_id,
        secret_access_key: credentials.secret_access_key,
        session_token: Some(credentials.session_token),
    };
    let mut headers = http::HeaderMap::new();
    headers.insert("host", http::HeaderValue::from_static("localhost"));
    let signer = Signer { credentials: &credentials, region: "us-east-1", service: "sts" };
    let body_sha256 = sha256(b"");
    signer.sign("POST", "/", &mut headers, &body_sha256, NOW).unwrap();
    let parts = RequestParts {
        method: "POST",
        target: "/",
        headers: &headers,
        authority: None,
        body_sha256: &body_sha256,
        services: &["sts"],
    };
    let authenticated = iam.authenticator().authenticate(&parts, NOW).await.unwrap();
    assert!(authenticated.verified);
    Ok(RequestContext { caller: authenticated.caller, ..root() })
}

fn asking(name: &str, session: &str) -> AssumeRoleRequest {
    AssumeRoleRequest { role_arn: arn(name), role_session_name: session.to_owned(), ..AssumeRoleRequest::default() }
}

async fn allowed(iam: &Iam, context: &RequestContext, action: &str) -> bool {
    iam.authorize(&context.caller, action, STREAM, &ConditionContext::new(), None).await.unwrap().is_allowed()
}

#[tokio::test]
async fn a_session_may_do_what_its_role_and_its_session_policy_allow() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", ACCOUNT_TRUST)).await.unwrap();
    put_policy(&iam, "r", "p", &allow("kinesis:*", STREAM)).await.unwrap();
    let session = assume(&iam, &root(), asking("r", "session")).await.unwrap();
    let identity = iam.get_caller_identity(&session, GetCallerIdentityRequest::default()).await.unwrap();
    assert_eq!(identity.arn.as_deref(), Some("arn:aws:sts::123456789012:assumed-role/r/session"));
    assert!(identity.user_id.unwrap().ends_with(":session"));
    assert!(allowed(&iam, &session, "kinesis:PutRecord").await);
    assert!(!allowed(&iam, &session, "lambda:InvokeFunction").await);
    let policy = Some(allow("kinesis:Get*", "*"));
    let narrowed = assume(&iam, &root(), AssumeRoleRequest { policy, ..asking("r", "narrowed") }).await.unwrap();
    assert!(allowed(&iam, &narrowed, "kinesis:GetRecords").await);
    assert!(!allowed(&iam, &narrowed, "kinesis:PutRecord").await);
    let arns = vec![PolicyDescriptorType { arn: Some(KINESIS_ROLE.to_owned()) }];
    let input = AssumeRoleRequest { policy_arns: Some(arns), ..asking("r", "managed") };
    let managed = assume(&iam, &root(), input).await.unwrap();
    assert!(allowed(&iam, &managed, "kinesis:GetRecords").await);
    assert!(!allowed(&iam, &managed, "kinesis:PutRecord").await);
    let text = format!(
        "User: arn:aws:sts::123456789012:assumed-role/r/managed is not authorized to perform: kinesis:PutRecord on \
         resource: {STREAM} because no session policy allows the kinesis:PutRecord action"
    );
    let decision = iam.authorize(&managed.caller, "kinesis:PutRecord", STREAM, &ConditionContext::new(), None).await;
    let Ok(Decision::Denied(denial)) = decision else { panic!("must be denied") };
    assert_eq!(denial.to_string(), text);
}

#[tokio::test]
async fn a_session_loses_everything_with_its_role() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", ACCOUNT_TRUST)).await.unwrap();
    let session = assume(&iam, &root(), asking("r", "session")).await.unwrap();
    delete(&iam, "r").await.unwrap();
    iam.create_role(&root(), create("r", ACCOUNT_TRUST)).await.unwrap();
    put_policy(&iam, "r", "p", &allow("*", "*")).await.unwrap();
    assert!(!allowed(&iam, &session, "kinesis:PutRecord").await, "the new role is another one");
}

#[tokio::test]
async fn assuming_needs_the_trust_policy_and_the_callers_own() {
    let iam = iam().await;
    let denied = |arn: &str, caller: &str| {
        let text = format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}");
        Some(AssumeRoleError::Common(CommonError::AccessDenied(text)))
    };
    iam.create_role(&root(), create("first", ACCOUNT_TRUST)).await.unwrap();
    iam.create_role(&root(), create("second", ACCOUNT_TRUST)).await.unwrap();
    iam.create_role(&root(), create("service", LAMBDA_TRUST)).await.unwrap();
    let ask = |context: RequestContext, name: &'static str| {
        let iam = iam.clone();
        async move { assume(&iam, &context, asking(name, "s2")).await.err() }
    };
    let root_arn = "arn:aws:iam::123456789012:root";
    assert_eq!(ask(root(), "service").await, denied(&arn("service"), root_arn));
    assert_eq!(ask(root(), "none").await, denied(&arn("none"), root_arn));
    let first = assume(&iam, &root(), asking("first", "s1")).await.unwrap();
    let first_arn = "arn:aws:sts::123456789012:assumed-role/first/s1";
    assert_eq!(ask(first.clone(), "second").await, denied(&arn("second"), first_arn));
    put_policy(&iam, "first", "p", &allow("sts:AssumeRole", &arn("second"))).await.unwrap();
    assert_eq!(ask(first.clone(), "second").await, None);
    let input = DeleteRolePolicyRequest { role_name: "first".to_owned(), policy_name: "p".to_owned() };
    iam.delete_role_policy(&root(), input).await.unwrap();
    let trust = ACCOUNT_TRUST.replace("\"123456789012\"", "\"arn:aws:iam::123456789012:role/first\"");
    let input = UpdateAssumeRolePolicyRequest { role_name: "second".to_owned(), policy_document: trust };
    iam.update_assume_role_policy(&root(), input).await.unwrap();
    assert_eq!(ask(first, "second").await, None, "a role named itself needs no policy of its own");
    delete(&iam, "first").await.unwrap();
    iam.create_role(&root(), create("first", ACCOUNT_TRUST)).await.unwrap();
    let again = assume(&iam, &root(), asking("first", "s1")).await.unwrap();
    assert_eq!(ask(again, "second").await, denied(&arn("second"), first_arn), "the new role is another one");
}

#[tokio::test]
async fn an_external_id_is_a_condition() {
    let iam = iam().await;
    let trust =
        ACCOUNT_TRUST.replace("\"Action\"", r#""Condition":{"StringEquals":{"sts:ExternalId":"secret"}},"Action""#);
    iam.create_role(&root(), create("r", &trust)).await.unwrap();
    assert!(assume(&iam, &root(), asking("r", "ss")).await.is_err());
    let external_id = Some("secret".to_owned());
    assert!(assume(&iam, &root(), AssumeRoleRequest { external_id, ..asking("r", "ss") }).await.is_ok());
}

#[tokio::test]
async fn parameters_of_assume_role_are_checked() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", ACCOUNT_TRUST)).await.unwrap();
    let check = |input: AssumeRoleRequest, expected: AssumeRoleError| {
        let iam = iam.clone();
        async move { assert_eq!(iam.assume_role(&root(), input).await.unwrap_err(), expected) }
    };
    let validation = |text: &str| AssumeRoleError::Common(CommonError::Validation(text.to_owned()));
    let role_arn = "arn:aws:iam::123456789012:user/u".to_owned();
    let expected = validation("arn:aws:iam::123456789012:user/u is invalid");
    check(AssumeRoleRequest { role_arn, ..asking("r", "ss") }, expected).await;
    let duration_seconds = Some(3601);
    let expected = validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.");
    check(AssumeRoleRequest { duration_seconds, ..asking("r", "ss") }, expected).await;
    let policy = Some("{".to_owned());
    let expected = AssumeRoleError::MalformedPolicyDocument("This policy contains invalid Json".to_owned());
    check(AssumeRoleRequest { policy, ..asking("r", "ss") }, expected).await;
    let source_identity = Some("me".to_owned());
    let expected = validation("Millstream does not support the parameter SourceIdentity of AssumeRole yet.");
    check(AssumeRoleRequest { source_identity, ..asking("r", "ss") }, expected).await;
}

#[tokio::test]
async fn what_a_function_assumes_ends_with_its_environment() {
    let iam = iam().await;
    iam.create_role(&root(), create("r", ACCOUNT_TRUST)).await.unwrap();
    let function = context(Principal::RoleSession {
        role_name: "r".to_owned(),
        role_id: get(&iam, "r").await.unwrap().role_id,
        session_name: "function".to_owned(),
        issued_at: NOW,
        environment: Some("environment".into()),
        session_policies: Arc::from([]),
    });
    put_policy(&iam, "r", "p", &allow("sts:AssumeRole", "*")).await.unwrap();
    let chained = assume(&iam, &function, asking("r", "chained")).await.unwrap();
    let Principal::RoleSession { environment, .. } = chained.caller.principal else { panic!("a session is no root") };
    assert_eq!(environment.as_deref(), Some("environment"));
}

#[tokio::test]
async fn a_damaged_role_refuses_and_a_damaged_resource_policy_denies() {
    let iam = iam().await;
    let key = crate::roles::store_key(ACCOUNT, "r");
    iam.shared.store.put(&key, millstream_catalog::Expect::Absent, bytes::Bytes::from_static(b"{}")).await.unwrap();
    assert!(iam.lambda_can_assume(&arn("r")).await.is_err());
    assert!(matches!(get(&iam, "r").await, Err(GetRoleError::Common(CommonError::InternalFailure(_)))));
    let caller = root().caller;
    let decision = iam.authorize(&caller, "kinesis:GetRecords", STREAM, &ConditionContext::new(), Some("{")).await;
    assert!(!decision.unwrap().is_allowed());
    let other = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let decision = iam.authorize(&caller, "kinesis:GetRecords", other, &ConditionContext::new(), None).await;
    assert!(!decision.unwrap().is_allowed(), "root is root of its own account only");
}
