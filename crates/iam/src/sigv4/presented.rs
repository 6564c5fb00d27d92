//! Reads the two forms a signature comes in.

use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};
use millstream_client::sigv4::encoding::{query_pairs, split_target};
use millstream_client::sigv4::{ALGORITHM, CredentialScope, date};
use millstream_types::Timestamp;

use super::error::{AuthError, AuthErrorKind};

/// A signature as the client presents it: well-formed, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    pub access_key_id: String,
    pub scope: CredentialScope,
    /// `aws4_request` if the client follows the rules.
    pub terminator: String,
    /// Lower-case names joined by `;`.
    pub signed_headers: String,
    /// Hexadecimal digits.
    pub signature: String,
    /// As it entered the string to sign.
    pub amz_date: String,
    pub signed_at: Timestamp,
    pub session_token: Option<String>,
    /// Set for the query form: how long the signature says to be valid, in seconds; the inner value is absent when the
    /// query does not say.
    pub presigned: Option<Option<u64>>,
}

impl Presented {
    /// Finds and reads the signature of a request. `target` is path and query as received.
    pub fn read(target: &str, headers: &HeaderMap) -> Result<Self, AuthError> {
        let (_, query) = split_target(target);
        let parameters = QueryParameters::read(query);
        match (headers.get(AUTHORIZATION), parameters.presigned) {
            (Some(_), true) => Err(AuthError::new(
                AuthErrorKind::InvalidSignature,
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
            )),
            (Some(value), false) => from_header(&String::from_utf8_lossy(value.as_bytes()), headers),
            (None, true) => from_query(parameters),
            (None, false) => Err(AuthError::missing()),
        }
    }
}

fn incomplete(message: impl Into<String>) -> AuthError {
    AuthError::new(AuthErrorKind::Incomplete, message)
}

fn from_header(authorization: &str, headers: &HeaderMap) -> Result<Presented, AuthError> {
    let (algorithm, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    let part = |name: &str| {
        let parts = rest.split([',', ' ']).filter_map(|part| part.split_once('='));
        parts.filter(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value).next()
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let (credential, signature, signed_headers) = (part("Credential"), part("Signature"), part("SignedHeaders"));
    let (amz_date, http_date) = (header("x-amz-date"), header(DATE.as_str()));
    let (Some(credential), Some(signature), Some(signed_headers), Some(sent_date)) =
        (credential, signature, signed_headers, amz_date.or(http_date))
    else {
        let parts = [("Credential", credential), ("Signature", signature), ("SignedHeaders", signed_headers)];
        let missing = parts.into_iter().filter(|(_, value)| value.is_none());
        let mut message: Vec<String> =
            missing.map(|(name, _)| format!("Authorization header requires '{name}' parameter. ")).collect();
        if amz_date.or(http_date).is_none() {
            let text = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
            message.push(text.to_owned());
        }
        return Err(incomplete(format!("{}Authorization={authorization}", message.concat())));
    };
    require_algorithm(algorithm)?;
    let signed_at = match amz_date {
        Some(text) => date::parse_amz(text),
        None => date::parse_http(sent_date).or_else(|| date::parse_amz(sent_date)),
    };
    let signed_at = signed_at.ok_or_else(|| malformed_date(sent_date))?;
    let (access_key_id, scope, terminator) = read_credential(credential)?;
    Ok(Presented {
        access_key_id,
        scope,
        terminator,
        signed_headers: signed_headers.to_owned(),
        signature: signature.to_owned(),
        amz_date: date::format_amz(signed_at),
        signed_at,
        session_token: header("x-amz-security-token").map(str::to_owned),
        presigned: None,
    })
}

/// The query parameters a presigned request consists of.
#[derive(Default)]
struct QueryParameters {
    /// `X-Amz-Algorithm` is there, be it empty.
    presigned: bool,
    algorithm: Option<String>,
    credential: Option<String>,
    signature: Option<String>,
    signed_headers: Option<String>,
    date: Option<String>,
    expires: Option<String>,
    security_token: Option<String>,
}

impl QueryParameters {
    /// Of repeated parameters the first counts.
    fn read(query: &str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in query_pairs(query) {
            let slot = match name.as_slice() {
                b"X-Amz-Algorithm" => {
                    parameters.presigned = true;
                    &mut parameters.algorithm
                }
                b"X-Amz-Credential" => &mut parameters.credential,
                b"X-Amz-Signature" => &mut parameters.signature,
                b"X-Amz-SignedHeaders" => &mut parameters.signed_headers,
                b"X-Amz-Date" => &mut parameters.date,
                b"X-Amz-Expires" => &mut parameters.expires,
                b"X-Amz-Security-Token" => &mut parameters.security_token,
                _ => continue,
            };
            if slot.is_none() && !value.is_empty() {
                *slot = Some(String::from_utf8_lossy(&value).into_owned());
            }
        }
        parameters
    }
}

fn from_query(parameters: QueryParameters) -> Result<Presented, AuthError> {
    let QueryParameters { algorithm, credential, signature, signed_headers, date: sent_date, .. } = parameters;
    let (Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(amz_date)) =
        (&algorithm, &credential, &signature, &signed_headers, &sent_date)
    else {
        let named = [
            ("X-Amz-Algorithm", algorithm),
            ("X-Amz-Credential", credential),
            ("X-Amz-Signature", signature),
            ("X-Amz-SignedHeaders", signed_headers),
            ("X-Amz-Date", sent_date),
        ];
        let missing = named.into_iter().filter(|(_, value)| value.is_none());
        let message: Vec<String> =
            missing.map(|(name, _)| format!("AWS query-string parameters must include '{name}'. ")).collect();
        return Err(incomplete(message.concat() + "Re-examine the query-string parameters."));
    };
    require_algorithm(algorithm)?;
    let signed_at = date::parse_amz(amz_date).ok_or_else(|| malformed_date(amz_date))?;
    let (access_key_id, scope, terminator) = read_credential(credential)?;
    let expires = match &parameters.expires {
        None => None,
        Some(text) => Some(read_expires(text)?),
    };
    Ok(Presented {
        access_key_id,
        scope,
        terminator,
        signed_headers: signed_headers.clone(),
        signature: signature.clone(),
        amz_date: amz_date.clone(),
        signed_at,
        session_token: parameters.security_token,
        presigned: Some(expires),
    })
}

/// A week at most (AWS documentation, "Authenticating requests: using query parameters").
fn read_expires(text: &str) -> Result<u64, AuthError> {
    const SECONDS_MAX: u64 = 604_800;
    match text.parse() {
        Ok(seconds @ 1..=SECONDS_MAX) => Ok(seconds),
        _ => Err(incomplete(format!("X-Amz-Expires must be a number between 1 and {SECONDS_MAX} (seconds)."))),
    }
}

fn require_algorithm(algorithm: &str) -> Result<(), AuthError> {
    if algorithm == ALGORITHM {
        Ok(())
    } else {
        Err(incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}'.")))
    }
}

fn malformed_date(text: &str) -> AuthError {
    incomplete(format!(
        "Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
    ))
}

fn read_credential(credential: &str) -> Result<(String, CredentialScope, String), AuthError> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [access_key_id, date, region, service, terminator] = parts[..] else {
        return Err(incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        )));
    };
    if access_key_id.is_empty() {
        return Err(AuthError::unknown_key());
    }
    let scope = CredentialScope { date: date.to_owned(), region: region.to_owned(), service: service.to_owned() };
    Ok((access_key_id.to_owned(), scope, terminator.to_owned()))
}
