use bytes::Bytes;

use super::*;
use crate::operation::Operation;
use crate::protocol::{Encoding, Request, decode_value};
use crate::{CommonError, iam, kinesis, lambda, logs, sts};

/// The validation text of a JSON input; empty when the input is fine.
fn text<O: Operation>(service: &Service, body: &str) -> String {
    let encoding = if service.name == "lambda" { Encoding::RestJson } else { Encoding::Json11 };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = Request { path: "/", query: "", headers: &http::HeaderMap::new(), body: &body };
    match decode_value(service, O::shape(), encoding, &request) {
        Ok(_) => String::new(),
        Err(CommonError::Validation(text)) => text,
        Err(error) => panic!("{error:?}"),
    }
}

fn kinesis<O: Operation>(body: &str, expected: &str) {
    assert_eq!(text::<O>(&kinesis::SERVICE, body), expected, "{body}");
}

#[test]
fn members_as_recorded() {
    kinesis::<kinesis::op::CreateStream>(
        r#"{"ShardCount":0}"#,
        "2 validation errors detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have value \
         greater than or equal to 1; Value null at 'streamName' failed to satisfy constraint: Member must not be null",
    );
    kinesis::<kinesis::op::CreateStream>(
        r#"{"StreamName":""}"#,
        "2 validation errors detected: Value '' at 'streamName' failed to satisfy constraint: Member must have length \
         greater than or equal to 1; Value '' at 'streamName' failed to satisfy constraint: Member must satisfy regular \
         expression pattern: [a-zA-Z0-9_.-]+",
    );
    kinesis::<kinesis::op::GetShardIterator>(
        r#"{"StreamName":"s","ShardId":"0","ShardIteratorType":"x"}"#,
        "1 validation error detected: Value 'x' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy \
         enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]",
    );
    kinesis::<kinesis::op::DescribeStream>(r#"{"StreamARN":"arn:aws:kinesis:r:123456789012:stream/s"}"#, "");
    kinesis::<kinesis::op::PutRecord>(
        r#"{"Data":"","PartitionKey":"p","ExplicitHashKey":"01"}"#,
        "1 validation error detected: Value '01' at 'explicitHashKey' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: 0|([1-9]\\d{0,38})",
    );
}

#[test]
fn lists_and_maps_as_recorded() {
    let long = "a".repeat(129);
    kinesis::<kinesis::op::RemoveTagsFromStream>(
        &format!(r#"{{"StreamName":"s","TagKeys":["{long}","b"]}}"#),
        &format!(
            "1 validation error detected: Value '[{long}, b]' at 'tagKeys' failed to satisfy constraint: Member must \
             satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater \
             than or equal to 1]"
        ),
    );
    kinesis::<kinesis::op::AddTagsToStream>(
        &format!(r#"{{"StreamName":"s","Tags":{{"{long}":"v"}}}}"#),
        &format!(
            "1 validation error detected: Value '{{{long}=v}}' at 'tags' failed to satisfy constraint: Map keys must \
             satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater \
             than or equal to 1]"
        ),
    );
    let long = "v".repeat(257);
    kinesis::<kinesis::op::AddTagsToStream>(
        &format!(r#"{{"StreamName":"s","Tags":{{"k":"{long}"}}}}"#),
        &format!(
            "1 validation error detected: Value '{{k={long}}}' at 'tags' failed to satisfy constraint: Map value must \
             satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater \
             than or equal to 0]"
        ),
    );
    kinesis::<kinesis::op::PutRecords>(
        r#"{"StreamName":"s","Records":[]}"#,
        "1 validation error detected: Value '[]' at 'records' failed to satisfy constraint: Member must have length \
         greater than or equal to 1",
    );
}

#[test]
fn at_most_ten_errors_are_listed() {
    let records = vec!["{}"; 20].join(",");
    let text = text::<kinesis::op::PutRecords>(&kinesis::SERVICE, &format!(r#"{{"Records":[{records}]}}"#));
    assert!(text.starts_with("10 validation errors detected: Value null at 'records.1.member.data'"), "{text}");
    assert_eq!(text.matches("; ").count(), 9);
}

#[test]
fn lambda_adds_that_items_must_not_be_null() {
    let body =
        r#"{"FunctionName":"f","Role":"arn:aws:iam::123456789012:role/r","Code":{},"Architectures":["x","arm64"]}"#;
    assert_eq!(
        text::<lambda::op::CreateFunction>(&lambda::SERVICE, &body.replace("\"x\"", "\"arm64\"")),
        "1 validation error detected: Value '[arm64, arm64]' at 'architectures' failed to satisfy constraint: Member \
         must have length less than or equal to 1"
    );
    assert_eq!(
        text::<lambda::op::CreateFunction>(&lambda::SERVICE, &body.replace(",\"arm64\"", "")),
        "1 validation error detected: Value '[x]' at 'architectures' failed to satisfy constraint: Member must satisfy \
         constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null]"
    );
}

#[test]
fn secrets_are_not_shown() {
    let body = r#"{"FunctionName":"f","Role":"arn:aws:iam::123456789012:role/r","Code":{},
        "Environment":{"Variables":{"1":"hunter2"}}}"#;
    assert_eq!(
        text::<lambda::op::CreateFunction>(&lambda::SERVICE, body),
        "1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must \
         satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+, Member must not \
         be null]"
    );
}

#[test]
fn huge_values_are_cut() {
    let text = text::<kinesis::op::CreateStream>(
        &kinesis::SERVICE,
        &format!(r#"{{"StreamName":"{}"}}"#, "a".repeat(1_000_000)),
    );
    assert!(text.len() < 5000, "{}", text.len());
}

#[test]
fn every_pattern_compiles() {
    fn visit(shape: &'static Shape, seen: &mut Vec<*const Shape>) {
        if seen.contains(&std::ptr::from_ref(shape)) {
            return;
        }
        seen.push(shape);
        match &shape.kind {
            Kind::String(text) => {
                if let Some(pattern) = &text.pattern {
                    (pattern.regex)();
                }
            }
            Kind::List { member, .. } => visit(member, seen),
            Kind::Map { key, value, .. } => {
                visit(key, seen);
                visit(value, seen);
            }
            Kind::Structure(members) => members.iter().for_each(|member| visit(member.shape, seen)),
            _ => {}
        }
    }
    let mut seen = Vec::new();
    for service in [&kinesis::SERVICE, &lambda::SERVICE, &iam::SERVICE, &sts::SERVICE, &logs::SERVICE] {
        for operation in service.operations {
            visit(operation.input, &mut seen);
            operation.output.iter().for_each(|shape| visit(shape, &mut seen));
        }
    }
    assert!(seen.len() > 300, "{} shapes", seen.len());
}

#[test]
fn patterns_match_what_clients_send() {
    for (shape, good, bad) in [
        (&iam::shapes::POLICY_DOCUMENT_TYPE, "{\n\t\"Version\": \"2012-10-17\"}", "\u{1}"),
        (&iam::shapes::ROLE_NAME_TYPE, "lambda-role_1@x", "a b"),
        (&iam::shapes::TAG_KEY_TYPE, "größe 1", "a\u{7}"),
        (&sts::shapes::ARN_TYPE, "arn:aws:iam::123456789012:role/größe", "arn:aws:iam::123456789012:\u{1}"),
        (&sts::shapes::ROLE_SESSION_NAME_TYPE, "Session1", "Session1:2"),
        (&lambda::shapes::FUNCTION_NAME, "arn:aws:lambda:us-west-2:123456789012:function:F:$LATEST", "a b"),
        (&lambda::shapes::ARN, "arn:aws:kinesis:local:000000000000:stream/s", "stream/s"),
        (&lambda::shapes::ROLE_ARN, "arn:aws:iam::123456789012:role/path/r", "r1"),
        (&lambda::shapes::S3_BUCKET, "my-bucket.1", "my-bucket."),
        (&lambda::shapes::HANDLER, "index.handler", "a b"),
        (&lambda::shapes::DESTINATION_ARN, "", "queue"),
        (&logs::shapes::LOG_STREAM_NAME, "2026/01/01/[$LATEST]0123", "a:b"),
    ] {
        assert!(keeps_text(shape, good), "{} refuses {good:?}", shape.name);
        assert!(!keeps_text(shape, bad), "{} accepts {bad:?}", shape.name);
    }
}
