//! Whole requests through a gateway: the recorded order of checks, each protocol, who may call, and nonsense.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use millstream_client::Credentials;
use millstream_client::sigv4::{Signer, encoding, sha256};
use millstream_env::HostClock;
use proptest::prelude::*;

use super::Gateway;
use crate::body::Budget;
use crate::testing::{Answered, Fixture, ask, foreign_key};

const NO_OPERATION: &str = "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be \
                            authorized</Message>\n</AccessDeniedException>\n";
const JSON: &str = "application/x-amz-json-1.1";

/// An unsigned call.
async fn unsigned(gateway: &Gateway, content_type: &str, target: &str, body: &str) -> Answered {
    let mut request = Request::post("/").header("host", "localhost");
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    if !target.is_empty() {
        request = request.header("x-amz-target", target);
    }
    ask(gateway, request.body(Full::from(body.to_owned())).unwrap()).await
}

async fn check(gateway: &Gateway, request: [&str; 3], status: u16, content_type: &str, body: &str) {
    let answer = unsigned(gateway, request[0], request[1], request[2]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, content_type), "{request:?}");
    assert_eq!(answer.text(), body, "{request:?}");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
    assert_eq!(answer.header("x-amz-id-2").len(), 96);
}

#[tokio::test]
async fn kinesis_checks_in_the_recorded_order() {
    let fixture = Fixture::new().await;
    let gateway = &fixture.gateway;
    let known = "Kinesis_20131202.ListStreams";
    let unknown = "Kinesis_20131202.listStreams";
    let serialization = r#"{"__type":"SerializationException"}"#;
    let unknown_operation = r#"{"__type":"UnknownOperationException"}"#;
    check(gateway, [JSON, known, ""], 400, JSON, serialization).await;
    check(gateway, [JSON, unknown, ""], 400, JSON, unknown_operation).await;
    check(gateway, ["", "", "{}"], 403, "", NO_OPERATION).await;
    check(gateway, ["text/plain", "Kinesis_20131202", "{}"], 403, "", NO_OPERATION).await;
    check(gateway, ["text/plain", unknown, "{}"], 404, "", "<UnknownOperationException/>\n").await;
    for body in ["{", "null", "1", "[]", "{} {}", "\u{0}"] {
        check(gateway, [JSON, known, body], 400, JSON, serialization).await;
        check(gateway, [JSON, unknown, body], 400, JSON, serialization).await;
    }
    check(gateway, [JSON, unknown, "{}"], 400, JSON, unknown_operation).await;
    let missing = r#"{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}"#;
    // The caller comes before the types and the constraints.
    check(gateway, [JSON, known, r#"{"Limit":"x"}"#], 400, JSON, missing).await;
    check(gateway, ["application/x-amz-json-1.1; charset=utf-8", known, r#"{"Limit":0}"#], 400, JSON, missing).await;
    for data_path in ["PutRecord", "PutRecords", "GetRecords"] {
        let target = format!("Kinesis_20131202.{data_path}");
        check(gateway, [JSON, &target, "{"], 400, JSON, serialization).await;
        check(gateway, [JSON, &target, r#"{"Records":1}"#], 400, JSON, missing).await;
    }
    let old = r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;
    check(gateway, ["application/json", known, "{}"], 404, "application/json", old).await;
    let old = r#"{"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"}"#;
    check(gateway, ["application/json", known, "{"], 400, "application/json", old).await;
}

#[tokio::test]
async fn other_methods_and_an_empty_cbor_body_are_answered_as_recorded() {
    let fixture = Fixture::new().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let request = Request::builder().method(method).uri("/").header("host", "localhost");
        let answer = ask(&fixture.gateway, request.body(Full::default()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (403, NO_OPERATION));
    }
    let answer = unsigned(&fixture.gateway, "", "Kinesis_20131202.ListStreams", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (400, "application/x-amz-cbor-1.1"));
    assert!(answer.body.windows(22).any(|window| window == b"SerializationException"));
}

#[tokio::test]
async fn a_record_goes_in_and_comes_out() {
    let fixture = Fixture::new().await;
    let created = fixture.json("Kinesis_20131202.CreateStream", r#"{"StreamName":"s","ShardCount":1}"#).await;
    assert_eq!((created.status.as_u16(), created.text(), created.header("content-type")), (200, "", JSON));
    let summary = "Kinesis_20131202.DescribeStreamSummary";
    while !fixture.json(summary, r#"{"StreamName":"s"}"#).await.text().contains("ACTIVE") {
        tokio::task::yield_now().await;
    }
    let put = r#"{"StreamName":"s","Records":[{"Data":"aGVsbG8=","PartitionKey":"k"},{"Data":"","PartitionKey":"k"}]}"#;
    let answer = fixture.json("Kinesis_20131202.PutRecords", put).await;
    assert!(answer.text().starts_with(r#"{"FailedRecordCount":0,"Records":[{"SequenceNumber":""#), "{answer:?}");
    let iterator = r#"{"StreamName":"s","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}"#;
    let answer = fixture.json("Kinesis_20131202.GetShardIterator", iterator).await;
    let answer = fixture.json("Kinesis_20131202.GetRecords", answer.text()).await;
    assert!(answer.text().contains(r#""Data":"aGVsbG8=","PartitionKey":"k""#), "{answer:?}");
    let metrics = own(&fixture.gateway, "/metrics").await;
    assert!(metrics.text().contains("millstream_records_in_total 2\n"), "{metrics:?}");
    assert!(metrics.text().contains("millstream_records_out_total 2\n"));
}

#[tokio::test]
async fn an_encrypted_record_says_so() {
    let fixture = Fixture::new().await;
    let call = async |operation: &str, body: &str| {
        let answer = fixture.json(&format!("Kinesis_20131202.{operation}"), body).await;
        assert_eq!(answer.status, 200, "{operation}: {answer:?}");
        answer.text().to_owned()
    };
    call("CreateStream", r#"{"StreamName":"s","ShardCount":1}"#).await;
    while !call("DescribeStreamSummary", r#"{"StreamName":"s"}"#).await.contains("ACTIVE") {
        tokio::task::yield_now().await;
    }
    let put = r#"{"StreamName":"s","Data":"aGVsbG8=","PartitionKey":"k"}"#;
    assert!(!call("PutRecord", put).await.contains("EncryptionType"));
    let key = r#"{"StreamName":"s","EncryptionType":"KMS","KeyId":"alias/a"}"#;
    assert_eq!(call("StartStreamEncryption", key).await, "");
    let described = call("DescribeStreamSummary", r#"{"StreamName":"s"}"#).await;
    assert!(
        described.contains(r#""EncryptionType":"KMS","#) && described.contains(r#""KeyId":"alias/a","#),
        "{described}"
    );
    assert!(call("PutRecord", put).await.contains(r#""EncryptionType":"KMS""#));
    let many = r#"{"StreamName":"s","Records":[{"Data":"aGVsbG8=","PartitionKey":"k"}]}"#;
    assert!(call("PutRecords", many).await.contains(r#""EncryptionType":"KMS""#));
    let from = r#"{"StreamName":"s","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}"#;
    let records = call("GetRecords", &call("GetShardIterator", from).await).await;
    assert_eq!(records.matches(r#""Data":"aGVsbG8=""#).count(), 3, "{records}");
    assert_eq!(records.matches(r#""EncryptionType":"KMS""#).count(), 2, "{records}");
}

#[tokio::test]
async fn wrong_types_come_before_broken_constraints() {
    let fixture = Fixture::new().await;
    let target = "Kinesis_20131202.DescribeStream";
    let answer = fixture.json(target, r#"{"StreamName":true}"#).await;
    let expected =
        r#"{"__type":"SerializationException","Message":"class java.lang.Boolean can not be converted to an String"}"#;
    assert_eq!((answer.status.as_u16(), answer.text()), (400, expected));
    let answer = fixture.json(target, r#"{"StreamName":"s","Limit":0}"#).await;
    assert!(answer.text().contains("ValidationException") && answer.text().contains("at 'limit' failed"), "{answer:?}");
}

async fn own(gateway: &Gateway, path: &str) -> Answered {
    ask(gateway, Request::get(path).header("host", "127.0.0.1").body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn health_tells_what_is_so() {
    let fixture = Fixture::new().await;
    assert_eq!(own(&fixture.gateway, "/health/live").await.status, 200);
    assert_eq!(own(&fixture.gateway, "/health/ready").await.status, 503);
    fixture.gateway.set_ready(true);
    let answer = own(&fixture.gateway, "/health/ready").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "ready\n"));
    fixture.troubles.lock().unwrap().push("a shard is damaged".to_owned());
    let answer = own(&fixture.gateway, "/health/ready").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "ready, but degraded\n- a shard is damaged\n"));
    assert_eq!(own(&fixture.gateway, "/health/else").await.status, 404);
    assert_eq!(own(&fixture.gateway, "/_millstream/code/nonsense").await.status, 403);
    assert_eq!(own(&fixture.gateway.for_environment("e"), "/metrics").await.status, 404);
}

#[tokio::test]
async fn lambda_is_routed_by_method_and_path() {
    let fixture = Fixture::new().await;
    let answer = fixture.rest("GET", "/2015-03-31/functions?MaxItems=10", "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"Functions":[]}"#));
    let answer = fixture.rest("GET", "/2015-03-31/functions/none", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-amzn-errortype")), (404, "ResourceNotFoundException"));
    assert!(answer.text().contains("Function not found: arn:aws:lambda:us-west-2:123456789012:function:none"));
    assert_eq!(fixture.rest("PATCH", "/2015-03-31/nowhere", "").await.status, 404);
    let request = Request::get("/2015-03-31/functions").header("host", "localhost").body(Full::default()).unwrap();
    let answer = ask(&fixture.gateway, request).await;
    let expected = r#"{"message":"Missing Authentication Token"}"#;
    assert_eq!((answer.status.as_u16(), answer.text()), (403, expected));
    assert_eq!(answer.header("x-amzn-errortype"), "MissingAuthenticationTokenException");
}

#[tokio::test]
async fn forms_are_told_apart_by_scope_or_version() {
    let fixture = Fixture::new().await;
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let answer = fixture.form("sts", form).await;
    assert_eq!(answer.header("content-type"), "text/xml");
    assert!(answer.text().contains("<Arn>arn:aws:iam::123456789012:root</Arn>"), "{answer:?}");
    let answer = fixture.form("iam", "Action=GetCallerIdentity&Version=2010-05-08").await;
    assert!(answer.text().contains("<Code>InvalidAction</Code>"), "{answer:?}");
    for (version, namespace) in [("2010-05-08", "iam.amazonaws.com"), ("2011-06-15", "sts.amazonaws.com")] {
        let form = format!("Action=ListRoles&Version={version}");
        let answer = unsigned(&fixture.gateway, "application/x-www-form-urlencoded", "", &form).await;
        assert_eq!(answer.status.as_u16(), 403);
        assert!(answer.text().contains("<Code>MissingAuthenticationToken</Code>"), "{answer:?}");
        assert!(answer.text().contains(namespace), "{answer:?}");
    }
}

#[tokio::test]
async fn pages_are_refused_before_anything_is_decoded() {
    let fixture = Fixture::new().await;
    let request = |method: &str, host: &str, origin: &str| {
        let request = Request::builder().method(method).uri("/").header("host", host).header("origin", origin);
        request.header("access-control-request-method", "POST").body(Full::default()).unwrap()
    };
    for method in ["POST", "GET", "OPTIONS"] {
        let answer = ask(&fixture.gateway, request(method, "localhost:4566", "http://evil.example")).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (403, ""));
        let answer = ask(&fixture.gateway, request(method, "evil.example", "http://evil.example")).await;
        assert_eq!(answer.status.as_u16(), 403);
    }
    let answer = ask(&fixture.gateway, request("OPTIONS", "localhost:4566", "http://localhost:4566")).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-methods")), (200, "POST"));
    assert_eq!(answer.header("access-control-max-age"), "172800");
    assert_eq!((answer.header("x-amz-id-2"), answer.header("content-type"), answer.text()), ("", "", ""));
}

#[tokio::test]
async fn too_large_and_too_much_are_told_apart() {
    let fixture = Fixture::with_budget(Budget::new(1024 * 1024, Duration::from_millis(1))).await;
    let large = " ".repeat(2 * 1024 * 1024);
    let answer = fixture.json("Kinesis_20131202.PutRecords", &large).await;
    assert!(answer.text().contains("ProvisionedThroughputExceededException"), "{answer:?}");
    assert_eq!(answer.header("connection"), "close");
    let answer = fixture.rest("POST", "/2015-03-31/functions/f/invocations", &large).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-amzn-errortype")), (429, "TooManyRequestsException"));
    let answer = fixture.rest("POST", "/2015-03-31/functions/f/invocations", &" ".repeat(6_291_457)).await;
    let expected = r#"{"message":"Request must be smaller than 6291456 bytes for the InvokeFunction operation"}"#;
    assert_eq!((answer.status.as_u16(), answer.text()), (413, expected));
    let code = " ".repeat(70_167_212);
    for (method, path, operation) in [
        ("POST", "/2015-03-31/functions", "CreateFunction"),
        ("PUT", "/2015-03-31/functions/f/code", "UpdateFunctionCode"),
    ] {
        let answer = fixture.rest(method, path, &code).await;
        let expected =
            format!(r#"{{"message":"Request must be smaller than 70167211 bytes for the {operation} operation"}}"#);
        assert_eq!((answer.status.as_u16(), answer.text()), (413, &*expected));
        assert_eq!(answer.header("x-amzn-errortype"), "RequestEntityTooLargeException");
    }
    assert_eq!(fixture.budget.available(), 1024 * 1024);
}

const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C\
                     %22Principal%22%3A%7B%22Service%22%3A%22lambda.amazonaws.com%22%7D%2C%22Action%22%3A\
                     %22sts%3AAssumeRole%22%7D%5D%7D";

const FORM: &str = "application/x-www-form-urlencoded";

/// A call to be signed.
struct Call {
    service: &'static str,
    content_type: &'static str,
    target: &'static str,
    body: String,
}

impl Call {
    async fn signed(self, gateway: &Gateway, credentials: &Credentials) -> Answered {
        let Self { service, content_type, target, body } = self;
        let mut request = Request::post("/")
            .header("host", "127.0.0.1:4566")
            .header("content-type", content_type)
            .header("x-amz-target", target)
            .body(())
            .unwrap();
        if target.is_empty() {
            request.headers_mut().remove("x-amz-target");
        }
        let signer = Signer { credentials, region: "us-west-2", service };
        let now = HostClock::real().now();
        signer.sign("POST", "/", request.headers_mut(), &sha256(body.as_bytes()), now).unwrap();
        ask(gateway, request.map(|()| Full::from(body))).await
    }
}

/// A function's session asks about the stream `s`.
async fn signed(gateway: &Gateway, credentials: &Credentials) -> Answered {
    let target = "Kinesis_20131202.DescribeStreamSummary";
    let call = Call { service: "kinesis", content_type: JSON, target, body: r#"{"StreamName":"s"}"#.to_owned() };
    call.signed(gateway, credentials).await
}

#[tokio::test]
async fn the_endpoint_of_an_environment_takes_its_own_sessions_and_nobody_else() {
    let fixture = Fixture::new().await;
    let functions = fixture.gateway.for_environment("environment-1");
    let form = format!("Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument={TRUST}");
    assert_eq!(fixture.form("iam", &form).await.status, 200);
    let role = "arn:aws:iam::123456789012:role/r";
    let session = fixture.iam.issue_role_session(role, "f", "environment-1", Duration::from_hours(1)).await.unwrap();

    let foreign = Request::post("/")
        .header("host", "127.0.0.1:4566")
        .header("authorization", foreign_key("kinesis"))
        .header("x-amz-date", "20260102T030405Z")
        .header("content-type", JSON)
        .header("x-amz-target", "Kinesis_20131202.ListStreams")
        .body(Full::from("{}"))
        .unwrap();
    let answer = ask(&functions, foreign).await;
    assert!(answer.text().contains("UnrecognizedClientException"), "{answer:?}");

    let others = fixture.gateway.for_environment("environment-2");
    let answer = signed(&others, &session.credentials).await;
    assert!(answer.text().contains("UnrecognizedClientException"), "of another environment: {answer:?}");

    // Known, but without a permission: denied in AWS's words, on both endpoints.
    for gateway in [&functions, &fixture.gateway] {
        let answer = signed(gateway, &session.credentials).await;
        let text = "User: arn:aws:sts::123456789012:assumed-role/r/f is not authorized to perform: \
                    kinesis:DescribeStreamSummary on resource: arn:aws:kinesis:us-west-2:123456789012:stream/s because \
                    no identity-based policy allows the kinesis:DescribeStreamSummary action";
        assert_eq!(answer.text(), format!(r#"{{"__type":"AccessDeniedException","Message":"{text}"}}"#));
    }
    let form = "Action=AttachRolePolicy&Version=2010-05-08&RoleName=r&PolicyArn=arn:aws:iam::aws:policy/service-role/\
                AWSLambdaKinesisExecutionRole";
    assert_eq!(fixture.form("iam", form).await.status, 200);
    let answer = signed(&functions, &session.credentials).await;
    assert!(answer.text().contains("ResourceNotFoundException"), "allowed now: {answer:?}");

    fixture.iam.revoke_environment("environment-1");
    for gateway in [&functions, &fixture.gateway] {
        let answer = signed(gateway, &session.credentials).await;
        assert!(answer.text().contains("UnrecognizedClientException"), "revoked: {answer:?}");
    }
}

#[tokio::test]
async fn a_role_is_authorised_under_its_path() {
    let fixture = Fixture::new().await;
    for (name, path) in [("r", "/"), ("inside", "/team/"), ("outside", "/")] {
        let form = format!(
            "Action=CreateRole&Version=2010-05-08&RoleName={name}&Path={path}&AssumeRolePolicyDocument={TRUST}"
        );
        assert_eq!(fixture.form("iam", &form).await.status, 200);
    }
    let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:GetRole","Resource":"arn:aws:iam::123456789012:role/team/*"}}"#;
    let document = encoding::encode(document.as_bytes());
    let form = format!("Action=PutRolePolicy&Version=2010-05-08&RoleName=r&PolicyName=p&PolicyDocument={document}");
    assert_eq!(fixture.form("iam", &form).await.status, 200);
    let role = "arn:aws:iam::123456789012:role/r";
    let session = fixture.iam.issue_role_session(role, "f", "e", Duration::from_hours(1)).await.unwrap();
    for (name, status) in [("inside", 200), ("outside", 403), ("missing", 403)] {
        let body = format!("Action=GetRole&Version=2010-05-08&RoleName={name}");
        let call = Call { service: "iam", content_type: FORM, target: "", body };
        let answer = call.signed(&fixture.gateway, &session.credentials).await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {answer:?}");
    }
}

/// A call of Kinesis in JSON by the root of an account that is not the fixture's.
async fn by_another_account(fixture: &Fixture, operation: &str, body: &str) -> Answered {
    let request = Request::builder()
        .method("POST")
        .uri("/")
        .header("host", "localhost")
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .header("content-type", JSON)
        .header("authorization", foreign_key("kinesis").replace("123456789012", "999999999999"))
        .header("x-amz-date", "20260102T030405Z");
    ask(&fixture.gateway, request.body(Full::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_stream_is_shared_by_its_resource_policy() {
    let fixture = Fixture::new().await;
    fixture.json("Kinesis_20131202.CreateStream", r#"{"StreamName":"s","ShardCount":1}"#).await;
    while !fixture
        .json("Kinesis_20131202.DescribeStreamSummary", r#"{"StreamName":"s"}"#)
        .await
        .text()
        .contains("ACTIVE")
    {
        tokio::task::yield_now().await;
    }
    let arn = "arn:aws:kinesis:us-west-2:123456789012:stream/s";
    let put = format!(r#"{{"StreamARN":"{arn}","Data":"aGk=","PartitionKey":"k"}}"#);
    let answer = by_another_account(&fixture, "PutRecord", &put).await;
    let denied = format!(
        r#"{{"__type":"AccessDeniedException","Message":"User: arn:aws:iam::999999999999:root is not authorized to perform: kinesis:PutRecord on resource: {arn} because no resource-based policy allows the kinesis:PutRecord action"}}"#
    );
    assert_eq!((answer.status.as_u16(), answer.text()), (400, &*denied));

    let set = async |policy: &str| {
        let policy = policy.replace('"', "\\\"");
        let body = format!(r#"{{"ResourceARN":"{arn}","Policy":"{policy}"}}"#);
        fixture.json("Kinesis_20131202.PutResourcePolicy", &body).await
    };
    let refused = set("{}").await;
    assert!(refused.text().contains("InvalidArgumentException"), "{refused:?}");
    let statement = |effect: &str, principal: &str, action: &str| {
        format!(
            r#"{{"Effect":"{effect}","Principal":{{"AWS":"{principal}"}},"Action":"kinesis:{action}","Resource":"{arn}"}}"#
        )
    };
    let allow = statement("Allow", "999999999999", "*");
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{allow}]}}"#);
    assert_eq!(set(&policy).await.status, 200);
    assert_eq!(by_another_account(&fixture, "PutRecord", &put).await.status, 200);
    let puts = format!(r#"{{"StreamARN":"{arn}","Records":[{{"Data":"aGk=","PartitionKey":"k"}}]}}"#);
    assert_eq!(by_another_account(&fixture, "PutRecords", &puts).await.status, 200);
    let iterator = format!(r#"{{"StreamARN":"{arn}","ShardId":"0","ShardIteratorType":"TRIM_HORIZON"}}"#);
    let iterator = by_another_account(&fixture, "GetShardIterator", &iterator).await;
    let page = by_another_account(&fixture, "GetRecords", iterator.text()).await;
    assert!(page.text().contains(r#""Data":"aGk=""#), "{page:?}");
    // What no resource policy can allow.
    let delete = by_another_account(&fixture, "DeleteStream", &format!(r#"{{"StreamARN":"{arn}"}}"#)).await;
    assert!(delete.text().contains("AccessDeniedException"), "{delete:?}");

    // A refusal holds for everybody, the owner among them.
    let deny = statement("Deny", "*", "PutRecord");
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{allow},{deny}]}}"#);
    assert_eq!(set(&policy).await.status, 200);
    let answer = by_another_account(&fixture, "PutRecord", &put).await;
    assert!(answer.text().contains("with an explicit deny in a resource-based policy"), "{answer:?}");
    assert_eq!(fixture.json("Kinesis_20131202.PutRecord", &put).await.status, 400);
    let shown = fixture.json("Kinesis_20131202.GetResourcePolicy", &format!(r#"{{"ResourceARN":"{arn}"}}"#)).await;
    assert!(shown.text().contains("Deny"), "{shown:?}");

    let resource = format!(r#"{{"ResourceARN":"{arn}"}}"#);
    assert_eq!(fixture.json("Kinesis_20131202.DeleteResourcePolicy", &resource).await.status, 200);
    let again = fixture.json("Kinesis_20131202.DeleteResourcePolicy", &resource).await;
    assert!(again.text().contains("ResourceNotFoundException"), "{again:?}");
    let none = fixture.json("Kinesis_20131202.GetResourcePolicy", &resource).await;
    assert_eq!(none.text(), r#"{"Policy":"{}"}"#);
    assert_eq!(by_another_account(&fixture, "PutRecord", &put).await.text(), denied);
}

fn service_texts() -> impl Strategy<Value = String> {
    let operations = "PutRecords?|GetRecords|CreateStream|DescribeStream|ListShards|SubscribeToShard|RegisterStreamConsumer|PutLogEvents|FilterLogEvents|[A-Za-z.]{0,12}";
    (prop_oneof![Just("Kinesis_20131202."), Just("Logs_20140328."), Just("")], operations)
        .prop_map(|(prefix, operation)| format!("{prefix}{operation}"))
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let json = r#"\{("(StreamName|Records|Data|PartitionKey|Limit|ShardIterator|logGroupName|FunctionName|Code)":("[ -~]{0,8}"|-?[0-9]{1,12}|\[\]|\{\}|null|true|\[\{"Data":"[A-Za-z0-9=]{0,6}"\}\]),?){0,4}\}?"#;
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        proptest::string::string_regex(json).unwrap().prop_map(String::into_bytes),
        "(Action=(CreateRole|GetRole|AssumeRole|ListRoles|[a-z]{0,4})|Version=20[01-9-]{8}|RoleName=[a-z%0-9]{0,6}|&|[ -~]{0,6}){0,5}"
            .prop_map(String::into_bytes),
    ]
}

fn paths() -> impl Strategy<Value = String> {
    let lambda = "/2015-03-31/(functions|event-source-mappings)(/[a-zA-Z0-9:%$.-]{0,12})?(/(invocations|code|configuration|versions))?";
    prop_oneof![
        Just("/".to_owned()),
        lambda,
        "/[a-z/._%-]{0,20}",
        "/health/[a-z]{0,5}",
        "/_millstream/code/[A-Za-z0-9_-]{0,40}"
    ]
    .prop_filter("a URI", |path| path.parse::<http::Uri>().is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever comes in is answered, and what is refused changes nothing.
    #[test]
    fn nonsense_is_answered_and_changes_nothing(
        requests in proptest::collection::vec(
            (
                "GET|POST|PUT|DELETE|OPTIONS|PATCH",
                paths(),
                proptest::option::of(service_texts()),
                proptest::option::of("kinesis|lambda|iam|sts|logs|s3"),
                proptest::option::of(r"application/(x-amz-json-1\.1|x-amz-cbor-1\.1|json|x-www-form-urlencoded)"),
                bodies(),
            ),
            64,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            for (method, path, target, service, content_type, body) in requests {
                let before = fixture.state().await;
                let mut request = Request::builder().method(method.as_str()).uri(&path).header("host", "localhost");
                if let Some(target) = &target {
                    request = request.header("x-amz-target", target);
                }
                if let Some(service) = &service {
                    let date = "20260102T030405Z";
                    request = request.header("authorization", foreign_key(service)).header("x-amz-date", date);
                }
                if let Some(content_type) = &content_type {
                    request = request.header("content-type", content_type);
                }
                let answer = ask(&fixture.gateway, request.body(Full::from(body.clone())).unwrap()).await;
                if !answer.status.is_success() {
                    assert_eq!(fixture.state().await, before, "{method} {path} {target:?} {body:?}");
                }
                assert_ne!(answer.status.as_u16(), 500, "{method} {path} {target:?} {body:?} {answer:?}");
            }
        });
    }
}
