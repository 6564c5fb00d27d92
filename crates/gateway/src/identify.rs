//! Which service a request is for: all of them share one port.
//!
//! The target header and the dated paths of Lambda name the service outright; otherwise the scope of the signature
//! does. A form that is signed for none of the query services is told apart by its `Version`, which stands in the body.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;

use crate::pipeline::is_old_signature;

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Kinesis also gets what nothing else claims: its answers to nonsense are the recorded ones.
    Kinesis,
    Logs,
    Sqs,
    Lambda,
    Iam,
    Sts,
    Monitoring,
    /// Millstream's own operations.
    Millstream,
    S3,
    Sns,
    /// A form whose `Version` decides between IAM, STS, SNS and CloudWatch.
    Form,
    /// Millstream's own plain pages: health, metrics, downloads.
    Own,
}

/// The header that names the operation of the JSON services.
pub(crate) const TARGET_HEADER: &str = "x-amz-target";

/// Decides by the head alone.
pub(crate) fn identify(request: &Parts) -> Target {
    let path = request.uri.path();
    if is_for_s3(request) {
        return Target::S3;
    }
    if is_own(path) {
        return Target::Own;
    }
    if let Some(target) = request.headers.get(TARGET_HEADER) {
        return match target.as_bytes() {
            target if target.starts_with(b"GraniteServiceVersion20100801") => Target::Monitoring,
            target if target.starts_with(b"Logs_20140328") => Target::Logs,
            target if target.starts_with(b"Millstream.") => Target::Millstream,
            target if target.starts_with(b"AmazonSQS") => Target::Sqs,
            _ => Target::Kinesis,
        };
    }
    if path.starts_with("/service/GraniteServiceVersion20100801/") {
        return Target::Monitoring;
    }
    if is_dated(path) {
        return Target::Lambda;
    }
    match scope_service(request) {
        Some("kinesis") => Target::Kinesis,
        Some("logs") => Target::Logs,
        Some("sqs") => Target::Sqs,
        Some("lambda") => Target::Lambda,
        Some("iam") => Target::Iam,
        Some("sts") => Target::Sts,
        Some("monitoring") => Target::Monitoring,
        Some("millstream") => Target::Millstream,
        Some("sns") => Target::Sns,
        _ if is_form(request) => Target::Form,
        _ => Target::Kinesis,
    }
}

/// Signed for S3, whose buckets may have any name that is a path of ours. A request with a target is not S3's.
fn is_for_s3(request: &Parts) -> bool {
    if request.headers.contains_key(TARGET_HEADER) {
        return false;
    }
    let by_header = request.headers.get(AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS "));
    by_header || scope_service(request) == Some("s3") || request.uri.query().is_some_and(is_old_signature)
}

fn is_own(path: &str) -> bool {
    path.starts_with("/_millstream/") || path.starts_with("/health/") || path == "/metrics"
}

/// `/2015-03-31/…`: all of Lambda's paths begin with the date of an API version.
fn is_dated(path: &str) -> bool {
    let form = b"/dddd-dd-dd/";
    let matches = |(byte, wanted): (u8, &u8)| if *wanted == b'd' { byte.is_ascii_digit() } else { byte == *wanted };
    path.len() >= form.len() && path.bytes().zip(form).all(matches)
}

/// The signing name in the credential scope, wherever the signature is; not checked in any way.
fn scope_service(request: &Parts) -> Option<&str> {
    let header = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (place, key) = match header {
        Some(header) => (header, "Credential="),
        None => (request.uri.query()?, "X-Amz-Credential="),
    };
    let credential = place.split_once(key)?.1.split([',', '&', ' ']).next()?;
    let mut parts = credential.split('/');
    if credential.contains('/') { parts.nth(3) } else { credential.split("%2F").nth(3) }
}

fn is_form(request: &Parts) -> bool {
    let content_type = request.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    content_type.starts_with(b"application/x-www-form-urlencoded")
        || request.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("Action=")))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(uri: &str, headers: &[(&str, &str)], expected: Target) {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(identify(&request.body(()).unwrap().into_parts().0), expected, "{uri} {headers:?}");
    }

    fn signed_for(service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        )
    }

    #[test]
    fn targets_and_paths_name_the_service() {
        check("/", &[("x-amz-target", "Kinesis_20131202.PutRecord")], Target::Kinesis);
        check(
            "/",
            &[("x-amz-target", "Logs_20140328.GetLogEvents"), ("authorization", &signed_for("kinesis"))],
            Target::Logs,
        );
        check("/", &[("x-amz-target", "GraniteServiceVersion20100801.ListMetrics")], Target::Monitoring);
        check("/service/GraniteServiceVersion20100801/operation/ListMetrics", &[], Target::Monitoring);
        check("/", &[("x-amz-target", "Millstream.GetClock")], Target::Millstream);
        check("/123456789012/queue", &[("x-amz-target", "AmazonSQS.SendMessage")], Target::Sqs);
        check("/2015-03-31/functions", &[], Target::Lambda);
        // Names of buckets.
        for path in ["/2015-03-31/functions", "/health/live", "/metrics", "/"] {
            check(path, &[("authorization", &signed_for("s3"))], Target::S3);
            check(&format!("{path}?X-Amz-Credential=A%2F20260102%2Fus-east-1%2Fs3%2Faws4_request"), &[], Target::S3);
            check(&format!("{path}?AWSAccessKeyId=A&Signature=b&Expires=1"), &[], Target::S3);
        }
        check("/2015-03-3/functions", &[], Target::Kinesis);
        check("/health/live", &[], Target::Own);
        check("/", &[], Target::Kinesis);
    }

    #[test]
    fn otherwise_the_scope_does() {
        for (service, target) in [
            ("iam", Target::Iam),
            ("sts", Target::Sts),
            ("monitoring", Target::Monitoring),
            ("lambda", Target::Lambda),
            ("dynamodb", Target::Kinesis),
            ("lambda", Target::Lambda),
            ("sqs", Target::Sqs),
            ("sns", Target::Sns),
            ("s4", Target::Kinesis),
        ] {
            check("/", &[("authorization", &signed_for(service))], target);
        }
        check(
            "/?X-Amz-Credential=AKID%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&Action=GetCallerIdentity",
            &[],
            Target::Sts,
        );
    }

    #[test]
    fn unsigned_forms_are_told_apart_later() {
        check("/", &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")], Target::Form);
        check("/?Action=GetCallerIdentity&Version=2011-06-15", &[], Target::Form);
    }
}
