use millstream_env::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::error::CommonError;
use crate::shape::{Kind, Shape};
use crate::{iam, kinesis, lambda, logs, monitoring, sts};

const SERVICES: [&Service; 6] =
    [&kinesis::SERVICE, &lambda::SERVICE, &iam::SERVICE, &sts::SERVICE, &logs::SERVICE, &monitoring::SERVICE];

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn rest<O: Operation>(
    path: &str,
    query: &str,
    pairs: &[(&'static str, &str)],
    body: &str,
) -> Result<O::Input, ApiError> {
    let (headers, body) = (headers(pairs), Bytes::copy_from_slice(body.as_bytes()));
    decode::<O>(&lambda::SERVICE, Encoding::RestJson, &Request { path, query, headers: &headers, body: &body })
}

fn form<O: Operation>(service: &Service, body: &str) -> Result<O::Input, ApiError> {
    let (headers, body) = (HeaderMap::new(), Bytes::copy_from_slice(body.as_bytes()));
    decode::<O>(service, Encoding::Query, &Request { path: "/", query: "", headers: &headers, body: &body })
}

#[test]
fn members_of_a_rest_request_come_from_everywhere() {
    let input = rest::<lambda::op::Invoke>(
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3AF/invocations",
        "Qualifier=1",
        &[("x-amz-invocation-type", "DryRun"), ("x-amz-log-type", "Tail")],
        "{\"a\": 1}",
    );
    let input = input.unwrap();
    assert_eq!(input.function_name, "arn:aws:lambda:us-east-1:123456789012:function:F");
    assert_eq!(input.qualifier.as_deref(), Some("1"));
    assert_eq!(input.invocation_type, Some(lambda::InvocationType::DryRun));
    assert_eq!(input.log_type, Some(lambda::LogType::Tail));
    assert_eq!(input.payload.as_deref(), Some(&b"{\"a\": 1}"[..]));
    let input =
        rest::<lambda::op::ListFunctions>("/2015-03-31/functions/", "MaxItems=7&Marker=a%20b+c", &[], "").unwrap();
    assert_eq!(input.max_items, Some(7));
    assert_eq!(input.marker.as_deref(), Some("a b c"));
}

#[test]
fn rest_requests_are_routed_by_method_and_path() {
    let name = |method: &str, uri: &str| {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        route(&lambda::SERVICE, method, path, query).map(|operation| operation.name)
    };
    for (method, path, expected) in [
        ("GET", "/2015-03-31/functions", Some("ListFunctions")),
        ("GET", "/2015-03-31/functions/", Some("ListFunctions")),
        ("POST", "/2015-03-31/functions", Some("CreateFunction")),
        ("GET", "/2015-03-31/functions/F", Some("GetFunction")),
        ("PUT", "/2015-03-31/functions/F/code", Some("UpdateFunctionCode")),
        ("POST", "/2015-03-31/event-source-mappings/", Some("CreateEventSourceMapping")),
        ("GET", "/2016-08-19/account-settings/", Some("GetAccountSettings")),
        ("GET", "/2015-03-31/functions/F/nothing", None),
        ("PATCH", "/2015-03-31/functions", None),
        ("GET", "/2018-10-31/layers", Some("ListLayers")),
        ("GET", "/2018-10-31/layers?Marker=find%3DLayerVersion", Some("ListLayers")),
        ("GET", "/2018-10-31/layers?Arn=arn&find=LayerVersion", Some("GetLayerVersionByArn")),
        ("GET", "", None),
    ] {
        assert_eq!(name(method, path), expected, "{method} {path}");
    }
}

#[test]
fn forms_hold_lists_and_structures() {
    let input = form::<iam::op::CreateRole>(
        &iam::SERVICE,
        "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&Description=a+b%2Bc\
         &Tags.member.2.Key=b&Tags.member.2.Value=&Tags.member.1.Key=a&Tags.member.1.Value=1&MaxSessionDuration=3600",
    );
    let input = input.unwrap();
    assert_eq!(input.assume_role_policy_document, "{}");
    assert_eq!(input.description.as_deref(), Some("a b+c"));
    assert_eq!(input.max_session_duration, Some(3600));
    let tags: Vec<_> = input.tags.unwrap().into_iter().map(|tag| (tag.key, tag.value)).collect();
    assert_eq!(tags, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())]);
    let input =
        form::<sts::op::AssumeRole>(&sts::SERVICE, "RoleArn=arn:aws:iam::123456789012:role/r&RoleSessionName=ab&Tags=");
    assert_eq!(input.unwrap().tags, Some(Vec::new()));
    assert!(matches!(
        form::<sts::op::AssumeRole>(&sts::SERVICE, "DurationSeconds=x"),
        Err(ApiError::Common(CommonError::Serialization(_)))
    ));
    assert!(matches!(
        form::<sts::op::AssumeRole>(&sts::SERVICE, "RoleArn=%ff"),
        Err(ApiError::Common(CommonError::Malformed))
    ));
}

#[test]
fn an_invocation_answers_with_headers_and_the_payload() {
    let output = lambda::InvocationResponse {
        status_code: Some(200),
        executed_version: Some("$LATEST".to_owned()),
        function_error: Some("Unhandled".to_owned()),
        payload: Some(Bytes::from_static(b"{\"errorMessage\":\"x\"}")),
        ..Default::default()
    };
    let response = encode::<lambda::op::Invoke>(&lambda::SERVICE, Encoding::RestJson, "id", output);
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");
    assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(response.headers()["x-amzn-requestid"], "id");
    assert_eq!(&response.body()[..], b"{\"errorMessage\":\"x\"}");
    let output = lambda::DeleteFunctionResponse { status_code: Some(204) };
    let response = encode::<lambda::op::DeleteFunction>(&lambda::SERVICE, Encoding::RestJson, "id", output);
    assert_eq!(response.status(), 204);
    assert!(response.body().is_empty());
}

/// The status, the error header and the body of an error.
fn rendered(service: &Service, encoding: Encoding, error: impl Into<ApiError>) -> (u16, Option<String>, String) {
    let response = encode_error(service, encoding, "id", &error.into());
    let kind = response.headers().get("x-amzn-errortype").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), kind, String::from_utf8_lossy(response.body()).into_owned())
}

#[test]
fn errors_spell_their_bodies_as_the_services_do() {
    let json = |error| rendered(&kinesis::SERVICE, Encoding::Json11, ApiError::from(error));
    let body = |body: &str| body.to_owned();
    assert_eq!(
        json(CommonError::Validation("v".to_owned())),
        (400, None, body(r#"{"__type":"ValidationException","message":"v"}"#))
    );
    assert_eq!(
        json(CommonError::Serialization("s".to_owned())),
        (400, None, body(r#"{"__type":"SerializationException","Message":"s"}"#))
    );
    assert_eq!(
        json(CommonError::AccessDenied("a".to_owned())),
        (400, None, body(r#"{"__type":"AccessDeniedException","Message":"a"}"#))
    );
    assert_eq!(json(CommonError::Malformed), (400, None, body(r#"{"__type":"SerializationException"}"#)));
    assert_eq!(json(CommonError::UnknownOperation), (400, None, body(r#"{"__type":"UnknownOperationException"}"#)));
    assert_eq!(
        json(CommonError::InternalFailure("secret".to_owned())),
        (500, None, body(r#"{"__type":"InternalFailure"}"#))
    );
    assert_eq!(
        rendered(&logs::SERVICE, Encoding::Json11, CommonError::Validation("v".to_owned())).2,
        r#"{"__type":"InvalidParameterException","message":"v"}"#
    );
    let in_use = kinesis::error::CreateStreamError::ResourceInUse("Stream S".to_owned());
    assert_eq!(
        rendered(&kinesis::SERVICE, Encoding::Json11, in_use).2,
        r#"{"__type":"ResourceInUseException","message":"Stream S"}"#
    );
}

#[test]
fn lambda_errors_have_a_header_and_their_own_letter_case() {
    let kind = |kind: &str| Some(kind.to_owned());
    let not_found = lambda::error::GetFunctionError::ResourceNotFound("Function not found: F".to_owned());
    assert_eq!(
        rendered(&lambda::SERVICE, Encoding::RestJson, not_found),
        (404, kind("ResourceNotFoundException"), r#"{"Type":"User","Message":"Function not found: F"}"#.to_owned())
    );
    let conflict = lambda::error::CreateFunctionError::ResourceConflict("exists".to_owned());
    assert_eq!(
        rendered(&lambda::SERVICE, Encoding::RestJson, conflict),
        (409, kind("ResourceConflictException"), r#"{"Type":"User","message":"exists"}"#.to_owned())
    );
    assert_eq!(
        rendered(&lambda::SERVICE, Encoding::RestJson, CommonError::UnrecognizedClient),
        (
            403,
            kind("UnrecognizedClientException"),
            r#"{"message":"The security token included in the request is invalid."}"#.to_owned()
        )
    );
    let throttled = lambda::error::InvokeError::TooManyRequests(lambda::error::TooManyRequestsException {
        message: "Rate Exceeded.".to_owned(),
        reason: Some(lambda::ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded),
        retry_after_seconds: Some("1".to_owned()),
    });
    let response = encode_error(&lambda::SERVICE, Encoding::RestJson, "id", &throttled.into());
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(
        std::str::from_utf8(response.body()).unwrap(),
        r#"{"Type":"User","message":"Rate Exceeded.","Reason":"ReservedFunctionConcurrentInvocationLimitExceeded"}"#
    );
}

#[test]
fn query_errors_are_xml() {
    let missing = iam::error::GetRoleError::NoSuchEntity("The role with name <r> cannot be found.".to_owned());
    assert_eq!(
        rendered(&iam::SERVICE, Encoding::Query, missing),
        (
            404,
            None,
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
             <Code>NoSuchEntity</Code><Message>The role with name &lt;r&gt; cannot be found.</Message></Error>\
             <RequestId>id</RequestId></ErrorResponse>"
                .to_owned()
        )
    );
    assert_eq!(rendered(&sts::SERVICE, Encoding::Query, CommonError::ExpiredToken).0, 403);
}

/// The encodings that a service speaks.
fn encodings(service: &Service) -> &'static [Encoding] {
    match service.protocol {
        crate::Protocol::Json { .. } => &[Encoding::Json11, Encoding::Cbor],
        crate::Protocol::RestJson => &[Encoding::RestJson],
        crate::Protocol::Query { .. } => &[Encoding::Query],
        crate::Protocol::Several { .. } => &[Encoding::Json10, Encoding::RpcCbor, Encoding::Query],
    }
}

fn any_operation() -> impl Strategy<Value = (&'static Service, &'static OperationShape, Encoding)> {
    let all: Vec<_> = SERVICES
        .into_iter()
        .flat_map(|service| {
            let operations = service.operations.iter();
            operations.flat_map(move |operation| {
                encodings(service).iter().map(move |encoding| (service, operation, *encoding))
            })
        })
        .collect();
    prop::sample::select(all)
}

/// A value of the shape: members absent or present, texts that may or may not keep the constraints.
fn value_of(shape: &'static Shape) -> BoxedStrategy<Value> {
    match &shape.kind {
        Kind::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Kind::Integer(_) => any::<i32>().prop_map(|number| Value::Integer(number.into())).boxed(),
        Kind::Long(_) => any::<i64>().prop_map(Value::Integer).boxed(),
        Kind::Double(_) => (-1e9..1e9).prop_map(Value::Double).boxed(),
        // Whole seconds, which every protocol can carry.
        Kind::Timestamp => (0_u64..4_000_000_000).prop_map(|s| Value::Timestamp(Timestamp::from_seconds(s))).boxed(),
        Kind::Blob(_) => any::<Vec<u8>>().prop_map(|data| Value::Blob(data.into())).boxed(),
        Kind::String(text) if !text.values.is_empty() => {
            prop::sample::select(text.values).prop_map(|text| Value::String(text.to_owned())).boxed()
        }
        Kind::String(_) => "[ -~é]{0,12}".prop_map(Value::String).boxed(),
        Kind::List { member, .. } => prop::collection::vec(value_of(member), 0..3).prop_map(Value::List).boxed(),
        Kind::Map { value, .. } => prop::collection::btree_map("[a-z]{1,5}", value_of(value), 0..3)
            .prop_map(|map| Value::Map(map.into_iter().collect()))
            .boxed(),
        Kind::Structure(members) => members
            .iter()
            .map(|member| prop::option::weighted(0.4, value_of(member.shape)))
            .collect::<Vec<_>>()
            .prop_map(Value::Structure)
            .boxed(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// What JSON and CBOR write they read back, for every input shape.
    #[test]
    fn bodies_round_trip((operation, value) in any_operation().prop_flat_map(|(_, operation, _)| {
        (Just(operation), value_of(operation.input))
    })) {
        let mut expected = value.clone();
        if let Value::Structure(members) = &mut expected {
            for (value, member) in members.iter_mut().zip(operation.input.members()) {
                if member.location != crate::shape::Location::Body {
                    *value = None;
                }
            }
        }
        let mut body = Vec::new();
        json::encode(&mut body, operation.input, &value);
        prop_assert_eq!(json::decode(operation.input, &body), Ok(expected.clone()));
        body.clear();
        cbor::encode(&mut body, operation.input, &value, cbor::Dialect::Kinesis);
        prop_assert_eq!(cbor::decode(operation.input, &body, cbor::Dialect::Kinesis), Ok(expected.clone()));
    }

    /// Whatever passes the constraints becomes a typed input; whatever arrives is answered without a panic.
    #[test]
    fn arbitrary_requests_are_answered(
        (service, operation, encoding) in any_operation(), body in prop::collection::vec(any::<u8>(), 0..200),
        path in "/[ -~]{0,60}", query in "[ -~]{0,40}",
    ) {
        let request = Request { path: &path, query: &query, headers: &HeaderMap::new(), body: &Bytes::from(body) };
        if let Err(error) = decode_value(service, operation, encoding, &request) {
            encode_error(service, encoding, "id", &error.into());
        }
    }

    /// Valid bodies with one byte changed or cut off.
    #[test]
    fn damaged_requests_are_answered(
        (service, operation, encoding, value) in any_operation().prop_flat_map(|(service, operation, encoding)| {
            (Just(service), Just(operation), Just(encoding), value_of(operation.input))
        }),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut body = Vec::new();
        match encoding {
            Encoding::Cbor => cbor::encode(&mut body, operation.input, &value, cbor::Dialect::Kinesis),
            Encoding::RpcCbor => cbor::encode(&mut body, operation.input, &value, cbor::Dialect::Smithy),
            _ => json::encode(&mut body, operation.input, &value),
        }
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        let request = Request { path: "/", query: "", headers: &HeaderMap::new(), body: &Bytes::from(body) };
        if let Err(error) = decode_value(service, operation, encoding, &request) {
            encode_error(service, encoding, "id", &error.into());
        }
    }

    #[test]
    fn arbitrary_forms_are_answered(
        (service, operation, _) in any_operation(),
        pairs in prop::collection::vec(("[A-Za-z]{0,12}(\\.member)?(\\.[0-9]{0,3})?(\\.(Key|Value|member))?", "[ -~]{0,8}"), 0..12),
    ) {
        let body: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let body = Bytes::from(body.join("&"));
        let request = Request { path: "/", query: "", headers: &HeaderMap::new(), body: &body };
        if let Err(error) = decode_value(service, operation, Encoding::Query, &request) {
            encode_error(service, Encoding::Query, "id", &error.into());
        }
    }

    /// Any output can be written in every encoding of its service.
    #[test]
    fn outputs_can_be_written((service, operation, encoding, value) in any_operation().prop_flat_map(|(service, operation, encoding)| {
        let value = operation.output.map_or_else(|| Just(Value::Structure(Vec::new())).boxed(), value_of);
        (Just(service), Just(operation), Just(encoding), value)
    })) {
        encode_value(service, operation, encoding, "id", &value);
    }
}

#[test]
fn a_body_of_very_many_values_is_refused() {
    let body = format!("{{\"Tags\":[{}]}}", vec!["{}"; 300_000].join(","));
    let body = Bytes::from(body.replace("Tags", "FileSystemConfigs"));
    let request = Request { path: "/", query: "", headers: &HeaderMap::new(), body: &body };
    let operation = lambda::SERVICE.operation("CreateFunction").unwrap();
    let result = decode_value(&lambda::SERVICE, operation, Encoding::RestJson, &request);
    assert!(matches!(result, Err(CommonError::Serialization(_))), "{result:?}");
}
