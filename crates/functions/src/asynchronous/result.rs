//! The document about how an asynchronous invocation ended (Lambda guide, "Capturing records of Lambda asynchronous
//! invocations").

use bytes::Bytes;
use millstream_env::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::invoke::Outcome;

const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const KEY_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]/[month]/[day]/[year]-[month]-[day]T[hour].[minute].[second]");

/// How an event ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) at: Timestamp,
    pub(super) request_id: &'a str,
    /// With the qualifier: `…:f:$LATEST`.
    pub(super) function_arn: &'a str,
    /// `Success`, `RetriesExhausted` or `EventAgeExceeded`.
    pub(super) condition: &'a str,
    /// How often the function ran.
    pub(super) invoke_count: u32,
    pub(super) payload: &'a Bytes,
    /// The last attempt.
    pub(super) outcome: &'a Outcome,
    pub(super) executed_version: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: &'static str,
    timestamp: String,
    request_context: RequestContext<'a>,
    request_payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'a str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

impl Ended<'_> {
    pub(super) fn document(&self) -> Bytes {
        let (response, function_error) = match self.outcome {
            Outcome::Ok(bytes) => (Some(bytes), None),
            Outcome::FunctionError { payload, .. } => (Some(payload), Some("Unhandled")),
            _ => (None, None),
        };
        let ran = self.executed_version.filter(|_| response.is_some());
        let request: &RawValue = serde_json::from_slice(self.payload).unwrap_or(RawValue::NULL);
        let document = Document {
            version: "1.0",
            timestamp: formatted(self.at, TIMESTAMP),
            request_context: RequestContext {
                request_id: self.request_id,
                function_arn: self.function_arn,
                condition: self.condition,
                approximate_invoke_count: self.invoke_count,
            },
            request_payload: request,
            response_context: ran.map(|executed_version| ResponseContext {
                status_code: 200,
                executed_version,
                function_error,
            }),
            response_payload: response.map(as_json),
        };
        Bytes::from(serde_json::to_vec(&document).expect("plain data becomes JSON"))
    }

    /// Where a bucket keeps the document.
    pub(super) fn object_key(&self, function_name: &str, id: &str) -> String {
        format!("aws/lambda/async/{function_name}/{}-{id}", formatted(self.at, KEY_TIME))
    }
}

/// What the function returned: JSON as it is, anything else as a text.
fn as_json(bytes: &Bytes) -> Box<RawValue> {
    let text = String::from_utf8_lossy(bytes);
    RawValue::from_string(text.clone().into_owned())
        .unwrap_or_else(|_| serde_json::value::to_raw_value(&text).expect("a text becomes JSON"))
}

fn formatted(moment: Timestamp, format: &[BorrowedFormatItem<'_>]) -> String {
    let nanoseconds = i128::from(moment.millis()) * 1_000_000;
    let moment = time::OffsetDateTime::from_unix_timestamp_nanos(nanoseconds);
    moment.ok().and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::invoke::FunctionErrorKind;

    fn document(outcome: &Outcome, condition: &str, ran: Option<&str>) -> Value {
        let ended = Ended {
            at: Timestamp::from_millis(1_709_573_858_033),
            request_id: "id",
            function_arn: "arn:f:$LATEST",
            condition,
            invoke_count: 3,
            payload: &Bytes::from_static(br#"{"a": 1.0}"#),
            outcome,
            executed_version: ran,
        };
        let key = ended.object_key("f", "uuid");
        assert_eq!(key, "aws/lambda/async/f/2024/03/04/2024-03-04T17.37.38-uuid");
        let bytes = ended.document();
        assert!(String::from_utf8_lossy(&bytes).contains(r#""requestPayload":{"a": 1.0}"#), "as it was given");
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_recorded_members_are_there() {
        let payload = Bytes::from_static(br#"{"errorMessage":"no"}"#);
        let failed = Outcome::FunctionError { kind: FunctionErrorKind::Handler, payload };
        assert_eq!(
            document(&failed, "RetriesExhausted", Some("$LATEST")),
            json!({
                "version": "1.0",
                "timestamp": "2024-03-04T17:37:38.033Z",
                "requestContext": {
                    "requestId": "id", "functionArn": "arn:f:$LATEST", "condition": "RetriesExhausted",
                    "approximateInvokeCount": 3,
                },
                "requestPayload": { "a": 1.0 },
                "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
                "responsePayload": { "errorMessage": "no" },
            })
        );
        let succeeded = document(&Outcome::Ok(Bytes::from_static(b"\"yes\"")), "Success", Some("7"));
        assert_eq!(succeeded["responseContext"], json!({ "statusCode": 200, "executedVersion": "7" }));
        assert_eq!(succeeded["responsePayload"], "yes");
        let odd = document(&Outcome::Ok(Bytes::from_static(b"no json")), "Success", Some("7"));
        assert_eq!(odd["responsePayload"], "no json");
        let throttled = document(&Outcome::Throttled { reason: "r" }, "EventAgeExceeded", None);
        assert_eq!((throttled.get("responseContext"), throttled.get("responsePayload")), (None, None));
    }
}
