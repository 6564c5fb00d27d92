//! Scope, dates, the payload hash and the headers that must be signed.

use std::time::Duration;

use http::HeaderMap;
use millstream_client::sigv4::{CHUNKED_PAYLOADS, UNSIGNED_PAYLOAD, date, hex};
use millstream_types::{Region, Timestamp};
use subtle::ConstantTimeEq as _;

use super::RequestParts;
use super::error::{AuthError, AuthErrorKind};
use super::presented::Presented;

/// How far a client's clock may be off (the texts of recorded Kinesis errors name it).
const SKEW_MAX: Duration = Duration::from_mins(5);
/// The same for S3 (S3 API reference, "Authenticating requests", `RequestTimeTooSkewed`).
const S3_SKEW_MAX: Duration = Duration::from_mins(15);

fn invalid(message: impl Into<String>) -> AuthError {
    AuthError::new(AuthErrorKind::InvalidSignature, message)
}

fn not_current(message: String) -> AuthError {
    AuthError::new(AuthErrorKind::NotCurrent, message)
}

/// The region of the scope, when the scope is one this request may have.
pub(super) fn check_scope(presented: &Presented, services: &[&str]) -> Result<Region, AuthError> {
    let scope = &presented.scope;
    let region = scope.region.parse::<Region>();
    let mut faults = Vec::new();
    if region.is_err() {
        faults.push(format!("Credential should be scoped to a valid Region, not '{}'. ", scope.region));
    }
    if let Some(expected) = services.first()
        && !services.contains(&scope.service.as_str())
    {
        faults.push(format!("Credential should be scoped to correct service: '{expected}'. "));
    }
    if presented.terminator != "aws4_request" {
        faults.push("Credential should be scoped with a valid terminator: 'aws4_request'".to_owned());
    }
    match region {
        Ok(region) if faults.is_empty() => Ok(region),
        _ => Err(AuthError::new(AuthErrorKind::WrongScope, faults.concat())),
    }
}

/// Whether the signature is of this day and valid at `now`.
pub(super) fn check_dates(presented: &Presented, now: Timestamp) -> Result<(), AuthError> {
    if !presented.amz_date.starts_with(&presented.scope.date) || presented.scope.date.len() != 8 {
        return Err(AuthError::new(
            AuthErrorKind::WrongScope,
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP",
        ));
    }
    let (signed_at, show) = (presented.signed_at, date::format_amz);
    // Whole seconds, as in the texts: a signature has no finer time.
    let now = Timestamp::from_seconds(now.seconds());
    let skew_max = if presented.scope.service == "s3" { S3_SKEW_MAX } else { SKEW_MAX };
    let latest = now.plus(skew_max);
    if signed_at > latest {
        return Err(not_current(format!(
            "Signature not yet current: {} is still later than {} ({} + {} min.)",
            show(signed_at),
            show(latest),
            show(now),
            skew_max.as_secs() / 60,
        )));
    }
    let valid_for = presented.presigned.flatten().map_or(skew_max, Duration::from_secs);
    let earliest = now.minus(valid_for);
    if signed_at < earliest {
        let seconds = valid_for.as_secs();
        let shown =
            if seconds.is_multiple_of(60) { format!("{} min.", seconds / 60) } else { format!("{seconds} sec.") };
        return Err(not_current(format!(
            "Signature expired: {} is now earlier than {} ({} - {shown})",
            show(signed_at),
            show(earliest),
            show(now),
        )));
    }
    Ok(())
}

/// Whether everything that changes a request's meaning is signed: `host` and all `x-amz-*` headers (AWS documentation,
/// "Create a signed request") but the one that only describes the client.
pub(super) fn check_signed_headers(presented: &Presented, headers: &HeaderMap) -> Result<(), AuthError> {
    let signed: Vec<&str> = presented.signed_headers.split(';').collect();
    if !signed.contains(&"host") {
        return Err(invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
    }
    let matters = |name: &str| name.starts_with("x-amz-") && name != "x-amz-user-agent";
    let unsigned = headers.keys().find(|name| matters(name.as_str()) && !signed.contains(&name.as_str()));
    match unsigned {
        None => Ok(()),
        Some(name) => Err(invalid(format!("There were headers present in the request which were not signed: {name}"))),
    }
}

/// The payload hash of the canonical request. A digest the client names must be the body's. For S3 it may also name a form
/// of chunks: those are signed one by one, or not at all, and are checked when they are decoded.
pub(super) fn payload_hash(parts: &RequestParts<'_>, presented: &Presented) -> Result<String, AuthError> {
    let real = hex(parts.body_sha256);
    let Some(named) = parts.headers.get("x-amz-content-sha256") else {
        let s3_download = presented.presigned.is_some() && presented.scope.service == "s3";
        return Ok(if s3_download { UNSIGNED_PAYLOAD.to_owned() } else { real });
    };
    if named == UNSIGNED_PAYLOAD {
        return Ok(UNSIGNED_PAYLOAD.to_owned());
    }
    if presented.scope.service == "s3"
        && let Some(form) = CHUNKED_PAYLOADS.iter().find(|form| named == **form)
    {
        return Ok((*form).to_owned());
    }
    if named.as_bytes() == real.as_bytes() { Ok(real) } else { Err(AuthError::mismatch()) }
}

/// Whether the two signatures are the same, in time that does not depend on where they differ.
pub(super) fn same_signature(expected: &str, presented: &str) -> bool {
    expected.as_bytes().ct_eq(presented.as_bytes()).into()
}
