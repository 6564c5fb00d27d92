//! Verification of Signature Version 4, on top of the canonical form of the crate `client`.
//!
//! - [`RequestParts`]: what the verifier needs of a request.
//! - `presented`: reads the two forms a signature comes in (header, query) into one.
//! - `checks`: scope, dates and the headers that must be signed.
//! - `authenticator`: decides who the caller is.
//! - [`ChunkSigner`]: the signatures of chunks, each of which covers the one before.
//! - `error`: refusals.
//!
//! Only the look-up of a stored long-term key waits for the catalog; everything else is computation. The asymmetric
//! variant (`SigV4A`) is refused.

mod authenticator;
mod cache;
mod checks;
mod chunks;
mod error;
mod presented;
#[cfg(test)]
mod tests;

use http::HeaderMap;

pub use authenticator::{AuthMode, Authenticated, Authenticator};
pub use chunks::ChunkSigner;
pub use error::{AuthError, AuthErrorKind};
pub use presented::Presented;

/// What verification needs of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    pub method: &'a str,
    /// Path and query exactly as received.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    /// `:authority` of HTTP/2, used when there is no `host` header.
    pub authority: Option<&'a str>,
    /// The SHA-256 of the body as received.
    pub body_sha256: &'a [u8; 32],
    /// The signing names the request may be scoped to; empty when any will do.
    pub services: &'a [&'a str],
}
