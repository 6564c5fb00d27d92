//! Puts a signature on a request.

use std::fmt::Write as _;

use http::header::{AUTHORIZATION, HOST, InvalidHeaderValue};
use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_env::Timestamp;

use super::encoding::{PathForm, encode_into};
use super::key::string_to_sign;
use super::{ALGORITHM, CanonicalParts, CredentialScope, SigningKey, UNSIGNED_PAYLOAD, date, hex, sha256};
use crate::Credentials;

/// A request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("the request has no host header")]
    NoHost,
    #[error("the access key cannot be sent in a header: {0}")]
    Unsendable(#[from] InvalidHeaderValue),
}

/// Signs requests of one key to one service in one region.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    pub credentials: &'a Credentials,
    pub region: &'a str,
    /// The signing name.
    pub service: &'a str,
}

impl Signer<'_> {
    /// Signs by header: adds `x-amz-date`, `x-amz-security-token` for a temporary key, and `authorization`.
    ///
    /// Signs every header that is there but those which proxies and clients change on the way. `headers` must hold `host`.
    pub fn sign(
        &self,
        method: &str,
        target: &str,
        headers: &mut HeaderMap,
        body_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), SignError> {
        if !headers.contains_key(HOST) {
            return Err(SignError::NoHost);
        }
        let amz_date = date::format_amz(now);
        headers.remove(AUTHORIZATION);
        headers.insert("x-amz-date", HeaderValue::from_str(&amz_date)?);
        if let Some(token) = &self.credentials.session_token {
            headers.insert("x-amz-security-token", HeaderValue::from_str(token)?);
        }
        let signed_headers = signable_names(headers);
        let payload_hash = hex(body_sha256);
        let parts = CanonicalParts {
            method,
            target,
            path_form: PathForm::of_service(self.service),
            headers,
            authority: None,
            signed_headers: &signed_headers,
            payload_hash: &payload_hash,
            presigned: false,
        };
        let scope = self.scope(&amz_date);
        let signature = self.signature(&parts, &amz_date, &scope);
        let id = &self.credentials.access_key_id;
        let value =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed_headers}, Signature={signature}");
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&value)?);
        Ok(())
    }

    /// A target that carries its signature in the query, valid for `expires_seconds` from `now` (1 to 604 800).
    ///
    /// Only `host` is signed; the body is taken as empty (for S3 as not covered).
    pub fn presign(
        &self,
        method: &str,
        host: &str,
        target: &str,
        expires_seconds: u32,
        now: Timestamp,
    ) -> Result<String, SignError> {
        let amz_date = date::format_amz(now);
        let scope = self.scope(&amz_date);
        let mut target = target.to_owned();
        let separator = if target.contains('?') { '&' } else { '?' };
        let _infallible = write!(target, "{separator}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=");
        encode_into(&mut target, format!("{}/{scope}", self.credentials.access_key_id).as_bytes(), false);
        let _infallible =
            write!(target, "&X-Amz-Date={amz_date}&X-Amz-Expires={expires_seconds}&X-Amz-SignedHeaders=host");
        if let Some(token) = &self.credentials.session_token {
            target.push_str("&X-Amz-Security-Token=");
            encode_into(&mut target, token.as_bytes(), false);
        }
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_str(host)?)]);
        let empty = hex(&sha256(b""));
        let parts = CanonicalParts {
            method,
            target: &target,
            path_form: PathForm::of_service(self.service),
            headers: &headers,
            authority: None,
            signed_headers: "host",
            payload_hash: if self.service == "s3" { UNSIGNED_PAYLOAD } else { &empty },
            presigned: true,
        };
        let signature = self.signature(&parts, &amz_date, &scope);
        let _infallible = write!(target, "&X-Amz-Signature={signature}");
        Ok(target)
    }

    fn scope(&self, amz_date: &str) -> CredentialScope {
        CredentialScope {
            date: amz_date[..8].to_owned(),
            region: self.region.to_owned(),
            service: self.service.to_owned(),
        }
    }

    fn signature(&self, parts: &CanonicalParts<'_>, amz_date: &str, scope: &CredentialScope) -> String {
        let key = SigningKey::derive(&self.credentials.secret_access_key, scope);
        key.sign(&string_to_sign(amz_date, scope, &parts.hash()))
    }
}

/// The names of the headers worth signing, sorted and joined by `;`.
fn signable_names(headers: &HeaderMap) -> String {
    const CHANGED_ON_THE_WAY: [&str; 9] = [
        "authorization",
        "connection",
        "content-length",
        "expect",
        "te",
        "transfer-encoding",
        "user-agent",
        "via",
        "x-amzn-trace-id",
    ];
    let mut names: Vec<&str> =
        headers.keys().map(HeaderName::as_str).filter(|name| !CHANGED_ON_THE_WAY.contains(name)).collect();
    names.sort_unstable();
    names.join(";")
}
