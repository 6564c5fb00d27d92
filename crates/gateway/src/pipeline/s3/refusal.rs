//! Refusals as S3 writes them (S3 API reference, "Error responses").

use http::header::{CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderName, StatusCode};
use millstream_client::sigv4::date;
use millstream_destinations::s3::Error;
use millstream_iam::{AuthError, AuthErrorKind};
use millstream_types::Timestamp;

use super::output::{quoted, set};
use super::xml::Document;
use crate::answer::Answer;

/// Why a request is not served.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    message: String,
    /// Elements beside code and message.
    details: Vec<(&'static str, String)>,
    headers: Vec<(HeaderName, String)>,
    /// What only the log is told.
    pub(super) reason: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, details: Vec::new(), headers: Vec::new(), reason: None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    fn because(mut self, reason: String) -> Self {
        self.reason = Some(reason);
        self
    }

    /// S3's own answer to what a server of its protocol need not have.
    pub(super) fn not_implemented() -> Self {
        Self::new(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
    }

    pub(super) fn access_denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    pub(super) fn invalid_argument(name: &'static str, value: &str, message: impl Into<String>) -> Self {
        Self::new(400, "InvalidArgument", message).with("ArgumentName", name).with("ArgumentValue", value)
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }

    pub(super) fn malformed_xml() -> Self {
        Self::new(
            400,
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The answer; one to HEAD has no body.
    pub(super) fn into_answer(self, resource: &str, request_id: &str, is_head: bool) -> Answer {
        let status = StatusCode::from_u16(self.status).expect("statuses are written down here");
        let mut answer = if is_head || status == StatusCode::NOT_MODIFIED {
            Answer::empty(status)
        } else {
            let mut document = Document::bare("Error");
            document.text("Code", self.code).text("Message", &self.message);
            for (name, value) in &self.details {
                document.text(name, value);
            }
            document.text("Resource", resource).text("RequestId", request_id);
            document.answer(status)
        };
        for (name, value) in self.headers {
            set(&mut answer.headers, name, &value);
        }
        answer
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::AccessDenied => Self::access_denied(text),
            Error::NoSuchBucket(name) => Self::new(404, "NoSuchBucket", text).with("BucketName", name),
            Error::NoSuchKey(key) => Self::new(404, "NoSuchKey", text).with("Key", key),
            Error::NoSuchUpload(id) => Self::new(404, "NoSuchUpload", text).with("UploadId", id),
            Error::BucketAlreadyOwnedByYou(name) => {
                Self::new(409, "BucketAlreadyOwnedByYou", text).with("BucketName", name)
            }
            Error::BucketAlreadyExists(name) => Self::new(409, "BucketAlreadyExists", text).with("BucketName", name),
            Error::BucketNotEmpty(name) => Self::new(409, "BucketNotEmpty", text).with("BucketName", name),
            Error::InvalidBucketName(name) => Self::new(400, "InvalidBucketName", text).with("BucketName", name),
            Error::TooManyBuckets => Self::new(400, "TooManyBuckets", text),
            Error::KeyTooLong { bytes } => Self::new(400, "KeyTooLongError", text)
                .with("Size", bytes.to_string())
                .with("MaxSizeAllowed", millstream_destinations::s3::names::KEY_BYTES_MAX.to_string()),
            Error::MetadataTooLarge { bytes } => Self::new(400, "MetadataTooLarge", text)
                .with("Size", bytes.to_string())
                .with("MaxSizeAllowed", millstream_destinations::s3::limits::METADATA_BYTES_MAX.to_string()),
            Error::EntityTooLarge { bytes, bytes_max } => Self::new(400, "EntityTooLarge", text)
                .with("ProposedSize", bytes.to_string())
                .with("MaxSizeAllowed", bytes_max.to_string()),
            Error::EntityTooSmall { bytes, part } => Self::new(400, "EntityTooSmall", text)
                .with("ProposedSize", bytes.to_string())
                .with("MinSizeAllowed", millstream_destinations::s3::limits::PART_BYTES_MIN.to_string())
                .with("PartNumber", part.to_string()),
            Error::BadContentMd5 | Error::BadChecksum(_) => Self::new(400, "BadDigest", text),
            Error::PreconditionFailed(condition) => {
                Self::new(412, "PreconditionFailed", text).with("Condition", condition)
            }
            Error::NotModified { etag, modified_ms } => {
                let mut refusal = Self::new(304, "NotModified", text);
                let modified = date::format_http(Timestamp::from_millis(modified_ms));
                refusal.headers = vec![(ETAG, quoted(&etag)), (LAST_MODIFIED, modified)];
                refusal
            }
            Error::InvalidRange { bytes } => {
                let mut refusal = Self::new(416, "InvalidRange", text).with("ActualObjectSize", bytes.to_string());
                refusal.headers = vec![(CONTENT_RANGE, format!("bytes */{bytes}"))];
                refusal
            }
            Error::InvalidPart => Self::new(400, "InvalidPart", text),
            Error::InvalidPartOrder => Self::new(400, "InvalidPartOrder", text),
            Error::InvalidRequest(_) => Self::invalid_request(text),
            Error::InvalidArgument { name, .. } => Self::new(400, "InvalidArgument", text).with("ArgumentName", name),
            Error::OperationAborted => Self::new(409, "OperationAborted", text),
            Error::SlowDown => Self::new(503, "SlowDown", text),
            Error::Unavailable(reason) | Error::OutcomeUnknown(reason) => {
                Self::new(503, "ServiceUnavailable", text).because(reason)
            }
            Error::Internal(reason) => Self::new(500, "InternalError", text).because(reason),
        }
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error.kind {
            AuthErrorKind::Missing => Self::access_denied("Access Denied"),
            AuthErrorKind::Incomplete | AuthErrorKind::WrongScope => {
                Self::new(400, "AuthorizationHeaderMalformed", error.message)
            }
            AuthErrorKind::UnknownKey => Self::new(
                403,
                "InvalidAccessKeyId",
                "The AWS Access Key Id you provided does not exist in our records.",
            ),
            AuthErrorKind::InvalidSignature => Self::new(
                403,
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. Check your key and signing \
                 method.",
            ),
            AuthErrorKind::NotCurrent => Self::new(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            ),
            AuthErrorKind::Expired => Self::new(400, "ExpiredToken", "The provided token has expired."),
            AuthErrorKind::Unavailable => Self::from(Error::Internal(String::new())).because(error.message),
        }
    }
}
