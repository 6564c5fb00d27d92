//! Refusals of a signature, with AWS's texts, codes and statuses.

/// A family of protocols that share codes and statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolFamily {
    /// awsJson and its CBOR form: Kinesis, Logs.
    Json,
    /// restJson: Lambda.
    Rest,
    /// awsQuery: IAM, STS.
    Query,
}

/// Why a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthErrorKind {
    /// There is no signature at all.
    Missing,
    /// The signature lacks parts or is malformed.
    Incomplete,
    /// The key is unknown or revoked, or the session token does not belong to it.
    UnknownKey,
    /// The signature is wrong, not valid at this time, or scoped to something else.
    InvalidSignature,
    /// The session has ended.
    Expired,
    /// The catalog could not be read; the message is for the log, not for the caller.
    Unavailable,
}

/// A refusal. The message is what AWS sends, but see [`AuthError::public_message`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthError {
    pub kind: AuthErrorKind,
    pub message: String,
}

impl AuthError {
    pub(crate) fn new(kind: AuthErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn missing() -> Self {
        Self::new(AuthErrorKind::Missing, "Missing Authentication Token")
    }

    pub(crate) fn unknown_key() -> Self {
        Self::new(AuthErrorKind::UnknownKey, "The security token included in the request is invalid.")
    }

    pub(crate) fn expired() -> Self {
        Self::new(AuthErrorKind::Expired, "The security token included in the request is expired")
    }

    pub(crate) fn mismatch() -> Self {
        Self::new(
            AuthErrorKind::InvalidSignature,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
             Key and signing method. Consult the service documentation for details.",
        )
    }

    /// The error code and HTTP status this refusal has in `family`.
    pub fn code_and_status(&self, family: ProtocolFamily) -> (&'static str, u16) {
        use AuthErrorKind::{Expired, Incomplete, InvalidSignature, Missing, Unavailable, UnknownKey};
        if family == ProtocolFamily::Query {
            return match self.kind {
                Missing => ("MissingAuthenticationToken", 403),
                Incomplete => ("IncompleteSignature", 400),
                UnknownKey => ("InvalidClientTokenId", 403),
                InvalidSignature => ("SignatureDoesNotMatch", 403),
                Expired => ("ExpiredToken", 403),
                Unavailable => ("InternalFailure", 500),
            };
        }
        let code = match self.kind {
            Missing => "MissingAuthenticationTokenException",
            Incomplete => "IncompleteSignatureException",
            UnknownKey => "UnrecognizedClientException",
            InvalidSignature => "InvalidSignatureException",
            Expired => "ExpiredTokenException",
            Unavailable => return ("InternalFailure", 500),
        };
        (code, if family == ProtocolFamily::Rest { 403 } else { 400 })
    }

    /// What the caller is told in `family`.
    pub fn public_message(&self, family: ProtocolFamily) -> &str {
        match (self.kind, family) {
            (AuthErrorKind::Missing, ProtocolFamily::Query) => "Request is missing Authentication Token",
            (AuthErrorKind::Unavailable, _) => "The request processing has failed because of an unknown error.",
            _ => &self.message,
        }
    }
}
