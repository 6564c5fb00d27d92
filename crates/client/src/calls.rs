//! The three calls by which documents are sent to queues, topics and buckets anywhere.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::sigv4::{encoding, hex, sha256};
use crate::{Client, Error};

/// Why a call did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No answer, or one that says that trying again helps.
    #[error("{0}")]
    Unavailable(String),
    /// Trying again does not help before somebody changes something.
    #[error("{0}")]
    Refused(String),
}

/// Error codes that ask for patience, whatever their status (SDK reference guide, "Retry behavior").
const PATIENCE: [&str; 15] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "OperationAborted",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "SlowDown",
    "Throttled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Service { status, code, .. }
                if !(status.is_server_error() || status.as_u16() == 429 || PATIENCE.contains(&&code[..])) =>
            {
                Self::Refused(text)
            }
            Error::Endpoint(_) | Error::Sign(_) | Error::Request(_) => Self::Refused(text),
            // An answer that no service gives comes from something between here and there.
            Error::Service { .. }
            | Error::Connect { .. }
            | Error::Connection(_)
            | Error::Timeout { .. }
            | Error::Answer(_) => Self::Unavailable(text),
        }
    }
}

/// SQS `SendMessage` to a standard queue; gives the message's id.
pub async fn send_message(client: &Client, account: &str, queue: &str, body: &str) -> Result<String, CallError> {
    let url = format!("{}/{account}/{queue}", client.endpoint());
    let input = json!({ "QueueUrl": url, "MessageBody": body }).to_string();
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.SendMessage")];
    let answer = client.send("sqs", &Method::POST, "/", &headers, input.into()).await?;
    let output: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let id = output["MessageId"].as_str().filter(|id| !id.is_empty());
    Ok(id.ok_or_else(|| not_of("SQS"))?.to_owned())
}

/// SNS `Publish` to a standard topic; gives the message's id.
pub async fn publish(client: &Client, topic_arn: &str, message: &str) -> Result<String, CallError> {
    let parameters = [("TopicArn", topic_arn), ("Message", message)];
    let answer = client.query("sns", "2010-03-31", "Publish", &parameters).await?;
    let id = answer.split_once("<MessageId>").and_then(|(_, rest)| rest.split_once('<')).map(|(id, _)| id);
    Ok(id.filter(|id| !id.is_empty()).ok_or_else(|| not_of("SNS"))?.to_owned())
}

/// S3 `PutObject`, by path; gives the object's tag.
pub async fn put_object(
    client: &Client,
    bucket: &str,
    key: &str,
    content_type: &str,
    body: Bytes,
) -> Result<String, CallError> {
    let mut target = format!("/{bucket}/");
    encoding::encode_into(&mut target, key.as_bytes(), true);
    let digest = hex(&sha256(&body));
    let headers = [("content-type", content_type), ("x-amz-content-sha256", &digest[..])];
    let answer = client.send("s3", &Method::PUT, &target, &headers, body).await?;
    let etag = answer.headers.get("etag").and_then(|value| value.to_str().ok());
    Ok(etag.ok_or_else(|| not_of("S3"))?.to_owned())
}

fn not_of(service: &str) -> Error {
    Error::Answer(format!("{service} would say what became of the request"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn errors_say_whether_patience_helps() {
        let check = |status: u16, code: &str, is_refused: bool| {
            let status = StatusCode::from_u16(status).unwrap();
            let error = Error::Service { status, code: code.to_owned(), message: String::new() };
            assert_eq!(matches!(CallError::from(error), CallError::Refused(_)), is_refused, "{status} {code}");
        };
        check(400, "QueueDoesNotExist", true);
        check(403, "AccessDenied", true);
        check(404, "NoSuchBucket", true);
        check(301, "PermanentRedirect", true);
        check(400, "RequestThrottled", false);
        check(429, "429 Too Many Requests", false);
        check(500, "InternalError", false);
        check(503, "SlowDown", false);
        assert!(matches!(CallError::from(Error::Timeout { seconds: 1 }), CallError::Unavailable(_)));
        assert!(matches!(CallError::from(Error::Answer(String::new())), CallError::Unavailable(_)));
    }
}
