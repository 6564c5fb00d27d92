//! The direct codecs against the interpreter: the same bodies, the same answers.

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::kinesis::{self, SERVICE, op};
use crate::operation::EventStream as _;
use crate::protocol::{Encoding, Request, decode};
use crate::typed::Typed as _;
use crate::{ApiError, CommonError, Operation, OperationShape, event_stream};

fn interpreted<O: Operation>(body: &[u8], format: Format) -> Result<O::Input, ApiError> {
    let encoding = match format {
        Format::Json => Encoding::Json11,
        Format::Cbor => Encoding::Cbor,
    };
    let body = Bytes::copy_from_slice(body);
    decode::<O>(&SERVICE, encoding, &Request { path: "/", query: "", headers: &HeaderMap::new(), body: &body })
}

fn owned_entry(entry: PutEntry<'_>) -> kinesis::PutRecordsRequestEntry {
    let mut data = vec![0; entry.data_length];
    entry.data.decode_into(&mut data);
    kinesis::PutRecordsRequestEntry {
        data: data.into(),
        explicit_hash_key: entry.explicit_hash_key.map(Cow::into_owned),
        partition_key: entry.partition_key.into_owned(),
    }
}

fn put_records_directly(body: &[u8], format: Format) -> Result<kinesis::PutRecordsInput, ApiError> {
    let request = put_records::decode(body, format)?;
    Ok(kinesis::PutRecordsInput {
        records: request.entries.into_iter().map(owned_entry).collect(),
        stream_arn: request.stream_arn.map(Cow::into_owned),
        stream_id: request.stream_id.map(Cow::into_owned),
        stream_name: request.stream_name.map(Cow::into_owned),
    })
}

fn put_record_directly(body: &[u8], format: Format) -> Result<kinesis::PutRecordInput, ApiError> {
    let request = put_record::decode(body, format)?;
    let entry = owned_entry(request.entry);
    Ok(kinesis::PutRecordInput {
        data: entry.data,
        explicit_hash_key: entry.explicit_hash_key,
        partition_key: entry.partition_key,
        sequence_number_for_ordering: request.sequence_number_for_ordering.map(Cow::into_owned),
        stream_arn: request.stream_arn.map(Cow::into_owned),
        stream_id: request.stream_id.map(Cow::into_owned),
        stream_name: request.stream_name.map(Cow::into_owned),
    })
}

fn agree(body: &[u8], format: Format) {
    let shown = String::from_utf8_lossy(body);
    let directly = put_records_directly(body, format);
    assert_eq!(directly, interpreted::<op::PutRecords>(body, format), "PutRecords {shown}");
    let directly = put_record_directly(body, format);
    assert_eq!(directly, interpreted::<op::PutRecord>(body, format), "PutRecord {shown}");
}

#[test]
fn a_request_borrows_from_its_body() {
    let body = br#" { "StreamName" : "orders", "Records": [
        {"Data": "aGVsbG8=", "PartitionKey": "k1"},
        {"PartitionKey": "k\u00e9", "ExplicitHashKey": "170", "Data": "\/\/8=", "Unknown": [1, {"a": null}]}
    ]}"#;
    let request = put_records::decode(body, Format::Json).unwrap();
    assert_eq!(request.stream_name, Some(Cow::Borrowed("orders")));
    assert!(matches!(request.entries[0].data, Payload::Base64(b"aGVsbG8=")));
    assert!(matches!(request.entries[0].partition_key, Cow::Borrowed("k1")));
    assert_eq!(request.entries[0].data_length, 5);
    assert!(matches!(request.entries[1].data, Payload::Base64Escaped(_)));
    assert_eq!(request.entries[1].data_length, 2);
    assert_eq!(request.entries[1].partition_key, "ké");
    agree(body, Format::Json);
}

fn refusal(body: &str) -> CommonError {
    match put_records::decode(body.as_bytes(), Format::Json) {
        Err(ApiError::Common(error)) => error,
        other => panic!("{body} gave {other:?}"),
    }
}

#[test]
fn refusals_as_recorded() {
    let data = |data: &str| format!(r#"{{"Records":[{{"Data":{data},"PartitionKey":"a"}}]}}"#);
    for (value, text) in [
        ("true", "class java.lang.Boolean can not be converted to a Blob"),
        ("1", "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to a Blob"),
        ("[]", "Start of list found where not expected"),
        ("{}", "Start of structure or map found where not expected."),
        (
            "\"23456\"",
            "'23456' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 5",
        ),
        ("\"=+/=\"", "'=+/=' can not be converted to a Blob: Invalid Base64 character: '='"),
        ("\"+/+=\"", "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"),
    ] {
        assert_eq!(refusal(&data(value)), CommonError::Serialization(text.to_owned()));
    }
    assert_eq!(
        refusal(r#"{"Records":[{"Data":"","PartitionKey":""}]}"#),
        CommonError::Validation(
            "1 validation error detected: Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: \
             Member must have length greater than or equal to 1"
                .to_owned()
        )
    );
    for body in ["", "null", "[]", "{", "{\"Records\":", "{\"Records\":[{\"Data\":1}", "{} x"] {
        assert_eq!(refusal(body), CommonError::Malformed, "{body}");
    }
}

#[test]
fn large_data_is_refused_without_being_shown() {
    let body = format!(
        r#"{{"StreamName":"s","Records":[{{"Data":"{}","PartitionKey":"a"}}]}}"#,
        base64_simd::STANDARD.encode_to_string(vec![7; 10_485_761])
    );
    assert_eq!(
        refusal(&body),
        CommonError::Validation(
            "1 validation error detected: Value at 'records.1.member.data' failed to satisfy constraint: Member must \
             have length less than or equal to 10485760"
                .to_owned()
        )
    );
    agree(body.as_bytes(), Format::Json);
}

#[test]
fn answers_read_as_the_interpreter_writes_them() {
    let shard_id: ShardId = "shardId-000000000003".parse().unwrap();
    let sequence_number: SequenceNumber = "49674026002850188218576229259473476449429298564223254594".parse().unwrap();
    let stored = PutResult::Stored { shard_id, sequence_number };
    let failed = PutResult::Failed { error_code: "InternalFailure", error_message: "Internal \"failure\"".to_owned() };
    let body = put_records::encode(&[stored, failed], None, Format::Json);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"FailedRecordCount":1,"Records":[{"SequenceNumber":"49674026002850188218576229259473476449429298564223254594","ShardId":"shardId-000000000003"},{"ErrorCode":"InternalFailure","ErrorMessage":"Internal \"failure\""}]}"#
    );
    let body = put_record::encode(shard_id, sequence_number, Some(EncryptionType::Kms), Format::Json);
    assert_eq!(
        String::from_utf8(body).unwrap(),
        r#"{"EncryptionType":"KMS","SequenceNumber":"49674026002850188218576229259473476449429298564223254594","ShardId":"shardId-000000000003"}"#
    );
}

/// Some text of a JSON body: pieces that are often almost right.
fn piece() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "Records",
        "Data",
        "PartitionKey",
        "ExplicitHashKey",
        "StreamName",
        "StreamARN",
        "StreamId",
        "Other",
        "SequenceNumberForOrdering",
        "\\u0044ata",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("12.5".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"aGVsbG8=\"".to_owned()),
        Just("\"aGVsbG8\"".to_owned()),
        Just("\"\\/\\/8=\"".to_owned()),
        Just("\"\\u002b\\/==\"".to_owned()),
        Just("\"+/+=\"".to_owned()),
        Just("\"a\\\"b\"".to_owned()),
        Just("\"170141183460469231731687303715884105728\"".to_owned()),
        Just("\"arn:aws:kinesis:us-east-1:123456789012:stream/s\"".to_owned()),
        Just(format!("\"{}\"", "é".repeat(257))),
        Just(format!("\"{}\"", "k".repeat(257))),
        "\"[a-zA-Z0-9+/=\\\\u]{0,9}\"",
        Just("nul".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let pair = (names.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\" :{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(pair, 0..7).prop_map(|pairs| format!("{{{}}}", pairs.join(" ,\n"))),
        ]
    })
}

/// A request that is right but for the values that vary.
fn request() -> impl Strategy<Value = String> {
    let entry = (piece(), piece()).prop_map(|(data, other)| {
        format!(r#"{{"Data":"aGVsbG8=","PartitionKey":"k","ExplicitHashKey":null,"X":{other},"Data":{data}}}"#)
    });
    (prop::collection::vec(entry, 0..4), piece()).prop_map(|(entries, name)| {
        format!(r#"{{"StreamName":{name},"Data":"","PartitionKey":"p","Records":[{}]}}"#, entries.join(","))
    })
}

/// Any JSON value as CBOR, with strings that start with `b:` as bytes.
fn cbor_of(value: &serde_json::Value, definite: bool) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        serde_json::Value::Null => out.push(0xf6),
        serde_json::Value::Bool(value) => crate::cbor::write_boolean(&mut out, *value),
        serde_json::Value::Number(number) => crate::cbor::write_real(&mut out, number.as_f64().unwrap_or(0.0)),
        serde_json::Value::String(text) => match base64_simd::STANDARD.decode_to_vec(text) {
            Ok(bytes) => crate::cbor::write_bytes(&mut out, &bytes),
            Err(_) => crate::cbor::write_text(&mut out, text),
        },
        serde_json::Value::Array(items) => {
            out.push(if definite { 0x80 | u8::try_from(items.len()).unwrap() } else { 0x9f });
            out.extend(items.iter().flat_map(|item| cbor_of(item, definite)));
            out.extend((!definite).then_some(0xff));
        }
        serde_json::Value::Object(pairs) => {
            out.push(if definite { 0xa0 | u8::try_from(pairs.len()).unwrap() } else { 0xbf });
            for (key, value) in pairs {
                crate::cbor::write_text(&mut out, key);
                out.extend(cbor_of(value, definite));
            }
            out.extend((!definite).then_some(0xff));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn both_agree_on_any_json(body in piece()) {
        agree(body.as_bytes(), Format::Json);
    }

    #[test]
    fn both_agree_on_almost_right_requests(body in request()) {
        agree(body.as_bytes(), Format::Json);
        if let Ok(value) = serde_json::from_str(&body) {
            agree(&cbor_of(&value, true), Format::Cbor);
            agree(&cbor_of(&value, false), Format::Cbor);
        }
    }

    #[test]
    fn both_agree_on_damaged_requests(body in request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = body.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agree(&bytes, Format::Json);
    }

    #[test]
    fn both_agree_on_damaged_cbor(body in request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        if let Ok(value) = serde_json::from_str(&body) {
            let mut bytes = cbor_of(&value, byte % 2 == 0);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            agree(&bytes, Format::Cbor);
        }
    }

    #[test]
    fn records_read_back(records in prop::collection::vec((any::<Vec<u8>>(), any::<String>(), any::<u32>()), 0..5)) {
        let number: SequenceNumber = "49674026002850188218576229259473476449429298564223254594".parse().unwrap();
        let views: Vec<_> = records.iter().map(|(data, key, millis)| RecordView {
            sequence_number: number,
            approximate_arrival_timestamp: Timestamp::from_millis(u64::from(*millis)),
            data,
            partition_key: key,
            encryption_type: None,
        }).collect();
        let children = [kinesis::ChildShard { shard_id: "shardId-000000000001".to_owned(), ..Default::default() }];
        let answer = get_records::Answer {
            records: &views, next_shard_iterator: Some("i"), millis_behind_latest: Some(5), child_shards: Some(&children),
        };
        let expected = kinesis::GetRecordsOutput {
            child_shards: Some(children.to_vec()),
            millis_behind_latest: Some(5),
            next_shard_iterator: Some("i".to_owned()),
            records: views.iter().map(|view| kinesis::Record {
                approximate_arrival_timestamp: Some(view.approximate_arrival_timestamp),
                data: Bytes::copy_from_slice(view.data),
                encryption_type: None,
                partition_key: view.partition_key.to_owned(),
                sequence_number: number.to_string(),
            }).collect(),
        };
        for (format, encoding) in [(Format::Json, Encoding::Json11), (Format::Cbor, Encoding::Cbor)] {
            let body = get_records::encode(&answer, format);
            let interpreted = crate::protocol::encode::<op::GetRecords>(&SERVICE, encoding, "id", expected.clone());
            prop_assert_eq!(&Bytes::from(body), interpreted.body());
        }
    }

    #[test]
    fn events_are_what_the_interpreter_writes(
        records in prop::collection::vec((any::<Vec<u8>>(), any::<String>(), any::<u32>()), 0..5), ends: bool,
    ) {
        let number: SequenceNumber = "49674026002850188218576229259473476449429298564223254594".parse().unwrap();
        let views: Vec<_> = records.iter().map(|(data, key, millis)| RecordView {
            sequence_number: number,
            approximate_arrival_timestamp: Timestamp::from_millis(u64::from(*millis)),
            data,
            partition_key: key,
            encryption_type: None,
        }).collect();
        let children = [kinesis::ChildShard { shard_id: "shardId-000000000001".to_owned(), ..Default::default() }];
        let event = subscribe_to_shard::Event {
            records: &views,
            continuation_sequence_number: (!ends).then_some("5"),
            millis_behind_latest: 7,
            child_shards: ends.then_some(&children),
        };
        let expected = kinesis::SubscribeToShardEvent {
            child_shards: ends.then(|| children.to_vec()),
            continuation_sequence_number: (!ends).then(|| "5".to_owned()),
            millis_behind_latest: 7,
            records: views.iter().map(|view| kinesis::Record {
                approximate_arrival_timestamp: Some(view.approximate_arrival_timestamp),
                data: Bytes::copy_from_slice(view.data),
                encryption_type: None,
                partition_key: view.partition_key.to_owned(),
                sequence_number: number.to_string(),
            }).collect(),
        };
        let shape = OperationShape { output: Some(op::SubscribeToShard::event_shape()), ..*op::SubscribeToShard::shape() };
        let value = expected.into_value();
        let interpreted = crate::protocol::encode_value(&SERVICE, &shape, Encoding::Json11, "id", &value);
        let frame = subscribe_to_shard::encode(&event);
        let (message, length) = event_stream::decode(&frame).unwrap().unwrap();
        prop_assert_eq!(length, frame.len());
        prop_assert_eq!(message.header(":event-type"), Some("SubscribeToShardEvent"));
        prop_assert_eq!(message.payload, &interpreted.body()[..]);
    }
}
