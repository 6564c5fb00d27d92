//! Refusals of a signature, with AWS's texts. Codes and statuses depend on the protocol and are its business.

/// Why a signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthErrorKind {
    /// There is no signature at all.
    Missing,
    /// The signature lacks parts or is malformed.
    Incomplete,
    /// The key is unknown or revoked, or the session token does not belong to it.
    UnknownKey,
    /// The signature is wrong, or covers too little.
    InvalidSignature,
    /// The signature is scoped to something else.
    WrongScope,
    /// The signature was made too long ago, or later than now.
    NotCurrent,
    /// The session has ended.
    Expired,
    /// The catalog could not be read; the message is for the log, not for the caller.
    Unavailable,
}

/// A refusal. The message is what AWS's JSON services send, but for [`AuthErrorKind::Unavailable`].
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
}
