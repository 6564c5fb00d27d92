//! Enhanced fan-out through the gateway: what a client sends and what arrives, frame by frame.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::Request;
use http_body_util::{BodyExt, Full};
use millstream_client::Credentials;
use millstream_client::sigv4::{Signer, encoding, sha256};
use millstream_env::HostClock;
use millstream_wire::event_stream::decode;
use serde_json::{Value, json};

use crate::listener::ResponseBody;
use crate::testing::{Answered, Fixture, ask, foreign_key};

const STREAM: &str = "arn:aws:kinesis:us-west-2:123456789012:stream/s";
const JSON: &str = "application/x-amz-json-1.1";

fn request(content_type: &str, operation: &str, body: impl Into<Vec<u8>>) -> Request<Full<bytes::Bytes>> {
    Request::post("/")
        .header("host", "localhost:4566")
        .header("authorization", foreign_key("kinesis"))
        .header("x-amz-date", "20260102T030405Z")
        .header("content-type", content_type)
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(Full::from(body.into()))
        .unwrap()
}

async fn call(fixture: &Fixture, operation: &str, body: Value) -> Value {
    let answer = ask(&fixture.gateway, request(JSON, operation, body.to_string())).await;
    assert_eq!(answer.status, 200, "{operation}: {answer:?}");
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// A gateway with the stream `s` and its consumer `c`, whose ARN is given.
async fn with_consumer() -> (Fixture, String) {
    let fixture = Fixture::new().await;
    call(&fixture, "CreateStream", json!({"StreamName": "s", "ShardCount": 1})).await;
    let summary = async || call(&fixture, "DescribeStreamSummary", json!({"StreamName": "s"})).await;
    while summary().await["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE" {
        tokio::task::yield_now().await;
    }
    let answer = call(&fixture, "RegisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": "c"})).await;
    assert_eq!(answer["Consumer"]["ConsumerStatus"], "CREATING");
    let arn = answer["Consumer"]["ConsumerARN"].as_str().unwrap().to_owned();
    let describe = async || call(&fixture, "DescribeStreamConsumer", json!({"ConsumerARN": arn})).await;
    while describe().await["ConsumerDescription"]["ConsumerStatus"] != "ACTIVE" {
        tokio::task::yield_now().await;
    }
    (fixture, arn)
}

fn subscription(arn: &str) -> Value {
    json!({"ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "TRIM_HORIZON"}})
}

/// Reads an event stream.
struct Reader {
    body: ResponseBody,
    seen: BytesMut,
}

impl Reader {
    /// `:event-type` or `:exception-type` of the next message, and its payload; `None` at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((message, length)) = decode(&self.seen).unwrap() {
                let kind = message.header(":event-type").or(message.header(":exception-type")).unwrap().to_owned();
                let payload = serde_json::from_slice(message.payload).unwrap();
                self.seen.advance(length);
                return Some((kind, payload));
            }
            let Some(frame) = self.body.frame().await else {
                assert!(self.seen.is_empty(), "the stream ends after a whole message");
                return None;
            };
            self.seen.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }
}

async fn subscribe(fixture: &Fixture, arn: &str) -> Reader {
    let request = request(JSON, "SubscribeToShard", subscription(arn).to_string());
    let (head, body) = fixture.gateway.answer(request).await.into_parts();
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (200, &"application/vnd.amazon.eventstream".parse().unwrap())
    );
    assert!(head.headers.contains_key("x-amzn-requestid") && head.headers.contains_key("x-amz-id-2"));
    let mut reader = Reader { body, seen: BytesMut::new() };
    assert_eq!(reader.next().await, Some(("initial-response".to_owned(), json!({}))));
    reader
}

#[tokio::test]
async fn what_is_put_arrives_in_an_event() {
    let (fixture, arn) = with_consumer().await;
    let mut reader = subscribe(&fixture, &arn).await;
    let put = json!({"StreamName": "s", "Data": "aGVsbG8=", "PartitionKey": "k"});
    let stored = call(&fixture, "PutRecord", put).await;
    let (kind, event) = reader.next().await.unwrap();
    assert_eq!((kind.as_str(), &event["MillisBehindLatest"]), ("SubscribeToShardEvent", &json!(0)));
    assert_eq!(event["ContinuationSequenceNumber"], stored["SequenceNumber"]);
    let record = &event["Records"][0];
    assert_eq!((&record["Data"], &record["PartitionKey"]), (&json!("aGVsbG8="), &json!("k")));
    assert_eq!(event.as_object().unwrap().len(), 3, "as recorded, no further members");
    let metrics = Request::get("/metrics").header("host", "127.0.0.1").body(Full::default()).unwrap();
    assert!(ask(&fixture.gateway, metrics).await.text().contains("millstream_records_out_total 1\n"));

    call(&fixture, "DeregisterStreamConsumer", json!({"StreamARN": STREAM, "ConsumerName": "c"})).await;
    let (kind, payload) = reader.next().await.unwrap();
    let text = "Consumer c under stream s and account 123456789012 not found.";
    assert_eq!((kind.as_str(), payload), ("ResourceNotFoundException", json!({"message": text})));
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn errors_before_the_stream_are_plain() {
    let (fixture, arn) = with_consumer().await;
    let _held = subscribe(&fixture, &arn).await;
    let answer = ask(&fixture.gateway, request(JSON, "SubscribeToShard", subscription(&arn).to_string())).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (400, JSON));
    let text = "Another active subscription exists for this consumer: 123456789012:s:shardId-000000000000:c";
    assert_eq!(answer.text(), format!(r#"{{"__type":"ResourceInUseException","message":"{text}"}}"#));
    let answer = ask(&fixture.gateway, request(JSON, "SubscribeToShard", r#"{"ConsumerARN":true}"#)).await;
    assert!(answer.text().contains("SerializationException"), "{answer:?}");
    let answer = ask(&fixture.gateway, request(JSON, "SubscribeToShard", "{}")).await;
    assert!(answer.text().contains("ValidationException") && answer.text().contains("'shardId'"), "{answer:?}");
    let answer = ask(&fixture.gateway, request(JSON, "SubscribeToShard", "")).await;
    assert!(answer.text().contains("SerializationException"), "{answer:?}");
}

#[tokio::test]
async fn cbor_is_answered_as_aws_does() {
    let (fixture, arn) = with_consumer().await;
    let text = |text: &str| [&[0x78, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let body = [
        vec![0xa3],
        text("ConsumerARN"),
        text(&arn),
        text("ShardId"),
        text("shardId-000000000000"),
        text("StartingPosition"),
        vec![0xa1],
        text("Type"),
        text("TRIM_HORIZON"),
    ];
    let request = request("application/x-amz-cbor-1.1", "SubscribeToShard", body.concat());
    let answer = ask(&fixture.gateway, request).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (500, "application/x-amz-cbor-1.1"));
}

#[tokio::test]
async fn consumers_are_listed_counted_and_deleted_with_their_stream() {
    let (fixture, arn) = with_consumer().await;
    let listed = call(&fixture, "ListStreamConsumers", json!({"StreamARN": STREAM})).await;
    let members: Vec<_> = listed["Consumers"][0].as_object().unwrap().keys().collect();
    assert_eq!(members, ["ConsumerARN", "ConsumerCreationTimestamp", "ConsumerName", "ConsumerStatus"]);
    assert_eq!(listed["Consumers"][0]["ConsumerARN"], json!(arn));
    let answer = ask(&fixture.gateway, request(JSON, "DeleteStream", r#"{"StreamName":"s"}"#)).await;
    assert!(answer.text().contains("DeleteStream can\u{2019}t delete 123456789012:s because"), "{answer:?}");
    call(&fixture, "DeleteStream", json!({"StreamName": "s", "EnforceConsumerDeletion": true})).await;
}

/// A call by a role's session.
async fn by_role(fixture: &Fixture, credentials: &Credentials, operation: &str, body: &Value) -> Answered {
    let mut request = Request::post("/")
        .header("host", "127.0.0.1:4566")
        .header("content-type", JSON)
        .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
        .body(())
        .unwrap();
    let body = body.to_string();
    let signer = Signer { credentials, region: "us-west-2", service: "kinesis" };
    let now = HostClock::real().now();
    signer.sign("POST", "/", request.headers_mut(), &sha256(body.as_bytes()), now).unwrap();
    ask(&fixture.gateway, request.map(|()| Full::from(body))).await
}

#[tokio::test]
async fn each_operation_asks_for_its_permission_on_its_resource() {
    let (fixture, arn) = with_consumer().await;
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "lambda.amazonaws.com"}}]});
    let trust = encoding::encode(trust.to_string().as_bytes());
    let form = format!("Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument={trust}");
    assert_eq!(fixture.form("iam", &form).await.status, 200);
    let role = "arn:aws:iam::123456789012:role/r";
    let session = fixture.iam.issue_role_session(role, "f", "e", Duration::from_hours(1)).await.unwrap();
    let by_name = json!({"StreamARN": STREAM, "ConsumerName": "c"});
    let missing = json!({"StreamARN": STREAM, "ConsumerName": "none"});
    let tagged = json!({"StreamARN": STREAM, "ConsumerName": "t", "Tags": {"a": "b"}});
    let none = format!("{STREAM}/consumer/none:*");
    let calls = [
        ("RegisterStreamConsumer", &tagged, "RegisterStreamConsumer", STREAM),
        ("ListStreamConsumers", &json!({"StreamARN": STREAM}), "ListStreamConsumers", STREAM),
        ("DescribeStreamConsumer", &by_name, "DescribeStreamConsumer", arn.as_str()),
        ("DescribeStreamConsumer", &json!({"ConsumerARN": arn}), "DescribeStreamConsumer", arn.as_str()),
        ("DescribeStreamConsumer", &missing, "DescribeStreamConsumer", none.as_str()),
        ("SubscribeToShard", &subscription(&arn), "SubscribeToShard", arn.as_str()),
        ("DeregisterStreamConsumer", &by_name, "DeregisterStreamConsumer", arn.as_str()),
    ];
    for (operation, body, action, resource) in calls {
        let answer = by_role(&fixture, &session.credentials, operation, body).await;
        let text = format!("is not authorized to perform: kinesis:{action} on resource: {resource} because");
        assert!(answer.text().contains(&text), "{answer:?}");
    }
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "kinesis:RegisterStreamConsumer", "Resource": STREAM},
        {"Effect": "Allow", "Action": ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"],
            "Resource": format!("{STREAM}/consumer/c:*")},
    ]});
    let policy = encoding::encode(policy.to_string().as_bytes());
    let form = format!("Action=PutRolePolicy&Version=2010-05-08&RoleName=r&PolicyName=p&PolicyDocument={policy}");
    assert_eq!(fixture.form("iam", &form).await.status, 200);
    let answer = by_role(&fixture, &session.credentials, "DescribeStreamConsumer", &by_name).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = by_role(&fixture, &session.credentials, "DescribeStreamConsumer", &missing).await;
    assert!(answer.text().contains("AccessDeniedException"), "{answer:?}");
    let answer = by_role(&fixture, &session.credentials, "RegisterStreamConsumer", &tagged).await;
    let text = format!("kinesis:TagResource on resource: {STREAM}/consumer/t:*");
    assert!(answer.text().contains(&text), "{answer:?}");
}

#[tokio::test]
async fn a_consumer_is_shared_by_its_resource_policy() {
    let (fixture, arn) = with_consumer().await;
    let by_another_account = async || {
        let mut request = request(JSON, "SubscribeToShard", subscription(&arn).to_string());
        let authorization = foreign_key("kinesis").replace("123456789012", "999999999999");
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
        fixture.gateway.answer(request).await.status().as_u16()
    };
    assert_eq!(by_another_account().await, 400);
    let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "999999999999"},
        "Action": "kinesis:SubscribeToShard", "Resource": arn}});
    call(&fixture, "PutResourcePolicy", json!({"ResourceARN": arn, "Policy": policy.to_string()})).await;
    assert_eq!(by_another_account().await, 200);
    call(&fixture, "DeleteResourcePolicy", json!({"ResourceARN": arn})).await;
    assert_eq!(by_another_account().await, 400);
}
